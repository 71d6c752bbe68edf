package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// reservedUses are the uses of a limited token that are not spent: Vault revokes
// what was created with the last one, and Close wants one to revoke it (law 8).
const reservedUses = 2

// token is one token that was obtained.
type token struct {
	value    secret.String
	accessor string
	kind     string // service or batch
	policies []string
	owned    bool
	asked    time.Duration
	grant    *lease.Grant
	limited  bool
	uses     atomic.Int64
	lookedUp atomic.Bool // a lookup-self was allowed with it
}

// spend takes one use of a limited token. It reports false once only the reserved
// ones are left.
func (t *token) spend() (ok, last bool) {
	if !t.limited {
		return true, false
	}
	for {
		n := t.uses.Load()
		if n <= reservedUses {
			return false, true
		}
		if t.uses.CompareAndSwap(n, n-1) {
			return true, n-1 <= reservedUses
		}
	}
}

// adopt makes t the token of all further requests. After Close it is too late for that.
func (s *Session) adopt(ctx context.Context, t *token) {
	s.mu.Lock()
	if s.closed.Load() {
		s.mu.Unlock()
		s.discard(t)
		return
	}
	now := s.clock()
	s.mine = slices.DeleteFunc(s.mine, func(old *token) bool { return !old.grant.Valid(now) })
	if t.owned {
		s.mine = append(s.mine, t)
	}
	s.next.loggedIn(now)
	s.mu.Unlock()
	if !t.limited {
		// Learned now, while the token is surely good: later, a lookup that is
		// refused tells a dead token from a missing permission (law 6).
		t.lookedUp.Store(s.lookupSelf(ctx, t) == nil)
	}
	s.cur.Store(t) // last: the manager must learn of it at once
}

// tokenOf returns the token of a grant, which need not be the current one; nil if it
// is not known any more.
func (s *Session) tokenOf(g *lease.Grant) *token {
	if t := s.cur.Load(); t.grant == g {
		return t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.mine, func(t *token) bool { return t.grant == g }); i >= 0 {
		return s.mine[i]
	}
	return nil
}

// acquire returns the current token with one use taken, waiting for a new one if
// there is none.
func (s *Session) acquire(ctx context.Context) (*token, error) {
	for {
		if s.closed.Load() {
			return nil, ErrClosed
		}
		t := s.cur.Load()
		ok, last := t.spend()
		if last {
			s.tokens.Supersede(t.grant)
		}
		if ok && t.grant.Valid(s.clock()) {
			return t, nil
		}
		if err := s.tokens.Ensure(ctx, t.grant); err != nil {
			return nil, err
		}
		// Who adopts a token tells requests and the manager one after the other; were two to
		// do so at once, the manager's word counts, or this would loop.
		if known := s.tokenOf(s.tokens.Grant()); known != nil {
			s.cur.CompareAndSwap(t, known)
		}
	}
}

// tokenKeeper is the token as a lease.
type tokenKeeper struct{ s *Session }

// Renew implements lease.Keeper with renew-self. It sends no increment, which
// could only shorten the token's life (failure code F13).
func (k tokenKeeper) Renew(ctx context.Context, g *lease.Grant) (lease.Lease, error) {
	t := k.s.tokenOf(g)
	if t == nil {
		return lease.Lease{}, errors.New("leasehold: renew the token: it was replaced meanwhile")
	}
	ctx, cancel := context.WithTimeout(ctx, upkeepTimeout(g, k.s.clock()))
	defer cancel()
	resp, err := k.s.send(ctx, Request{Op: "renew the token", Method: "POST", Path: "auth/token/renew-self", Body: struct{}{}, Namespace: k.s.cfg.AuthNamespace}, t)
	if err != nil {
		var le *lease.Error
		if errors.As(err, &le) && le.Class == lease.ParentDead {
			// The token's own death is what ParentDead means to its children.
			return lease.Lease{}, &lease.Error{Class: lease.Dead, Err: err}
		}
		return lease.Lease{}, err
	}
	var answer struct {
		Auth *struct {
			LeaseDuration int64 `json:"lease_duration"`
			Renewable     bool  `json:"renewable"`
		} `json:"auth"`
		Warnings []string `json:"warnings"`
	}
	if err := json.Unmarshal(resp.Body, &answer); err != nil || answer.Auth == nil {
		return lease.Lease{}, errors.New("leasehold: renew the token: Vault's answer holds no token")
	}
	return lease.Lease{
		TTL:       time.Duration(answer.Auth.LeaseDuration) * time.Second,
		Asked:     t.asked,
		Sent:      resp.Sent,
		Renewable: answer.Auth.Renewable,
		Capped:    Capped(answer.Warnings),
	}, nil
}

// Replace implements lease.Keeper with a login.
func (k tokenKeeper) Replace(ctx context.Context) (*lease.Grant, error) {
	t, err := k.s.logIn(ctx)
	if err != nil {
		return nil, err
	}
	if old := k.s.cur.Load(); t.value == old.value {
		return nil, &lease.Error{Class: lease.Permanent, Err: errors.New(
			"leasehold: the token was given and cannot be extended or replaced: supply a new one, or log in by another method")}
	}
	k.s.adopt(ctx, t)
	return t.grant, nil
}

// Release implements lease.Keeper: Close revokes tokens itself.
func (k tokenKeeper) Release(context.Context, *lease.Grant) error { return nil }

// revoke gives back the tokens that are ours and still alive, and with them all
// that was obtained under them. Under a token that is not ours, or cannot be
// revoked, each lease is given back by itself.
func (s *Session) revoke(ctx context.Context) error {
	t := s.cur.Load()
	if t == nil {
		return nil
	}
	var errs []error
	if !t.owned || t.kind == "batch" {
		if n, err := s.manager.Release(ctx); err != nil {
			which := "leases" // how many, nobody knows while work goes on
			if n > 0 {
				which = fmt.Sprintf("%d leases", n)
			}
			errs = append(errs, fmt.Errorf("%s were not revoked and last until they expire: %w", which, err))
		}
	}
	s.mu.Lock()
	mine := s.mine
	s.mine = nil
	s.mu.Unlock()
	var wg sync.WaitGroup
	failed := make([]error, len(mine))
	for i, t := range mine {
		if t.kind == "batch" || !t.grant.Valid(s.clock()) {
			continue // cannot be revoked, or need not
		}
		wg.Go(func() { failed[i] = s.revokeToken(ctx, t) })
	}
	wg.Wait()
	return errors.Join(append(errs, failed...)...)
}

func (s *Session) revokeToken(ctx context.Context, t *token) error {
	_, err := s.send(ctx, Request{Op: "revoke the token", Method: "POST", Path: "auth/token/revoke-self", Body: struct{}{}, Namespace: s.cfg.AuthNamespace}, t)
	var le *lease.Error
	if errors.As(err, &le) && le.Class == lease.ParentDead {
		return nil // gone already
	}
	return err
}

// Capped reports whether Vault warns that it cut a TTL to the maximum.
func Capped(warnings []string) bool {
	return slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, "max_ttl") && strings.Contains(w, "capped") })
}
