package kv

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
)

// List returns the names directly below a folder, sorted; those of folders end in a slash,
// and a name may be there both with and without. The empty folder is the whole mount, and a
// slash at the end of folder does no harm. The policy must allow list on mount/metadata/folder/; the
// secrets need not be readable, and deleted ones are listed too.
//
// Vault knows no empty folders: one without anything in it is an [ErrNotFound], unless it
// is the whole mount, and of a version that is known. Other errors: [ErrNoMount], or a
// leasehold.Error.
func (s *Store) List(ctx context.Context, folder string) ([]string, error) {
	folder = strings.TrimSuffix(folder, "/")
	a := action{op: "list", method: "LIST", area: "metadata", may: []string{"list"}, read: true}
	resp, e, err := s.do(ctx, folder, a)
	if folder == "" && e.version != 0 && errors.Is(err, ErrNotFound) { // of the other version it would say the same
		return []string{}, nil
	}
	if err != nil {
		return nil, err
	}
	var data struct {
		Keys []string `json:"keys"`
	}
	if err := readData(resp, &data); err != nil || data.Keys == nil {
		return nil, fmt.Errorf("leasehold: list %s: not the answer that was expected", s.where(folder))
	}
	slices.Sort(data.Keys)
	return data.Keys, nil
}

// Walk yields the paths of all secrets below a folder, sorted within each one, as Get takes
// them: from the mount on, whatever the folder. The empty folder is the whole mount.
//
// A folder is listed when the loop gets there, with one request at a time: breaking out of
// the loop ends the requests, and secrets that come and go meanwhile are yielded or not. A
// folder that cannot be listed, for want of a permission or because of its name, is yielded
// with the error, and the walk goes on with the next if the loop does. What concerns all of
// them, such as an outage, a login that is refused or the end of ctx, ends the walk after it
// was yielded. A walk takes a request for each folder; ctx bounds all of it.
//
//	for path, err := range store.Walk(ctx, "payments") {
func (s *Store) Walk(ctx context.Context, folder string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		folder := strings.TrimSuffix(folder, "/")
		names, err := s.List(ctx, folder)
		if err != nil {
			yield(folder, err)
			return
		}
		if folder != "" {
			folder += "/"
		}
		s.walk(ctx, folder, names, yield)
	}
}

// walk yields what is below a folder that has these names in it. It reports whether to go on.
func (s *Store) walk(ctx context.Context, folder string, names []string, yield func(string, error) bool) bool {
	for _, name := range names {
		path := folder + name
		if !strings.HasSuffix(name, "/") {
			if !yield(path, nil) {
				return false
			}
			continue
		}
		below, err := s.List(ctx, path)
		switch {
		case errors.Is(err, ErrNotFound): // it was removed meanwhile
		case err != nil:
			if !yield(path, err) || ctx.Err() != nil || errors.Is(err, session.ErrClosed) || session.MayPass(err) || session.Unsent(err) {
				return false
			}
		case !s.walk(ctx, path, below, yield):
			return false
		}
	}
	return true
}
