package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/runstore/runstore/clients/go"
	"google.golang.org/grpc/codes"
)

const (
	mostInlineBytes = 4096
	mostExact       = 1<<53 - 1
)

// seen returns a value of the client as every runner writes it; empty values are omitted.
func seen(value any) any {
	return seenValue(reflect.ValueOf(value))
}

func seenValue(value reflect.Value) any {
	if !value.IsValid() {
		return nil
	}
	switch known := value.Interface().(type) {
	case runstore.Payload:
		return seenPayload(known)
	case time.Time:
		if known.IsZero() {
			return nil
		}
		return known.UTC().Format("2006-01-02T15:04:05.000000Z")
	case time.Duration:
		return known.Microseconds()
	case []byte:
		return hex.EncodeToString(known)
	}
	if name, ok := value.Interface().(fmt.Stringer); ok && value.Kind() == reflect.Int32 {
		return name.String()
	}
	switch value.Kind() {
	case reflect.Pointer, reflect.Interface:
		if value.IsNil() {
			return nil
		}
		return seenValue(value.Elem())
	case reflect.Struct:
		return seenStruct(value)
	case reflect.Map:
		made := map[string]any{}
		for _, name := range value.MapKeys() {
			put(made, name.String(), seenValue(value.MapIndex(name)))
		}
		return made
	case reflect.Slice:
		made := make([]any, value.Len())
		for place := range made {
			made[place] = seenValue(value.Index(place))
		}
		return made
	case reflect.Int, reflect.Int32, reflect.Int64:
		if number := value.Int(); number > mostExact || number < -mostExact {
			return fmt.Sprint(number)
		}
	}
	return value.Interface()
}

func seenStruct(value reflect.Value) any {
	made := map[string]any{}
	for place := range value.NumField() {
		field := value.Type().Field(place)
		if !field.IsExported() {
			continue
		}
		name := snake(field.Name)
		if field.Type == reflect.TypeFor[time.Duration]() {
			name += "_micros"
		}
		put(made, name, seenValue(value.Field(place)))
	}
	return made
}

// put omits empty values.
func put(fields map[string]any, name string, value any) {
	switch known := value.(type) {
	case nil:
		return
	case string:
		if known == "" {
			return
		}
	case []any:
		if len(known) == 0 {
			return
		}
	case map[string]any:
		if len(known) == 0 {
			return
		}
	}
	fields[name] = value
}

func seenPayload(p runstore.Payload) any {
	if p.IsZero() {
		return nil
	}
	made := map[string]any{}
	put(made, "content_type", p.ContentType())
	switch data := p.Bytes(); {
	case len(data) > mostInlineBytes:
		hash := p.SHA256()
		made["is_json"] = p.IsJSON()
		made["sha256"] = hex.EncodeToString(hash[:])
		made["size"] = len(data)
	case p.IsJSON():
		made["json"] = p.Text()
	default:
		made["base64"] = base64.StdEncoding.EncodeToString(data)
	}
	return made
}

func seenError(err error, told *runstore.Error) any {
	made := map[string]any{}
	name := reflect.TypeOf(err).Elem().Name()
	if errors.Is(err, runstore.ErrClosed) {
		name = "ClientClosed"
	}
	// Initialisms are written in capitals in Go only.
	name = strings.ReplaceAll(strings.TrimSuffix(name, "Error"), "ID", "Id")
	put(made, "type", name)
	put(made, "code", codeName(told.Code))
	put(made, "reason", told.Reason)
	if len(told.Metadata) > 0 { // its keys are the contract's, so those with an empty value are kept
		made["metadata"] = told.Metadata
	}
	put(made, "violations", seen(told.Violations))
	return made
}

// codeName returns the name of a code in gRPC's specification.
func codeName(code codes.Code) string {
	if code == codes.Canceled {
		return "CANCELLED"
	}
	return strings.ToUpper(snake(code.String()))
}

// snake returns a Go name as it is in the contracts.
func snake(name string) string {
	for _, initials := range []string{"ID", "URL", "SHA"} {
		name = strings.ReplaceAll(name, initials, initials[:1]+strings.ToLower(initials[1:]))
	}
	var made strings.Builder
	for place, letter := range name {
		if unicode.IsUpper(letter) && place > 0 {
			made.WriteByte('_')
		}
		made.WriteRune(unicode.ToLower(letter))
	}
	return made.String()
}
