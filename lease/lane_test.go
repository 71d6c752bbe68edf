package lease_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// engines adds n leases at each of the paths, which hang in what they do.
func (w *world) engines(n int, paths ...string) (hanging *atomic.Int32) {
	hanging = new(atomic.Int32)
	parent := w.grant(24*time.Hour, nil)
	for _, path := range paths {
		for i := range n {
			k := w.keeper(time.Minute)
			k.onRenew = func(ctx context.Context, _ *lease.Grant) (lease.Lease, error) {
				hanging.Add(1)
				return lease.Lease{}, hang(ctx)
			}
			k.onReplace = func(ctx context.Context) (*lease.Grant, error) {
				hanging.Add(1)
				return nil, hang(ctx)
			}
			w.add(fmt.Sprintf("%s/role-%d", path, i), k, parent)
		}
	}
	return hanging
}

// TestLaw23EnginesThatHangHarmNoOther has ten engines hang in every renewal. Mutation: let
// what takes long keep its worker.
func TestLaw23EnginesThatHangHarmNoOther(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		var paths []string
		for i := range 10 {
			paths = append(paths, fmt.Sprintf("engine-%d/creds", i))
		}
		hanging := w.engines(20, paths...)
		f := w.family(time.Hour, time.Minute, 50)
		pass(2 * time.Hour)
		for i, k := range f.keepers {
			renews, replaces, _ := k.calls()
			assert.Greater(t, len(renews), 200, "child %d", i)
			assert.Empty(t, replaces, "child %d", i)
		}
		renews, _, _ := f.tokens.calls()
		assert.GreaterOrEqual(t, len(renews), 3)
		assert.EqualValues(t, 40, hanging.Load(), "half of the workers for each engine")
	})
}

// TestLaw23AnEngineThatHangsIsAskedByFew. Mutation: count no groups.
func TestLaw23AnEngineThatHangsIsAskedByFew(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		hanging := w.engines(1000, "database/creds")
		pass(2 * time.Hour)
		assert.EqualValues(t, 4, hanging.Load())
	})
}

// TestLaw23WhatTakesLongIsBounded has more engines hang than anybody has. Mutation: give
// every worker free that takes long.
func TestLaw23WhatTakesLongIsBounded(t *testing.T) {
	inBubble(t, lease.Config{Workers: 2}, func(w *world) {
		t := w.t
		var paths []string
		for i := range 100 {
			paths = append(paths, fmt.Sprintf("engine-%d/creds", i))
		}
		hanging := w.engines(1, paths...)
		f := w.family(time.Hour, 0, 0)
		pass(2 * time.Hour)
		assert.EqualValues(t, 2+8*2, hanging.Load())
		renews, _, _ := f.tokens.calls()
		assert.GreaterOrEqual(t, len(renews), 3, "what others depend on waits for nobody")
		assert.True(t, f.token.Grant().Valid(w.clock()))
	})
}

// TestLaw23WhatOthersDependOnNeverWaitsForAWorker. Mutation: have leases without a
// parent wait as well.
func TestLaw23WhatOthersDependOnNeverWaitsForAWorker(t *testing.T) {
	inBubble(t, lease.Config{Workers: 1}, func(w *world) {
		t := w.t
		var paths []string
		for i := range 20 {
			paths = append(paths, fmt.Sprintf("engine-%d/creds", i))
		}
		w.engines(1, paths...)
		f := w.family(time.Hour, 0, 0)
		pass(2 * time.Hour)
		renews, _, _ := f.tokens.calls()
		assert.GreaterOrEqual(t, len(renews), 3)
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
		assert.EqualValues(t, 2+8*2, hanging.Load())
		for _, k := range f.keepers {
			renews, replaces, _ := k.calls()
			assert.Greater(t, len(renews), 15)
			assert.Empty(t, replaces)
		}
	})
}

// TestLaw23WhatTakesLongGivesItsWorkerFreeAsSoonAsItMay. Mutation: it tries once.
func TestLaw23WhatTakesLongGivesItsWorkerFreeAsSoonAsItMay(t *testing.T) {
	inBubble(t, lease.Config{Workers: 1}, func(w *world) {
		t := w.t
		parent := w.grant(24*time.Hour, nil)
		release := make(chan struct{})
		var hanging atomic.Int32
		for i := range 8 {
			k := w.keeper(time.Minute)
			k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
				hanging.Add(1)
				<-release
				return w.lease(12 * time.Hour), nil
			}
			w.add(fmt.Sprintf("engine-%d/creds", i), k, parent)
		}
		pass(40 * sec)
		require.EqualValues(t, 8, hanging.Load())
		k := w.keeper(time.Minute)
		k.onRenew = func(ctx context.Context, _ *lease.Grant) (lease.Lease, error) { return lease.Lease{}, hang(ctx) }
		w.add("engine-9/creds", k, parent)
		pass(35 * sec)
		renews, _, _ := k.calls()
		require.Len(t, renews, 1)
		close(release)
		good := w.keeper(time.Minute)
		e := w.add("good/creds", good, parent)
		pass(2 * time.Minute)
		renews, _, _ = good.calls()
		assert.NotEmpty(t, renews, "renewed")
		assert.True(t, e.Grant().Valid(w.clock()))
	})
}
