package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// held reports whether the token is kept alive by somebody else, such as Vault Agent.
func (s *Session) held() bool {
	h, ok := s.cfg.Auth.(auth.Holder)
	return ok && h.Held()
}

// is reports whether both are the same token. A Vault Proxy tells neither value nor accessor of
// the one that it puts in: when that was issued tells.
func (t *token) is(other *token) bool {
	return other != nil && t.value == other.value && t.accessor == other.accessor && t.issued == other.issued
}

var errNotExtended = &lease.Error{Class: lease.Transient, Err: errors.New(
	"leasehold: whoever keeps the token alive has not extended or replaced it yet: is it running, and does its token renew?")}

// lookAgain is the renewal of a token that somebody else keeps alive: it sees whether he has.
func (s *Session) lookAgain(ctx context.Context, t *token) (lease.Lease, error) {
	fresh, err := s.logIn(ctx)
	if err != nil {
		if e := (*Error)(nil); errors.As(err, &e) && e.unread {
			return s.inHand(ctx, t, err)
		}
		if class := classOf(err); (class == lease.Permanent || class == lease.Refused) && s.deadAfterAll(ctx, t) {
			return lease.Lease{}, &lease.Error{Class: lease.Dead, Err: err}
		}
		return lease.Lease{}, err
	}
	if !fresh.is(t) {
		s.take(ctx, fresh) // after which what is returned here is about nothing
		return lease.Lease{}, errNotExtended
	}
	if fresh.grant.Left(s.clock()) <= t.grant.Left(s.clock())+time.Second {
		return lease.Lease{}, errNotExtended
	}
	return Within(t.asked, fresh.grant.Lease()), nil
}

// Within returns l as what is left of a lease that lasts for whole. When to look again at one that
// somebody else renews depends on that: of what a look has found to be left, a second, say, too
// little would remain.
func Within(whole time.Duration, l lease.Lease) lease.Lease {
	if l.TTL > 0 && l.TTL < whole {
		l.Sent, l.TTL = l.Sent.Add(l.TTL-whole), whole
	}
	return l
}

// inHand sees whether t has been extended while its source cannot be read, for the reason unread: who
// extends a token need not write it again.
func (s *Session) inHand(ctx context.Context, t *token, unread error) (lease.Lease, error) {
	l, err := tokenKeeper{s}.Check(ctx, t.grant)
	if err == nil && lease.NewGrant(l, nil).Left(s.clock()) <= t.grant.Left(s.clock())+time.Second {
		err = unread
	}
	return l, err
}

// take makes fresh the current token, unless it is already.
func (s *Session) take(ctx context.Context, fresh *token) {
	if !fresh.is(s.current()) && s.adopt(ctx, fresh) {
		s.tokens.Adopt(fresh.grant)
	}
}

// watchHeld looks at the source of a token that others replace, for as long as the session
// lives: the token there may be another long before the old one's end (failure code A11).
func (s *Session) watchHeld(ctx context.Context) {
	failures, failed := 0, error(nil)
	for {
		d := s.heldPause()
		if failures > 0 {
			d = max(d, retryPause(failures, failed)) // Vault was asked, and did not answer
		}
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
			if failed = s.reread(ctx); failed == nil {
				failures = 0
			} else {
				failures++
			}
		case <-s.missed: // the pause was one for a token that lives
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// miss tells who watches the source that a token is needed and was not obtained.
func (s *Session) miss() {
	select {
	case s.missed <- struct{}{}:
	default: // he has not heard of the last time yet
	}
}

// heldPause is how long until the source is looked at again. Vault Agent replaces a token in
// its last tenth, or later: from then on, and until there is a good one, the source is watched
// closely. To look at it asks nothing of Vault.
func (s *Session) heldPause() time.Duration {
	d := sourceEvery - time.Duration(rand.Float64()*float64(sourceEvery/5)) //nolint:gosec // jitter, not a secret
	t := s.current()
	if t == nil || t.grant.Lease().TTL <= 0 {
		return d
	}
	left := t.grant.Left(s.clock())
	return min(d, max(left-min(t.asked/6, sourceEvery), sourceEvery/20))
}

// reread logs in if the source has changed since it was read last. What it returns is a login's
// failure that may pass: the same is worth another try.
func (s *Session) reread(ctx context.Context) error {
	mark, err := callFingerprint(ctx, s.cfg.Auth)
	s.mu.Lock()
	told := s.sourceErr
	s.sourceErr = err
	changed := err == nil && mark != s.sourceMark
	s.mu.Unlock()
	if err != nil {
		if told == nil || told.Error() != err.Error() {
			s.Report(lease.ReadFailed, "token", &Error{Op: "read the source of", Path: "the token", Err: err})
		}
		return nil
	}
	if !changed {
		return nil
	}
	fresh, err := s.logIn(ctx) // which notes the fingerprint, unless Vault could not be asked
	if err == nil {
		s.take(ctx, fresh)
		return nil
	}
	if !s.closed.Load() {
		s.Report(lease.ReplaceFailed, "token", err)
	}
	if isRefused(classOf(err)) {
		return nil
	}
	return err
}
