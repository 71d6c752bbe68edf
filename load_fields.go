package leasehold

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
)

// field is a struct field with a tag.
type field struct {
	tag

	name  string       // with its parents
	index []int        // from the root; pointers between are followed
	typ   reflect.Type // what is decoded: of a *cache.Value[T] or a *dynamic.Credential[T], T
	maker cache.Maker  // of a *cache.Value; else nil
	open  dynamic.Opener
}

// tagged finds the fields with a vault tag in the struct type t, and everything that is
// wrong with tags.
func tagged(t reflect.Type) ([]*field, []error) {
	var s search
	s.structure(t, "", nil, []reflect.Type{t})
	return s.fields, s.errs
}

type search struct {
	fields []*field
	errs   []error
}

func (s *search) badf(name, format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf("leasehold: load: field %s: "+format, append([]any{name}, args...)...))
}

// structure looks at the fields of t. A type that contains itself, by way of a pointer, is
// searched once: parents are those that t is in.
func (s *search) structure(t reflect.Type, parent string, index []int, parents []reflect.Type) {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, at := parent+sf.Name, append(slices.Clone(index), i)
		text, ok := sf.Tag.Lookup("vault")
		switch {
		case text == "-":
		case ok && !sf.IsExported():
			s.badf(name, "it has a vault tag but is not exported")
		case ok:
			s.leaf(sf, text, name, at)
		case !hasTags(sf.Type, nil):
		case !sf.IsExported() && (!sf.Anonymous || sf.Type.Kind() != reflect.Struct):
			// As with encoding/json: of an embedded struct of an unexported type the exported
			// fields can be set, and one behind a pointer cannot be made.
			s.badf(name, "there are vault tags in it, but it is not exported")
		default:
			s.inside(sf.Type, name, at, parents)
		}
	}
}

// inside looks into the type of a field without a tag.
func (s *search) inside(t reflect.Type, name string, index []int, parents []reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() != reflect.Struct:
		s.badf(name, "there are vault tags in it, but Load does not look into a %s", t.Kind())
	case !slices.Contains(parents, t):
		s.structure(t, name+".", index, append(slices.Clone(parents), t))
	}
}

// hasTags reports whether a vault tag is anywhere in t.
func hasTags(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen == nil {
		seen = make(map[reflect.Type]bool)
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return hasTags(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			sf := t.Field(i)
			text, ok := sf.Tag.Lookup("vault")
			if (ok && text != "-") || (!ok && hasTags(sf.Type, seen)) {
				return true
			}
		}
	}
	return false
}

func (s *search) leaf(sf reflect.StructField, text, name string, index []int) {
	t, err := parseTag(text)
	if err != nil {
		s.badf(name, "tag %q: %w", text, err)
		return
	}
	f := &field{tag: t, name: name, index: index, typ: sf.Type}
	if err := f.kind(sf.Type); err != nil {
		s.badf(name, "tag %q: %w", text, err)
		return
	}
	if t.fallback != nil {
		if _, err := f.fromDefault(); err != nil {
			s.badf(name, "tag %q: the default does not fit %s%s", text, f.typ, f.written())
			return
		}
	}
	for _, other := range s.fields {
		if other.mount == f.mount && other.path == f.path && other.engine == f.engine && other.v1 != f.v1 {
			how := map[bool]string{true: "with", false: "without"}[other.v1]
			s.badf(name, "tag %q: field %s reads the same %s v1", text, other.name, how)
			return
		}
	}
	s.fields = append(s.fields, f)
}

// written is how a default of the field is written, where that may not be plain.
func (f *field) written() string {
	switch {
	case f.typ == durationType:
		return `: write "30s"`
	case f.composite():
		return ": write it as JSON"
	}
	return ""
}

// kind finds out what the field holds, and refuses what can never work.
func (f *field) kind(t reflect.Type) error {
	var live, credential bool
	f.maker, live = reflect.TypeAssert[cache.Maker](reflect.Zero(t))
	f.open, credential = reflect.TypeAssert[dynamic.Opener](reflect.Zero(t))
	behind := reflect.PointerTo(t)
	_, value := reflect.TypeAssert[cache.Maker](reflect.Zero(behind))
	_, opened := reflect.TypeAssert[dynamic.Opener](reflect.Zero(behind))
	switch {
	case value || opened:
		return fmt.Errorf("a %s is used behind a pointer: make it a *%[1]s", t)
	case credential && (f.engine != dynamicEngine || f.key != ""):
		return errors.New(`a *dynamic.Credential is a whole dynamic credential, as in "database:creds/role,dynamic"`)
	case credential:
		f.typ = reflect.TypeOf(f.open.Target()).Elem()
	case live && f.engine == dynamicEngine:
		return errors.New("what follows a dynamic credential is a *dynamic.Credential")
	case live && f.engine == staticEngine:
		return errors.New("a static role is read once: use a plain field")
	case live && f.fallback != nil:
		return errors.New("a live field has no default: say optional, and set it to cache.Fixed before Load")
	case live:
		f.typ = reflect.TypeOf(f.maker.Target()).Elem()
	}
	return f.fits()
}

// fits refuses types that no secret can be read into.
func (f *field) fits() error {
	t := f.typ
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case decodesItself(t):
		return nil
	case hasTags(t, nil):
		return errors.New("there are vault tags in it, too: either it is read as a whole or its fields are")
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Uintptr:
		return fmt.Errorf("no secret can be read into a %s", t)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Errorf("no secret can be read into a %s: give a type", t)
		}
	case reflect.Struct, reflect.Map:
	default:
		switch {
		case f.open != nil:
			return fmt.Errorf("a credential is read into a struct or a map, not into a %s", t)
		case f.key == "":
			return fmt.Errorf(`a whole secret is read into a struct or a map, not into a %s: name a field of it, as in "mount:path#field"`, t)
		}
	}
	return nil
}

var (
	jsonDecoder = reflect.TypeFor[json.Unmarshaler]()
	textDecoder = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// decodesItself reports whether a *t has a decoder of its own.
func decodesItself(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(jsonDecoder) || decodesText(t)
}

func decodesText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textDecoder) }

// in returns the field in the struct root. It allocates what pointers on the way lack.
func (f *field) in(root reflect.Value) reflect.Value {
	v := root
	for _, i := range f.index {
		for v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}
