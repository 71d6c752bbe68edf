package kv

import "reflect"

// isEmpty is what omitempty leaves out: as for the type that a secret stands for.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return isSecret(v.Type()) && reveal(v) == ""
	case reflect.Interface, reflect.Pointer:
		return v.IsNil()
	}
	return v.Kind() >= reflect.Bool && v.Kind() <= reflect.Float64 && v.IsZero()
}

type zeroer interface{ IsZero() bool }

var zeroerType = reflect.TypeFor[zeroer]()

// isZero is what omitzero leaves out: as for the type that a secret stands for, again.
func isZero(v reflect.Value) bool {
	t := v.Type()
	switch {
	case !t.Implements(zeroerType) && !reflect.PointerTo(t).Implements(zeroerType):
		return v.IsZero()
	case t.Kind() == reflect.Pointer && (v.IsNil() || isSecret(t.Elem())):
		return v.IsNil()
	case t.Kind() == reflect.Interface && (v.IsNil() || (v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil())):
		return true
	case !t.Implements(zeroerType) && !v.CanAddr():
		p := reflect.New(t)
		p.Elem().Set(v)
		v = p.Elem()
	}
	return method[zeroer](v).IsZero()
}
