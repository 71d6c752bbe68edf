// Package kv reads typed secrets from Vault's KV engine, version 2.
//
//	cfg, err := kv.Get[Config](ctx, client.KV("secret"), "payments/stripe")
//	flags, err := kv.Watch[Flags](ctx, client.KV("secret"), "payments/flags")
//
// The data of a secret is decoded into T with encoding/json's rules, numbers
// exactly; use secret.String for what must not be printed.
package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/internal/session"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// What can be wrong with a path. All are permanent until somebody writes there.
var (
	ErrNotFound  = errors.New("no secret at this path")
	ErrDeleted   = errors.New("the version was deleted")
	ErrDestroyed = errors.New("the version was destroyed")
	ErrNoMount   = errors.New("no secrets engine is mounted there") // to whom Vault may say so; to others it answers 403
)

// Store is a KV version 2 engine at one mount. It is safe for concurrent use.
type Store struct {
	view  session.View
	mount string
	err   error // why nothing can be read here
	reads *Reads
}

// Reads, Key, Raw and NewStore are for leasehold.Client only.

// Reads is the cache that the stores of one client share.
type Reads = cache.Shared[Key, *Raw]

// Key names an answer in the cache.
type Key struct {
	Namespace, Mount, Path string
	Version                int
}

// Raw is an undecoded answer in the cache.
type Raw struct {
	body  []byte
	at    time.Time
	token *lease.Grant // that it was read with
}

// NewStore is called by leasehold.Client.KV.
func NewStore(view session.View, reads *Reads, mount string) *Store {
	s := &Store{view: view, mount: strings.Trim(mount, "/"), reads: reads}
	if err := session.CheckPath(s.mount); err != nil {
		s.err = fmt.Errorf("leasehold: kv: mount: %w", err)
	}
	return s
}

// Format writes the mount, whatever the verb: without it, fmt would read fields that
// other goroutines are writing.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "kv.Store(%s)", s.mount) }

// Metadata is what Vault knows about a version of a secret.
type Metadata struct {
	Version int               `json:"version"`
	Created time.Time         `json:"created_time"`
	Custom  map[string]string `json:"custom_metadata"`
}

// Secret is a value with its metadata.
type Secret[T any] struct {
	Value    T
	Metadata Metadata
	Obtained time.Time // when it was asked for
}

// GetOption adjusts a Get.
type GetOption func(*getOptions)

type getOptions struct {
	maxAge  time.Duration
	version int
	quiet   bool // failed attempts are reported by the caller
}

// MaxAge lets Get return what this client read at most d ago, without asking Vault, unless
// the token that it was read with has been revoked since.
func MaxAge(d time.Duration) GetOption { return func(o *getOptions) { o.maxAge = d } }

// AtVersion reads version n rather than the latest.
func AtVersion(n int) GetOption { return func(o *getOptions) { o.version = n } }

// Get reads the secret at path and decodes it into a T.
//
// It asks Vault, unless MaxAge allows an earlier answer; concurrent calls for one path
// share a request. It retries what may pass (an outage, a rate limit, a sealed
// Vault) until ctx would end before the next attempt, or for about a minute if ctx has no
// deadline, and returns at once what will not: [ErrNotFound], [ErrDeleted],
// [ErrDestroyed], [ErrNoMount], a [DecodeError], or a leasehold.Error that says which
// policy is missing.
func Get[T any](ctx context.Context, s *Store, path string, opts ...GetOption) (Secret[T], error) {
	var o getOptions
	for _, opt := range opts {
		opt(&o)
	}
	raw, err := s.read(ctx, path, o)
	if err != nil {
		return Secret[T]{}, err
	}
	var answer envelope[T]
	if err := unmarshal(raw.body, &answer); err != nil {
		return Secret[T]{}, decodeError(s.mount+"/"+path, err, "data.data.")
	}
	return Secret[T]{Value: answer.Data.Data, Metadata: answer.Data.Metadata, Obtained: raw.at}, nil
}

// envelope is Vault's answer: everything is decoded in one pass.
type envelope[T any] struct {
	Data struct {
		Data     T        `json:"data"`
		Metadata Metadata `json:"metadata"`
	} `json:"data"`
}

func (s *Store) read(ctx context.Context, path string, o getOptions) (*Raw, error) {
	if s.err != nil {
		return nil, s.err
	}
	if err := session.CheckPath(path); err != nil {
		return nil, fmt.Errorf("leasehold: read from %s: %w", s.mount, err)
	}
	if o.version < 0 {
		return nil, fmt.Errorf("leasehold: read %s/%s: version %d is negative", s.mount, path, o.version)
	}
	key := Key{s.view.Namespace, s.mount, path, o.version}
	fetch := func(ctx context.Context) (*Raw, error) { return s.fetch(ctx, path, o) }
	raw, err := s.reads.Do(ctx, key, o.maxAge, fetch)
	if err == nil && o.maxAge > 0 && (raw.token.Ended() || s.view.Clock()().Wall.Sub(raw.at) > o.maxAge) {
		// Whoever revoked a token wants nobody to see what it was allowed to (D6). And the
		// cache's clock stands still while the machine sleeps (K1).
		raw, err = s.reads.Do(ctx, key, 0, fetch)
	}
	if err != nil && err == ctx.Err() { //nolint:errorlint // that itself, which says nothing
		err = fmt.Errorf("leasehold: read %s/%s: %w while waiting for another read of it", s.mount, path, err)
	}
	return raw, err
}

func (s *Store) fetch(ctx context.Context, path string, o getOptions) (*Raw, error) {
	var query url.Values
	if o.version > 0 {
		query = url.Values{"version": {strconv.Itoa(o.version)}}
	}
	resp, err := s.view.Read(ctx, session.Request{
		Op: "read", Method: http.MethodGet, Path: s.mount + "/data/" + path, Query: query, Namespace: s.view.Namespace, Quiet: o.quiet,
	})
	if err != nil {
		return nil, s.missing(path, err)
	}
	return &Raw{body: resp.Body, at: resp.Sent.Wall, token: resp.Token}, nil
}

// missing tells the four kinds of 404 apart (failure codes F16, F17, C3).
func (s *Store) missing(path string, err error) error {
	var e *session.Error
	if !errors.As(err, &e) || e.Status != http.StatusNotFound {
		return err
	}
	// Polls keep their pace: nothing but a write changes that.
	return &lease.Error{Class: lease.Permanent, Err: s.whichMissing(path, e)}
}

func (s *Store) whichMissing(path string, e *session.Error) error {
	where := s.mount + "/" + path
	if strings.Contains(strings.Join(e.Vault, " "), "no handler for route") {
		return fmt.Errorf("leasehold: read %s: %w (mount %q)", where, ErrNoMount, s.mount)
	}
	var answer envelope[json.RawMessage]
	var meta struct {
		Data struct {
			Metadata struct {
				Deleted   string `json:"deletion_time"`
				Destroyed bool   `json:"destroyed"`
			} `json:"metadata"`
		} `json:"data"`
	}
	if json.Unmarshal(session.BodyOf(e), &answer) == nil && json.Unmarshal(session.BodyOf(e), &meta) == nil {
		switch v := answer.Data.Metadata.Version; {
		case meta.Data.Metadata.Destroyed:
			return fmt.Errorf("leasehold: read %s: %w (version %d)", where, ErrDestroyed, v)
		case meta.Data.Metadata.Deleted != "":
			return fmt.Errorf("leasehold: read %s: %w (version %d, at %s)", where, ErrDeleted, v, meta.Data.Metadata.Deleted)
		}
	}
	return fmt.Errorf("leasehold: read %s: %w (a path is given without the mount and without \"data/\")", where, ErrNotFound)
}

// CheckPath returns what is wrong with a mount or a path, without asking Vault.
func CheckPath(mount, path string) error {
	return errors.Join(session.CheckPath(mount), session.CheckPath(path))
}
