package kv

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-f5e1ac40/leasehold/internal/members"
)

// misfit says where data does not fit the type t, which it was found not to. encoding/json
// tells too little and too much: no place where a type's own decoder refuses, and texts that
// quote what they got. So nothing is taken from its errors; the place is found by decoding
// the parts, and the kinds of values are looked up.
func misfit(path, field string, t reflect.Type, data []byte) *DecodeError {
	if !json.Valid(data) {
		return &DecodeError{Path: path, Field: field}
	}
	f := finder{}
	if !f.find(t, data, 0) {
		return &DecodeError{Path: path, Field: field} // all parts fit: the rest of the answer does not
	}
	de := &DecodeError{Path: path, Field: joined(field, f.field), Want: f.want.String()}
	if f.mismatch {
		de.Got = kindOf(f.value)
	}
	return de
}

// deepestField is how deep into a value misfit looks for its place: each level is decoded again.
const deepestField = 32

// finder is where a value does not fit.
type finder struct {
	field    string
	want     reflect.Type
	value    []byte
	mismatch bool // its kind is the reason, or may be
}

// find looks for the innermost part of raw that does not fit its part of t.
func (f *finder) find(t reflect.Type, raw []byte, depth int) bool {
	err := unmarshal(raw, reflect.New(t).Interface())
	if err == nil {
		return false
	}
	if depth < deepestField && !decodesItself(t) && f.inside(t, raw, depth+1) {
		return true
	}
	var wrong *json.UnmarshalTypeError
	f.want, f.value, f.mismatch = t, raw, depth < deepestField && errors.As(err, &wrong)
	return true
}

func (f *finder) inside(t reflect.Type, raw []byte, depth int) bool {
	switch t.Kind() {
	case reflect.Pointer:
		return f.find(t.Elem(), raw, depth)
	case reflect.Struct:
		fields := members.Of(t)
		parts := objectOf(raw)
		for _, key := range slices.Sorted(maps.Keys(parts)) {
			m, ok := fields.Named(key)
			if ok && m.Quoted && f.unquote(m, parts[key]) || ok && !m.Quoted && f.find(m.Type, parts[key], depth) {
				f.field = joined(m.Name, f.field)
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		var parts []json.RawMessage
		_ = json.Unmarshal(raw, &parts)
		for i, part := range parts {
			if f.find(t.Elem(), part, depth) {
				f.field = joined(fmt.Sprintf("[%d]", i), f.field)
				return true
			}
		}
	case reflect.Map:
		parts := objectOf(raw)
		for _, key := range slices.Sorted(maps.Keys(parts)) {
			if f.find(t.Elem(), parts[key], depth) {
				f.field = joined("[*]", f.field)
				return true
			}
		}
	}
	return false
}

// unquote is find for a field with the option "string".
func (f *finder) unquote(m members.Member, raw []byte) bool {
	alone := reflect.StructOf([]reflect.StructField{{Name: "V", Type: m.Type, Tag: `json:"v,string"`}})
	if json.Unmarshal(append(append([]byte(`{"v":`), raw...), '}'), reflect.New(alone).Interface()) == nil {
		return false
	}
	f.want, f.value, f.mismatch = m.Type, raw, kindOf(raw) != "string"
	return true
}

// joined appends to a place what is inside of it.
func joined(outer, inner string) string {
	switch {
	case outer == "" || inner == "":
		return outer + inner
	case inner[0] == '[':
		return outer + inner
	}
	return outer + "." + inner
}

// objectOf returns the members of a JSON object; nil: it is none.
func objectOf(raw []byte) (parts map[string]json.RawMessage) {
	_ = json.Unmarshal(raw, &parts)
	return parts
}

var (
	unmarshalerType     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// decodesItself reports whether what is inside of a t is up to its own decoder.
func decodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(unmarshalerType) || p.Implements(textUnmarshalerType)
}

// strictness is what else than a wrong type is an error: see RefuseUnknown and RequireAll.
type strictness struct{ unknown, missing bool }

// check returns all that data has too much or too little for a t, which it fits.
func (s strictness) check(path string, t reflect.Type, data []byte) error {
	if s == (strictness{}) {
		return nil
	}
	var tree any
	_ = json.Unmarshal(data, &tree) // which it was found to do
	var errs []error
	s.walk(t, tree, "", func(field, want, got string) {
		errs = append(errs, &DecodeError{Path: path, Field: field, Want: want, Got: got})
	})
	return errors.Join(errs...)
}

func (s strictness) walk(t reflect.Type, tree any, at string, report func(field, want, got string)) {
	for t.Kind() == reflect.Pointer && !decodesItself(t) {
		t = t.Elem()
	}
	if decodesItself(t) {
		return
	}
	switch tree := tree.(type) {
	case []any:
		if t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
			for i, part := range tree {
				s.walk(t.Elem(), part, joined(at, fmt.Sprintf("[%d]", i)), report)
			}
		}
	case map[string]any:
		switch t.Kind() {
		case reflect.Map:
			for _, key := range slices.Sorted(maps.Keys(tree)) {
				s.walk(t.Elem(), tree[key], joined(at, "[*]"), report)
			}
		case reflect.Struct:
			s.object(t, tree, at, report)
		}
	}
}

func (s strictness) object(t reflect.Type, tree map[string]any, at string, report func(field, want, got string)) {
	fields := members.Of(t)
	have := make(map[string]bool) // fields that are there, and not null
	keys := make(map[string]string)
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		m, ok := fields.Named(key)
		if _, same := tree[m.Name]; ok && keys[m.Name] == "" && (!same || key == m.Name) {
			keys[m.Name] = key
		}
		switch {
		case ok && (key == keys[m.Name] || !s.unknown): // else it only looks like the field, and may have been taken for it
			have[m.Name] = have[m.Name] || tree[key] != nil
			s.walk(m.Type, tree[key], joined(at, m.Name), report)
		case s.unknown:
			report(joined(at, shown(key)), "no such field", kindOfTree(tree[key]))
		}
	}
	for _, m := range fields {
		if s.missing && !m.Optional(t) && !have[m.Name] {
			report(joined(at, m.Name), m.Type.String(), nothing)
		}
	}
}

// shown is the name of a field of a secret, which Vault's audit log shows as well, if it looks like
// one: who keeps secrets in a map has them for names.
func shown(key string) string {
	odd := func(c rune) bool {
		return c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}
	if key == "" || len(key) > 64 || strings.ContainsFunc(key, odd) || (key[0] >= '0' && key[0] <= '9') {
		return "[*]"
	}
	return key
}

func kindOfTree(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "bool"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "number"
}
