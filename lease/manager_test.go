package lease_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
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

func TestAnOutageMintsNothingAndKeepsTheLease(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		var down atomic.Bool
		k := w.keeper(time.Minute)
		k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
			if down.Load() {
				return lease.Lease{}, errOf(lease.Transient)
			}
			return w.lease(time.Minute), nil
		}
		e := w.add("db", k, nil)
		g := e.Grant()
		down.Store(true)
		pass(45 * sec) // in the replacement window
		require.Equal(t, lease.Stale, e.Status().Condition)
		require.Positive(t, e.Status().Failures)
		down.Store(false)
		pass(15 * sec)
		_, replaces, _ := k.calls()
		assert.Empty(t, replaces)
		assert.Same(t, g, e.Grant())
		assert.Equal(t, lease.Fresh, e.Status().Condition)
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

// family is a token with children obtained under it.
type family struct {
	token    *lease.Entry
	tokens   *keeper
	children []*lease.Entry
	keepers  []*keeper
}

func (w *world) family(tokenTTL, childTTL time.Duration, n int) *family {
	f := &family{tokens: w.keeper(tokenTTL)}
	f.token = w.add("token", f.tokens, nil)
	for i := range n {
		k := w.keeper(childTTL)
		k.parent = func() *lease.Grant { return f.token.Grant() }
		f.keepers = append(f.keepers, k)
		f.children = append(f.children, w.add(fmt.Sprintf("child-%d", i), k, f.token.Grant()))
	}
	return f
}

// TestLaw03ChildrenFollowANewParentInTime is make before break. Mutations: do not
// mark the old parent as superseded; spread over twice of what it has left.
func TestLaw03ChildrenFollowANewParentInTime(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f := w.family(time.Minute, time.Hour, 200)
		old := f.token.Grant()
		f.tokens.set(func() {
			f.tokens.onRenew = func(_ context.Context, g *lease.Grant) (lease.Lease, error) {
				l := w.lease(time.Minute)
				if g == old {
					l.TTL = 40 * sec
				}
				return l, nil
			}
		})
		pass(30 * sec)
		renews, replaces, releases := f.tokens.calls()
		require.Len(t, renews, 1)
		require.Len(t, replaces, 1, "the token could not be extended")
		require.NotSame(t, old, f.token.Grant())
		began, end := replaces[0], renews[0]+40*sec
		pass(end - w.now() - ms)
		assert.True(t, old.Valid(w.clock()), "it dies by itself")
		early, late := 0, 0
		for i, k := range f.keepers {
			_, replaces, releases := k.calls()
			require.Len(t, replaces, 1, "child %d", i)
			assert.LessOrEqual(t, replaces[0], began+(end-began)/2+ms, "within half of what the old parent had")
			assert.Same(t, f.token.Grant(), f.children[i].Grant().Parent())
			assert.Empty(t, releases)
			assert.Empty(t, w.told(fmt.Sprintf("child-%d", i), lease.Expired))
			switch at := replaces[0] - began; {
			case at < 5*sec:
				early++
			case at > 15*sec:
				late++
			}
		}
		assert.Greater(t, early, 20, "spread")
		assert.Greater(t, late, 20, "spread")
		assert.Empty(t, releases)
	})
}

// TestLaw03AHandoverDoesNotOutwaitAShorterLease. Mutation: spread over half of what
// the old parent has, whatever the lease itself has.
func TestLaw03AHandoverDoesNotOutwaitAShorterLease(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f := w.family(15*time.Minute, 20*sec, 50)
		f.token.Supersede(f.token.Grant())
		pass(10*sec + ms)
		for i, k := range f.keepers {
			_, replaces, _ := k.calls()
			assert.Len(t, replaces, 1)
			assert.Empty(t, w.told(fmt.Sprintf("child-%d", i), lease.Expired))
		}
	})
}

func TestAChildThatCannotBeReplacedIsServedUntilItsTrueDeadline(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f := w.family(time.Minute, time.Hour, 1)
		f.keepers[0].set(func() { f.keepers[0].onReplace = replaceFails(lease.Transient) })
		g := f.children[0].Grant()
		f.token.Supersede(f.token.Grant())
		pass(59 * sec)
		_, replaces, _ := f.keepers[0].calls()
		assert.Greater(t, len(replaces), 3)
		assert.Less(t, len(replaces), 40)
		assert.True(t, g.Valid(w.clock()))
		assert.Same(t, g, f.children[0].Grant())
		pass(2 * sec)
		assert.False(t, g.Valid(w.clock()))
		assert.Equal(t, []time.Duration{time.Minute}, w.told("child-0", lease.Expired))
	})
}

// TestLaw02AParentThatIsRenewedMovesItsChildrensDeadline. Mutation: obtain the
// children anew when the parent is renewed.
func TestLaw02AParentThatIsRenewedMovesItsChildrensDeadline(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f := w.family(time.Minute, 24*time.Hour, 3)
		child := f.children[0]
		assert.Equal(t, time.Minute, child.Grant().Left(w.clock()))
		expires := child.Status().Expires
		pass(time.Hour)
		assert.Greater(t, child.Grant().Left(w.clock()), 29*sec)
		assert.True(t, child.Status().Expires.After(expires.Add(59*time.Minute)))
		assert.Equal(t, f.token.Status().Expires, child.Status().Expires, "the true one")
		for i, k := range f.keepers {
			renews, replaces, _ := k.calls()
			assert.Empty(t, renews)
			assert.Empty(t, replaces)
			assert.Empty(t, w.told(fmt.Sprintf("child-%d", i), lease.Expired))
		}
	})
}

func TestALostParentTakesItsChildrenAlong(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f := w.family(time.Hour, time.Hour, 20)
		for _, k := range f.keepers {
			k.set(func() { k.onRenew = renewFails(lease.ParentDead) })
		}
		pass(sec)
		f.token.Invalidate(f.token.Grant(), nil)
		pass(sec)
		for i, c := range f.children {
			_, replaces, _ := f.keepers[i].calls()
			assert.Len(t, replaces, 1, "at once: they are gone")
			assert.True(t, c.Grant().Valid(w.clock()))
		}
	})
}

func TestAChildsParentDeadIsCuredByANewParent(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f := w.family(time.Hour, time.Minute, 1)
		dead := f.token.Grant()
		f.keepers[0].set(func() {
			f.keepers[0].onRenew = func(_ context.Context, g *lease.Grant) (lease.Lease, error) {
				if g.Parent() == dead {
					return lease.Lease{}, errOf(lease.ParentDead)
				}
				return w.lease(time.Minute), nil
			}
		})
		pass(31 * sec)
		require.Positive(t, f.children[0].Status().Failures)
		f.token.Invalidate(dead, nil)
		pass(0)
		_, replaces, _ := f.keepers[0].calls()
		require.Len(t, replaces, 1, "without waiting for a back-off")
		assert.Zero(t, f.children[0].Status().Failures)
	})
}

func TestEnsureReturnsAtOnceIfThereIsAnotherValidGrant(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		e := w.add("db", k, nil)
		require.NoError(t, e.Ensure(t.Context(), nil))
		_, replaces, _ := k.calls()
		assert.Empty(t, replaces)
	})
}

func TestEnsureStartsOrJoinsOneReplacement(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Hour)
		k.onReplace = func(context.Context) (*lease.Grant, error) {
			time.Sleep(3 * sec)
			return w.grant(time.Hour, nil), nil
		}
		e := w.add("db", k, nil)
		old := e.Grant()
		old.End()
		var served atomic.Int32
		for range 100 {
			go func() {
				assert.NoError(t, e.Ensure(t.Context(), old))
				served.Add(1)
			}()
		}
		pass(2 * sec)
		assert.Zero(t, served.Load())
		pass(2 * sec)
		assert.EqualValues(t, 100, served.Load())
		_, replaces, _ := k.calls()
		assert.Len(t, replaces, 1)
	})
}

func TestEnsureReplacesAGrantThatIsStillGoodIfItIsTheOneNotWanted(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		e := w.add("token", w.keeper(time.Hour), nil)
		old := e.Grant()
		require.NoError(t, e.Ensure(t.Context(), old))
		assert.NotSame(t, old, e.Grant())
		assert.True(t, old.Valid(w.clock()))
	})
}

func TestEnsureReturnsTheOutcomeOfOneAttempt(t *testing.T) {
	for _, class := range []lease.Class{lease.Transient, lease.Unknown, lease.Permanent, lease.Refused} {
		t.Run(class.String(), func(t *testing.T) {
			inBubble(t, lease.Config{}, func(w *world) {
				t := w.t
				k := w.keeper(time.Hour)
				k.onReplace = replaceFails(class)
				e := w.add("db", k, nil)
				e.Grant().End()
				err := e.Ensure(t.Context(), e.Grant())
				var le *lease.Error
				require.ErrorAs(t, err, &le)
				assert.Equal(t, class, le.Class)
				_, replaces, _ := k.calls()
				require.Len(t, replaces, 1)

				before := w.now()
				require.ErrorAs(t, e.Ensure(t.Context(), e.Grant()), &le)
				waited := w.now() - before
				_, replaces, _ = k.calls()
				if class == lease.Permanent || class == lease.Refused {
					assert.Zero(t, waited, "waiting does not cure it")
					assert.Len(t, replaces, 1)
				} else {
					assert.GreaterOrEqual(t, waited, sec, "the back-off holds for all")
					assert.Len(t, replaces, 2)
				}
			})
		})
	}
}

func TestEnsureHonoursItsContext(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Hour)
		k.onReplace = func(context.Context) (*lease.Grant, error) {
			time.Sleep(10 * sec)
			return w.grant(time.Hour, nil), nil
		}
		e := w.add("db", k, nil)
		e.Grant().End()
		ctx, cancel := context.WithTimeout(t.Context(), sec)
		defer cancel()
		require.ErrorIs(t, e.Ensure(ctx, e.Grant()), context.DeadlineExceeded)
		assert.Equal(t, sec, w.now())
		pass(10 * sec)
		assert.True(t, e.Grant().Valid(w.clock()), "the replacement was not given up")
	})
}

func TestEnsureIsEndedByCloseAndByRemove(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		outcome := make(chan error, 2)
		for _, name := range []string{"removed", "closed"} {
			k := w.keeper(time.Hour)
			k.onReplace = func(ctx context.Context) (*lease.Grant, error) { return nil, hang(ctx) }
			e := w.add(name, k, nil)
			e.Grant().End()
			go func() { outcome <- e.Ensure(t.Context(), e.Grant()) }()
			synctest.Wait()
			if name == "removed" {
				e.Remove()
				require.ErrorIs(t, <-outcome, lease.ErrClosed)
				require.ErrorIs(t, e.Ensure(t.Context(), nil), lease.ErrClosed)
			}
		}
		require.NoError(t, w.m.Close(t.Context()))
		require.ErrorIs(t, <-outcome, lease.ErrClosed)
	})
}

// A renewal that failed is no reason to let a dead credential wait: only a failed
// replacement is backed off from.
func TestAnInvalidationDoesNotWaitForTheBackOffOfARenewal(t *testing.T) {
	for _, class := range []lease.Class{lease.Transient, lease.Permanent} {
		t.Run(class.String(), func(t *testing.T) {
			inBubble(t, lease.Config{}, func(w *world) {
				t := w.t
				k := w.keeper(time.Hour)
				k.onRenew = renewFails(class)
				e := w.add("db", k, nil)
				pass(39*time.Minute + 58*sec) // the next try will be in the window
				require.Equal(t, lease.Stale, e.Status().Condition)
				old := e.Grant()
				e.Invalidate(old, nil)
				require.NoError(t, e.Ensure(t.Context(), old))
				_, replaces, _ := k.calls()
				assert.Equal(t, []time.Duration{w.now()}, replaces)
			})
		})
	}
}

func TestAnInvalidationDoesNotShortenTheBackOffOfAReplacement(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Hour)
		k.onReplace = replaceFails(lease.Transient)
		e := w.add("db", k, nil)
		for range 600 {
			e.Invalidate(e.Grant(), nil)
			pass(100 * ms)
		}
		_, replaces, _ := k.calls()
		assert.LessOrEqual(t, len(replaces), 4, "in a minute")
	})
}

func TestARequestForAReplacementIsNotLostInTheQueue(t *testing.T) {
	inBubble(t, lease.Config{Workers: 1}, func(w *world) {
		t := w.t
		f := w.family(0, time.Minute, 2)
		for _, k := range f.keepers {
			k.set(func() { k.onRenew = slowly(w, 20*sec) })
		}
		pass(31 * sec) // one of them is renewed, the other waits
		i := 0
		if r, _, _ := f.keepers[0].calls(); len(r) > 0 {
			i = 1
		}
		renews, _, _ := f.keepers[i].calls()
		require.Empty(t, renews)
		old := f.children[i].Grant()
		require.NoError(t, f.children[i].Ensure(t.Context(), old))
		renews, replaces, _ := f.keepers[i].calls()
		assert.Empty(t, renews)
		assert.Len(t, replaces, 1)
	})
}

func TestASupersessionIsNotLostInARenewal(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
			time.Sleep(5 * sec)
			return w.lease(time.Minute), nil
		}
		e := w.add("token", k, nil)
		old := e.Grant()
		for renews, _, _ := k.calls(); len(renews) == 0; renews, _, _ = k.calls() {
			pass(sec)
		}
		e.Supersede(old)
		pass(6 * sec)
		assert.NotSame(t, old, e.Grant())
	})
}

func TestExpiryIsToldOnceAndInTime(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		k.onRenew, k.onReplace = renewFails(lease.Unknown), replaceFails(lease.Permanent)
		e := w.add("db", k, nil)
		pass(time.Hour)
		assert.Equal(t, []time.Duration{time.Minute}, w.told("db", lease.Expired))
		assert.Equal(t, lease.ExpiredAt, e.Status().Condition)
		_, replaces, _ := k.calls()
		assert.Less(t, len(replaces), 20, "a permanent failure is retried slowly")
		k.set(func() { k.onReplace = nil })
		pass(11 * time.Minute)
		assert.True(t, e.Grant().Valid(w.clock()))
	})
}

// TestLaw12AConditionIsSeenWithItsReasonAndAge. Mutation: call a stale thing
// fresh in publish.
func TestLaw12AConditionIsSeenWithItsReasonAndAge(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		cause := errors.New("no route")
		k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
			return lease.Lease{}, &lease.Error{Class: lease.Transient, Err: cause}
		}
		k.onReplace = func(context.Context) (*lease.Grant, error) { return nil, cause }
		e := w.add("db", k, nil)
		start := w.clock().Wall
		s := e.Status()
		assert.Equal(t, lease.Status{Name: "db", Condition: lease.Fresh, Expires: start.Add(time.Minute), Renewable: true, Generation: 1}, s)

		pass(50 * sec)
		s = e.Status()
		renews, _, _ := k.calls()
		assert.Equal(t, lease.Stale, s.Condition)
		require.ErrorIs(t, s.Err, cause)
		assert.Equal(t, start.Add(renews[0]), s.Since, "of the first failure")
		assert.Greater(t, s.Failures, 2)
		assert.Equal(t, []lease.Status{s}, w.m.Entries())

		pass(11 * sec)
		assert.Equal(t, lease.ExpiredAt, e.Status().Condition)
		require.ErrorIs(t, e.Status().Err, cause)
	})
}

// TestLaw20APanicFailsItsOwnLeaseAndShowsNoValue. Mutation: print the panic's
// value instead of its type.
func TestLaw20APanicFailsItsOwnLeaseAndShowsNoValue(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		const canary = "hunter2-canary"
		bad, good := w.keeper(time.Minute), w.keeper(time.Minute)
		bad.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) { panic(canary) }
		bad.onReplace = func(context.Context) (*lease.Grant, error) { panic(errors.New(canary)) }
		bad.onRelease = func(context.Context, *lease.Grant) error { panic(canary) }
		e := w.add("bad", bad, nil)
		w.m.Poll("worse", 10*sec, func(context.Context) error { panic(canary) })
		w.add("good", good, nil)
		pass(50 * sec)
		require.Error(t, e.Status().Err)
		assert.Contains(t, e.Status().Err.Error(), "panic in a callback")
		renews, _, _ := good.calls()
		assert.NotEmpty(t, renews)
		require.NoError(t, w.m.Close(t.Context()))
		failed, err := w.m.Release(t.Context())
		assert.Equal(t, 1, failed)
		assert.NotContains(t, fmt.Sprintf("%+v %v", w.m.Entries(), err), canary)
		for _, ev := range w.events {
			assert.NotContains(t, fmt.Sprintf("%+v %v", ev, ev.Err), canary)
		}
	})
}

// TestLaw23WhatOthersDependOnNeverWaitsForAWorker. Mutation: have leases without a
// parent wait as well.
func TestLaw23WhatOthersDependOnNeverWaitsForAWorker(t *testing.T) {
	inBubble(t, lease.Config{Workers: 2}, func(w *world) {
		t := w.t
		f := w.family(time.Hour, time.Minute, 10)
		var hanging atomic.Int32
		for _, k := range f.keepers {
			k.set(func() {
				k.onRenew = func(ctx context.Context, _ *lease.Grant) (lease.Lease, error) {
					hanging.Add(1)
					return lease.Lease{}, hang(ctx)
				}
			})
		}
		pass(2 * time.Hour)
		renews, _, _ := f.tokens.calls()
		assert.GreaterOrEqual(t, len(renews), 3)
		assert.True(t, f.token.Grant().Valid(w.clock()))
		assert.EqualValues(t, 2, hanging.Load(), "no more at once than there are workers")
	})
}

// TestLaw23PollsThatHangDoNotHoldUpLeases. Mutation: have them share their workers.
func TestLaw23PollsThatHangDoNotHoldUpLeases(t *testing.T) {
	inBubble(t, lease.Config{Workers: 2}, func(w *world) {
		t := w.t
		f := w.family(time.Hour, time.Minute, 5)
		var hanging atomic.Int32
		for range 30 {
			w.m.Poll("kv", 5*sec, func(ctx context.Context) error { hanging.Add(1); return hang(ctx) })
		}
		pass(10 * time.Minute)
		assert.EqualValues(t, 2, hanging.Load())
		for _, k := range f.keepers {
			renews, replaces, _ := k.calls()
			assert.Greater(t, len(renews), 15)
			assert.Empty(t, replaces)
		}
	})
}

func TestWorkersTakeTurns(t *testing.T) {
	inBubble(t, lease.Config{Workers: 3}, func(w *world) {
		t := w.t
		f := w.family(0, time.Minute, 30)
		for _, k := range f.keepers {
			k.set(func() { k.onRenew = slowly(w, sec) })
		}
		pass(10 * time.Minute)
		for i, k := range f.keepers {
			renews, replaces, _ := k.calls()
			assert.Greater(t, len(renews), 10, "child %d", i)
			assert.Empty(t, replaces)
		}
	})
}

func TestAPollComesWithinItsInterval(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		var reads moments
		e := w.m.Poll("kv", time.Minute, func(context.Context) error {
			reads.add(w.now())
			return nil
		})
		assert.True(t, e.Status().Polled)
		assert.Nil(t, e.Grant())
		pass(time.Hour)
		at := reads.all()
		last := time.Duration(0)
		distinct := make(map[time.Duration]bool)
		for _, a := range at {
			assert.GreaterOrEqual(t, a-last, 45*sec)
			assert.LessOrEqual(t, a-last, 57*sec, "the answer takes its time, too")
			distinct[a-last] = true
			last = a
		}
		assert.Greater(t, len(distinct), len(at)/2, "jitter")
		assert.GreaterOrEqual(t, len(at), 60)
		assert.Equal(t, lease.Fresh, e.Status().Condition)
		e.Remove()
		pass(time.Hour)
		assert.Len(t, reads.all(), len(at))
	})
}

func TestAFailedPollIsRetriedSooner(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		var reads moments
		var class atomic.Int32
		class.Store(int32(lease.Transient))
		e := w.m.Poll("kv", 10*time.Minute, func(context.Context) error {
			reads.add(w.now())
			if c := lease.Class(class.Load()); c != lease.Dead {
				return errOf(c)
			}
			return nil
		})
		pass(20 * time.Minute)
		at := reads.all()
		first := at[0]
		assert.LessOrEqual(t, at[1]-first, 20*sec)
		assert.Less(t, len(at), 25)
		s := e.Status()
		assert.Equal(t, lease.Stale, s.Condition)
		assert.Equal(t, len(at), s.Failures)
		assert.Equal(t, first, w.now()-w.clock().Wall.Sub(s.Since), "of the first failure")
		assert.Len(t, w.told("kv", lease.ReadFailed), len(at))

		class.Store(int32(lease.Dead)) // works
		pass(2 * time.Minute)
		assert.Equal(t, lease.Fresh, e.Status().Condition)

		class.Store(int32(lease.Permanent))
		n := len(reads.all())
		pass(time.Hour)
		assert.LessOrEqual(t, len(reads.all())-n, 8, "what waiting does not cure is read at the interval")
	})
}

func TestLeasesComeAndGoWhileTheManagerRuns(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		var entries []*lease.Entry
		var keepers []*keeper
		for i := range 50 {
			k := w.keeper(time.Minute)
			keepers = append(keepers, k)
			entries = append(entries, w.add(strconv.Itoa(i), k, nil))
			pass(sec)
		}
		assert.Len(t, w.m.Entries(), 50)
		for i, e := range entries {
			if i%2 == 0 {
				e.Remove()
			}
		}
		assert.Len(t, w.m.Entries(), 25)
		before := make([]int, 50)
		for i, k := range keepers {
			renews, _, _ := k.calls()
			before[i] = len(renews)
		}
		pass(2 * time.Minute)
		for i, k := range keepers {
			renews, replaces, releases := k.calls()
			if i%2 == 0 {
				assert.Len(t, renews, before[i])
			} else {
				assert.Greater(t, len(renews), before[i])
			}
			assert.Empty(t, replaces)
			assert.Empty(t, releases)
		}
	})
}

func TestWhatWasObtainedForARemovedEntryIsGivenBack(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Hour)
		k.onReplace = func(context.Context) (*lease.Grant, error) {
			time.Sleep(sec) // does not notice that it was cancelled
			return w.grant(time.Hour, nil), nil
		}
		e := w.add("db", k, nil)
		e.Invalidate(e.Grant(), nil)
		synctest.Wait()
		e.Remove()
		pass(2 * sec)
		_, _, releases := k.calls()
		assert.Len(t, releases, 1)
	})
}

func TestCloseCancelsWorkAndWaitsForIt(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		var ended atomic.Bool
		k := w.keeper(time.Hour)
		k.onReplace = func(ctx context.Context) (*lease.Grant, error) {
			err := hang(ctx)
			time.Sleep(sec)
			ended.Store(true)
			return nil, err
		}
		e := w.add("db", k, nil)
		e.Invalidate(e.Grant(), nil)
		synctest.Wait()
		require.NoError(t, w.m.Close(t.Context()))
		assert.True(t, ended.Load())
		assert.Equal(t, sec, w.now())
		require.NoError(t, w.m.Close(t.Context()), "again")
		assert.Empty(t, w.told("db", lease.ReplaceFailed), "not a failure")
	})
}

func TestCloseIsBoundedByItsContext(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Hour)
		k.onReplace = func(context.Context) (*lease.Grant, error) {
			time.Sleep(time.Minute) // does not care for its context
			return nil, errors.New("late")
		}
		e := w.add("db", k, nil)
		e.Invalidate(e.Grant(), nil)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 2*sec)
		defer cancel()
		require.ErrorIs(t, w.m.Close(ctx), context.DeadlineExceeded)
		assert.Equal(t, 2*sec, w.now())
		n, err := w.m.Release(t.Context())
		require.ErrorContains(t, err, "before Close")
		assert.Zero(t, n)
	})
}

func TestAClosedManagerDoesNothing(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		old := w.add("old", w.keeper(time.Minute), nil)
		require.NoError(t, w.m.Close(t.Context()))
		k := w.keeper(time.Minute)
		e := w.add("new", k, nil)
		w.m.Poll("poll", sec, func(context.Context) error { t.Error("polled"); return nil })
		e.Invalidate(e.Grant(), nil)
		old.Supersede(old.Grant())
		old.Adopt(w.grant(time.Hour, nil))
		old.Remove()
		require.ErrorIs(t, e.Ensure(t.Context(), e.Grant()), lease.ErrClosed)
		assert.Empty(t, w.m.Entries())
		pass(time.Hour)
		renews, replaces, _ := k.calls()
		assert.Empty(t, renews)
		assert.Empty(t, replaces)
	})
}

func TestReleaseGivesBackWhatIsStillValid(t *testing.T) {
	inBubble(t, lease.Config{Workers: 2}, func(w *world) {
		t := w.t
		var keepers []*keeper
		for i := range 5 {
			k := w.keeper(time.Hour)
			if i == 0 {
				k.ttl = sec
				k.onRenew, k.onReplace = renewFails(lease.Unknown), replaceFails(lease.Unknown)
			}
			if i >= 3 {
				k.onRelease = func(context.Context, *lease.Grant) error { return errors.New("no") }
			}
			keepers = append(keepers, k)
			w.add(strconv.Itoa(i), k, nil)
		}
		w.m.Poll("poll", time.Hour, func(context.Context) error { return nil })
		pass(2 * sec)
		require.NoError(t, w.m.Close(t.Context()))
		failed, err := w.m.Release(t.Context())
		assert.Equal(t, 2, failed)
		require.EqualError(t, err, "no")
		for i, k := range keepers {
			_, _, releases := k.calls()
			assert.Equal(t, i > 0, len(releases) == 1, "%d", i)
		}
	})
}

func TestTenThousandLeasesAtRestAreOneGoroutine(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f := w.family(24*time.Hour, 24*time.Hour, 10_000)
		pass(sec)
		assert.Equal(t, 1, ours())
		pass(48 * time.Hour)
		assert.Equal(t, 1, ours(), "after a lot of work")
		for _, k := range f.keepers {
			if len(k.renews) < 4 || len(k.replaces) > 0 {
				t.Fatalf("%d renewals, %d replacements in four half lives", len(k.renews), len(k.replaces))
			}
		}
	})
}

// ours counts the goroutines that run code of the package.
func ours() int {
	buf := make([]byte, 4<<20)
	n := 0
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "leasehold/lease.(*Manager)") && !strings.Contains(g, "runtime.Stack") {
			n++
		}
	}
	return n
}

// TestLaw09ASlowAnswerAgesItsOwnLease is K2. Mutation: in schedule let the age
// begin when the answer came.
func TestLaw09ASlowAnswerAgesItsOwnLease(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(10 * sec)
		k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
			l := w.lease(10 * sec) // sent now
			time.Sleep(3 * sec)
			return l, nil
		}
		e := w.add("db", k, nil)
		pass(5 * time.Minute)
		renews, replaces, _ := k.calls()
		assert.Empty(t, replaces)
		for i := 1; i < len(renews); i++ {
			assert.LessOrEqual(t, renews[i]-renews[i-1], 5*sec, "counted from the request")
		}
		left := renews[len(renews)-2] + 10*sec - w.now()
		assert.LessOrEqual(t, left, e.Grant().Left(w.clock()))
		assert.Empty(t, w.told("db", lease.Expired))
	})
}

// TestLaw09TheWallClockDecidesNothing sets it back and forth by hours. Mutation:
// let Grant.Valid go by the wall clock.
func TestLaw09TheWallClockDecidesNothing(t *testing.T) {
	for _, jump := range []time.Duration{-24 * time.Hour, -time.Minute, time.Minute} {
		t.Run(jump.String(), func(t *testing.T) {
			inBubble(t, lease.Config{}, func(w *world) {
				t := w.t
				k := w.keeper(time.Minute)
				var kept atomic.Int32
				k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
					if kept.Add(1) > 10 {
						return lease.Lease{}, errOf(lease.Transient)
					}
					return w.lease(time.Minute), nil
				}
				k.onReplace = replaceFails(lease.Transient)
				e := w.add("db", k, nil)
				pass(15 * sec)
				w.skew.Add(int64(jump))
				assert.True(t, e.Grant().Valid(w.clock()))
				assert.Equal(t, 45*sec, e.Grant().Left(w.clock()))
				pass(20 * time.Minute)
				renews, _, _ := k.calls()
				require.Greater(t, len(renews), 10)
				last := time.Duration(0)
				for _, at := range renews[:10] {
					assert.GreaterOrEqual(t, at-last, 20*sec)
					assert.LessOrEqual(t, at-last, 30*sec)
					last = at
				}
				assert.Equal(t, []time.Duration{last + time.Minute}, w.told("db", lease.Expired))
				assert.False(t, e.Grant().Valid(w.clock()))
			})
		})
	}
}

func TestAnAdoptedGrantIsKeptAndItsChildrenMove(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f := w.family(time.Hour, time.Hour, 5)
		old := f.token.Grant()
		fresh := w.grant(time.Hour, nil)
		f.token.Adopt(fresh)
		pass(31 * time.Minute)
		assert.Same(t, fresh, f.token.Grant())
		assert.EqualValues(t, 2, f.token.Status().Generation)
		assert.True(t, old.Valid(w.clock()), "it is not ended")
		_, replaces, _ := f.tokens.calls()
		assert.Empty(t, replaces)
		for i, k := range f.keepers {
			_, replaces, _ := k.calls()
			require.Len(t, replaces, 1)
			assert.LessOrEqual(t, replaces[0], 10*time.Minute)
			assert.Same(t, fresh, f.children[i].Grant().Parent())
		}
	})
}

// An answer about the grant of before says nothing about the one that was adopted
// while it was on its way.
func TestAnAdoptionDuringARenewalIsNotTouchedByItsAnswer(t *testing.T) {
	for _, outcome := range []string{"truncated", "refused", "dead"} {
		t.Run(outcome, func(t *testing.T) {
			inBubble(t, lease.Config{}, func(w *world) {
				t := w.t
				k := w.keeper(time.Minute)
				k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
					if w.now() > time.Minute {
						return w.lease(time.Minute), nil
					}
					time.Sleep(5 * sec)
					switch outcome {
					case "truncated":
						return lease.Lease{TTL: sec, Asked: time.Minute, Sent: w.clock()}, nil
					case "refused":
						return lease.Lease{}, errOf(lease.Refused)
					}
					return lease.Lease{}, errOf(lease.Dead)
				}
				e := w.add("token", k, nil)
				for renews, _, _ := k.calls(); len(renews) == 0; renews, _, _ = k.calls() {
					pass(sec)
				}
				fresh := w.grant(2*time.Minute, nil)
				e.Adopt(fresh)
				pass(10 * time.Minute)
				assert.Same(t, fresh, e.Grant())
				renews, replaces, _ := k.calls()
				assert.Empty(t, replaces)
				assert.Greater(t, len(renews), 5)
				assert.True(t, fresh.Valid(w.clock()))
			})
		})
	}
}

func TestChildrenOfAnAdoptedGrantFollowAReplacementThatWasUnderWay(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f := w.family(time.Hour, time.Hour, 0)
		f.tokens.set(func() {
			f.tokens.onReplace = func(context.Context) (*lease.Grant, error) {
				time.Sleep(10 * sec)
				return w.grant(time.Hour, nil), nil
			}
		})
		f.token.Invalidate(f.token.Grant(), nil)
		synctest.Wait()
		adopted := w.grant(time.Minute, nil)
		f.token.Adopt(adopted)
		k := w.keeper(time.Hour)
		k.parent = func() *lease.Grant { return f.token.Grant() }
		child := w.add("child", k, adopted)
		pass(40 * sec)
		assert.NotSame(t, adopted, f.token.Grant())
		assert.Same(t, f.token.Grant(), child.Grant().Parent())
	})
}

func TestAnEndlessLeaseIsLeftAlone(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(0)
		e := w.add("root", k, nil)
		pass(10_000 * time.Hour)
		renews, replaces, _ := k.calls()
		assert.Empty(t, renews)
		assert.Empty(t, replaces)
		assert.True(t, e.Status().Expires.IsZero())
		e.Supersede(e.Grant())
		pass(0)
		_, replaces, _ = k.calls()
		assert.Len(t, replaces, 1)
	})
}

func TestAManagerNeedsNoConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := lease.NewManager(lease.Config{})
		w := &world{t: t, clock: lease.SystemClock(), m: m}
		k := w.keeper(time.Minute)
		m.Add("db", k, w.grant(time.Minute, nil))
		pass(31 * sec)
		renews, _, _ := k.calls()
		assert.Len(t, renews, 1)
		require.NoError(t, m.Close(t.Context()))
	})
}

// A closed timer of the bubble must not hide that the loop looks again after at
// most 30 s: timers stop with a machine that sleeps (K1).
func TestADeadlineThatCameWhileTimersStoodStillIsFoundWithinHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slept atomic.Int64
		system := lease.SystemClock()
		clock := func() lease.Instant {
			now := system()
			now.Mono += time.Duration(slept.Load())
			return now
		}
		m := lease.NewManager(lease.Config{Clock: clock})
		w := &world{t: t, clock: clock, m: m}
		k := w.keeper(24 * time.Hour)
		m.Add("db", k, w.grant(24*time.Hour, nil))
		pass(sec)
		slept.Store(int64(13 * time.Hour))
		pass(30 * sec)
		renews, _, _ := k.calls()
		assert.Len(t, renews, 1)
		require.NoError(t, m.Close(t.Context()))
	})
}
