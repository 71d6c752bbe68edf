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
