package auth

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/hashicorp/vault/api"
)

// Fresh is a method that has build make another one for each login, and logs in with that.
// It is for methods that keep what they were built with, as most of those written for the
// official client do: a JWT that was read once (failure code A7), AWS credentials that
// have expired since (A9). build is called with the login's ctx; its error is one of the
// method's inputs, and must not contain the credential.
//
//	auth.Fresh(func(context.Context) (auth.Method, error) {
//		return ldap.NewLDAPAuth("app", &ldap.Password{FromFile: "/run/secrets/ldap"})
//	})
//
// It is an [Owner], a [Holder] and a [Limiter] as far as the method that was built last is. It is no
// [Fingerprinter], so that after a refusal nobody sees that the source has changed: the next
// login is the one that the back-off leads to, after up to a quarter of an hour where Vault
// counts failures. A type of yours around it can have a Fingerprint method.
func Fresh(build func(ctx context.Context) (Method, error)) Method {
	return &fresh{build: build}
}

type fresh struct {
	build func(ctx context.Context) (Method, error)
	last  atomic.Pointer[Method]
}

var (
	_ Method  = (*fresh)(nil)
	_ Owner   = (*fresh)(nil)
	_ Holder  = (*fresh)(nil)
	_ Limiter = (*fresh)(nil)
)

// Login implements [Method].
func (f *fresh) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	if f.build == nil {
		return nil, errors.New("auth: Fresh was given no function")
	}
	m, err := f.build(ctx)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errors.New("auth: the function given to Fresh returned no method")
	}
	f.last.Store(&m)
	return m.Login(ctx, client)
}

// Owned implements [Owner].
func (f *fresh) Owned() bool {
	o, ok := built[Owner](f)
	return !ok || o.Owned()
}

// Held implements [Holder].
func (f *fresh) Held() bool {
	h, ok := built[Holder](f)
	return ok && h.Held()
}

// Limited implements [Limiter].
func (f *fresh) Limited() bool {
	l, ok := built[Limiter](f)
	return ok && l.Limited()
}

// built returns the method that was built last, if it is a T.
func built[T any](f *fresh) (t T, ok bool) {
	if m := f.last.Load(); m != nil {
		t, ok = (*m).(T)
	}
	return t, ok
}
