package lease_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// TestLaw09ASlowAnswerAgesItsOwnLease is K2. Mutation: in schedule let the age
// begin when the answer came.
func TestLaw09ASlowAnswerAgesItsOwnLease(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(10 * sec)
		k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
			l := w.lease(10 * sec) // sent now
			take(3 * sec)
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

// TestLaw09AWallClockThatIsPutBackDecidesNothing is K2. Mutation: let Instant.since go
// by the wall clock.
func TestLaw09AWallClockThatIsPutBackDecidesNothing(t *testing.T) {
	for _, jump := range []time.Duration{-24 * time.Hour, -time.Minute, -time.Second, time.Second} {
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

// TestLaw09AWallClockPutForthAndBackMintsNothing. Mutation: forget in noticeSleep that the
// clock was put back.
func TestLaw09AWallClockPutForthAndBackMintsNothing(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f := w.family(time.Hour, time.Hour, 20)
		for _, step := range []struct{ jump, wait time.Duration }{
			{time.Hour, 40 * time.Minute}, // until all have been renewed
			{-time.Hour, 40 * time.Minute},
			{time.Hour, 4 * time.Minute}, // has ended, for all that the clocks say
			{-time.Minute, sec}, {time.Minute, sec}, {3 * sec, sec}, {-3 * sec, sec},
		} {
			w.skew.Add(int64(step.jump))
			pass(step.wait)
			assert.True(t, f.token.Grant().Valid(w.clock()), "%v", step)
			for _, c := range f.children {
				assert.True(t, c.Grant().Valid(w.clock()), "%v", step)
			}
		}
		for _, k := range append(f.keepers, f.tokens) {
			_, replaces, _ := k.calls()
			assert.Empty(t, replaces)
		}
	})
}
