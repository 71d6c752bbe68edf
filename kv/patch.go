package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Patch changes fields of the secret at path, and makes a new version of it: those that
// patch has are set, nested objects member by member, and null removes one (JSON merge
// patch, RFC 7396). All others stay as they are. patch is encoded as by [Store.Put]: a map
// says best what is to be changed, since each field of a struct is written that is not
// marked omitempty or omitzero; and a nil pointer, map or slice among them is written as
// null, and so removes the field.
//
// There must be a secret, with a latest version that is not deleted: [ErrNotFound],
// [ErrDeleted] and [ErrDestroyed] say so. Other errors, and what is repeated, are as with
// Put. It needs the capability "patch", or, with [ReadModifyWrite], "read" and "update". KV
// version 1 has no patch, and refuses.
func (s *Store) Patch(ctx context.Context, path string, patch any, opts ...WriteOption) (Metadata, error) {
	a := action{
		op: "patch", method: http.MethodPatch, area: "data", may: []string{"patch"},
		lacks: "has no patch, nor a way to write what nobody else has changed: Get the secret, change it and Put all of it",
	}
	o, err := s.writeOptions(path, a, opts)
	if err != nil {
		return Metadata{}, err
	}
	data, inexact, err := encode(s.where(path), patch)
	if failed := errors.Join(err, inexact); failed != nil {
		return Metadata{}, failed
	}
	if o.readModifyWrite {
		return s.readModifyWrite(ctx, path, a, data, o)
	}
	a.body = func(engine) (any, error) { return versioned(data, o.cas), nil }
	return s.written(ctx, path, a, o.cas)
}

// modifications is how often a secret is modified while others write to it as well.
const modifications = 5

func (s *Store) readModifyWrite(ctx context.Context, path string, a action, data json.RawMessage, o writeOptions) (Metadata, error) {
	if s.upgraded(ctx, s.engine(ctx)).kv() == 1 {
		return Metadata{}, s.lacking(path, a)
	}
	a.method, a.may = http.MethodPost, []string{"update"}
	var last error
	for attempt := range modifications {
		if attempt > 0 {
			if err := s.view.Pause(ctx, attempt-1, nil); err != nil {
				return Metadata{}, fmt.Errorf("%w; given up: %w", last, err)
			}
		}
		now, err := Get[map[string]any](ctx, s, path, func(o *getOptions) { o.fresh = true })
		if err != nil {
			return Metadata{}, err
		}
		read := now.Metadata.Version
		if o.cas != nil && *o.cas != read {
			return Metadata{}, &CASError{Path: s.where(path), Namespace: s.view.Namespace, Want: *o.cas, Current: read}
		}
		merged, err := merged(now.Value, data)
		if err != nil {
			return Metadata{}, fmt.Errorf("leasehold: patch %s: %w", s.where(path), err)
		}
		meta, err := s.put(ctx, path, a, merged, nil, &read)
		if !errors.Is(err, ErrCASMismatch) || o.cas != nil {
			return meta, err
		}
		last = err
	}
	return Metadata{}, last
}

// merged is what doc becomes by a patch, encoded. Its numbers keep their digits.
func merged(doc map[string]any, data json.RawMessage) (json.RawMessage, error) {
	var patch any
	if err := unmarshal(data, &patch); err != nil {
		return nil, err
	}
	return json.Marshal(merge(doc, patch))
}

// merge applies a JSON merge patch (RFC 7396) to doc, which it changes.
func merge(doc, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, _ := doc.(map[string]any)
	if object == nil {
		object = make(map[string]any, len(changes))
	}
	for name, change := range changes {
		if change == nil {
			delete(object, name)
		} else {
			object[name] = merge(object[name], change)
		}
	}
	return object
}
