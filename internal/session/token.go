package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
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
	issued   string // when, in Vault's words, of a token that was looked up; only compared with others
	kind     string // service or batch
	policies []string
	owned    bool
	scarce   bool // the logins that make such tokens are
	asked    time.Duration
	grant    *lease.Grant
	limited  bool
	uses     atomic.Int64
	lookup   atomic.Int32 // a permission
	revoked  atomic.Bool  // by us
}

// over reports whether t is surely gone: that somebody said so does not make it so, and Close
// tries to revoke it.
func (t *token) over(now lease.Instant) bool {
	l := t.grant.Lease()
	return t.revoked.Load() || (l.TTL > 0 && now.Mono-l.Sent.Mono >= l.TTL)
}

// permission is what is known of whether a token may look itself up.
type permission = int32

const (
	unasked permission = iota // or Vault did not answer
	allowed
	denied
)

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

// remember makes t known, so that it can be used and Close revokes it. After Close it is
// revoked at once, and false is reported.
func (s *Session) remember(t *token) bool {
	s.mu.Lock()
	if s.closed.Load() {
		s.mu.Unlock()
		s.discard(t)
		return false
	}
	defer s.mu.Unlock()
	now := s.clock()
	var current *lease.Grant
	if s.tokens != nil {
		current = s.tokens.Grant()
	}
	s.known = append(slices.DeleteFunc(s.known, func(old *token) bool { return old.grant != current && old.over(now) }), t)
	return true
}

// adopt gets t ready to be the next token: the manager, which must be told then, makes it
// so. After Close it is too late for that.
func (s *Session) adopt(ctx context.Context, t *token) bool {
	old := s.current()
	if !s.remember(t) {
		return false
	}
	s.mu.Lock()
	s.next.loggedIn(s.clock(), old == nil || !slices.Equal(old.policies, t.policies))
	s.mu.Unlock()
	s.learn(ctx, t, adoptPatience)
	return true
}

// current returns the token that the manager holds. There is none before the first login.
func (s *Session) current() *token {
	s.mu.Lock()
	tokens := s.tokens
	s.mu.Unlock()
	if tokens == nil {
		return nil
	}
	return s.tokenOf(tokens.Grant())
}

// tokenOf returns the token of a grant, which need not be the current one; nil if it
// is not known any more.
func (s *Session) tokenOf(g *lease.Grant) *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.known, func(t *token) bool { return t.grant == g }); i >= 0 {
		return s.known[i]
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
		g := s.tokens.Grant()
		if t := s.tokenOf(g); t != nil && g.Valid(s.clock()) {
			ok, last := t.spend()
			if last {
				s.tokens.Supersede(g)
			}
			if ok {
				return t, nil
			}
		}
		if err := s.tokens.Ensure(ctx, g); err != nil {
			return nil, err
		}
	}
}

// tokenKeeper is the token as a lease.
type tokenKeeper struct{ s *Session }

var _ lease.Checker = tokenKeeper{}

// Renew implements lease.Keeper with renew-self. It sends no increment, which
// could only shorten the token's life (failure code F13).
func (k tokenKeeper) Renew(ctx context.Context, g *lease.Grant) (lease.Lease, error) {
	t := k.s.tokenOf(g)
	if t == nil {
		return lease.Lease{}, errors.New("leasehold: renew the token: it was replaced meanwhile")
	}
	if g.Lease().Held {
		return k.s.lookAgain(ctx, t)
	}
	ctx, cancel := context.WithTimeout(ctx, upkeepTimeout(g, k.s.clock()))
	defer cancel()
	resp, err := k.s.send(ctx, Request{Op: "renew the token", Method: "POST", Path: "auth/token/renew-self", Body: struct{}{}, Namespace: k.s.cfg.AuthNamespace}, t)
	if err != nil {
		class := classOf(err)
		if class == lease.ParentDead || (class == lease.Refused && k.s.deadAfterAll(ctx, t)) {
			// The token's own death is what ParentDead means to its children.
			return lease.Lease{}, &lease.Error{Class: lease.Dead, Err: err}
		}
		if class == lease.Dead {
			// Of a token only a 403 says that it is dead: this one just cannot be renewed.
			return lease.Lease{}, &lease.Error{Class: lease.Refused, Err: err}
		}
		return lease.Lease{}, err
	}
	l, err := renewed(resp.Body)
	if err != nil {
		return lease.Lease{}, err
	}
	if t.lookup.Load() == unasked {
		k.s.Go(func(ctx context.Context) { k.s.learn(ctx, t, lookupPatience) }) // it is surely good now
	}
	l.Asked, l.Sent = t.asked, resp.Sent
	if (t.scarce || !t.owned) && l.Truncated() {
		// Another is not to be had, or at a price, so that this one is used up: renewed for as long as
		// that moves its end. A period that was lowered makes grants small, too.
		over := sameEnd(l, g.Lease())
		if over && !t.owned {
			return l, nil // whoever has to give another is told at once
		}
		l.Asked, l.Capped = 0, false
		l.Renewable = l.Renewable && !over
	}
	return l, nil
}

// sameEnd reports whether both end at the same time, but for a second's rounding.
func sameEnd(a, b lease.Lease) bool {
	return (a.Sent.Mono + a.TTL - b.Sent.Mono - b.TTL).Abs() <= time.Second
}

// renewed decodes the answer to a renewal. Without a number there is no telling: that
// nothing is left is an answer, too, and the token would be replaced.
func renewed(body []byte) (lease.Lease, error) {
	var answer struct {
		Auth struct {
			LeaseDuration *int64 `json:"lease_duration"`
			Renewable     bool   `json:"renewable"`
		} `json:"auth"`
		Warnings []string `json:"warnings"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Auth.LeaseDuration == nil || *answer.Auth.LeaseDuration < 0 {
		return lease.Lease{}, errors.New("leasehold: renew the token: Vault's answer holds no token")
	}
	return lease.Lease{
		TTL:       Seconds(*answer.Auth.LeaseDuration),
		Renewable: answer.Auth.Renewable,
		Capped:    Capped(answer.Warnings),
	}, nil
}

// Check looks g's token up and returns what is left of it: after the machine has slept the
// clocks do not tell. A token of limited uses is not asked about, since that would
// spend one (failure code A10): what the clocks say must do.
func (k tokenKeeper) Check(ctx context.Context, g *lease.Grant) (lease.Lease, error) {
	t := k.s.tokenOf(g)
	if t == nil {
		return lease.Lease{}, errors.New("leasehold: look up the token: it was replaced meanwhile")
	}
	now := k.s.clock()
	if t.limited {
		if !g.Valid(now) {
			return lease.Lease{}, &lease.Error{Class: lease.Dead, Err: errors.New("leasehold: the token has expired while the machine slept")}
		}
		l := g.Lease()
		if l.TTL > 0 {
			l.TTL, l.Asked, l.Sent = g.Left(now), 0, now
		}
		return l, nil
	}
	was := t.lookup.Load()
	resp, err := k.s.lookupSelf(ctx, t, upkeepTimeout(g, now))
	switch {
	case err == nil:
	case k.s.proves(err, was):
		return lease.Lease{}, &lease.Error{Class: lease.Dead, Err: err}
	default:
		return lease.Lease{}, err
	}
	l, err := lookedUp(resp.Body)
	l.Sent = resp.Sent
	if g.Lease().Held {
		l.Held, l.Renewable = true, true // to look at it: see lookAgain
	}
	return l, err
}

// lookedUp decodes the answer to a lookup-self. Only what says that it never expires is
// taken for that: a token in its last second has a TTL of 0 as well.
func lookedUp(body []byte) (lease.Lease, error) {
	var answer struct {
		Data struct {
			TTL       *int64          `json:"ttl"`
			Expires   json.RawMessage `json:"expire_time"`
			Renewable bool            `json:"renewable"`
			Type      string          `json:"type"`
		} `json:"data"`
	}
	d := &answer.Data
	if err := json.Unmarshal(body, &answer); err != nil || d.TTL == nil || *d.TTL < 0 {
		return lease.Lease{}, errors.New("leasehold: look up the token: Vault's answer holds no token")
	}
	if *d.TTL == 0 && string(d.Expires) != "null" {
		return lease.Lease{}, &lease.Error{Class: lease.Dead, Err: errors.New("leasehold: the token is at its end")}
	}
	return lease.Lease{TTL: Rounded(Seconds(*d.TTL)), Renewable: d.Renewable && d.Type != "batch"}, nil
}

// Seconds is a duration of that many, or the longest where it does not fit.
func Seconds(n int64) time.Duration {
	return time.Duration(min(n, int64(math.MaxInt64/time.Second))) * time.Second
}

// Rounded takes off what may not be there. A batch token counts from the start of the second
// that it was made in, and a lookup rounds: either promises up to a second too much.
func Rounded(ttl time.Duration) time.Duration { return ttl - min(ttl/2, time.Second) }

var errGiven = &lease.Error{Class: lease.Spent, Err: errors.New(
	"leasehold: the token was given and cannot be extended or replaced: supply a new one, or log in by another method")}

// Replace implements lease.Keeper with a login.
func (k tokenKeeper) Replace(ctx context.Context) (*lease.Grant, error) {
	old := k.s.current()
	if old != nil && old.limited && !old.owned {
		return nil, errGiven // to look whether there is another would spend the last uses of this one
	}
	t, err := k.s.logIn(ctx)
	if err != nil {
		k.s.miss()
		return nil, err
	}
	// Whoever gave it may have renewed it meanwhile, while we could not.
	if now := k.s.clock(); t.is(old) && t.grant.Left(now)-time.Second <= old.grant.Left(now) {
		if k.s.held() {
			return nil, errNotExtended
		}
		return nil, errGiven
	}
	if !k.s.adopt(ctx, t) {
		return nil, ErrClosed
	}
	return t.grant, nil
}

// Release implements lease.Keeper: Close revokes tokens itself.
func (k tokenKeeper) Release(context.Context, *lease.Grant) error { return nil }

// revoke gives back the tokens that are ours and still alive, and with them all
// that was obtained under them. Under a token that is not ours, or cannot be
// revoked, each lease is given back by itself.
func (s *Session) revoke(ctx context.Context) error {
	var errs []error
	if t := s.current(); t != nil && (!t.owned || t.kind == "batch") {
		if n, err := s.manager.Release(ctx); err != nil {
			which := "leases" // how many, nobody knows while work goes on
			if n > 0 {
				which = fmt.Sprintf("%d leases", n)
			}
			errs = append(errs, fmt.Errorf("%s were not revoked and last until they expire: %w", which, err))
		}
	}
	s.mu.Lock()
	known := slices.Clone(s.known)
	s.mu.Unlock()
	var wg sync.WaitGroup
	failed := make([]error, len(known))
	for i, t := range known {
		if !t.owned || t.kind == "batch" || t.over(s.clock()) {
			continue // not ours, or it cannot be revoked, or need not
		}
		wg.Go(func() { failed[i] = s.revokeToken(ctx, t) })
	}
	wg.Wait()
	return errors.Join(append(errs, failed...)...)
}

func (s *Session) revokeToken(ctx context.Context, t *token) error {
	_, err := s.send(ctx, Request{Op: "revoke the token", Method: "POST", Path: "auth/token/revoke-self", Body: struct{}{}, Namespace: s.cfg.AuthNamespace}, t)
	if classOf(err) == lease.ParentDead {
		return nil // gone already
	}
	return err
}

// Capped reports whether Vault warns that it cut a TTL to the maximum. That it cut a period is no
// end: it grants as much again at each renewal.
func Capped(warnings []string) bool {
	return slices.ContainsFunc(warnings, func(w string) bool {
		return strings.Contains(w, "max_ttl") && strings.Contains(w, "capped") && !strings.HasPrefix(w, "period of ")
	})
}
