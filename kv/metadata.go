package kv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// SecretMetadata is what Vault knows about a secret, its versions and its settings. Of the
// settings a zero one leaves it to the engine's.
type SecretMetadata struct {
	Current  int // the latest version, be it deleted; 0: nothing was written yet
	Oldest   int // that is kept; Vault may say 0 for as long as none was dropped
	Created  time.Time
	Updated  time.Time  // when the latest version was written
	Versions []Metadata // that Vault keeps, the oldest first

	MaxVersions        int           // how many are kept; if the engine says more, that many are
	CASRequired        bool          // writes need [CAS]
	DeleteVersionAfter time.Duration // that a version is written
	Custom             map[string]string
}

// noMetadata is what KV version 1 says to all that is about metadata.
const noMetadata = "has no metadata"

// Metadata returns what Vault knows about the secret at path, without its data. Errors:
// [ErrNotFound], [ErrNoMount], or a leasehold.Error. KV version 1 has no metadata, and refuses.
func (s *Store) Metadata(ctx context.Context, path string) (SecretMetadata, error) {
	a := action{op: "read the metadata of", method: http.MethodGet, area: "metadata", may: []string{"read"}, read: true, lacks: noMetadata}
	resp, _, err := s.do(ctx, path, a)
	if err != nil {
		return SecretMetadata{}, err
	}
	var data metadataAnswer
	if err := readData(resp, &data); err != nil {
		return SecretMetadata{}, fmt.Errorf("leasehold: %s %s: not the answer that was expected", a.op, s.where(path))
	}
	out, err := data.metadata()
	if err != nil || out.Created.IsZero() {
		return SecretMetadata{}, fmt.Errorf("leasehold: %s %s: a time or a number is not of the form that was expected", a.op, s.where(path))
	}
	return out, nil
}

// metadataAnswer is SecretMetadata as Vault writes it.
type metadataAnswer struct {
	Current     int                        `json:"current_version"`
	Oldest      int                        `json:"oldest_version"`
	Created     time.Time                  `json:"created_time"`
	Updated     time.Time                  `json:"updated_time"`
	Versions    map[string]versionMetadata `json:"versions"`
	MaxVersions int                        `json:"max_versions"`
	CASRequired bool                       `json:"cas_required"`
	DeleteAfter string                     `json:"delete_version_after"`
	Custom      map[string]string          `json:"custom_metadata"`
}

func (a metadataAnswer) metadata() (SecretMetadata, error) {
	out := SecretMetadata{
		Current: a.Current, Oldest: a.Oldest, Created: a.Created, Updated: a.Updated,
		MaxVersions: a.MaxVersions, CASRequired: a.CASRequired, Custom: a.Custom,
	}
	after, err := time.ParseDuration(cmp.Or(a.DeleteAfter, "0s"))
	errs := []error{err}
	out.DeleteVersionAfter = after
	for number, v := range a.Versions {
		meta, timeErr := v.metadata()
		n, err := strconv.Atoi(number)
		meta.Version, meta.Custom = n, a.Custom
		errs = append(errs, timeErr, err)
		out.Versions = append(out.Versions, meta)
	}
	slices.SortFunc(out.Versions, func(a, b Metadata) int { return a.Version - b.Version })
	return out, errors.Join(errs...)
}

// MetadataOption names a setting of a secret that is to be changed.
type MetadataOption func(*settings)

// settings are those that were named. Maps are in Vault's terms.
type settings struct {
	fields map[string]any
	custom map[string]any // null removes
	drops  bool
	err    error
}

// MaxVersions keeps that many versions of the secret, and drops the oldest with the next
// write; 0 leaves it to the engine, which keeps 10 unless configured otherwise.
func MaxVersions(n int) MetadataOption {
	return func(s *settings) {
		if n < 0 || int64(n) > math.MaxUint32 {
			s.err = fmt.Errorf("MaxVersions(%d) is out of range", n)
		}
		s.fields["max_versions"] = n
	}
}

// CASRequired has Vault refuse each write of the secret without [CAS]. If the engine requires
// it, false changes nothing.
func CASRequired(required bool) MetadataOption {
	return func(s *settings) { s.fields["cas_required"] = required }
}

// DeleteVersionAfter has Vault delete each version that is written from now on when it is
// that old, in whole seconds; 0 leaves it to the engine.
func DeleteVersionAfter(d time.Duration) MetadataOption {
	return func(s *settings) {
		if d < 0 || d%time.Second != 0 {
			s.err = fmt.Errorf("DeleteVersionAfter(%s): Vault counts whole seconds", d)
		}
		s.fields["delete_version_after"] = strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
}

// CustomMetadata sets texts of the caller's own, which whoever may read the metadata sees:
// no place for secrets. PutMetadata replaces all that were there, PatchMetadata those of
// the same names. Vault takes 64 of them, with up to 128 bytes for the name and 512 for the
// text.
func CustomMetadata(custom map[string]string) MetadataOption {
	return func(s *settings) {
		for name, text := range custom {
			s.custom[name] = text
		}
		s.fields["custom_metadata"] = s.custom
	}
}

// DropCustomMetadata has PatchMetadata remove custom metadata of those names.
func DropCustomMetadata(names ...string) MetadataOption {
	return func(s *settings) {
		for _, name := range names {
			s.custom[name] = nil
		}
		s.drops = true
		s.fields["custom_metadata"] = s.custom
	}
}

// PutMetadata changes the settings of the secret at path that the options name, and makes a
// secret without a version if there is none. Others stay as they are. See [Store.Put] for what
// is repeated.
func (s *Store) PutMetadata(ctx context.Context, path string, options ...MetadataOption) error {
	return s.writeMetadata(ctx, path, options, action{
		op: "write the metadata of", method: http.MethodPost, area: "metadata", may: []string{"create", "update"}, lacks: noMetadata,
	})
}

// PatchMetadata is PutMetadata for a secret that exists, else it is an [ErrNotFound]. Of
// the custom metadata what is not named stays, too.
func (s *Store) PatchMetadata(ctx context.Context, path string, options ...MetadataOption) error {
	return s.writeMetadata(ctx, path, options, action{
		op: "patch the metadata of", method: http.MethodPatch, area: "metadata", may: []string{"patch"}, lacks: noMetadata,
	})
}

func (s *Store) writeMetadata(ctx context.Context, path string, options []MetadataOption, a action) error {
	if err := s.check(path, a); err != nil {
		return err
	}
	named := settings{fields: make(map[string]any), custom: make(map[string]any)}
	for _, option := range options {
		option(&named)
	}
	switch {
	case named.err != nil:
		return fmt.Errorf("leasehold: %s %s: %w", a.op, s.where(path), named.err)
	case len(named.fields) == 0:
		return fmt.Errorf("leasehold: %s %s: no option says what to change", a.op, s.where(path))
	case named.drops && a.method != http.MethodPatch:
		return fmt.Errorf("leasehold: %s %s: DropCustomMetadata is for PatchMetadata: PutMetadata drops all that CustomMetadata does not name", a.op, s.where(path))
	}
	a.body = func(engine) (any, error) { return named.fields, nil }
	_, _, err := s.do(ctx, path, a)
	return err
}

// DeleteMetadata removes the secret at path for good, with all its versions. There is no error
// where there is none. Versions written there later count from 1 again. In KV version 1,
// [Store.Delete] does that.
func (s *Store) DeleteMetadata(ctx context.Context, path string) error {
	_, _, err := s.do(ctx, path, action{
		op: "delete the metadata of", method: http.MethodDelete, area: "metadata", may: []string{"delete"}, lacks: noMetadata + ": Delete removes a secret for good",
	})
	return err
}
