package lease_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

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
		assert.LessOrEqual(t, len(replaces), 13, "in a minute")
	})
}

func TestARequestForAReplacementIsNotLostInTheQueue(t *testing.T) {
	inBubble(t, lease.Config{Workers: 1}, func(w *world) {
		t := w.t
		f := w.family(0, time.Minute, 40)
		for _, k := range f.keepers {
			k.set(func() { k.onRenew = slowly(w, 900*ms) })
		}
		pass(31 * sec) // all are due, and most of them wait
		i := 0
		for i < 40 {
			if renews, _, _ := f.keepers[i].calls(); len(renews) == 0 {
				break
			}
			i++
		}
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

// TestB3ADeathWhileAReplacementIsBackedOffFromIsNotWaitedOut: the pause is of when the lease
// lived, and minutes long. Mutation: Invalidate keeps it.
func TestB3ADeathWhileAReplacementIsBackedOffFromIsNotWaitedOut(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Hour)
		k.onReplace = replaceFails(lease.Transient)
		e := w.add("db", k, nil)
		pass(time.Minute)
		e.Supersede(e.Grant())
		pass(sec)
		_, replaces, _ := k.calls()
		require.Len(t, replaces, 1)
		k.set(func() { k.onReplace = nil })
		e.Invalidate(e.Grant(), errOf(lease.Dead))
		pass(2 * sec)
		_, replaces, _ = k.calls()
		assert.Len(t, replaces, 2)
		assert.True(t, e.Grant().Valid(w.clock()))
	})
}

func TestEnsureDoesNotCallValidWhatHadEndedWhenItCame(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		k.onReplace = func(context.Context) (*lease.Grant, error) {
			l := w.lease(time.Minute)
			l.Sent.Mono -= time.Hour
			return lease.NewGrant(l, nil), nil
		}
		e := w.add("db", k, nil)
		old := e.Grant()
		e.Invalidate(old, nil)
		require.Error(t, e.Ensure(t.Context(), old))
	})
}

func TestLostIsToldOnceAlsoIfARenewalSucceeds(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
			time.Sleep(sec)
			return w.lease(time.Minute), nil // the answer came all the same
		}
		k.onReplace = replaceFails(lease.Transient)
		e := w.add("db", k, nil)
		for len(field(k, &k.renews)) == 0 {
			pass(ms * 100)
		}
		e.Invalidate(e.Grant(), errors.New("refused"))
		pass(10 * sec)
		assert.Len(t, w.told("db", lease.Lost), 1)
	})
}

func TestWhatIsLostInABackOffIsTriedAsWhatIsMissed(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(24 * time.Hour)
		k.onReplace = replaceFails(lease.Transient)
		e := w.add("db", k, nil)
		e.Supersede(e.Grant())
		pass(sec)
		_, replaces, _ := k.calls()
		require.Len(t, replaces, 1)
		k.set(func() { k.onReplace = nil })
		e.Invalidate(e.Grant(), nil)
		pass(31 * sec)
		assert.True(t, e.Grant().Valid(w.clock()))
	})
}

func TestWhatIsAdoptedNeedsNoReplacementThatWaitsForAWorker(t *testing.T) {
	inBubble(t, lease.Config{Workers: 1}, func(w *world) {
		t := w.t
		parent := w.grant(24*time.Hour, nil)
		block := w.keeper(24 * time.Hour)
		block.onReplace = func(context.Context) (*lease.Grant, error) {
			time.Sleep(500 * ms)
			return w.grant(24*time.Hour, parent), nil
		}
		b := w.add("a/x", block, parent)
		k := w.keeper(24 * time.Hour)
		k.parent = func() *lease.Grant { return parent }
		e := w.add("b/y", k, parent)
		b.Invalidate(b.Grant(), nil)
		e.Invalidate(e.Grant(), nil)
		pass(100 * ms)
		e.Adopt(w.grant(24*time.Hour, parent))
		pass(sec)
		_, replaces, _ := k.calls()
		assert.Empty(t, replaces)
	})
}
