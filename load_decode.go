package leasehold

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

var userPassType = reflect.TypeFor[dynamic.UserPass]()

// A decoded value is put into its field by assign, which cannot fail: a Load that
// fails has changed nothing.
type assign func(field reflect.Value)

// decode reads the field's value from the data of its secret. Its errors name where the
// value is and of what kind, and never the value.
func (f *field) decode(data json.RawMessage) (assign, error) {
	where := f.mount + "/" + f.path
	if f.key == "" {
		return f.fromJSON(data)
	}
	var raw json.RawMessage
	if err := kv.Unmarshal(where, data, f.key, &raw); err != nil {
		return nil, err
	}
	if isNull(raw) {
		return nil, nullError(fmt.Sprintf("leasehold: decode %s#%s: it is null, which counts as missing", where, f.key))
	}
	text, isText := textOf(raw)
	switch {
	case f.json && !isText:
		return nil, f.misfit("", "JSON text", raw)
	case f.json:
		return f.fromJSON(json.RawMessage(text))
	case isText:
		return f.fromText(text)
	}
	return f.fromJSON(raw)
}

// nullError is a field that is there and holds nothing.
type nullError string

func (e nullError) Error() string { return string(e) }

// Is makes it one of those that an optional field may have.
func (nullError) Is(target error) bool { return target == kv.ErrNotFound }

// fromText reads a field that holds a text, as programs write them that know nothing else:
// vault kv put, and whoever wrote a default into a tag.
func (f *field) fromText(text string) (assign, error) {
	fresh := reflect.New(f.typ).Elem()
	v := fresh
	for v.Kind() == reflect.Pointer && !decodesText(v.Type()) {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch t := v.Type(); {
	case t == certificateType:
		c, err := f.certificate(text, text)
		if err != nil {
			return nil, err
		}
		v.Set(reflect.ValueOf(c))
	case decodesText(t):
		//nolint:forcetypeassert // decodesText has looked
		if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			return nil, f.misfit("", t.String(), json.RawMessage(`""`)) // its own words may quote the text
		}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && !decodesItself(t) && !decodesItself(t.Elem()):
		v.SetBytes([]byte(text))
	default:
		quoted, err := json.Marshal(text)
		if err != nil {
			return nil, f.misfit("", t.String(), json.RawMessage(`""`))
		}
		return f.fromJSON(quoted)
	}
	return func(field reflect.Value) { field.Set(fresh) }, nil
}

// fromDefault reads the tag's default, which is written as the field itself would be: as a
// text, or as JSON where no text will do.
func (f *field) fromDefault() (assign, error) {
	inJSON := json.RawMessage(*f.fallback)
	if f.json {
		return f.fromJSON(inJSON)
	}
	set, err := f.fromText(*f.fallback)
	if kind := kindOf(inJSON); err != nil && f.composite() && (kind == "object" || kind == "array") {
		return f.fromJSON(inJSON)
	}
	return set, err
}

// fromJSON reads JSON as kv.Get does, over what is in the field already. Beyond that
// it takes a text for a number, a bool or a duration: see relax.
func (f *field) fromJSON(data json.RawMessage) (assign, error) {
	where := f.mount + "/" + f.path
	inner := f.typ
	for inner.Kind() == reflect.Pointer {
		inner = inner.Elem()
	}
	fresh := reflect.New(f.typ)
	if inner == certificateType {
		c, err := f.certificateOf(data)
		if err != nil {
			return nil, err
		}
		v := fresh.Elem()
		for v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		v.Set(reflect.ValueOf(c))
		return func(field reflect.Value) { field.Set(fresh.Elem()) }, nil
	}
	relaxed, err := f.relax(f.typ, data, "")
	if err != nil {
		return nil, err
	}
	// Into a new value first: what is in the field stays as it is until all of Load succeeds.
	if err := kv.Unmarshal(where, relaxed, "", fresh.Interface()); err != nil {
		return nil, f.located(err)
	}
	if f.engine != keyValue && inner == userPassType && nobody(fresh) {
		return nil, fmt.Errorf("leasehold: decode %s: the answer holds no username and password", where) // as a *dynamic.Credential says
	}
	return func(field reflect.Value) {
		if field.IsZero() || f.key != "" && inner.Kind() != reflect.Struct && inner.Kind() != reflect.Map {
			field.Set(fresh.Elem())
			return
		}
		attach := detach(field)
		err := kv.Unmarshal(where, relaxed, "", field.Addr().Interface())
		attach()
		if err != nil {
			field.Set(fresh.Elem()) // what was in an interface did not take it: as if nothing had been there
		}
	}, nil
}

// composite reports whether the field is of a kind that a JSON text could fill, where a text
// cannot: of numbers and bools relax takes what is in a text already.
func (f *field) composite() bool {
	t := f.typ
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array:
		return true
	}
	return decodesItself(t)
}

// nobody reports whether v, which points to a UserPass, has none.
func nobody(v reflect.Value) bool {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return !v.IsValid() || v.FieldByName("Username").IsZero()
}

// located adds the field of the secret to an error from inside of it.
func (f *field) located(err error) error {
	if de := (*kv.DecodeError)(nil); f.key != "" && errors.As(err, &de) {
		located := *de
		located.Field = join(f.key, de.Field)
		if located.Got == "string" && located.Want != "" && !f.json && de.Field == "" && f.composite() {
			return fmt.Errorf("%w (if that string is a JSON text, add \",json\" to the tag)", &located)
		}
		return &located
	}
	return err
}

// misfit is the error of a value that is not what it should be.
func (f *field) misfit(at, want string, raw json.RawMessage) error {
	return &kv.DecodeError{Path: f.mount + "/" + f.path, Field: join(f.key, at), Want: want, Got: kindOf(raw)}
}

// join puts the place of a value together as kv does: a.b, a[1], and a[*] for a key of a map.
func join(a, b string) string {
	if a == "" || b == "" || b[0] == '[' {
		return a + b
	}
	return a + "." + b
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// textOf returns the text of a JSON string.
func textOf(raw json.RawMessage) (text string, ok bool) {
	if kindOf(raw) != "string" {
		return "", false
	}
	return text, json.Unmarshal(raw, &text) == nil
}

// kindOf returns encoding/json's name of what raw is.
func kindOf(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	}
	return "number"
}
