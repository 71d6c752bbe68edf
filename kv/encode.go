package kv

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-f5e1ac40/leasehold/internal/members"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// EncodeError says that a value cannot be written. Nothing was sent. It names the field and
// the Go type, never a value.
type EncodeError struct {
	Path   string // mount and path
	Field  string // dotted, as in a DecodeError; empty if it is not one field
	Type   string // the Go type
	Reason string // and what to do
}

// Error names what to fix.
func (e *EncodeError) Error() string {
	where := e.Path
	if e.Field != "" {
		where += "#" + e.Field
	}
	return fmt.Sprintf("leasehold: encode %s: %s: %s", where, e.Type, e.Reason)
}

// redacted is what a secret.String or secret.Bytes shows of itself.
const redacted = "[redacted]"

// deepest is how deep a value may be nested; encoding/json reads no more than ten times
// that, and Vault, unless configured otherwise, 300. Who is deeper is most likely a cycle.
const deepest = 1000

// encode encodes value, which must make a JSON object, by encoding/json's rules, but for the
// secrets in it: what they hide is written. A secret.String is written as a string would be
// and a secret.Bytes as a []byte, as a map's key too, and omitempty leaves out empty ones.
//
// There is no way to tell encoding/json so, and a type cannot know for whom it is encoded,
// so the value is walked here. Only what is a single value, and what a type's own encoder
// makes, comes from encoding/json.
//
// What would not come back as it was is refused: text that is no UTF-8, which encoding/json
// replaces, and the word that stands for a secret. inexact is the error for a number that a
// float64 does not hold: KV version 2 reads numbers into those, and version 1 does not.
func encode(path string, value any) (out json.RawMessage, inexact, err error) {
	e := encoder{path: path}
	v := reflect.ValueOf(value)
	if !v.IsValid() {
		return nil, nil, &EncodeError{Path: path, Type: "nil", Reason: "a secret is a JSON object: pass a struct or a map"}
	}
	// Addressable, so that methods on the pointer count: Get decodes with those, too.
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	if err := e.value(p.Elem(), "", false, 0); err != nil {
		return nil, nil, err
	}
	if len(e.out) == 0 || e.out[0] != '{' {
		return nil, nil, e.refuse(v.Type(), "", "a secret is a JSON object: pass a struct or a map that is not nil")
	}
	return e.out, e.inexact, nil
}

// encoder is one walk over a value. at is where in the value it is.
type encoder struct {
	path    string
	out     []byte
	inexact error // for the first number that is not exact
}

func (e *encoder) refuse(t reflect.Type, at, reason string) error {
	return &EncodeError{Path: e.path, Field: at, Type: t.String(), Reason: reason}
}

var (
	stringType        = reflect.TypeFor[secret.String]()
	bytesType         = reflect.TypeFor[secret.Bytes]()
	numberType        = reflect.TypeFor[json.Number]()
	marshalerType     = reflect.TypeFor[json.Marshaler]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
)

// value writes v; quoted is the "string" option of its field.
func (e *encoder) value(v reflect.Value, at string, quoted bool, depth int) error {
	if depth > deepest {
		return e.refuse(v.Type(), "", "it is nested too deep, or contains itself")
	}
	t := v.Type()
	switch {
	case t == stringType:
		return e.text(t, reveal(v), at, false)
	case t == bytesType:
		e.out = append(e.out, `"`+base64.StdEncoding.EncodeToString([]byte(reveal(v)))+`"`...)
		return nil
	case t.Kind() == reflect.Struct && (t.ConvertibleTo(stringType) || t.ConvertibleTo(bytesType)):
		return e.refuse(t, at, "a type of its own has none of the methods: use the type in package secret itself")
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Interface:
		if v.IsNil() {
			e.out = append(e.out, "null"...)
			return nil
		}
		return e.value(v.Elem(), at, quoted, depth+1)
	case has(v, marshalerType):
		return e.marshaler(v, at)
	case has(v, textMarshalerType):
		text, err := method[encoding.TextMarshaler](v).MarshalText()
		if err != nil || bytes.Contains(text, []byte(redacted)) {
			return e.marshalled(t, at, err)
		}
		return e.text(t, string(text), at, false)
	}
	switch t.Kind() {
	case reflect.Struct:
		return e.object(v, at, depth)
	case reflect.Map:
		return e.mapping(v, at, depth)
	case reflect.Slice, reflect.Array:
		return e.list(v, at, depth)
	case reflect.String:
		if t != numberType {
			return e.text(t, v.String(), at, quoted)
		}
	}
	return e.scalar(v, at, quoted)
}

func (e *encoder) list(v reflect.Value, at string, depth int) error {
	if v.Kind() == reflect.Slice && (v.IsNil() || isBytes(v.Type())) {
		return e.scalar(v, at, false)
	}
	e.out = append(e.out, '[')
	for i := range v.Len() {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := e.value(v.Index(i), at+"["+strconv.Itoa(i)+"]", false, depth+1); err != nil {
			return err
		}
	}
	e.out = append(e.out, ']')
	return nil
}

// isBytes reports whether JSON has a slice of type t as base64.
func isBytes(t reflect.Type) bool {
	p := reflect.PointerTo(t.Elem())
	return t.Elem().Kind() == reflect.Uint8 && !p.Implements(marshalerType) && !p.Implements(textMarshalerType)
}

func (e *encoder) mapping(v reflect.Value, at string, depth int) error {
	if v.IsNil() {
		e.out = append(e.out, "null"...)
		return nil
	}
	values := make(map[string]reflect.Value, v.Len())
	for it := v.MapRange(); it.Next(); {
		key, err := e.key(it.Key(), at)
		if err != nil {
			return err
		}
		if _, twice := values[key]; twice {
			return e.refuse(v.Type(), at, "two of its keys are the same text")
		}
		values[key] = it.Value()
	}
	e.out = append(e.out, '{')
	for i, key := range slices.Sorted(maps.Keys(values)) {
		// A key may be a secret, but those of the whole are the names of its fields.
		name := at + "[*]"
		if at == "" && !isSecret(v.Type().Key()) {
			name = strings.Trim(strconv.Quote(key), `"`)
		}
		if err := e.member(i == 0, key, values[key], name, false, depth); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	return nil
}

// key is the name that a map's key has in JSON.
func (e *encoder) key(k reflect.Value, at string) (string, error) {
	t := k.Type()
	switch {
	case isSecret(t):
		return reveal(k), nil
	case t.Kind() == reflect.String:
		return k.String(), nil
	case t.Kind() == reflect.Pointer && k.IsNil() && t.Implements(textMarshalerType):
		return "", nil
	case t.Kind() != reflect.Interface && t.Implements(textMarshalerType):
		text, err := method[encoding.TextMarshaler](k).MarshalText()
		if err != nil || bytes.Contains(text, []byte(redacted)) {
			return "", e.marshalled(t, at, err)
		}
		return string(text), nil
	case k.CanInt():
		return strconv.FormatInt(k.Int(), 10), nil
	case k.CanUint():
		return strconv.FormatUint(k.Uint(), 10), nil
	}
	return "", e.refuse(t, at, "JSON has no form for this type as a map's key")
}

func (e *encoder) object(v reflect.Value, at string, depth int) error {
	e.out = append(e.out, '{')
	first := true
	for _, m := range members.Of(v.Type()) {
		mv, ok := m.In(v)
		if !ok || (m.OmitEmpty && isEmpty(mv)) || (m.OmitZero && isZero(mv)) {
			continue
		}
		if err := e.member(first, m.Name, mv, join(at, m.Name), m.Quoted, depth); err != nil {
			return err
		}
		first = false
	}
	e.out = append(e.out, '}')
	return nil
}

// member writes one member of an object.
func (e *encoder) member(first bool, name string, v reflect.Value, at string, quoted bool, depth int) error {
	if !first {
		e.out = append(e.out, ',')
	}
	if err := e.text(reflect.TypeFor[string](), name, at, false); err != nil {
		return err
	}
	e.out = append(e.out, ':')
	return e.value(v, at, quoted, depth+1)
}

func isSecret(t reflect.Type) bool { return t == stringType || t == bytesType }

// reveal returns what a secret hides.
func reveal(v reflect.Value) string {
	switch s := v.Interface().(type) {
	case secret.String:
		return s.Reveal()
	case secret.Bytes:
		return string(s.Reveal())
	}
	return ""
}

// has reports whether v, or the variable that it is, has the methods of the interface i.
func has(v reflect.Value, i reflect.Type) bool {
	if !v.CanInterface() { // an embedded struct of an unexported type
		return false
	}
	return v.Type().Implements(i) || (v.CanAddr() && reflect.PointerTo(v.Type()).Implements(i))
}

// method returns v, or the variable that it is, as an I that it has.
func method[I any](v reflect.Value) I {
	if i, ok := reflect.TypeAssert[I](v); ok {
		return i
	}
	return v.Addr().Interface().(I) //nolint:forcetypeassert // see has
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
