package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// strict reads an object, whose text has to be in the one form in which exports write it: lines as lines
// are, without a space, the manifest indented.
func strict(text []byte, isIndented bool) row {
	found := parse(text) // which bounds how deep it is
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	written := &writing{decoder: decoder}
	written.value(written.token())
	form := written.text.Bytes()
	if isIndented {
		var indented bytes.Buffer
		if err := json.Indent(&indented, form, "", " "); err != nil {
			panic(malformed(err.Error()))
		}
		form = indented.Bytes()
	}
	if !bytes.Equal(append(form, '\n'), text) {
		panic(malformed("it is not in the form in which exports write JSON"))
	}
	return found
}

// writing writes what a decoder reads as exports write it. What the decoder reads leniently, such as text
// that is no UTF-8, is written as something else.
type writing struct {
	decoder *json.Decoder
	text    bytes.Buffer
}

func (w *writing) token() json.Token {
	token, err := w.decoder.Token()
	if err != nil {
		panic(malformed("it is not JSON: " + err.Error()))
	}
	return token
}

func (w *writing) value(token json.Token) {
	switch of := token.(type) {
	case nil:
		w.text.WriteString("null")
	case bool:
		w.text.WriteString(strconv.FormatBool(of))
	case json.Number:
		w.text.WriteString(strconv.FormatInt(whole(of), 10))
	case string:
		w.string(of)
	case json.Delim:
		w.text.WriteString(of.String())
		if of == '{' {
			w.members()
		} else {
			w.elements()
		}
	}
}

func (w *writing) elements() {
	for count := 0; ; count++ {
		token := w.token()
		if token == json.Delim(']') {
			break
		}
		if count > 0 {
			w.text.WriteByte(',')
		}
		w.value(token)
	}
	w.text.WriteByte(']')
}

func (w *writing) members() {
	names := map[string]bool{}
	for {
		token := w.token()
		if token == json.Delim('}') {
			break
		}
		name := as[string](token)
		if names[name] {
			panic(malformed("it has the member " + name + " twice"))
		}
		if len(names) > 0 {
			w.text.WriteByte(',')
		}
		names[name] = true
		w.string(name)
		w.text.WriteByte(':')
		w.value(w.token())
	}
	w.text.WriteByte('}')
}

var escapes = map[byte]string{
	'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`,
}

func (w *writing) string(of string) {
	w.text.WriteByte('"')
	for at := 0; at < len(of); at++ {
		if escape, isOne := escapes[of[at]]; isOne {
			w.text.WriteString(escape)
		} else if of[at] < ' ' {
			fmt.Fprintf(&w.text, `\u%04x`, of[at])
		} else {
			w.text.WriteByte(of[at])
		}
	}
	w.text.WriteByte('"')
}
