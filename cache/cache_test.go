package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errDown = errors.New("down")
	noon    = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

func TestAValueIsZeroUntilItIsPublished(t *testing.T) {
	t.Parallel()
	v, p := cache.New[string]()
	assert.Empty(t, v.Get())
	assert.Zero(t, v.Snapshot())
	require.NoError(t, v.Err())
	assert.EqualValues(t, 1, p.Publish("a", noon, noon.Add(time.Hour)))
	assert.EqualValues(t, 2, p.Publish("b", noon.Add(time.Minute), time.Time{}))
	assert.Equal(t, "b", v.Get())
	assert.Equal(t, cache.Snapshot[string]{Value: "b", Generation: 2, Obtained: noon.Add(time.Minute)}, v.Snapshot())
}

// TestLaw11GetReturnsTheLastGoodValueAlways. Mutation: let Close take the value
// away.
func TestLaw11GetReturnsTheLastGoodValueAlways(t *testing.T) {
	t.Parallel()
	v, p := cache.New[string](cache.MaxStale(time.Nanosecond))
	p.Publish("a", noon, noon.Add(time.Hour)) // long past
	p.Fail(errDown)
	require.Error(t, v.Err())
	assert.Equal(t, "a", v.Get())
	require.NoError(t, v.Close())
	assert.Equal(t, "a", v.Get())
	assert.EqualValues(t, 1, v.Snapshot().Generation)
	assert.Zero(t, p.Publish("b", noon, time.Time{}), "nothing comes after Close")
	assert.Equal(t, "a", v.Get())
}

func TestAValueIsNeverTorn(t *testing.T) {
	t.Parallel()
	type pair struct{ user, password int }
	v, p := cache.New[pair]()
	p.Publish(pair{}, noon, time.Time{})
	ctx, cancel := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			last := uint64(0)
			for ctx.Err() == nil {
				s := v.Snapshot()
				if s.Value.user != s.Value.password {
					t.Errorf("torn: %+v", s)
				}
				if s.Generation < last {
					t.Errorf("generation %d after %d", s.Generation, last)
				}
				last = s.Generation
			}
		})
	}
	for w := range 4 {
		writers.Go(func() {
			for i := range 2000 {
				p.Publish(pair{w*10000 + i, w*10000 + i}, noon, time.Time{})
				p.Fail(errDown)
				p.Confirm(noon)
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	assert.EqualValues(t, 8001, v.Snapshot().Generation)
}

// TestLaw12StalenessIsSeenWithItsReasonAndAge. Mutation: forget in Fail when the
// value was last confirmed.
func TestLaw12StalenessIsSeenWithItsReasonAndAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, p := cache.New[int](cache.MaxStale(time.Minute))
		start := time.Now()
		p.Publish(1, start, time.Time{})
		require.NoError(t, v.Err())

		p.Fail(fmt.Errorf("read: %w", errDown))
		var stale *cache.StaleError
		require.ErrorAs(t, v.Err(), &stale)
		assert.Equal(t, start, stale.Since)
		require.ErrorIs(t, stale, errDown)
		assert.Equal(t, "cache: not confirmed since 2000-01-01T00:00:00Z: read: down", stale.Error())

		time.Sleep(30 * time.Second)
		p.Confirm(time.Now())
		require.NoError(t, v.Err())
		time.Sleep(time.Minute)
		require.NoError(t, v.Err())
		time.Sleep(time.Nanosecond)
		require.ErrorAs(t, v.Err(), &stale, "nothing failed, and yet")
		assert.Equal(t, start.Add(30*time.Second), stale.Since)
		require.NoError(t, stale.Err)
		assert.Equal(t, "cache: not confirmed since 2000-01-01T00:00:30Z", stale.Error())

		p.Publish(2, time.Now(), time.Time{})
		require.NoError(t, v.Err(), "a new value")
	})
}

func TestWithoutMaxStaleAgeAloneIsNoFault(t *testing.T) {
	t.Parallel()
	v, p := cache.New[int]()
	p.Publish(1, noon.Add(-10_000*time.Hour), time.Time{})
	assert.NoError(t, v.Err())
}

func TestWaitReturnsTheFirstLaterSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, p := cache.New[string]()
		got := make(chan cache.Snapshot[string], 100)
		for range 100 {
			go func() {
				s, err := v.Wait(t.Context(), 0)
				assert.NoError(t, err)
				got <- s
			}()
		}
		synctest.Wait()
		assert.Empty(t, got)
		p.Confirm(time.Now())
		p.Fail(errDown)
		synctest.Wait()
		assert.Empty(t, got, "only a value wakes")
		p.Publish("a", noon, time.Time{})
		for range 100 {
			assert.Equal(t, "a", (<-got).Value)
		}
		s, err := v.Wait(t.Context(), 0)
		require.NoError(t, err)
		assert.Equal(t, "a", s.Value, "at once: it is there")
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := cache.Fixed(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := v.Wait(ctx, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		s, err := v.Wait(ctx, 0)
		require.NoError(t, err, "what is there needs no context")
		assert.Equal(t, 1, s.Value)
	})
}

func TestWaitEndsWithTheValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := cache.Fixed(1)
		go func() {
			time.Sleep(time.Second)
			assert.NoError(t, v.Close())
		}()
		_, err := v.Wait(t.Context(), 1)
		require.ErrorIs(t, err, cache.ErrClosed)
		s, err := v.Wait(t.Context(), 0)
		require.NoError(t, err)
		assert.Equal(t, 1, s.Value)
	})
}

func TestAllYieldsEachChangeAndSkipsToTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, p := cache.New[int]()
		var got []int
		done := make(chan struct{})
		go func() {
			defer close(done)
			for s := range v.All(t.Context()) {
				got = append(got, s.Value)
				time.Sleep(9700 * time.Millisecond) // a slow reader, never at the moment of a change
			}
		}()
		synctest.Wait()
		for i := range 31 {
			p.Publish(i, time.Now(), time.Time{})
			time.Sleep(time.Second)
		}
		require.NoError(t, v.Close())
		<-done
		assert.Equal(t, []int{0, 9, 19, 29, 30}, got)
	})
}

func TestAllCanBeLeft(t *testing.T) {
	t.Parallel()
	v := cache.Fixed(1)
	n := 0
	for range v.All(t.Context()) {
		n++
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range v.All(ctx) {
		n++
		cancel()
	}
	assert.Equal(t, 2, n)
}

func TestCloseTellsItsOwnerOnce(t *testing.T) {
	t.Parallel()
	n := 0
	v, _ := cache.New[int](cache.OnClose(func() error { n++; return errDown }))
	require.ErrorIs(t, v.Close(), errDown)
	require.NoError(t, v.Close())
	assert.Equal(t, 1, n)
}

func TestGetAllocatesNothing(t *testing.T) {
	v := cache.Fixed(struct{ a, b, c, d string }{"a", "b", "c", "d"})
	n := 0
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		n += len(v.Get().a)
		n += len(v.Snapshot().Value.b)
		if v.Err() != nil {
			n++
		}
	}))
	assert.NotZero(t, n)
}

// TestRefreshAsksTheSource: where there is one.
func TestRefreshAsksTheSource(t *testing.T) {
	t.Parallel()
	asked := 0
	v, _ := cache.New[int](cache.OnRefresh(func(context.Context) error { asked++; return errDown }))
	require.ErrorIs(t, v.Refresh(t.Context()), errDown)
	require.NoError(t, v.Close())
	require.ErrorIs(t, v.Refresh(t.Context()), cache.ErrClosed)
	assert.Equal(t, 1, asked)
	assert.NoError(t, cache.Fixed(1).Refresh(t.Context()), "there is nothing to ask")
}

func ExampleFixed() {
	type Flags struct{ NewCheckout bool }
	flags := cache.Fixed(Flags{NewCheckout: true}) // in a test, where production uses kv.Watch
	fmt.Println(flags.Get().NewCheckout)
	// Output: true
}

func ExampleValue_All() {
	v, p := cache.New[string]()
	p.Publish("first", time.Now(), time.Time{})
	for s := range v.All(context.Background()) {
		fmt.Println(s.Generation, s.Value)
		if s.Generation == 2 {
			break
		}
		p.Publish("second", time.Now(), time.Time{})
	}
	// Output:
	// 1 first
	// 2 second
}

func ExampleValue_Err() {
	v, p := cache.New[string]()
	p.Publish("last good", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Time{})
	p.Fail(errors.New("vault is sealed"))
	fmt.Println(v.Get())
	fmt.Println(v.Err())
	// Output:
	// last good
	// cache: not confirmed since 2026-01-02T03:04:05Z: vault is sealed
}

func BenchmarkValueGet(b *testing.B) {
	v := cache.Fixed("value")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = v.Get()
		}
	})
}
