package lease_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// slowly renews w's leases of a minute, each in d.
func slowly(w *world, d time.Duration) func(context.Context, *lease.Grant) (lease.Lease, error) {
	return func(context.Context, *lease.Grant) (lease.Lease, error) {
		time.Sleep(d)
		return w.lease(time.Minute), nil
	}
}

func TestALeaseIsRenewedForAsLongAsItCanBe(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		e := w.add("db", k, nil)
		pass(time.Hour)
		renews, replaces, _ := k.calls()
		assert.GreaterOrEqual(t, len(renews), 120, "each within half a minute")
		assert.LessOrEqual(t, len(renews), 180, "none within 20 s")
		assert.Empty(t, replaces)
		last := time.Duration(0)
		for _, at := range renews {
			assert.GreaterOrEqual(t, at-last, 20*sec)
			assert.LessOrEqual(t, at-last, 30*sec)
			last = at
		}
		assert.True(t, e.Grant().Valid(w.clock()))
		assert.Len(t, w.told("db", lease.Renewed), len(renews))
		assert.Len(t, w.told("db", lease.Obtained), 1)
		assert.Equal(t, lease.Fresh, e.Status().Condition)
		assert.EqualValues(t, 1, e.Status().Generation)
	})
}

// TestLaw04ATruncatedGrantIsReplacedAtOnceAndByOne covers F14 and B4.
// Mutation: in renewed leave e.ending as it is.
func TestLaw04ATruncatedGrantIsReplacedAtOnceAndByOne(t *testing.T) {
	for name, renewed := range map[string]lease.Lease{
		"less than was asked":      {TTL: 6 * sec, Asked: 10 * sec, Renewable: true},
		"Vault says it was cut":    {TTL: 10 * sec, Asked: 10 * sec, Renewable: true, Capped: true},
		"no more time at all":      {TTL: 0, Asked: 10 * sec, Renewable: true},
		"no longer than it has":    {TTL: 1 * sec, Asked: 10 * sec},
		"far less, not renewable":  {TTL: 3 * sec, Asked: time.Hour},
		"nothing asked, but a cut": {TTL: 9 * sec, Capped: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, lease.Config{}, func(w *world) {
				t := w.t
				k := w.keeper(10 * sec)
				k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
					l := renewed
					l.Sent = w.clock()
					return l, nil
				}
				k.onReplace = func(context.Context) (*lease.Grant, error) {
					time.Sleep(2 * sec) // the old one lives meanwhile
					return w.grant(time.Hour, nil), nil
				}
				e := w.add("db", k, nil)
				old := e.Grant()
				pass(5500 * ms)
				renews, replaces, _ := k.calls()
				require.Len(t, renews, 1)
				require.Len(t, replaces, 1)
				assert.Equal(t, renews[0], replaces[0], "at once")
				for range 20 {
					e.Supersede(old)
					e.Invalidate(old, nil)
				}
				pass(5 * sec)
				_, replaces, _ = k.calls()
				assert.Len(t, replaces, 1, "one is enough")
				assert.Equal(t, 1, k.most)
				assert.EqualValues(t, 2, e.Status().Generation)
			})
		})
	}
}

func TestARoundingSecondIsNoTruncation(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(10 * sec)
		k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
			return lease.Lease{TTL: 9 * sec, Asked: 10 * sec, Sent: w.clock(), Renewable: true}, nil
		}
		w.add("db", k, nil)
		pass(time.Minute)
		_, replaces, _ := k.calls()
		assert.Empty(t, replaces)
	})
}

func TestAFailingReplacementOfATruncatedGrantBacksOffWhileTheOldOneLives(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
			return lease.Lease{TTL: 50 * sec, Asked: time.Minute, Sent: w.clock(), Renewable: true}, nil
		}
		k.onReplace = replaceFails(lease.Transient)
		e := w.add("db", k, nil)
		pass(31 * sec)
		renews, _, _ := k.calls()
		require.Len(t, renews, 1)
		pass(renews[0] + 50*sec - w.now() - ms)
		assert.True(t, e.Grant().Valid(w.clock()))
		assert.Equal(t, lease.Stale, e.Status().Condition)
		renews, replaces, _ := k.calls()
		assert.Len(t, renews, 1, "there is nothing left to renew")
		assert.Less(t, len(replaces), 25)
		assert.Greater(t, len(replaces), 3)
		for i := 1; i < len(replaces) && replaces[i] < renews[0]+45*sec; i++ {
			assert.GreaterOrEqual(t, replaces[i]-replaces[i-1], sec)
		}
	})
}

// TestLaw05AFailedRenewalNeverMints is B1: the storm of the official watcher was
// 10,134 renewals of one such lease. Mutations: let the window begin at a third;
// retry without a pause.
func TestLaw05AFailedRenewalNeverMints(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		k.onRenew = renewFails(lease.Unknown)
		w.add("db", k, nil)
		pass(5 * time.Minute)
		renews, replaces, _ := k.calls()
		assert.LessOrEqual(t, len(replaces), 9, "300/40 and one")
		assert.GreaterOrEqual(t, len(replaces), 4)
		last := time.Duration(0)
		for _, at := range replaces {
			assert.GreaterOrEqual(t, at-last, 40*sec, "before the window")
			assert.Less(t, at-last, time.Minute)
			n := 0
			for _, r := range renews {
				if r >= last && r < at {
					n++
				}
			}
			assert.Less(t, n, 10, "renewals of one lease")
			assert.Positive(t, n)
			last = at
		}
		assert.Empty(t, w.told("db", lease.Expired))
		assert.Len(t, w.told("db", lease.RenewFailed), len(renews))
	})
}

// TestLaw05InvalidatingOftenReplacesOnce. Mutation: let Invalidate hurry whatever
// grant it is given.
func TestLaw05InvalidatingOftenReplacesOnce(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Hour)
		k.onReplace = func(context.Context) (*lease.Grant, error) {
			time.Sleep(sec)
			return w.grant(time.Hour, nil), nil
		}
		e := w.add("db", k, nil)
		g := e.Grant()
		for range 1000 {
			go e.Invalidate(g, nil)
		}
		synctest.Wait()
		assert.False(t, e.Grant().Valid(w.clock()))
		assert.Equal(t, lease.ExpiredAt, e.Status().Condition)
		pass(2 * sec)
		for range 10 {
			e.Invalidate(g, nil) // late news of the old one
		}
		pass(time.Minute)
		_, replaces, _ := k.calls()
		assert.Len(t, replaces, 1)
		assert.True(t, e.Grant().Valid(w.clock()))
		assert.Len(t, w.told("db", lease.Replaced), 1)
	})
}

// TestA2AnOutageOfFourTenthsOfTheTTLMintsNothing begins just before each lease would be
// renewed, and may end when a tenth of it is left. Mutation: at the end give up renewing.
func TestA2AnOutageOfFourTenthsOfTheTTLMintsNothing(t *testing.T) {
	const ttl = 20 * sec
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		var entries []*lease.Entry
		var keepers []*keeper
		for i := range 200 {
			k := w.keeper(ttl)
			var began time.Duration
			k.onRenew = func(ctx context.Context, _ *lease.Grant) (lease.Lease, error) {
				if began == 0 {
					began = w.now()
				}
				if w.now() >= began+ttl*4/10 {
					return w.lease(ttl), nil
				}
				if i%2 == 0 { // a black hole
					limited, cancel := context.WithTimeout(ctx, sec)
					defer cancel()
					_ = hang(limited)
				}
				return lease.Lease{}, errOf(lease.Transient)
			}
			keepers = append(keepers, k)
			entries = append(entries, w.add("db", k, nil))
		}
		pass(ttl)
		for i, k := range keepers {
			_, replaces, _ := k.calls()
			assert.Empty(t, replaces)
			assert.True(t, entries[i].Grant().Valid(w.clock()))
			assert.Equal(t, lease.Fresh, entries[i].Status().Condition)
		}
		assert.Empty(t, w.told("db", lease.Expired))
	})
}

// TestA2WhatOnlyRenewingFailsForIsReplacedInTime has the server fail every renewal as if
// it were down. Mutations: renew until the end; sleep past the last moment to replace.
func TestA2WhatOnlyRenewingFailsForIsReplacedInTime(t *testing.T) {
	for _, ttl := range []time.Duration{10 * sec, time.Minute, time.Hour} {
		inBubble(t, lease.Config{}, func(w *world) {
			t := w.t
			var keepers []*keeper
			for range 100 {
				k := w.keeper(ttl)
				k.onRenew = renewFails(lease.Transient)
				keepers = append(keepers, k)
				w.add("db", k, nil)
			}
			pass(ttl)
			assert.Empty(t, w.told("db", lease.Expired), "%v", ttl)
			for _, k := range keepers {
				renews, replaces, _ := k.calls()
				require.NotEmpty(t, replaces)
				assert.GreaterOrEqual(t, replaces[0], ttl/12*11, "not before the last twelfth")
				assert.LessOrEqual(t, replaces[0], ttl/12*11+500*ms, "and not at its end")
				assert.Less(t, len(renews), 10)
			}
		})
	}
}

// TestA2ARenewalThatFailsLateLeavesTimeToReplace: what was begun before the last twelfth and is answered in it
// is followed by one renewal more, and by a replacement, at once. Mutation: sleep away half of what is left.
func TestA2ARenewalThatFailsLateLeavesTimeToReplace(t *testing.T) {
	const ttl, answer, last = time.Minute, time.Second, 250 * time.Millisecond
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		var keepers []*keeper
		for range 200 {
			k := w.keeper(ttl)
			k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
				time.Sleep(answer)
				return lease.Lease{}, errOf(lease.Transient)
			}
			keepers = append(keepers, k)
			w.add("db", k, nil)
		}
		pass(ttl)
		assert.Empty(t, w.told("db", lease.Expired))
		for _, k := range keepers {
			_, replaces, _ := k.calls()
			require.NotEmpty(t, replaces)
			assert.GreaterOrEqual(t, replaces[0], ttl/12*11, "not before the last twelfth")
			assert.LessOrEqual(t, replaces[0], ttl/12*11+2*(answer+last), "and not at its end")
		}
	})
}

func TestADeadLeaseIsReplacedAtOnce(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		k.onRenew = renewFails(lease.Dead)
		e := w.add("db", k, nil)
		old := e.Grant()
		pass(31 * sec)
		renews, replaces, _ := k.calls()
		require.Len(t, renews, 1)
		require.Len(t, replaces, 1)
		assert.Equal(t, renews[0], replaces[0])
		assert.True(t, old.Ended())
		assert.Len(t, w.told("db", lease.Lost), 1)
		assert.EqualValues(t, 2, e.Status().Generation)
	})
}

// TestLaw08ARefusedRenewalIsToldOnceAndNotRepeated is A6. Mutation: in failed
// leave noRenew as it is.
func TestLaw08ARefusedRenewalIsToldOnceAndNotRepeated(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		k.onRenew = renewFails(lease.Refused)
		e := w.add("db", k, nil)
		pass(10 * time.Minute)
		renews, replaces, _ := k.calls()
		assert.InDelta(t, 12, len(replaces), 3, "rotation on time: 40 to 50 s each")
		assert.InDelta(t, len(replaces), len(renews), 1, "one for each grant")
		assert.Len(t, w.told("db", lease.RenewRefused), 1)
		assert.Empty(t, w.told("db", lease.RenewFailed))
		assert.Empty(t, w.told("db", lease.Expired))
		assert.True(t, e.Grant().Valid(w.clock()))
	})
}

// TestLaw08WhatCannotBeRenewedIsOnlyReplaced is A5 and B6. Mutation: in
// Policy.Next do not ask whether it is renewable.
func TestLaw08WhatCannotBeRenewedIsOnlyReplaced(t *testing.T) {
	for name, l := range map[string]lease.Lease{
		"a batch token":             {TTL: time.Minute, Asked: time.Minute},
		"cut at its very beginning": {TTL: time.Minute, Asked: time.Minute, Renewable: true, Capped: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, lease.Config{}, func(w *world) {
				t := w.t
				k := w.keeper(time.Minute)
				now := func() *lease.Grant {
					l := l
					l.Sent = w.clock()
					return lease.NewGrant(l, nil)
				}
				k.onReplace = func(context.Context) (*lease.Grant, error) { return now(), nil }
				w.m.Add("token", k, now())
				pass(10 * time.Minute)
				renews, replaces, _ := k.calls()
				assert.Empty(t, renews)
				assert.InDelta(t, 13, len(replaces), 2)
				last := time.Duration(0)
				for _, at := range replaces {
					assert.GreaterOrEqual(t, at-last, 40*sec)
					assert.LessOrEqual(t, at-last, 50*sec)
					last = at
				}
				assert.Empty(t, w.told("token", lease.Expired))
			})
		})
	}
}
