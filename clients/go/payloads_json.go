package runstore

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// InvalidArgumentError is an argument that was refused before anything was sent.
type InvalidArgumentError struct {
	// Field is the path of the value, such as "payload.steps[3].score".
	Field   string
	Problem string
}

func (e *InvalidArgumentError) Error() string {
	return fmt.Sprintf("runstore: %s: %s", e.Field, e.Problem)
}

// The path of a payload's outermost value.
const payloadPath = "payload"

// A value nested deeper than this contains itself; the server's limit is lower.
const maxJSONDepth = 1000

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// notJSON finds the value that encoding/json cannot represent, or would change: nil if there is none.
func notJSON(value reflect.Value, path string, depth int) *InvalidArgumentError {
	if !value.IsValid() {
		return nil
	}
	if depth > maxJSONDepth {
		return &InvalidArgumentError{payloadPath, "is nested too deeply, or contains itself"}
	}
	if value.Type().Implements(jsonMarshaler) || value.Type().Implements(textMarshaler) {
		return nil // it writes itself
	}
	switch value.Kind() {
	case reflect.Float32, reflect.Float64:
		if number := value.Float(); math.IsNaN(number) || math.IsInf(number, 0) {
			return &InvalidArgumentError{path, fmt.Sprintf("%v is not JSON", number)}
		}
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return &InvalidArgumentError{path, fmt.Sprintf("a %v is not JSON", value.Type())}
	case reflect.String:
		if !utf8.ValidString(value.String()) {
			return &InvalidArgumentError{path, "a string that is not UTF-8 is not JSON"}
		}
	case reflect.Pointer, reflect.Interface:
		return notJSON(value.Elem(), path, depth+1)
	case reflect.Slice, reflect.Array:
		for i := range value.Len() {
			if found := notJSON(value.Index(i), path+"["+strconv.Itoa(i)+"]", depth+1); found != nil {
				return found
			}
		}
	case reflect.Map:
		return notJSONInMap(value, path, depth)
	case reflect.Struct:
		return notJSONInStruct(value, path, depth)
	}
	return nil
}

func notJSONInMap(value reflect.Value, path string, depth int) *InvalidArgumentError {
	for entries := value.MapRange(); entries.Next(); {
		key := entries.Key()
		switch kind := key.Kind(); {
		case kind == reflect.String:
			if !utf8.ValidString(key.String()) {
				return &InvalidArgumentError{path, "a key that is not UTF-8 is not JSON"}
			}
		case kind >= reflect.Int && kind <= reflect.Uintptr || key.Type().Implements(textMarshaler):
		default:
			return &InvalidArgumentError{path, fmt.Sprintf("a key of type %v is not JSON", key.Type())}
		}
		if found := notJSON(entries.Value(), memberPath(path, fmt.Sprint(key)), depth+1); found != nil {
			return found
		}
	}
	return nil
}

func notJSONInStruct(value reflect.Value, path string, depth int) *InvalidArgumentError {
	for i := range value.NumField() {
		field := value.Type().Field(i)
		tag := field.Tag.Get("json")
		if tag == "-" || !field.IsExported() && !field.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if strings.Contains(options, "omit") && value.Field(i).IsZero() {
			continue
		}
		at := path // of an embedded struct, whose fields are its holder's
		if !field.Anonymous || name != "" {
			if name == "" {
				name = field.Name
			}
			at = memberPath(path, name)
		}
		if found := notJSON(value.Field(i), at, depth+1); found != nil {
			return found
		}
	}
	return nil
}

// memberPath is the path of a member, as one would write it.
func memberPath(path, name string) string {
	for i, char := range name {
		isDigit := i > 0 && char >= '0' && char <= '9'
		isLetter := char == '_' || char|0x20 >= 'a' && char|0x20 <= 'z'
		if !isDigit && !isLetter {
			return path + "[" + strconv.Quote(name) + "]"
		}
	}
	return path + "." + name
}
