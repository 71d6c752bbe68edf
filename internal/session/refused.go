package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// refusal is the latest login, if Vault refused it.
type refusal struct {
	err   *lease.Error  // nil: it was not refused
	mark  string        // of what it was made with; empty: not known
	count int           // in a row, with the same
	at    time.Duration // of the latest, monotonic
	watch bool          // somebody looks at the source

	changes int           // refused in a row, each with something else than the last
	since   time.Duration // when the source was seen to yield something else, monotonic
	fickle  bool          // the source yields something else each time: nothing tells if it has changed
}

const (
	// sourceEvery is how often a source is looked at: a little more often than that.
	sourceEvery = 10 * time.Second
	// lockout is how long Vault counts failed logins of one user, and for how long it then
	// refuses him whatever he shows, both by default, and a minute for the clocks.
	lockout = 16 * time.Minute
	// missedEvery is how often a login that a 403 refused is tried while there is no token.
	missedEvery = 30 * time.Second
	// strikes are the failures that Vault lets pass by default, but for one.
	strikes = 4
)

// lockable reports whether Vault counts err towards a lockout of the user (failure code A8).
// So it does for AppRole, userpass and LDAP, and these are their words for it.
func lockable(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusBadRequest {
		return false
	}
	text := strings.ToLower(strings.Join(e.Vault, " "))
	return strings.Contains(text, "invalid role or secret id") ||
		strings.Contains(text, "invalid username or password") ||
		strings.Contains(text, "invalid credentials") // LDAP's
}

// isRefused reports whether a login that failed so was judged, rather than not heard.
func isRefused(class lease.Class) bool { return class == lease.Permanent || class == lease.Refused }

// callFingerprint calls the method; the fingerprint is empty if it has none.
func callFingerprint(ctx context.Context, m auth.Method) (mark string, err error) {
	f, ok := m.(auth.Fingerprinter)
	if !ok {
		return "", nil
	}
	defer func() {
		if p := recover(); p != nil {
			mark, err = "", fmt.Errorf("the auth method panicked (%T)", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout) // who looks must look again
	defer cancel()
	return f.Fingerprint(ctx)
}

// fingerprint is the method's or, if it has none, that of the certificate that we show, which may
// be what we log in with (failure code E7).
func (s *Session) fingerprint(ctx context.Context) (string, error) {
	if _, ok := s.cfg.Auth.(auth.Fingerprinter); ok || s.cfg.Base != nil || s.cfg.TLS.ClientCert == "" {
		return callFingerprint(ctx, s.cfg.Auth)
	}
	m := s.wire.conns.shown()
	return auth.Hash(m.cert, m.key), nil
}

// mark is the fingerprint of what would be read now. A source that yields another each time,
// such as one that signs a JWT or fetches a secret-id when it is asked, has none: each of its
// would pass for what somebody has just put there, and be shown to Vault at once, for ever.
// It is not asked again until a login succeeds: what it hands out may be counted.
func (s *Session) mark(ctx context.Context) (string, error) {
	s.mu.Lock()
	fickle, last := s.refusal.fickle, s.refusal.mark
	s.mu.Unlock()
	if fickle {
		return "", nil
	}
	for range 3 { // it may just have been replaced, but not twice
		mark, err := s.fingerprint(ctx)
		if err != nil || mark == last {
			return mark, err
		}
		last = mark
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal.fickle = true
	return "", nil
}

// markBefore is the fingerprint of what a login is about to read, where that matters: to
// read a source twice for each login is more than its owner expects.
func (s *Session) markBefore(ctx context.Context) (string, error) {
	s.mu.Lock()
	matters := s.refusal.err != nil
	s.mu.Unlock()
	switch {
	case s.held():
		return callFingerprint(ctx, s.cfg.Auth)
	case matters:
		return s.mark(ctx)
	}
	return "", nil
}

// spared returns the error of a login that is better not made: the same was refused, and
// one more would have Vault lock the user out, for all who share the role.
func (s *Session) spared(mark string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.refusal
	left := lockout - (s.clock().Mono - r.at)
	allowed := strikes
	if _, own := s.cfg.Auth.(auth.Fingerprinter); own && mark != "" {
		allowed = 2 // the first was read after the refusal, and may be another than was refused
	}
	if r.err == nil || !lockable(r.err) || left <= 0 || mark != r.mark || r.count < allowed {
		return nil
	}
	return &lease.Error{Class: lease.Permanent, RetryAfter: left, Err: fmt.Errorf(
		"%w; not tried again with the same for %s, or Vault would lock the user out", r.err.Err, left.Round(time.Second))}
}

// noteLogin keeps how a login with mark ended. In the background, what was refused is
// tried again as soon as it changes.
func (s *Session) noteLogin(mark string, err error) {
	var le *lease.Error
	class := classOf(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.refusal
	if err == nil || isRefused(class) {
		s.sourceMark = mark
	}
	switch {
	case err == nil:
		*r = refusal{watch: r.watch}
		return
	case !isRefused(class), !errors.As(err, &le):
		return
	case mark != r.mark && r.err != nil:
		r.changes++
		r.count, r.since = 0, s.clock().Mono
	case r.err == nil:
		r.count, r.since = 0, s.clock().Mono
	case s.clock().Mono-r.since >= lockout:
		r.changes = 0 // it is not another one each time
	}
	r.err, r.mark, r.at = le, mark, s.clock().Mono
	r.count++
	if s.tokens != nil && !r.watch && !s.closed.Load() {
		r.watch = true
		s.running.Go(func() { s.watchRefused(s.ctx) })
	}
}

// watchRefused looks at the source of logins until it is another than was refused. Some refusals
// pass by themselves: with a 403 Vault may have meant that it could not ask whom it had to, such
// as a Kubernetes API server that is away, and a Vault Proxy gets itself another token, of which
// nobody tells us. Once there is no valid token left, those are tried again every half minute, and
// what Vault counts as soon as it has stopped counting.
func (s *Session) watchRefused(ctx context.Context) {
	_, watched := s.cfg.Auth.(auth.Fingerprinter)
	for rest(ctx) {
		mark, err := "", error(nil)
		held := s.held()
		if !held { // else watchHeld does
			mark, err = s.mark(ctx)
		}
		s.mu.Lock()
		r := &s.refusal
		now := s.clock()
		changed := err == nil && mark != r.mark && !held
		if changed {
			r.since = now.Mono
		}
		changed = changed && now.Mono-r.at >= r.patience()
		if r.err == nil || changed {
			r.watch = false
		}
		again := r.watch
		every := missedEvery
		if again && lockable(r.err) {
			every = lockout // which the back-off would overshoot
		}
		passes := again && (r.err.Class == lease.Refused || lockable(r.err) || (held && !watched))
		missed := passes && now.Mono-r.at >= every
		s.mu.Unlock()
		if changed || (missed && !s.tokens.Grant().Valid(now)) {
			s.tokens.Retry()
		}
		if !again {
			return
		}
	}
}

// patience is how long what is new in the source has to wait since the latest refusal: not at all,
// unless it has been so often of no use that nobody means something by it. A JWT that is
// signed when it is asked for is another one each second.
func (r *refusal) patience() time.Duration {
	if r.changes <= 3 {
		return 0
	}
	return min(sourceEvery<<min(r.changes-3, 6), lockout)
}

// rest waits until a source is to be looked at again. It reports false when ctx ends.
func rest(ctx context.Context) bool {
	d := sourceEvery - time.Duration(rand.Float64()*float64(sourceEvery/5)) //nolint:gosec // jitter, not a secret
	return pause(ctx, d, nil) == nil
}
