// Package dynamic holds credentials that Vault makes on request and takes back
// after a while: each is a lease, renewed in time, replaced before it ends, and
// read from memory.
//
//	creds, err := dynamic.Database(ctx, client, "payments-rw")
//	up, err := creds.Get()       // the clock and an atomic load; no I/O
//	up, err  = creds.Current(ctx) // waits for a replacement if there is no valid one
//
// With database/sql use the connector in dynamic/sqldb, which dials every new
// connection with the credential of the moment.
package dynamic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// Errors of a Credential.
var (
	// ErrExpired: the credential is past its true deadline, or was found dead, and
	// there is no replacement yet. Current waits for one.
	ErrExpired = errors.New("leasehold: the credential has expired")
	// ErrClosed: the credential or its client was closed.
	ErrClosed = lease.ErrClosed
)

// Backend is what credentials come from: a *leasehold.Client.
type Backend interface {
	Session() session.View
}

// Request says what to ask Vault for.
type Request struct {
	// Path is the API path without /v1/, such as "database/creds/payments-rw".
	// Each read of it must create something that lasts as long as its lease.
	Path string
}

// Grant is Vault's answer to a Request.
type Grant struct {
	Data secret.Bytes  // the answer's data, as JSON
	TTL  time.Duration // of the lease itself; a token that dies earlier ends it earlier
}

// UserPass is a user name with its password.
type UserPass struct {
	Username string
	Password secret.String
}

// Option adjusts Open and what is built on it.
type Option func(*options)

type options struct {
	mount  string
	verify any
}

// Mount sets where the secrets engine is mounted. Default: the engine's own name,
// such as "database".
func Mount(path string) Option { return func(o *options) { o.mount = strings.Trim(path, "/") } }

// Verify has f judge a new credential before it is published, for engines whose
// credentials take a while to work (failure code B12). While f refuses, the
// old one stays in use and the new one is tried again with back-off; another is
// asked for only when that one nears its end. Its ctx ends after 30 seconds. T must be
// the credential's type.
func Verify[T any](f func(ctx context.Context, value T) error) Option {
	return func(o *options) { o.verify = f }
}

// Database obtains a credential of a role of the database engine and keeps it
// valid. It needs read on database/creds/ROLE, and update on sys/leases/renew,
// which Vault's default policy has. See Open for what it waits for.
func Database(ctx context.Context, b Backend, role string, opts ...Option) (*Credential[UserPass], error) {
	o := options{mount: "database"}
	for _, opt := range opts {
		opt(&o)
	}
	if strings.Contains(role, "/") {
		return nil, fmt.Errorf("leasehold: database role %q has a slash: name the role, and the mount with dynamic.Mount", role)
	}
	return Open(ctx, b, Request{Path: o.mount + "/creds/" + role}, decodeUserPass, opts...)
}

func decodeUserPass(g *Grant) (UserPass, error) {
	var data struct {
		Username string        `json:"username"`
		Password secret.String `json:"password"`
	}
	if err := json.Unmarshal(g.Data.Reveal(), &data); err != nil || data.Username == "" {
		return UserPass{}, errors.New("the answer holds no username and password")
	}
	return UserPass{Username: data.Username, Password: data.Password}, nil
}

// Open obtains what r asks for, decodes it into a T, and keeps it valid until it is
// closed or the client is. Each Open is a lease of its own.
//
// It blocks until there is a value or ctx ends; ctx is not kept. What may pass is
// retried; what will not (no permission, no such role or mount, a decode that
// fails, an answer without a lease, such as a static role's) is returned at once. So is an answer that was lost: it may have left a
// credential behind, and another try might leave another (failure code B11). decode and a
// verifier are called again for every replacement.
func Open[T any](ctx context.Context, b Backend, r Request, decode func(*Grant) (T, error), opts ...Option) (*Credential[T], error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	verify := func(context.Context, T) error { return nil }
	if o.verify != nil {
		f, ok := o.verify.(func(context.Context, T) error)
		if !ok || f == nil {
			return nil, fmt.Errorf("leasehold: open %s: Verify takes a %T, which is not for this type of credential", r.Path, o.verify)
		}
		verify = f
	}
	if decode == nil {
		return nil, fmt.Errorf("leasehold: open %s: decode is nil", r.Path)
	}
	view := b.Session()
	c := newCredential(view, view.Clock(), r, decode, verify)
	opened := false
	defer func() {
		if !opened { // also when decode or a verifier panics
			c.abandon()
		}
	}()
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	opened = true
	if c.closed.Load() { // with the client, meanwhile, which knew nothing of it
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = c.release(limited, c.cur.Load())
		return nil, ErrClosed
	}
	return c, nil
}

// mint asks Vault for a new credential, once.
func mint(ctx context.Context, v session.View, path string) (*answer, *lease.Grant, error) {
	resp, err := v.Once(ctx, session.Request{Op: "obtain", Method: http.MethodGet, Path: path, Namespace: v.Namespace, Create: true})
	if err != nil && !session.Ambiguous(err) {
		v.Refund(path) // nothing was created
	}
	if err != nil {
		return nil, nil, err
	}
	a, err := parse(resp.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("leasehold: obtain %s: %w", path, err)
	}
	ttl := a.ttl()
	if ttl <= 0 && a.LeaseID == "" {
		return nil, nil, &lease.Error{Class: lease.Permanent, Err: fmt.Errorf("leasehold: obtain %s: the answer has no lease, so that nothing tells when the credential ends", path)}
	}
	l := lease.Lease{
		TTL:       ttl,
		Asked:     ttl,
		Sent:      resp.Sent,
		Renewable: a.Renewable && a.LeaseID != "",
		Capped:    session.Capped(a.Warnings),
	}
	if resp.Cached {
		v.Refund(path)
		if l, err = cached(ctx, v, path, a.LeaseID, l); err != nil {
			return nil, nil, err
		}
	}
	return a, lease.NewGrant(l, resp.Token), nil
}
