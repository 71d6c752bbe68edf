package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
)

// WriteOption adjusts a Put or a Patch.
type WriteOption func(*writeOptions)

type writeOptions struct {
	cas             *int
	readModifyWrite bool
}

// CAS (check and set) writes only if the latest version of the secret is that one, be it
// deleted: 0 means that there must be none. Else the write is a [CASError], and nothing has
// changed. KV version 1 has no such thing, and refuses.
func CAS(version int) WriteOption { return func(o *writeOptions) { o.cas = &version } }

// ReadModifyWrite makes Patch read the secret, change it here and write all of it, for a
// token that lacks the capability "patch". The write is for the version that was read: if
// somebody else writes in between, it is tried again, up to five times; with [CAS] it is not.
func ReadModifyWrite() WriteOption { return func(o *writeOptions) { o.readModifyWrite = true } }

func (s *Store) writeOptions(path string, a action, opts []WriteOption) (o writeOptions, err error) {
	for _, opt := range opts {
		opt(&o)
	}
	if o.cas != nil && *o.cas < 0 {
		err = fmt.Errorf("leasehold: %s %s: CAS(%d): a version is 0 or more", a.op, s.where(path), *o.cas)
	}
	return o, errors.Join(s.check(path, a), err)
}

// Put writes value as the new version of the secret at path, all of it: fields that value
// lacks are gone in the new version. It returns what Vault says about that version; in KV
// version 1, which keeps only one and no metadata, the zero Metadata.
//
// value is encoded by encoding/json's rules into a JSON object, but the secret.String and
// secret.Bytes in it are written with what they hide, as a string and as base64: what Get
// has read can be changed and put back. An [EncodeError] says what cannot be written so
// that Get would return the same, before anything is sent.
//
// A write is sent once. It is repeated within ctx (a minute if that has no deadline) only
// where it certainly did nothing: nobody was reached, or Vault said that it takes no requests
// now. If the answer was lost, the error says that the write may have happened. To
// repeat it then is safe with [CAS]: it succeeds if it has not happened, and is a [CASError]
// if it has, or somebody else was faster.
//
// Errors: [ErrCASMismatch], [ErrNoMount], an [EncodeError], or a leasehold.Error, which for a
// missing permission names the policy that would grant it.
func (s *Store) Put(ctx context.Context, path string, value any, opts ...WriteOption) (Metadata, error) {
	a := action{op: "write", method: http.MethodPost, area: "data", may: []string{"create", "update"}}
	o, err := s.writeOptions(path, a, opts)
	if err != nil {
		return Metadata{}, err
	}
	if o.readModifyWrite {
		return Metadata{}, fmt.Errorf("leasehold: write %s: ReadModifyWrite is for Patch: Put writes all of the secret", s.where(path))
	}
	data, inexact, err := encode(s.where(path), value)
	if err != nil {
		return Metadata{}, err
	}
	return s.put(ctx, path, a, data, inexact, o.cas)
}

func (s *Store) put(ctx context.Context, path string, a action, data json.RawMessage, inexact error, cas *int) (Metadata, error) {
	if cas != nil {
		a.lacks = "has no check-and-set: leave out kv.CAS"
	}
	a.body = func(e engine) (any, error) {
		if e.kv() != 1 {
			return versioned(data, cas), inexact
		}
		if string(data) == "{}" {
			return nil, fmt.Errorf("leasehold: %s %s: KV version 1 stores no secret without a field", a.op, s.where(path))
		}
		return data, nil
	}
	return s.written(ctx, path, a, cas)
}

// versioned is the body of what makes a version.
func versioned(data json.RawMessage, cas *int) any {
	type options struct {
		CAS *int `json:"cas,omitempty"`
	}
	return struct {
		Data    json.RawMessage `json:"data"`
		Options options         `json:"options,omitzero"`
	}{data, options{cas}}
}

// written sends what makes a version, and returns what is known of it.
func (s *Store) written(ctx context.Context, path string, a action, cas *int) (Metadata, error) {
	resp, e, err := s.do(ctx, path, a)
	if err != nil {
		return Metadata{}, s.mismatch(ctx, path, cas, err)
	}
	if e.kv() == 1 {
		return Metadata{}, nil
	}
	var made versionMetadata
	err = readData(resp, &made)
	meta, timeErr := made.metadata()
	if err = errors.Join(err, timeErr); err != nil || meta.Version == 0 {
		return Metadata{}, fmt.Errorf(
			"leasehold: %s %s: Vault's answer has no version: is the engine at %q KV version 1? Then this was written to %q. Remove it there, and use kv.Version1",
			a.op, s.where(path), s.mount, s.full(path, a, e))
	}
	return meta, nil
}

// glance bounds the question for a version that nobody waits for gladly.
const glance = 5 * time.Second

// mismatch makes a CASError of err if it is one. Vault does not say which version the secret
// is at. Who writes with check-and-set has read it, most likely, and may do so again: that
// is tried once, and nothing follows from its failure.
func (s *Store) mismatch(ctx context.Context, path string, cas *int, err error) error {
	failed := session.FailureOf(err)
	if cas == nil || failed == nil || failed.Status != http.StatusBadRequest ||
		!strings.Contains(strings.Join(failed.Vault, " "), "check-and-set parameter did not match") {
		return err
	}
	mismatch := &CASError{Path: s.where(path), Namespace: s.view.Namespace, Want: *cas, Current: -1}
	limited, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	resp, err := s.view.Glance(limited, session.Request{
		Op: "read", Method: http.MethodGet, Path: s.mount + "/data/" + path, Namespace: s.view.Namespace,
	})
	var body []byte
	if err == nil {
		body = resp.Body
	} else if failed = session.FailureOf(err); failed != nil && failed.Status == http.StatusNotFound {
		body = session.BodyOf(failed)
	}
	var found struct {
		Errors *[]string `json:"errors"` // in place of Data: there is no secret
		Data   struct {
			Metadata versionMetadata `json:"metadata"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &found) == nil && (found.Errors != nil || found.Data.Metadata.Version > 0) {
		mismatch.Current = found.Data.Metadata.Version
	}
	return mismatch
}

// Delete deletes the latest version of the secret at path: reads give [ErrDeleted] until
// [Store.Undelete] or another Put. There is no error where nothing is to be deleted. In KV version 1 the
// secret is gone for good. The policy must allow delete on mount/data/path.
//
// Like any write it is repeated only where it certainly did nothing, see [Store.Put]: after a
// lost answer, a second Delete might hit a version that was written in between.
func (s *Store) Delete(ctx context.Context, path string) error {
	_, _, err := s.do(ctx, path, action{op: "delete", method: http.MethodDelete, area: "data", may: []string{"delete"}})
	return err
}
