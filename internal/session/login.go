package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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
		return nil, s.unanswered(ctx, nil)
	}
	if err := s.permit(ctx); err != nil {
		return nil, err
	}
	client, peek, err := s.loginClient()
	if err != nil {
		<-s.login
		return nil, &lease.Error{Class: lease.Permanent, Err: err}
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.loginTimeout())
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
		t, err := s.logInOnce(own, client, peek)
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
		return nil, s.unanswered(ctx, peek)
	case <-s.ctx.Done():
		time.AfterFunc(abandonedLogin, cancel)
		return nil, ErrClosed
	case <-own.Done(): // a method that does not heed its context must not be waited for
		select {
		case r := <-result:
			return r.t, r.err
		case <-time.After(time.Second):
			return nil, s.unanswered(own, peek)
		}
	}
}

// loginTimeout bounds a login. One that makes a token has as long as any creation, but leaves time for
// another before the end of the token that there is.
func (s *Session) loginTimeout() time.Duration {
	if !s.owning() {
		return attemptTimeout
	}
	if t := s.current(); t != nil {
		if left := t.grant.Left(s.clock()); left > 0 {
			return min(max(left/2, attemptTimeout), createTimeout)
		}
	}
	return createTimeout
}

// owning reports whether a login makes a token of our own.
func (s *Session) owning() bool {
	o, ok := s.cfg.Auth.(auth.Owner)
	return !ok || o.Owned()
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
		return s.unanswered(limited, s.wire.peek.Load())
	case <-s.ctx.Done():
		return ErrClosed
	}
}

// unanswered is the error of a login that took longer than its caller had time. Peek is the login's,
// if there is one.
func (s *Session) unanswered(ctx context.Context, peek *loginPeek) error {
	e := &Error{
		Op: "log in", Path: "auth", Namespace: s.cfg.AuthNamespace, Err: context.Cause(ctx),
		Hint: "no answer so far: is Address right, and Vault reachable from here?",
	}
	if peek != nil && !peek.asked() {
		e.Hint = "Vault was not asked yet: does what the auth method reads its credential from answer?"
	}
	return &lease.Error{Class: lease.Transient, Err: e}
}

// proxyLogin is how long a start waits for the login of a Vault Proxy.
const proxyLogin = 10 * time.Second

// withoutToken reports whether err may be that of a Vault Proxy that has not logged in yet: it listens
// before it has, and passes requests on without a token. Nobody can see from outside when it is ready.
// A token that is dead has another text.
func (s *Session) withoutToken(err error) bool {
	var e *Error
	return auth.IsNone(s.cfg.Auth) && errors.As(err, &e) && e.listed &&
		(e.Status == http.StatusForbidden || e.Status == http.StatusBadRequest) && // so of older versions
		classify("", e.Status, e.Vault) != lease.ParentDead
}

func (s *Session) logInOnce(ctx context.Context, client *api.Client, peek *loginPeek) (*token, error) {
	mark, err := s.markBefore(ctx)
	if err != nil {
		mark = "" // the login says what is wrong
	}
	if err := s.spared(mark); err != nil {
		return nil, err
	}
	sent := s.clock() // before the request: law 1
	answer, err := callLogin(ctx, s.cfg.Auth, client)
	if _, missed := peek.missed(); err == nil && missed && (answer == nil || answer.Auth == nil) {
		err = errors.New("nothing is there")
	}
	if err != nil {
		err = s.loginError(ctx, err, peek)
		if mark == "" && isRefused(classOf(err)) {
			mark, _ = s.mark(ctx)
		}
		s.noteLogin(mark, err)
		return nil, err
	}
	s.noteLogin(mark, nil)
	owned := s.owning()
	t, err := newToken(answer, peek, sent, auth.IsNone(s.cfg.Auth))
	if err != nil {
		if answer != nil && answer.Auth != nil && answer.Auth.ClientToken != "" {
			s.discard(&token{value: secret.NewString(answer.Auth.ClientToken), owned: owned})
		}
		return nil, &lease.Error{Class: lease.Permanent, Err: err}
	}
	t.owned = owned
	if l, ok := s.cfg.Auth.(auth.Limiter); ok {
		t.scarce = l.Limited()
	}
	if l := t.grant.Lease(); s.held() && l.TTL > 0 && !t.limited {
		l.Renewable = true // to look at it: see lookAgain
		l.Held, l.Asked, l.Capped = true, 0, false
		t.grant = lease.NewGrant(l, nil)
	}
	return t, nil
}

// discard revokes a token that nobody will use.
func (s *Session) discard(t *token) {
	if t == nil || !t.owned || t.kind == "batch" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), abandonedLogin)
	defer cancel()
	if err := s.revokeToken(ctx, t); err != nil {
		s.Report(lease.ReplaceFailed, "token", err) // it lives on to its end, and nobody else knows of it
	}
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

// newToken makes a token of a login's answer. Only with auth.None it has no value.
func newToken(answer *api.Secret, peek *loginPeek, sent lease.Instant, none bool) (*token, error) {
	if answer == nil || answer.Auth == nil {
		return nil, errors.New("leasehold: log in: the answer holds no token")
	}
	a := answer.Auth
	if a.MFARequirement != nil {
		return nil, errors.New("leasehold: log in: the role requires multi-factor authentication, which a service cannot do")
	}
	if a.ClientToken == "" && !none {
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
		ttl = Rounded(ttl)
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
		t.issued = fmt.Sprint(answer.Data["issue_time"], answer.Data["creation_time"])
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
