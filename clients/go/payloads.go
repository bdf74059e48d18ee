package runstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
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

// Payload is a value the store keeps byte for byte: a JSON text, opaque bytes, or a reference to a
// part stored before. The zero Payload is none. Payloads do not change and can be compared with ==.
//
// A Payload that could not be made, for instance by [JSONOf] of a channel, fails the call it is
// given to before anything is sent; see [Payload.Err].
type Payload struct {
	kind        payloadKind
	content     string
	contentType string
	err         error
}

// JSON is a JSON text, kept as it is: key order, duplicate keys, number spelling and white space
// included. The server refuses a text that does not parse.
func JSON[Text ~string | ~[]byte](text Text) Payload {
	content := string(text)
	if !utf8.ValidString(content) {
		return Payload{err: errorf("the JSON text is not UTF-8")}
	}
	return Payload{kind: jsonPayload, content: content}
}

// JSONOf is the JSON text of a value, as encoding/json writes it but without escaping HTML. A
// json.RawMessage is kept as it is.
func JSONOf(value any) Payload {
	if raw, ok := value.(json.RawMessage); ok {
		return JSON(raw)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return Payload{err: errorf("no JSON of a %T: %w", value, err)}
	}
	return JSON(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
}

// Binary is opaque bytes; contentType says what they are, such as "application/msgpack", and may be
// empty.
func Binary(data []byte, contentType string) Payload {
	return Payload{kind: binaryPayload, content: string(data), contentType: contentType}
}

// Ref stands for a snapshot part with this SHA-256 that the run has stored before. Only snapshots
// that are put take it; reads return the part itself.
func Ref(sha256 [sha256.Size]byte) Payload {
	return Payload{kind: refPayload, content: string(sha256[:])}
}

// WithContentType is the payload with another content type.
func (p Payload) WithContentType(contentType string) Payload {
	p.contentType = contentType
	return p
}

// IsZero tells whether there is no payload.
func (p Payload) IsZero() bool { return p == Payload{} }

// IsJSON tells whether the payload is a JSON text.
func (p Payload) IsJSON() bool { return p.kind == jsonPayload }

// Bytes returns a copy of the bytes: of a JSON text its UTF-8, of a reference its hash.
func (p Payload) Bytes() []byte { return []byte(p.content) }

// Text returns the bytes as a string.
func (p Payload) Text() string { return p.content }

// ContentType is the media type; empty when it was not stated.
func (p Payload) ContentType() string { return p.contentType }

// SHA256 is the hash of the bytes, which a [Ref] to them holds.
func (p Payload) SHA256() [sha256.Size]byte { return sha256.Sum256([]byte(p.content)) }

// Decode parses a JSON text into value, as json.Unmarshal does; other payloads are refused.
func (p Payload) Decode(value any) error {
	if p.err != nil {
		return p.err
	}
	if p.kind != jsonPayload {
		return errorf("the payload is not a JSON text")
	}
	return json.Unmarshal([]byte(p.content), value)
}

// Err says why the payload could not be made; nil when it could.
func (p Payload) Err() error { return p.err }

// encoder makes messages of values and keeps the first error on the way.
type encoder struct{ err error }

// payload is the message of a payload; nil for none.
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

// part is the message of a state part, which has to be there: the server refuses an empty one.
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

// errorf is an error of the client's own, made before anything was sent.
func errorf(format string, values ...any) error {
	return fmt.Errorf("runstore: "+format, values...)
}
