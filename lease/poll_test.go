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

// TestC2AnIntervalThatChangesIsKept: the next read comes within the shorter of the two, and then within
// the new one. Mutation: SetInterval puts off what is due by the old one.
func TestC2AnIntervalThatChangesIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := lease.NewManager(lease.Config{})
		defer func() { require.NoError(t, m.Close(context.Background())) }()
		var reads, latest atomic.Int64
		e := m.Poll("kv", time.Minute, func(context.Context) error {
			reads.Add(1)
			latest.Store(time.Now().UnixNano())
			return nil
		})
		last := func() time.Time { return time.Unix(0, latest.Load()) }
		time.Sleep(time.Hour)
		synctest.Wait()
		for range 100 {
			e.SetInterval(5 * time.Second)
			changed := time.Now()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			assert.False(t, last().Before(changed), "the new interval")
			e.SetInterval(time.Minute)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			assert.False(t, last().Before(changed.Add(5*time.Second)), "what was to come by the old one")
			time.Sleep(time.Minute)
			synctest.Wait()
			assert.Less(t, time.Since(last()), time.Minute)
		}
		reads.Store(0)
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.InDelta(t, 70, reads.Load(), 15)
		e.Remove()
		e.SetInterval(time.Second)
		reads.Store(0)
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Zero(t, reads.Load())
	})
}

// TestC2AReadByAnotherCounts: it is in Status, and the interval counts from it.
// Mutation: Polled schedules nothing.
func TestC2AReadByAnotherCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := lease.NewManager(lease.Config{})
		defer func() { require.NoError(t, m.Close(context.Background())) }()
		var reads atomic.Int64
		e := m.Poll("kv", time.Minute, func(context.Context) error { reads.Add(1); return nil })
		for range 100 {
			e.Polled(nil)
			time.Sleep(40 * time.Second)
		}
		assert.Zero(t, reads.Load())
		e.Polled(errOf(lease.Permanent))
		synctest.Wait()
		assert.Equal(t, lease.Stale, e.Status().Condition)
		require.Error(t, e.Status().Err)
		e.Polled(nil)
		synctest.Wait()
		assert.Equal(t, lease.Fresh, e.Status().Condition)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.EqualValues(t, 1, reads.Load())
	})
}
