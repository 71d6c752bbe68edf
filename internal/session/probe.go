package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// probe paces what is tried when Vault refuses something by policy.
type probe struct {
	notBefore time.Duration // the next login that may be tried, monotonic
	interval  time.Duration
	lookup    time.Duration // the next lookup-self
}

// The pace of law 6: a login at most once a minute, doubling to an hour.
const (
	probeFirst  = time.Minute
	probeLast   = time.Hour
	lookupEvery = time.Second
)

// loggedIn notes a login: another one for the sake of policies is pointless for
// a while.
func (p *probe) loggedIn(now lease.Instant) {
	p.notBefore, p.interval = now.Mono+probeFirst, probeFirst
}

// refused looks into a 403 that t got. It reports whether the request should be
// repeated: the token was dead and is replaced, or had old policies and is.
func (s *Session) refused(ctx context.Context, t *token) bool {
	if s.deadAfterAll(ctx, t) {
		s.tokens.Invalidate(t.grant, errLookupRefused)
		return s.tokens.Ensure(ctx, t.grant) == nil
	}
	return s.probePolicies(ctx, t)
}

var errLookupRefused = errors.New("leasehold: the token may not even look itself up any more")

// deadAfterAll tells a dead token from a missing permission where Vault's text does
// not: a lookup-self that was allowed before is refused now. One that fails
// otherwise proves nothing.
func (s *Session) deadAfterAll(ctx context.Context, t *token) bool {
	if !t.lookedUp.Load() || t.limited {
		return false
	}
	select {
	case s.looking <- struct{}{}:
		defer func() { <-s.looking }()
	case <-ctx.Done():
		return false
	}
	if t.grant.Ended() {
		return true // who looked before has seen it
	}
	s.mu.Lock()
	now := s.clock().Mono
	wait := now < s.next.lookup
	if !wait {
		s.next.lookup = now + lookupEvery
	}
	s.mu.Unlock()
	if wait {
		return false
	}
	var le *lease.Error
	dead := errors.As(s.lookupSelf(ctx, t), &le) && (le.Class == lease.Refused || le.Class == lease.ParentDead)
	if dead {
		t.grant.End()
	}
	return dead
}

func (s *Session) lookupSelf(ctx context.Context, t *token) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := s.send(ctx, Request{Op: "look up the token", Method: "GET", Path: "auth/token/lookup-self", Namespace: s.cfg.AuthNamespace}, t)
	return err
}

// probePolicies logs in, at a slow pace, to see whether a new token would have
// other policies (failure code A12). If not, the new one is revoked at once and
// nothing changes.
func (s *Session) probePolicies(ctx context.Context, t *token) bool {
	if !t.owned {
		return false
	}
	s.mu.Lock()
	now := s.clock().Mono
	wait := now < s.next.notBefore
	if !wait {
		s.next.notBefore = now + s.next.interval
		s.next.interval = min(2*s.next.interval, probeLast)
	}
	s.mu.Unlock()
	if wait {
		return false
	}
	fresh, err := s.logIn(ctx)
	if err != nil {
		return false
	}
	if fresh.value == t.value {
		return false
	}
	if slices.Equal(fresh.policies, t.policies) {
		if fresh.kind != "batch" {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
			defer cancel()
			if s.revokeToken(ctx, fresh) != nil {
				s.mu.Lock()
				s.mine = append(s.mine, fresh) // Close tries again
				s.mu.Unlock()
			}
		}
		return false
	}
	s.adopt(ctx, fresh)
	s.tokens.Adopt(fresh.grant)
	return true
}
