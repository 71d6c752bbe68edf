package lease_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// TestStress has many goroutines add, remove, invalidate, supersede, adopt and wait for
// the leases of one manager, which fail, hang and panic, while the machine sleeps and the
// clock is set; and then closes it in the midst of that.
func TestStress(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inBubble(t, lease.Config{Workers: 4}, func(w *world) { stress(w, seed) })
		})
	}
}

// moody is a keeper whose answers are of every kind.
func (w *world) moody(r *rand.Rand, parent func() *lease.Grant) *keeper {
	k := w.keeper(time.Duration(1+r.IntN(60)) * sec)
	r = rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
	var mu sync.Mutex // guards r
	mood := func(ctx context.Context) error {
		mu.Lock()
		n := r.IntN(12)
		mu.Unlock()
		switch n {
		case 0:
			panic("mood")
		case 1:
			limited, cancel := context.WithTimeout(ctx, 5*sec)
			defer cancel()
			return hang(limited)
		case 2, 3, 4, 5:
			return errOf(lease.Class(n - 1))
		case 6:
			time.Sleep(2 * sec)
		}
		return nil
	}
	k.onRenew = func(ctx context.Context, _ *lease.Grant) (lease.Lease, error) { return w.lease(k.ttl), mood(ctx) }
	k.onReplace = func(ctx context.Context) (*lease.Grant, error) {
		if err := mood(ctx); err != nil {
			return nil, err
		}
		return w.grant(k.ttl, parent()), nil
	}
	return k
}

func stress(w *world, seed uint64) {
	t := w.t
	r := rand.New(rand.NewPCG(seed, 1))
	rootKeeper := w.moody(rand.New(rand.NewPCG(seed, 2)), func() *lease.Grant { return nil })
	rootKeeper.ttl = time.Minute
	root := w.add("token", rootKeeper, nil)
	var wg sync.WaitGroup
	for worker := range 32 {
		r := rand.New(rand.NewPCG(seed, uint64(worker)+100))
		wg.Go(func() {
			for range 40 {
				k := w.moody(r, root.Grant)
				e := w.add(fmt.Sprint("db/creds/", worker), k, root.Grant())
				for range 1 + r.IntN(5) {
					time.Sleep(time.Duration(r.IntN(10_000)) * ms)
					switch g := e.Grant(); r.IntN(6) {
					case 0:
						e.Invalidate(g, errors.New("refused"))
					case 1:
						e.Supersede(g)
					case 2:
						e.Adopt(w.grant(k.ttl, root.Grant()))
					case 3:
						ctx, cancel := context.WithTimeout(context.Background(), 3*sec)
						_ = e.Ensure(ctx, g)
						cancel()
					case 4:
						root.Invalidate(root.Grant(), nil)
					default:
						_ = w.m.Entries()
					}
				}
				if r.IntN(4) > 0 {
					e.Remove()
				}
			}
		})
	}
	poll := w.m.Poll("kv", 5*sec, func(context.Context) error { return errOf(lease.Transient) })
	for range 50 {
		time.Sleep(time.Duration(r.IntN(5_000)) * ms)
		w.skew.Add(int64(time.Duration(r.IntN(120)-60) * sec))
	}
	poll.Remove()
	time.Sleep(time.Duration(r.IntN(60)) * sec)
	require.NoError(t, w.m.Close(context.Background()))
	wg.Wait()
	synctest.Wait()
	assert.LessOrEqual(t, rootKeeper.most, 1, "one method of a keeper at a time")
	_, _ = w.m.Release(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), sec)
	defer cancel()
	require.ErrorIs(t, root.Ensure(ctx, root.Grant()), lease.ErrClosed)
}
