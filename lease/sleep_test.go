package lease_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// checker is a keeper that can be asked what is left.
type checker struct {
	*keeper

	onCheck func(*lease.Grant) (lease.Lease, error)
	checks  []time.Duration
}

func (c *checker) Check(_ context.Context, g *lease.Grant) (lease.Lease, error) {
	defer c.enter(&c.checks)()
	return c.onCheck(g)
}

// sleepers is a token that can be checked, with leases of an hour under it.
func (w *world) sleepers(tokenTTL time.Duration, n int, onCheck func(*lease.Grant) (lease.Lease, error)) (*family, *checker) {
	f := &family{tokens: w.keeper(tokenTTL)}
	c := &checker{keeper: f.tokens, onCheck: onCheck}
	f.token = w.m.Add("token", c, w.grant(tokenTTL, nil))
	for range n {
		k := w.keeper(time.Hour)
		k.parent = func() *lease.Grant { // who obtains something waits for a token
			for g := f.token.Grant(); !g.Valid(w.clock()) && f.token.Ensure(w.t.Context(), g) == nil; {
				g = f.token.Grant()
			}
			return f.token.Grant()
		}
		f.keepers = append(f.keepers, k)
		f.children = append(f.children, w.add("db/creds/app", k, f.token.Grant()))
	}
	return f, c
}

// sleep has the machine sleep for d, which only the wall clock notices, once the manager
// has all that it was given.
func (w *world) sleep(d time.Duration) {
	synctest.Wait()
	w.skew.Add(int64(d))
}

func (f *family) replaced() (n int) {
	for _, k := range f.keepers {
		_, replaces, _ := k.calls()
		n += len(replaces)
	}
	return n
}

// TestLaw09AfterASleepEverythingIsAskedAboutFirst is K1, for a clock that was put right:
// the server knows all of it. Mutations: go by the monotonic clock alone; replace what is
// past its end by the wall clock; do not spread the renewals; do not look the token up.
func TestLaw09AfterASleepEverythingIsAskedAboutFirst(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f, c := w.sleepers(2*time.Hour, 40, func(*lease.Grant) (lease.Lease, error) {
			return lease.Lease{TTL: time.Hour, Sent: w.clock(), Renewable: true}, nil
		})
		pass(10 * time.Minute)
		w.sleep(3 * time.Hour)
		slept := w.now()
		for _, child := range f.children {
			assert.False(t, child.Grant().Valid(w.clock()), "expired to readers at once")
			assert.True(t, child.Grant().MayLive(w.clock()))
			assert.Equal(t, lease.ExpiredAt, child.Status().Condition)
		}
		pass(2 * time.Minute)
		require.Len(t, c.checks, 1, "one lookup")
		assert.LessOrEqual(t, c.checks[0], slept+31*sec, "noticed within 30 s, without help")
		tokenRenewals, logins, _ := f.tokens.calls()
		assert.Empty(t, tokenRenewals)
		assert.Empty(t, logins)
		early, late := 0, 0
		for i, k := range f.keepers {
			renews, replaces, _ := k.calls()
			assert.Empty(t, replaces, "child %d", i)
			require.Len(t, renews, 1, "child %d", i)
			assert.GreaterOrEqual(t, renews[0], c.checks[0], "the token first")
			assert.True(t, f.children[i].Grant().Valid(w.clock()), "the same value is fresh again")
			assert.EqualValues(t, 1, f.children[i].Status().Generation)
			if renews[0] < c.checks[0]+20*sec {
				early++
			} else if renews[0] > c.checks[0]+40*sec {
				late++
			}
		}
		assert.Positive(t, early, "spread")
		assert.Positive(t, late, "spread")
		pass(20 * time.Minute)
		assert.Zero(t, f.replaced())
		assert.Len(t, c.checks, 1)
	})
}

// TestLaw09WhatDiedInASleepIsReplacedOnce. Mutation: take only a renewal's
// word for it.
func TestLaw09WhatDiedInASleepIsReplacedOnce(t *testing.T) {
	t.Run("the lease", func(t *testing.T) {
		inBubble(t, lease.Config{}, func(w *world) {
			t := w.t
			f, _ := w.sleepers(100*time.Hour, 10, func(*lease.Grant) (lease.Lease, error) {
				return lease.Lease{TTL: 90 * time.Hour, Sent: w.clock(), Renewable: true}, nil
			})
			for _, k := range f.keepers {
				k.set(func() { k.onRenew = renewFails(lease.Dead) })
			}
			w.sleep(2 * time.Hour)
			pass(2 * time.Minute)
			for _, k := range f.keepers {
				renews, replaces, _ := k.calls()
				assert.Len(t, renews, 1)
				assert.Len(t, replaces, 1)
			}
			_, logins, _ := f.tokens.calls()
			assert.Empty(t, logins)
		})
	})
	t.Run("the token", func(t *testing.T) {
		inBubble(t, lease.Config{}, func(w *world) {
			t := w.t
			f, c := w.sleepers(time.Hour, 10, func(*lease.Grant) (lease.Lease, error) {
				return lease.Lease{}, errOf(lease.Dead)
			})
			w.sleep(2 * time.Hour)
			pass(2 * time.Minute)
			assert.Len(t, c.checks, 1)
			renewals, logins, _ := f.tokens.calls()
			assert.Empty(t, renewals)
			assert.Len(t, logins, 1)
			for i, k := range f.keepers {
				renews, replaces, _ := k.calls()
				assert.Empty(t, renews, "child %d", i)
				assert.Len(t, replaces, 1, "child %d", i)
				assert.True(t, f.children[i].Grant().Valid(w.clock()))
			}
		})
	})
}

// TestLaw09AfterASleepAnOutageMintsNothing has the network come back late. Mutation: take
// a renewal that nobody answered for an answer.
func TestLaw09AfterASleepAnOutageMintsNothing(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		var down atomic.Bool
		down.Store(true)
		f, c := w.sleepers(2*time.Hour, 10, func(*lease.Grant) (lease.Lease, error) {
			return lease.Lease{}, errOf(lease.Transient)
		})
		renew := func(ttl time.Duration) func(context.Context, *lease.Grant) (lease.Lease, error) {
			return func(context.Context, *lease.Grant) (lease.Lease, error) {
				if down.Load() {
					return lease.Lease{}, errOf(lease.Transient)
				}
				return w.lease(ttl), nil
			}
		}
		f.tokens.set(func() { f.tokens.onRenew = renew(2 * time.Hour) })
		for _, k := range f.keepers {
			k.set(func() { k.onRenew = renew(time.Hour) })
		}
		w.sleep(24 * time.Hour)
		pass(5 * time.Minute)
		assert.Len(t, c.checks, 1)
		renewals, logins, _ := f.tokens.calls()
		assert.Greater(t, len(renewals), 5, "what is missed is tried often")
		assert.Empty(t, logins)
		for i, at := range renewals {
			if i > 0 && at > 2*time.Minute {
				assert.GreaterOrEqual(t, at-renewals[i-1], 18*sec, "and then about every half a minute")
			}
		}
		for _, k := range f.keepers {
			renews, replaces, _ := k.calls()
			assert.Empty(t, renews, "the token first")
			assert.Empty(t, replaces)
		}
		down.Store(false)
		pass(2 * time.Minute)
		_, logins, _ = f.tokens.calls()
		assert.Empty(t, logins)
		assert.Zero(t, f.replaced())
		for _, child := range f.children {
			assert.True(t, child.Grant().Valid(w.clock()))
		}
	})
}

// TestLaw09WhoWaitsAfterASleepDoesNotWaitForTheSpread. Mutation: let waiters wait.
func TestLaw09WhoWaitsAfterASleepDoesNotWaitForTheSpread(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(10 * time.Hour)
		e := w.add("db", k, nil)
		g := e.Grant()
		w.sleep(24 * time.Hour)
		require.NoError(t, e.Ensure(t.Context(), g))
		assert.True(t, g.Valid(w.clock()), "the same one, renewed")
		renews, replaces, _ := k.calls()
		assert.Equal(t, []time.Duration{w.now()}, renews)
		assert.Zero(t, w.now())
		assert.Empty(t, replaces)
	})
}

// TestLaw09AfterASleepWhatCannotBeRenewedIsReplaced, and what nobody may look up is asked
// about by renewing it.
func TestLaw09AfterASleepWhatCannotBeRenewedIsReplaced(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f, c := w.sleepers(2*time.Hour, 5, func(*lease.Grant) (lease.Lease, error) {
			return lease.Lease{}, errOf(lease.Refused)
		})
		for i, k := range f.keepers {
			if i%2 == 0 {
				k.set(func() { k.onRenew = renewFails(lease.Refused) })
			}
		}
		w.sleep(90 * time.Minute)
		pass(2 * time.Minute)
		assert.Len(t, c.checks, 1)
		renewals, logins, _ := f.tokens.calls()
		assert.Len(t, renewals, 1)
		assert.Empty(t, logins)
		for i, k := range f.keepers {
			renews, replaces, _ := k.calls()
			assert.Len(t, renews, 1)
			assert.Len(t, replaces, 1-i%2)
			assert.True(t, f.children[i].Grant().Valid(w.clock()))
		}
	})
}

// TestWhatHasEndedWhenItComesIsNotAskedForWithoutAPause. Without it a server that grants
// nothing but the past would be asked without end.
func TestWhatHasEndedWhenItComesIsNotAskedForWithoutAPause(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		k.onReplace = func(context.Context) (*lease.Grant, error) {
			l := w.lease(time.Minute)
			l.Sent.Mono -= time.Hour
			return lease.NewGrant(l, nil), nil
		}
		e := w.add("db", k, nil)
		e.Invalidate(e.Grant(), nil)
		pass(5 * time.Minute)
		_, replaces, _ := k.calls()
		assert.Less(t, len(replaces), 30)
		assert.Greater(t, len(replaces), 5)
	})
}
