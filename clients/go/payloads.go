package runstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"unicode/utf8"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

type payloadKind uint8

const (
	noPayload payloadKind = iota
	jsonPayload
	binaryPayload
	refPayload
)

// Payload is a value that the store keeps byte for byte: a JSON text, opaque bytes, or a reference
// to a part stored before. The zero Payload means no payload. Payloads are immutable and can be
// compared with ==.
//
// A Payload that could not be encoded, such as [JSONOf] of a channel, fails the call it is passed
// to before anything is sent; see [Payload.Err].
type Payload struct {
	kind        payloadKind
	content     string
	contentType string
	err         error
}

// JSON returns a JSON text, which is kept exactly: key order, duplicate keys, number spelling and
// white space included. The server rejects a text that does not parse.
func JSON[Text ~string | ~[]byte](text Text) Payload {
	content := string(text)
	if !utf8.ValidString(content) {
		return Payload{err: errorf("the JSON text is not valid UTF-8")}
	}
	return Payload{kind: jsonPayload, content: content}
}

// JSONOf returns the JSON text of a value, as encoding/json writes it but without escaping HTML. A
// json.RawMessage is kept as it is.
//
// What JSON cannot represent (NaN, the infinities, channels, functions, complex numbers), and strings
// that are not UTF-8, which encoding/json would change, give a Payload whose [Payload.Err] is an
// [*InvalidArgumentError] with the path of the value. A type with MarshalJSON writes itself.
func JSONOf(value any) Payload {
	if raw, ok := value.(json.RawMessage); ok {
		return JSON(raw)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	// This is what encoding/json writes for bytes that are not UTF-8.
	if err != nil || bytes.Contains(text.Bytes(), []byte(`\ufffd`)) {
		if found := notJSON(reflect.ValueOf(value), payloadPath, 0); found != nil {
			return Payload{err: found}
		}
	}
	if err != nil {
		return Payload{err: errorf("cannot encode a %T as JSON: %w", value, err)}
	}
	return JSON(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
}

// Binary returns opaque bytes; contentType is their media type, such as "application/msgpack", and
// may be empty.
func Binary(data []byte, contentType string) Payload {
	return Payload{kind: binaryPayload, content: string(data), contentType: contentType}
}

// Ref stands for a snapshot part with this SHA-256 that the run has stored before. It is accepted
// only in snapshots being put; reads return the part itself.
func Ref(sha256 [sha256.Size]byte) Payload {
	return Payload{kind: refPayload, content: string(sha256[:])}
}

// WithContentType returns the payload with another content type.
func (p Payload) WithContentType(contentType string) Payload {
	p.contentType = contentType
	return p
}

// IsZero reports whether there is no payload.
func (p Payload) IsZero() bool { return p == Payload{} }

// IsJSON reports whether the payload is a JSON text.
func (p Payload) IsJSON() bool { return p.kind == jsonPayload }

// Bytes returns a copy of the bytes: the UTF-8 of a JSON text, the hash of a reference.
func (p Payload) Bytes() []byte { return []byte(p.content) }

// Text returns the bytes as a string.
func (p Payload) Text() string { return p.content }

// ContentType is the media type; empty if none was given.
func (p Payload) ContentType() string { return p.contentType }

// SHA256 is the hash of the bytes, to refer to them with [Ref].
func (p Payload) SHA256() [sha256.Size]byte { return sha256.Sum256([]byte(p.content)) }

// Decode parses a JSON text into value, as json.Unmarshal does; it fails for other payloads.
func (p Payload) Decode(value any) error {
	if p.err != nil {
		return p.err
	}
	if p.kind != jsonPayload {
		return errorf("the payload is not a JSON text")
	}
	return json.Unmarshal([]byte(p.content), value)
}

// Err is why the payload could not be encoded; nil if it could.
func (p Payload) Err() error { return p.err }

// encoder turns values into messages and keeps the first error.
type encoder struct{ err error }

// payload returns the message of a payload; nil for none.
func (e *encoder) payload(p Payload) *runstorev1.Payload {
	if p.err != nil && e.err == nil {
		e.err = p.err
	}
	switch p.kind {
	case jsonPayload:
		return &runstorev1.Payload{
			Content: &runstorev1.Payload_Json{Json: p.content}, ContentType: p.contentType,
		}
	case binaryPayload:
		return &runstorev1.Payload{
			Content: &runstorev1.Payload_Binary{Binary: p.Bytes()}, ContentType: p.contentType,
		}
	case refPayload:
		return &runstorev1.Payload{
			Content: &runstorev1.Payload_Ref{Ref: p.Bytes()}, ContentType: p.contentType,
		}
	}
	return nil
}

// part returns the message of a part, which must be set: the server rejects an empty one.
func (e *encoder) part(p Payload) *runstorev1.Payload {
	if message := e.payload(p); message != nil {
		return message
	}
	return &runstorev1.Payload{}
}

func payloadOf(message *runstorev1.Payload) Payload {
	switch content := message.GetContent().(type) {
	case *runstorev1.Payload_Json:
		return Payload{kind: jsonPayload, content: content.Json, contentType: message.ContentType}
	case *runstorev1.Payload_Binary:
		return Binary(content.Binary, message.ContentType)
	}
	return Payload{}
}

// errorf returns an error found by the client, before anything was sent.
func errorf(format string, values ...any) error {
	return fmt.Errorf("runstore: "+format, values...)
}
