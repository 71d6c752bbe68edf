package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// abandonedLogin bounds a login that nobody waits for any more.
const abandonedLogin = 5 * time.Second

// logIn obtains a token by the configured method. At most one login is under way
// (law 1): a second caller waits, and then logs in anew. The login outlives its
// caller, so that a token which comes when the caller or the client has gone can be
// revoked: nobody else knows of it (failure code A14).
func (s *Session) logIn(ctx context.Context) (*token, error) {
	if ctx.Err() != nil {
		return nil, s.unanswered(ctx)
	}
	if err := s.permit(ctx); err != nil {
		return nil, err
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	type outcome struct {
		t   *token
		err error
	}
	result := make(chan outcome) // without a buffer: what is not taken is not sent
	gone := make(chan struct{})  // closed when nobody waits any more
	s.mu.Lock()
	if s.closed.Load() {
		s.mu.Unlock()
		cancel()
		<-s.login
		return nil, ErrClosed
	}
	s.logins.Go(func() {
		defer func() { <-s.login }()
		defer cancel()
		t, err := s.logInOnce(own)
		select {
		case result <- outcome{t, err}:
		case <-gone:
			s.discard(t)
		}
	})
	s.mu.Unlock()
	defer close(gone)
	select {
	case r := <-result:
		return r.t, r.err
	case <-ctx.Done():
		time.AfterFunc(abandonedLogin, cancel)
		return nil, s.unanswered(ctx)
	case <-s.ctx.Done():
		time.AfterFunc(abandonedLogin, cancel)
		return nil, ErrClosed
	case <-own.Done(): // a method that does not heed its context must not be waited for
		select {
		case r := <-result:
			return r.t, r.err
		case <-time.After(time.Second):
			return nil, s.unanswered(own)
		}
	}
}

// permit waits until no other login is under way, but not without end: an earlier one may
// hang.
func (s *Session) permit(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	select {
	case s.login <- struct{}{}:
		return nil
	case <-limited.Done():
		return s.unanswered(limited)
	case <-s.ctx.Done():
		return ErrClosed
	}
}

// unanswered is the error of a login that took longer than its caller had time.
func (s *Session) unanswered(ctx context.Context) error {
	return &lease.Error{Class: lease.Transient, Err: &Error{
		Op: "log in", Path: "auth", Namespace: s.cfg.AuthNamespace, Err: context.Cause(ctx), Hint: "no answer so far: is Address right, and Vault reachable from here?",
	}}
}

func (s *Session) logInOnce(ctx context.Context) (*token, error) {
	client, peek, err := s.loginClient()
	if err != nil {
		return nil, &lease.Error{Class: lease.Permanent, Err: err}
	}
	sent := s.clock() // before the request: law 1
	answer, err := callLogin(ctx, s.cfg.Auth, client)
	if err != nil {
		return nil, s.loginError(ctx, err, peek)
	}
	owned := true
	if o, ok := s.cfg.Auth.(auth.Owner); ok {
		owned = o.Owned()
	}
	t, err := newToken(answer, peek, sent)
	if err != nil {
		if answer != nil && answer.Auth != nil && answer.Auth.ClientToken != "" {
			s.discard(&token{value: secret.NewString(answer.Auth.ClientToken), owned: owned})
		}
		return nil, &lease.Error{Class: lease.Permanent, Err: err}
	}
	t.owned = owned
	return t, nil
}

// discard revokes a token that nobody will use.
func (s *Session) discard(t *token) {
	if t == nil || !t.owned || t.kind == "batch" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), abandonedLogin)
	defer cancel()
	_ = s.revokeToken(ctx, t)
}

// callLogin calls the method. Its panic becomes an error without the panic's value,
// which may hold the credential.
func callLogin(ctx context.Context, m auth.Method, c *api.Client) (_ *api.Secret, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the auth method panicked (%T)", p)
		}
	}()
	return m.Login(ctx, c)
}

// newToken makes a token of a login's answer.
func newToken(answer *api.Secret, peek *loginPeek, sent lease.Instant) (*token, error) {
	if answer == nil || answer.Auth == nil {
		return nil, errors.New("leasehold: log in: the answer holds no token")
	}
	a := answer.Auth
	if a.MFARequirement != nil {
		return nil, errors.New("leasehold: log in: the role requires multi-factor authentication, which a service cannot do")
	}
	if a.ClientToken == "" {
		return nil, errors.New("leasehold: log in: the answer holds no token")
	}
	kind, uses := peek.about(a.ClientToken)
	policies := union(a.Policies, a.TokenPolicies, a.IdentityPolicies)
	if a.LeaseDuration < 0 {
		return nil, errors.New("leasehold: log in: the answer gives the token a negative time to live")
	}
	ttl := Seconds(int64(a.LeaseDuration))
	asked, endless := ttl, slices.Contains(policies, "root")
	_, given := answer.Data["ttl"] // this is a lookup-self, of a token that was given
	if given {
		kind, _ = answer.Data["type"].(string)
		uses = number(answer.Data["num_uses"])
		if c := number(answer.Data["creation_ttl"]); c > 0 {
			asked = Seconds(c)
		}
		expires, told := answer.Data["expire_time"]
		endless = told && expires == nil
	}
	if given || kind == "batch" {
		ttl = rounded(ttl)
	}
	if ttl == 0 && !endless {
		// Such as a given token in its last second: no end must not be read into it.
		return nil, errors.New("leasehold: log in: the token has no time to live left")
	}
	if uses < 0 || (uses > 0 && uses <= reservedUses) {
		return nil, fmt.Errorf("leasehold: log in: the token has only %d uses; at least %d are needed (raise token_num_uses, 0 is unlimited)", max(uses, 0), reservedUses+1)
	}
	t := &token{
		value:    secret.NewString(a.ClientToken),
		accessor: a.Accessor,
		kind:     kind,
		policies: policies,
		asked:    asked,
		limited:  uses > 0,
	}
	t.uses.Store(uses)
	if given {
		t.lookup.Store(allowed) // it just was
	}
	t.grant = lease.NewGrant(lease.Lease{
		TTL:   ttl,
		Asked: asked,
		Sent:  sent,
		// Renewing spends uses, and a batch token cannot be renewed at all.
		Renewable: a.Renewable && kind != "batch" && uses == 0,
		Capped:    Capped(answer.Warnings),
	}, nil)
	return t, nil
}

// number is an integer of a JSON object: 0 where there is none, and less where it is
// something else, so that no limit is not read into what cannot be read.
func number(v any) int64 {
	if v == nil {
		return 0
	}
	n, ok := v.(json.Number)
	if !ok {
		return -1
	}
	i, err := n.Int64()
	if err != nil {
		return -1
	}
	return i
}

func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
