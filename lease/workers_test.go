package lease_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

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

		pass(58 * sec) // at 55 the last renewal, and then replacements, whatever the jitter of those before
		s = e.Status()
		renews, replaces, _ := k.calls()
		assert.Equal(t, lease.Stale, s.Condition)
		require.ErrorIs(t, s.Err, cause)
		assert.Equal(t, start.Add(renews[0]), s.Since, "of the first failure")
		assert.Greater(t, s.Failures, 2)
		assert.Equal(t, len(renews)+len(replaces), s.Failures)
		assert.Equal(t, []lease.Status{s}, w.m.Entries())

		pass(3 * sec)
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

// TestLaw18AKeeperThatEndsItsGoroutineIsNotWaitedFor, as t.FailNow does in a callback.
// Mutation: send the outcome only if the work returns.
func TestLaw18AKeeperThatEndsItsGoroutineIsNotWaitedFor(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Minute)
		k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) { runtime.Goexit(); return lease.Lease{}, nil }
		k.onReplace = func(context.Context) (*lease.Grant, error) { runtime.Goexit(); return nil, errOf(lease.Unknown) }
		e := w.add("db", k, nil)
		pass(50 * sec)
		renews, replaces, _ := k.calls()
		assert.NotEmpty(t, renews)
		assert.NotEmpty(t, replaces)
		require.ErrorContains(t, e.Status().Err, "ended its goroutine")
		ctx, cancel := context.WithTimeout(t.Context(), sec)
		defer cancel()
		require.NoError(t, w.m.Close(ctx))
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
		distinct := make(map[time.Duration]bool)
		assert.LessOrEqual(t, at[0], 57*sec)
		last, at := at[0], at[1:]
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
		assert.Len(t, reads.all(), len(at)+1)
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
		assert.LessOrEqual(t, at[1]-first, 5*time.Minute)
		assert.Less(t, len(at), 25)
		s := e.Status()
		assert.Equal(t, lease.Stale, s.Condition)
		assert.Equal(t, len(at), s.Failures)
		assert.Equal(t, first, w.now()-w.clock().Wall.Sub(s.Since), "of the first failure")
		assert.Len(t, w.told("kv", lease.ReadFailed), len(at))

		class.Store(int32(lease.Dead)) // works
		pass(5 * time.Minute)
		assert.Equal(t, lease.Fresh, e.Status().Condition)

		class.Store(int32(lease.Permanent))
		n := len(reads.all())
		pass(time.Hour)
		assert.LessOrEqual(t, len(reads.all())-n, 8, "what waiting does not cure is read at the interval")
	})
}

// TestLaw06APollHonoursRetryAfter. Mutation: it comes at its interval.
func TestLaw06APollHonoursRetryAfter(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		n := 0
		w.m.Poll("kv", 5*sec, func(context.Context) error {
			n++
			return &lease.Error{Class: lease.Transient, RetryAfter: time.Minute, Err: errors.New("429")}
		})
		pass(10 * time.Minute)
		assert.LessOrEqual(t, n, 11)
	})
}
