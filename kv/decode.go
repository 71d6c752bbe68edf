package kv

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"sync"
	"time"
)

// DecodeError says that a secret does not fit the type it is read into. It names
// the field and the kinds of values, never a value; what a type's own decoder said is
// left out, since it may quote what it got.
type DecodeError struct {
	Path string // mount and path
	// Field is dotted, with the index of an element of a list, as in db.hosts[1]. A map's key
	// may be a secret and shows as [*]. It is empty if it is not one field.
	Field string
	Want  string // the Go type; may be empty
	Got   string // the kind of JSON value, or "nothing"; may be empty
}

// Error names what to fix.
func (e *DecodeError) Error() string {
	where := e.Path
	if e.Field != "" {
		where += "#" + e.Field
	}
	got := e.Got
	if got != nothing {
		got = "a JSON " + got
	}
	switch {
	case e.Want != "" && e.Got != "":
		return fmt.Sprintf("leasehold: decode %s: want %s, the secret holds %s", where, e.Want, got)
	case e.Want != "":
		return fmt.Sprintf("leasehold: decode %s: the value does not make a %s", where, e.Want)
	default:
		return fmt.Sprintf("leasehold: decode %s: not the JSON that was expected", where)
	}
}

// nothing is what a secret holds where it lacks a field.
const nothing = "nothing"

// envelope and envelope1 are what Vault answers: everything is decoded in one pass.
type envelope[T any] struct {
	Data struct {
		Data     T               `json:"data"`
		Metadata versionMetadata `json:"metadata"`
	} `json:"data"`
}

type envelope1[T any] struct {
	Data     T     `json:"data"`
	Duration int64 `json:"lease_duration"` // seconds
}

// decode decodes an answer. where is mount and path.
func decode[T any](where string, raw *Raw, strict strictness) (Secret[T], error) {
	out := Secret[T]{Obtained: raw.sent.Wall}
	var err error
	if raw.engine == 1 {
		var answer envelope1[T]
		err = unmarshal(raw.body, &answer)
		out.Value, out.TTL = answer.Data, seconds(answer.Duration)
	} else {
		var answer envelope[T]
		if err = unmarshal(raw.body, &answer); err == nil {
			out.Metadata, err = answer.Data.Metadata.metadata()
		}
		out.Value = answer.Data.Data
	}
	whole := err == nil && (raw.engine == 1 || out.Metadata.Version > 0)
	null := false
	if raw, ok := any(&out.Value).(*json.RawMessage); ok { // of which null is not the zero value
		null = string(*raw) == "null"
	}
	if whole && strict == (strictness{}) && !null && !reflect.ValueOf(&out.Value).Elem().IsZero() {
		return out, nil
	}
	// Something is wrong, or may be: Vault gives no 200 without data.
	data, err := dataOf(where, raw)
	if err == nil {
		if t := reflect.TypeFor[T](); !whole {
			err = misfit(where, "", t, data)
		} else {
			err = strict.check(where, t, data)
		}
	}
	if err != nil {
		return Secret[T]{}, err
	}
	return out, nil
}

// dataOf returns the data of an answer as it is. What is no KV answer it marks, so that it is
// not read again: all who find something wrong come by here.
func dataOf(where string, raw *Raw) (data json.RawMessage, err error) {
	whole := true
	if raw.engine == 1 {
		var answer envelope1[json.RawMessage]
		err = json.Unmarshal(raw.body, &answer)
		data = answer.Data
	} else {
		var answer envelope[json.RawMessage]
		err = json.Unmarshal(raw.body, &answer)
		data = answer.Data.Data
		meta, timeErr := answer.Data.Metadata.metadata()
		whole = timeErr == nil && meta.Version > 0
	}
	wrong := err != nil || len(data) == 0 || data[0] != '{'
	if wrong || !whole {
		raw.foreign.Store(true)
	}
	if wrong {
		return nil, &DecodeError{Path: where, Want: "KV secret", Got: kindOf(data)}
	}
	return data, nil
}

// seconds is a duration that does not overflow, and is not negative.
func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), math.MaxInt64/int64(time.Second))) * time.Second
}

// noFieldError is an ErrNotFound that does not say that the secret is missing.
type noFieldError string

func (e noFieldError) Error() string        { return fmt.Sprintf("no field %q in the secret", string(e)) }
func (e noFieldError) Is(target error) bool { return target == ErrNotFound }

// Unmarshal decodes the data of a secret, or one field of it if field is not
// empty, as Get does and with the same errors. A field that does not exist is
// [ErrNotFound].
func Unmarshal(path string, data []byte, field string, into any) error {
	if field != "" {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(data, &fields); err != nil {
			return &DecodeError{Path: path, Want: "JSON object"}
		}
		value, ok := fields[field]
		if !ok {
			return fmt.Errorf("leasehold: decode %s: %w", path, noFieldError(field))
		}
		data = value
	}
	if err := unmarshal(data, into); err != nil {
		t := reflect.TypeOf(into)
		if t == nil || t.Kind() != reflect.Pointer || reflect.ValueOf(into).IsNil() {
			return fmt.Errorf("leasehold: decode %s: into a %T, which is no pointer to anything", path, into)
		}
		return misfit(path, field, t.Elem(), data)
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

// kindOf names what a JSON value is; empty: it is none.
func kindOf(raw []byte) string {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		return "string"
	case c == '{':
		return "object"
	case c == '[':
		return "array"
	case c == 't', c == 'f':
		return "bool"
	case c == 'n':
		return "null"
	case c == '-', strings.IndexByte("0123456789", c) >= 0:
		return "number"
	}
	return ""
}
