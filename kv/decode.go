package kv

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// DecodeError says that a secret does not fit the type it is read into. It names
// the field and the kinds of values, never a value.
type DecodeError struct {
	Path  string // mount and path
	Field string // dotted; empty if it is not one field
	Want  string // the Go type; may be empty
	Got   string // the kind of JSON value; may be empty
}

// Error names what to fix.
func (e *DecodeError) Error() string {
	where := e.Path
	if e.Field != "" {
		where += "#" + e.Field
	}
	switch {
	case e.Want != "" && e.Got != "":
		return fmt.Sprintf("leasehold: decode %s: want %s, the secret holds a JSON %s", where, e.Want, e.Got)
	case e.Want != "":
		return fmt.Sprintf("leasehold: decode %s: the value does not make a %s", where, e.Want)
	default:
		return fmt.Sprintf("leasehold: decode %s: not the JSON that was expected, or refused by a type's own decoder", where)
	}
}

// noFieldError is an ErrNotFound that does not say that the secret is missing.
type noFieldError string

func (e noFieldError) Error() string        { return fmt.Sprintf("no field %q in the secret", string(e)) }
func (e noFieldError) Is(target error) bool { return target == ErrNotFound }

// Unmarshal decodes the data of a secret, or one field of it if field is not
// empty, as Get does and with the same errors. A field that does not exist is
// [ErrNotFound].
func Unmarshal(path string, data []byte, field string, into any) error {
	if field == "" {
		if err := unmarshal(data, into); err != nil {
			return decodeError(path, err, "")
		}
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return &DecodeError{Path: path, Want: "JSON object"}
	}
	value, ok := fields[field]
	if !ok {
		return fmt.Errorf("leasehold: decode %s: %w", path, noFieldError(field))
	}
	if err := unmarshal(value, into); err != nil {
		de := decodeError(path, err, "")
		de.Field = strings.TrimSuffix(field+"."+de.Field, ".")
		return de
	}
	return nil
}

// unmarshal is json.Unmarshal that keeps numbers exact: those decoded into an
// interface become json.Number, not float64 (failure code C4).
func unmarshal(data []byte, into any) error {
	if !hasInterface(reflect.TypeOf(into)) {
		return json.Unmarshal(data, into)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("data after the value")
	}
	return nil
}

var interfaces sync.Map // reflect.Type to bool

// hasInterface reports whether a value of type t may hold an interface.
func hasInterface(t reflect.Type) bool {
	if known, ok := interfaces.Load(t); ok {
		return known.(bool) //nolint:forcetypeassert // nothing else is stored
	}
	found := findInterface(t, make(map[reflect.Type]bool))
	interfaces.Store(t, found)
	return found
}

func findInterface(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return findInterface(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if findInterface(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

// kinds are encoding/json's names of what a value is.
var kinds = []string{"string", "number", "object", "array", "bool", "null"}

// decodeError keeps of err what cannot be a value: encoding/json's texts quote
// literals, and those of a type's own decoder may quote anything.
func decodeError(path string, err error, prefix string) *DecodeError {
	de := &DecodeError{Path: path}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		de.Field = strings.TrimPrefix(wrong.Field, prefix)
		de.Want = wrong.Type.String()
		de.Got, _, _ = strings.Cut(wrong.Value, " ") // "number 12" quotes the number
		if !slices.Contains(kinds, de.Got) {
			de.Got = "" // a type's own decoder put in what it liked
		}
		if de.Field == strings.TrimSuffix(prefix, ".") {
			de.Field = ""
		}
	}
	return de
}
