// Package kv reads and writes typed secrets in Vault's KV engine, of version 2 and of
// version 1.
//
//	cfg, err := kv.Get[Config](ctx, client.KV("secret"), "payments/stripe")
//	flags, err := kv.Watch[Flags](ctx, client.KV("secret"), "payments/flags")
//
// The data of a secret is decoded into T with encoding/json's rules, numbers
// exactly; use secret.String for what must not be printed.
//
// A path is given as to "vault kv get": without the mount, and without the "data/" that
// version 2 has in its policies and URLs. Which version an engine is of is found out by
// asking Vault, once for each mount; see [Version1].
package kv

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
)

// Metadata is what Vault knows about a version of a secret. KV version 1 knows nothing: it is
// the zero Metadata then. Times are by the clock of Vault.
type Metadata struct {
	Version   int
	Created   time.Time
	Deleted   time.Time         // when it was deleted, or will be (delete_version_after); zero: neither
	Destroyed bool              // its data is gone for good
	Custom    map[string]string // of the secret, whatever the version; nil: none
}

// versionMetadata is Metadata as Vault writes it.
type versionMetadata struct {
	Version   int               `json:"version"`
	Created   time.Time         `json:"created_time"`
	Deleted   string            `json:"deletion_time"` // may be empty, which is no time
	Destroyed bool              `json:"destroyed"`
	Custom    map[string]string `json:"custom_metadata"`
}

func (m versionMetadata) metadata() (Metadata, error) {
	out := Metadata{Version: m.Version, Created: m.Created, Destroyed: m.Destroyed, Custom: m.Custom}
	if m.Deleted == "" {
		return out, nil
	}
	var err error
	out.Deleted, err = time.Parse(time.RFC3339Nano, m.Deleted)
	return out, err
}

// Secret is a value with its metadata.
type Secret[T any] struct {
	Value    T
	Metadata Metadata
	Obtained time.Time // when it was asked for
	// TTL is how soon to read a secret of KV version 1 again, by its own field "ttl" or the
	// mount's default (failure code C2): a hint and no lease. Zero in KV version 2.
	TTL time.Duration
}

// GetOption adjusts a Get.
type GetOption func(*getOptions)

type getOptions struct {
	maxAge  time.Duration
	version int
	quiet   bool // failed attempts are reported by the caller
	fresh   bool // not even another's request that began before
	strict  strictness
	failing func(error) // is told of attempts that are repeated
}

// MaxAge lets Get return what this client read at most d ago, without asking Vault, unless
// the token that it was read with has been revoked since.
func MaxAge(d time.Duration) GetOption { return func(o *getOptions) { o.maxAge = d } }

// AtVersion reads version n rather than the latest, which is 0. KV version 1 keeps no
// versions, and refuses.
func AtVersion(n int) GetOption { return func(o *getOptions) { o.version = n } }

// RefuseUnknown makes it a [DecodeError] if the secret has a field that T has not: most
// likely one of the two is mistyped. So it is if it has two that differ by case alone, of
// which T would get either. Without it such fields are ignored. What a type with a decoder of
// its own makes of its part is up to it.
func RefuseUnknown() GetOption { return func(o *getOptions) { o.strict.unknown = true } }

// RequireAll makes it a [DecodeError] if the secret lacks a field of T, or has null there.
// Without it such fields are left zero. Fields of pointer type, and those marked omitempty or
// omitzero, may be missing all the same. The fields of a nested struct are required where the
// struct is there.
func RequireAll() GetOption { return func(o *getOptions) { o.strict.missing = true } }

// Get reads the secret at path and decodes it into a T.
//
// It asks Vault, unless MaxAge allows an earlier answer; concurrent calls for one path
// share a request. It retries what may pass (an outage, a rate limit, a sealed
// Vault) until ctx would end before the next attempt, or for about a minute if ctx has no
// deadline, and returns at once what will not: [ErrNotFound], [ErrDeleted],
// [ErrDestroyed], [ErrNoMount], a [DecodeError], or a leasehold.Error that says which
// policy is missing.
//
// Numbers keep all their digits, also in an any, where they are a json.Number. KV version 2
// itself stores no more than 53 bits of an integer: write larger ones as text.
func Get[T any](ctx context.Context, s *Store, path string, opts ...GetOption) (Secret[T], error) {
	var o getOptions
	for _, opt := range opts {
		opt(&o)
	}
	raw, err := s.read(ctx, path, o)
	if err != nil {
		return Secret[T]{}, err
	}
	return decode[T](s.where(path), raw, o.strict)
}

// fetch asks Vault. It is called for one of those who ask at a time: see read.
func (s *Store) fetch(ctx context.Context, path string, o getOptions) (*Raw, error) {
	began := time.Now()
	e := s.engine(ctx)
	raw, err := s.ask(ctx, path, o, e)
	if err != nil {
		var other bool
		if e, other = s.second(ctx, e, began, err); other {
			raw, err = s.ask(ctx, path, o, e)
		}
	}
	if err != nil {
		return nil, s.explain(path, o, e, err)
	}
	return raw, nil
}

func (s *Store) ask(ctx context.Context, path string, o getOptions, e engine) (*Raw, error) {
	r := session.Request{Op: "read", Method: http.MethodGet, Path: s.mount + "/data/" + path, Namespace: s.view.Namespace, Quiet: o.quiet, Failing: o.failing}
	switch {
	case e.kv() == 1 && o.version > 0:
		return nil, fmt.Errorf("leasehold: read %s: the engine at %q is KV version 1, which keeps no versions: leave out kv.AtVersion", s.where(path), s.mount)
	case e.kv() == 1:
		r.Path = s.where(path)
	case o.version > 0:
		r.Query = url.Values{"version": {strconv.Itoa(o.version)}}
	}
	resp, err := s.view.Read(ctx, r)
	if err != nil {
		return nil, err
	}
	return &Raw{body: resp.Body, engine: e.kv(), sent: resp.Sent, token: resp.Token}, nil
}
