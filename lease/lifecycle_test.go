package lease_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/bubble"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

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
		// What can be given back is, although a job hangs.
		n, err := w.m.Release(t.Context())
		require.NoError(t, err)
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

func TestReleaseAsksEveryKeeper(t *testing.T) {
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
			assert.Len(t, releases, 1, "%d: what is not valid any more the keeper knows", i)
		}
	})
}

func TestTenThousandLeasesAtRestAreOneGoroutine(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		const ours = "leasehold/lease.(*Manager)"
		f := w.family(24*time.Hour, 24*time.Hour, 10_000)
		pass(sec)
		assert.Len(t, bubble.Running(ours), 1)
		pass(48 * time.Hour)
		assert.Len(t, bubble.Running(ours), 1, "after a lot of work")
		for _, k := range f.keepers {
			if len(k.renews) < 4 || len(k.replaces) > 0 {
				t.Fatalf("%d renewals, %d replacements in four half lives", len(k.renews), len(k.replaces))
			}
		}
	})
}
