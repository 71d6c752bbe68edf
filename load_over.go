package leasehold

import "reflect"

// detach takes out of v, which a Load is about to decode over, what encoding/json would write into:
// elements of a slice keep what the new ones lack (golang/go#21092), so that one would have the token of
// another; and a map or an array below a slice is shared with all copies of the struct. Maps are
// cloned, slices replaced by empty ones; attach puts back those that the secret did not mention.
func detach(v reflect.Value) (attach func()) {
	var d detached
	d.walk(v)
	return func() {
		for _, undo := range d.undo {
			undo()
		}
	}
}

type detached struct {
	undo []func()
	seen map[any]bool // pointers that were followed: a type may contain itself
}

func (d *detached) walk(v reflect.Value) {
	if decodesItself(v.Type()) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || d.seen[v.Interface()] {
			return
		}
		if d.seen == nil {
			d.seen = make(map[any]bool)
		}
		d.seen[v.Interface()] = true
		d.walk(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			// Of an embedded struct of an unexported type the exported fields can be set.
			if f := v.Type().Field(i); f.IsExported() || f.Anonymous && f.Type.Kind() == reflect.Struct {
				d.walk(v.Field(i))
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			d.walk(v.Index(i))
		}
	case reflect.Map:
		if v.IsNil() {
			return
		}
		clone := reflect.MakeMapWithSize(v.Type(), v.Len())
		for each := v.MapRange(); each.Next(); {
			clone.SetMapIndex(each.Key(), each.Value())
		}
		v.Set(clone)
	case reflect.Slice:
		if v.Cap() == 0 {
			return
		}
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		empty := reflect.MakeSlice(v.Type(), 0, 1) // the decoder's own empty one has no capacity
		v.Set(empty)
		d.undo = append(d.undo, func() {
			if v.Len() == 0 && v.Cap() == 1 && v.UnsafePointer() == empty.UnsafePointer() {
				v.Set(old)
			}
		})
	}
}
