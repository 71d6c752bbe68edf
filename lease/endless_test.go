package lease_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

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
