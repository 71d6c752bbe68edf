package leasehold

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/seed-f5e1ac40/leasehold/kv"
)

// Load fills the fields of the struct that dst points to from KV secrets, as their
// `vault` tags say:
//
//	`vault:"mount:path"`                 the whole secret, into a struct or a map
//	`vault:"mount:path#field"`           one field of it
//	`vault:"mount:path#field,optional"`  left as it is if the secret or field is missing
//
// Fields are decoded with encoding/json's rules. Exported struct fields without a tag are
// searched for tagged fields; pointers to structs, and embedded structs of an unexported
// type, are not. Tags are checked before anything is asked; secrets are then
// fetched in parallel, each once. It blocks until all required secrets are there or
// ctx ends, retrying what may pass as kv.Get does.
//
// Everything that is wrong comes back in one joined error that names every path, and
// dst is then unchanged.
func (c *Client) Load(ctx context.Context, dst any) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("leasehold: load: want a pointer to a struct, got %T", dst)
	}
	// Filled apart and copied at the end: a failed Load changes nothing.
	filled := reflect.New(v.Elem().Type())
	filled.Elem().Set(v.Elem())
	fields, errs := tagged(filled.Elem(), "")
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if len(fields) == 0 {
		return fmt.Errorf("leasehold: load: %T has no field with a vault tag", dst)
	}
	secrets := c.fetch(ctx, fields)
	for _, f := range fields {
		s := secrets[f.source()]
		err := s.err
		if err == nil {
			// Into a new value: a map or a pointer would be filled in place, and dst changed.
			fresh := reflect.New(f.value.Type())
			err = kv.Unmarshal(f.mount+"/"+f.path, s.data, f.key, fresh.Interface())
		}
		if err != nil && (!f.optional || !missing(err)) {
			errs = append(errs, fmt.Errorf("field %s: %w", f.name, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, f := range fields { // again, over what was there, now that all of it fits
		if s := secrets[f.source()]; s.err == nil {
			_ = kv.Unmarshal(f.mount+"/"+f.path, s.data, f.key, f.value.Addr().Interface()) // an optional field may be missing
		}
	}
	v.Elem().Set(filled.Elem())
	return nil
}

// missing reports whether err says that there is no such secret now.
func missing(err error) bool {
	return errors.Is(err, kv.ErrNotFound) || errors.Is(err, kv.ErrDeleted) || errors.Is(err, kv.ErrDestroyed)
}

// field is a struct field with its tag taken apart.
type field struct {
	name             string // with its parents
	value            reflect.Value
	mount, path, key string
	optional         bool
}

func (f field) source() string { return f.mount + ":" + f.path }

// fetched is one secret, or why it is not there.
type fetched struct {
	data json.RawMessage
	err  error
}

// fetch gets each secret that fields name, all at once; the session bounds how many
// requests are under way.
func (c *Client) fetch(ctx context.Context, fields []field) map[string]*fetched {
	secrets := make(map[string]*fetched)
	var wg sync.WaitGroup
	for _, f := range fields {
		if secrets[f.source()] != nil {
			continue
		}
		s := &fetched{}
		secrets[f.source()] = s
		wg.Go(func() {
			got, err := kv.Get[json.RawMessage](ctx, c.KV(f.mount), f.path)
			s.data, s.err = got.Value, err
		})
	}
	wg.Wait()
	return secrets
}

// tagged finds the fields with a vault tag, and everything that is wrong with tags.
func tagged(v reflect.Value, parent string) (fields []field, errs []error) {
	t := v.Type()
	for i := range t.NumField() {
		sf := t.Field(i)
		name := parent + sf.Name
		tag, ok := sf.Tag.Lookup("vault")
		switch {
		case ok && !sf.IsExported():
			errs = append(errs, fmt.Errorf("leasehold: load: field %s has a vault tag but is not exported", name))
		case ok:
			f, err := parseTag(tag)
			if err != nil {
				errs = append(errs, fmt.Errorf("leasehold: load: field %s: tag %q: %w", name, tag, err))
				continue
			}
			f.name, f.value = name, v.Field(i)
			fields = append(fields, f)
		case sf.Type.Kind() == reflect.Struct && sf.IsExported():
			more, bad := tagged(v.Field(i), name+".")
			fields, errs = append(fields, more...), append(errs, bad...)
		}
	}
	return fields, errs
}

var errTag = errors.New(`want "mount:path", "mount:path#field", and optionally ",optional"`)

func parseTag(tag string) (field, error) {
	var f field
	where, options, hasOptions := strings.Cut(tag, ",")
	if hasOptions {
		for opt := range strings.SplitSeq(options, ",") {
			if opt != "optional" {
				return f, fmt.Errorf("unknown option %q: %w", opt, errTag)
			}
			f.optional = true
		}
	}
	where, key, hasKey := strings.Cut(where, "#")
	mount, path, ok := strings.Cut(where, ":")
	if !ok || mount == "" || path == "" || (hasKey && key == "") {
		return f, errTag
	}
	if err := kv.CheckPath(mount, path); err != nil {
		return f, err
	}
	f.mount, f.path, f.key = mount, path, key
	return f, nil
}
