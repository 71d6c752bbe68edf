package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// probe paces what is tried when Vault refuses something by policy.
type probe struct {
	notBefore time.Duration // the next login that may be tried, monotonic
	interval  time.Duration
	lookup    time.Duration // the next lookup-self

	looked *lease.Grant // the token that was looked up last

	dead *lease.Grant  // the latest token that was said to be dead, and believed so
	died time.Duration // when
}

// The pace of law 6: a login at most once a minute, doubling to an hour.
const (
	probeFirst  = time.Minute
	probeLast   = time.Hour
	lookupEvery = time.Second
)

// How long a lookup-self may take: little where a good token waits to be used.
const (
	adoptPatience  = time.Second
	lookupPatience = 5 * time.Second
)

// loggedIn notes a login: another one for the sake of policies is pointless for a while,
// and for a short while only if this one brought others.
func (p *probe) loggedIn(now lease.Instant, others bool) {
	if others {
		p.interval = probeFirst
	}
	p.notBefore = now.Mono + p.interval
}

// due reports whether a login may be tried now, and counts it.
func (p *probe) due(now lease.Instant) bool {
	if now.Mono < p.notBefore {
		return false
	}
	if now.Mono >= p.notBefore+probeLast {
		p.interval = probeFirst // nothing was refused for long: this is something new
	}
	p.notBefore = now.Mono + p.interval
	p.interval = min(2*p.interval, probeLast)
	return true
}

// superseded reports whether there is another token than t now.
func (s *Session) superseded(t *token) bool { return s.tokens.Grant() != t.grant }

// refused looks into a 403 that t got. It reports whether the request should be repeated:
// there is another token than t, since t was dead, or had old policies, or simply
// because its time had come while the request was under way.
func (s *Session) refused(ctx context.Context, t *token) bool {
	if s.superseded(t) {
		return true
	}
	done := make(chan struct{})
	// On the session's time: who asks may have little, and what is found out is for all.
	if s.Go(func(ctx context.Context) { defer close(done); s.lookInto(ctx, t) }) {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	return s.superseded(t)
}

func (s *Session) lookInto(ctx context.Context, t *token) {
	if s.deadAfterAll(ctx, t) {
		s.tokens.Invalidate(t.grant, errLookupRefused)
		_ = s.tokens.Ensure(ctx, t.grant) // its failure is told by the manager
		return
	}
	s.probePolicies(ctx, t)
}

// believe reports whether an answer that t is dead is to be acted upon. The first is. After
// that a lookup-self must agree: where somebody says so of every token (a server of
// another cluster, a lagging node) each request would cause a login. One an hour is
// taken on trust again, and one a minute where no lookup can tell.
func (s *Session) believe(ctx context.Context, t *token) bool {
	s.mu.Lock()
	now, p, pace := s.clock().Mono, &s.next, probeLast
	if t.limited || t.lookup.Load() == denied {
		pace = probeFirst
	}
	if p.dead == nil || now-p.died >= pace {
		p.dead, p.died = t.grant, now
	}
	trusted := p.dead == t.grant
	if t.scarce && t.lookup.Load() == allowed {
		trusted = false // a login costs more than a lookup
	}
	s.mu.Unlock()
	return trusted || s.superseded(t) || s.deadAfterAll(ctx, t)
}

var errLookupRefused = errors.New("leasehold: the token may not even look itself up any more")

// deadAfterAll tells a dead token from a missing permission where Vault's text does
// not: a lookup-self that was allowed before is refused now. One that fails
// otherwise proves nothing.
func (s *Session) deadAfterAll(ctx context.Context, t *token) bool {
	if t.limited || t.lookup.Load() == denied {
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
	if !s.mayLook(t) {
		return false
	}
	was := t.lookup.Load()
	_, err := s.lookupSelf(ctx, t, lookupPatience)
	s.hasLooked(t)
	dead := s.proves(err, was)
	if dead {
		t.grant.End()
	}
	return dead
}

// proves reports whether a lookup-self that failed with err says that the token is dead: where one was
// allowed before, a refusal does as well. Behind a Vault Proxy it does not: one that has just been started
// has no token to show.
func (s *Session) proves(err error, was int32) bool {
	class := classOf(err)
	return class == lease.ParentDead || class == lease.Refused && was == allowed && !auth.IsNone(s.cfg.Auth)
}

func (s *Session) mayLook(t *token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next.looked != t.grant || s.clock().Mono >= s.next.lookup
}

// hasLooked counts from the end of a lookup: those who have waited for one that hung must
// not ask in turn.
func (s *Session) hasLooked(t *token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next.looked, s.next.lookup = t.grant, s.clock().Mono+lookupEvery
}

// learn asks whether t may look itself up, at a time when it is surely good: a lookup that
// is refused later tells a dead token from a missing permission (law 6). Where Vault
// does not answer, the next renewal or the next 403 asks again.
func (s *Session) learn(ctx context.Context, t *token, patience time.Duration) {
	if t.limited || t.lookup.Load() != unasked {
		return // it would spend a use (failure code A10), or tell nothing new
	}
	_, err := s.lookupSelf(ctx, t, patience)
	switch {
	case classOf(err) == lease.Refused:
		t.lookup.CompareAndSwap(unasked, denied)
	case err != nil && ctx.Err() == nil && !s.closed.Load():
		s.Report(lease.ReadFailed, "token", err)
	}
}

// lookupSelf looks t up and notes if that was allowed.
func (s *Session) lookupSelf(ctx context.Context, t *token, patience time.Duration) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	resp, err := s.send(ctx, Request{Op: "look up the token", Method: "GET", Path: "auth/token/lookup-self", Namespace: s.cfg.AuthNamespace}, t)
	if err == nil {
		t.lookup.Store(allowed)
	}
	return resp, err
}

// probePolicies logs in, at a slow pace, to see whether a new token would have
// other policies (failure code A12). If not, the new one is revoked at once and
// nothing changes.
func (s *Session) probePolicies(ctx context.Context, t *token) {
	if s.held() {
		select {
		case s.rereading <- struct{}{}: // what one finds is for all
			defer func() { <-s.rereading }()
			_ = s.reread(ctx) // there may be another one already; a failure is told
		case <-ctx.Done():
		}
		return
	}
	if !t.owned || t.scarce {
		return
	}
	s.mu.Lock()
	due := s.next.due(s.clock())
	s.mu.Unlock()
	if !due {
		return
	}
	fresh, err := s.logIn(ctx)
	if err != nil {
		if !s.closed.Load() {
			s.Report(lease.ReplaceFailed, "token", err)
		}
		return
	}
	if fresh.value == t.value {
		return
	}
	if slices.Equal(fresh.policies, t.policies) || s.superseded(t) {
		s.giveBack(ctx, fresh)
		return
	}
	if s.adopt(ctx, fresh) {
		s.tokens.Adopt(fresh.grant)
		_ = s.tokens.Ensure(ctx, t.grant) // until the manager has done so
	}
}

// giveBack revokes a token that is of no use.
func (s *Session) giveBack(ctx context.Context, t *token) {
	if t.kind == "batch" || !s.remember(t) { // if this fails, Close tries again
		return
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if err := s.revokeToken(ctx, t); err != nil {
		if !s.closed.Load() {
			s.Report(lease.ReplaceFailed, "token", err)
		}
		return
	}
	t.revoked.Store(true)
}
