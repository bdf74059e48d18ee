package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"sort"
	"strconv"
	"strings"
)

// malformed is what accessors panic with: a row is not as the format says.
type malformed string

// row is a JSON object.
type row map[string]any

func parse(text []byte) row {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var found row
	if err := decoder.Decode(&found); err != nil || found == nil {
		panic(malformed("it is no JSON object"))
	}
	if _, err := decoder.Token(); err != io.EOF {
		panic(malformed("something follows the JSON object"))
	}
	return found
}

// of checks that the row is of a kind.
func (r row) of(kind members) { kind.check(map[string]any(r)) }

func as[T any](value any) T {
	found, isOne := value.(T)
	if !isOne {
		panic(malformed(fmt.Sprintf("%v is of another type", value)))
	}
	return found
}

func whole(value any) int64 {
	number, err := strconv.ParseInt(as[json.Number](value).String(), 10, 64)
	if err != nil || strconv.FormatInt(number, 10) != as[json.Number](value).String() {
		panic(malformed(fmt.Sprintf("%v is no whole number", value)))
	}
	return number
}

func (r row) text(name string) string { return as[string](r[name]) }

func (r row) number(name string) int64 { return whole(r[name]) }

func (r row) flag(name string) bool { return as[bool](r[name]) }

func (r row) isNull(name string) bool { return r[name] == nil }

// object is a member that is an object; nil for null.
func (r row) object(name string) row {
	if r[name] == nil {
		return nil
	}
	return row(as[map[string]any](r[name]))
}

func (r row) texts(name string) []string {
	var found []string
	for _, each := range as[[]any](r[name]) {
		found = append(found, as[string](each))
	}
	return found
}

func (r row) objects(name string) []row {
	var found []row
	for _, each := range as[[]any](r[name]) {
		found = append(found, row(as[map[string]any](each)))
	}
	return found
}

// names are the members of the row, sorted byte by byte.
func (r row) names() []string {
	var found []string
	for name := range r {
		found = append(found, name)
	}
	sort.Strings(found)
	return found
}

// salt is nil where there is none.
func (r row) salt() []byte {
	if r.isNull("salt") {
		return nil
	}
	return unhex(r.text("salt"))
}

func unhex(text string) []byte {
	found, err := hex.DecodeString(text)
	if err != nil || strings.ToLower(text) != text {
		panic(malformed(text + " is not hexadecimal"))
	}
	return found
}

// unzipped reads a gzip file, which has to be one member and nothing else.
func unzipped(packed io.Reader, name string) (io.Reader, func() error, error) {
	buffered := bufio.NewReader(packed)
	unzip, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, nil, breaks("%s is not gzip: %v", name, err)
	}
	unzip.Multistream(false)
	end := func() error {
		if _, err := buffered.ReadByte(); err != io.EOF {
			return breaks("%s goes on after its end", name)
		}
		return nil
	}
	return unzip, end, nil
}

// lines yields the rows of a file; the last is an error if there is one.
func (a *archive) lines(name string) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		file, err := a.open(name)
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		unzip, end, err := unzipped(file, name)
		if err != nil {
			yield(nil, err)
			return
		}
		lines := bufio.NewReaderSize(unzip, 1<<20)
		for number := 1; ; number++ {
			line, err := lines.ReadBytes('\n')
			if err == io.EOF && len(line) == 0 {
				break
			}
			if err == io.EOF {
				err = breaks("%s ends within line %d", name, number)
			} else if err != nil {
				err = breaks("%s is not gzip: %v", name, err)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(strict(line, false), nil) {
				return
			}
		}
		if err := end(); err != nil {
			yield(nil, err)
		}
	}
}
