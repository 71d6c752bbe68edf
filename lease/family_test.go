package lease_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

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

// TestLaw03WhatHasNotMovedFromATokenThatDiesMovesNow has the old token revoked in the midst
// of the handover. Mutation: heed the death of the current grant only.
func TestLaw03WhatHasNotMovedFromATokenThatDiesMovesNow(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f := w.family(time.Hour, 10*time.Hour, 50)
		old := f.token.Grant()
		f.token.Supersede(old)
		pass(sec)
		require.NotSame(t, old, f.token.Grant())
		f.token.Invalidate(old, nil)
		pass(sec)
		for i, k := range f.keepers {
			_, replaces, _ := k.calls()
			assert.Len(t, replaces, 1, "child %d", i)
			assert.True(t, f.children[i].Grant().Valid(w.clock()))
		}
		_, logins, _ := f.tokens.calls()
		assert.Len(t, logins, 1)
	})
}
