package cache_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/cache"
)

// ten is a cache's size.
var ten = cache.Limits[int]{Answers: 10}

// whichever agrees to every kept answer.
func whichever(int) bool { return true }

// TestLaw14AThousandColdReadersCauseOneRequest is D1. Mutation: do not let others
// know of the flight.
func TestLaw14AThousandColdReadersCauseOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cache.NewShared[string](ten)
		var fetches, served atomic.Int32
		fetch := func(context.Context) (int, error) { //nolint:unparam // the type that Do takes
			time.Sleep(time.Second)
			return int(fetches.Add(1)), nil
		}
		for range 1000 {
			go func() {
				v, err := s.Do(t.Context(), "a", nil, fetch)
				assert.NoError(t, err)
				assert.Equal(t, 1, v)
				served.Add(1)
			}()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.EqualValues(t, 1000, served.Load())
		assert.EqualValues(t, 1, fetches.Load())
		v, err := s.Do(t.Context(), "a", nil, fetch)
		require.NoError(t, err)
		assert.Equal(t, 2, v, "who agrees to no kept one asks")
	})
}

// TestWhatIsKeptIsGivenToWhoAgreesToIt by Kept, without a flight: what would not do is no miss yet.
func TestWhatIsKeptIsGivenToWhoAgreesToIt(t *testing.T) {
	s := cache.NewShared[string](ten)
	_, ok := s.Kept("a", whichever)
	assert.False(t, ok)
	_, err := s.Do(t.Context(), "a", nil, func(context.Context) (int, error) { return 7, nil })
	require.NoError(t, err)
	_, ok = s.Kept("a", func(v int) bool { return v > 7 })
	assert.False(t, ok)
	v, ok := s.Kept("a", whichever)
	assert.True(t, ok)
	assert.Equal(t, 7, v)
	assert.Equal(t, cache.Counts{Hits: 1, Requests: 1, Kept: 1}, s.Counts())
}

// TestLaw14ACancelledLeaderDoesNotFailTheOthers. Mutation: let its error stand for
// all.
func TestLaw14ACancelledLeaderDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cache.NewShared[string](cache.Limits[string]{Answers: 10})
		var fetches, served atomic.Int32
		fetch := func(ctx context.Context) (string, error) {
			fetches.Add(1)
			select {
			case <-time.After(10 * time.Second):
				return "a", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		leader := make(chan error, 1)
		go func() {
			_, err := s.Do(ctx, "k", nil, fetch)
			leader <- err
		}()
		synctest.Wait()
		for range 100 {
			go func() {
				v, err := s.Do(t.Context(), "k", nil, fetch)
				assert.NoError(t, err)
				assert.Equal(t, "a", v)
				served.Add(1)
			}()
		}
		require.ErrorIs(t, <-leader, context.DeadlineExceeded)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		assert.EqualValues(t, 100, served.Load())
		assert.EqualValues(t, 2, fetches.Load(), "one of them asked for all")
	})
}

func TestAFollowerLeavesWithItsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cache.NewShared[string](ten)
		go func() {
			_, _ = s.Do(t.Context(), "k", nil, func(context.Context) (int, error) { time.Sleep(time.Minute); return 1, nil })
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		v, err := s.Do(ctx, "k", nil, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, v)
		assert.Equal(t, time.Second, time.Since(start))
		time.Sleep(time.Minute)
	})
}

func TestAnErrorIsSharedByThoseWhoWaitAndNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cache.NewShared[string](ten)
		n := 0
		fetch := func(context.Context) (int, error) {
			time.Sleep(time.Second)
			if n++; n == 1 {
				return 0, errDown
			}
			return n, nil
		}
		var failed atomic.Int32
		for range 10 {
			go func() {
				if _, err := s.Do(t.Context(), "k", whichever, fetch); errors.Is(err, errDown) {
					failed.Add(1)
				}
			}()
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		assert.EqualValues(t, 10, failed.Load())
		assert.Equal(t, 1, n)
		v, err := s.Do(t.Context(), "k", whichever, fetch)
		require.NoError(t, err)
		assert.Equal(t, 2, v)
	})
}

// TestAKeptAnswerServesWhoAgreesToIt: and who does not, has another fetched.
func TestAKeptAnswerServesWhoAgreesToIt(t *testing.T) {
	t.Parallel()
	s := cache.NewShared[string](ten)
	n := 0
	get := func(usable func(int) bool) int {
		v, err := s.Do(t.Context(), "k", usable, func(context.Context) (int, error) { n++; return n, nil })
		require.NoError(t, err)
		return v
	}
	assert.Equal(t, 1, get(whichever))
	assert.Equal(t, 1, get(whichever))
	assert.Equal(t, 2, get(func(v int) bool { return v > 1 }))
	assert.Equal(t, 2, get(func(v int) bool { return v > 1 }))
	assert.Equal(t, 3, get(nil))
	assert.Equal(t, 3, get(whichever), "what was fetched for who asks is kept, too")
	assert.Equal(t, cache.Counts{Hits: 3, Misses: 2, Requests: 3, Kept: 1}, s.Counts())
}

// TestWhatWasUsedLeastRecentlyMakesRoom. Mutation: Shared.do does not note that an answer was used.
func TestWhatWasUsedLeastRecentlyMakesRoom(t *testing.T) {
	t.Parallel()
	s := cache.NewShared[int](cache.Limits[int]{Answers: 3})
	var fetched []int
	get := func(keys ...int) {
		for _, key := range keys {
			v, err := s.Do(t.Context(), key, whichever, func(context.Context) (int, error) { fetched = append(fetched, key); return key, nil })
			require.NoError(t, err)
			require.Equal(t, key, v)
		}
	}
	get(1, 2, 3, 1)
	assert.Equal(t, []int{1, 2, 3}, fetched)
	get(4) // in place of 2
	get(3, 1, 4)
	assert.Equal(t, []int{1, 2, 3, 4}, fetched)
	get(2) // in place of 3
	get(1, 4, 2)
	assert.Equal(t, []int{1, 2, 3, 4, 2}, fetched)
	assert.Equal(t, cache.Counts{Hits: 7, Misses: 5, Requests: 5, Evictions: 2, Kept: 3}, s.Counts())
}

// TestACacheIsBoundedByWhatItsAnswersTake: and one that is too large leaves the others alone.
// Mutation: drop forgets what the answer took.
func TestACacheIsBoundedByWhatItsAnswersTake(t *testing.T) {
	t.Parallel()
	s := cache.NewShared[int](cache.Limits[string]{Answers: 100, Bytes: 10, Size: func(v string) int { return len(v) }})
	fetches := 0
	get := func(key, size int) {
		_, err := s.Do(t.Context(), key, func(string) bool { return true }, func(context.Context) (string, error) {
			fetches++
			return strings.Repeat("x", size), nil
		})
		require.NoError(t, err)
	}
	get(1, 4)
	get(2, 4)
	get(3, 2)
	assert.Equal(t, 3, s.Counts().Kept)
	get(4, 11)
	get(4, 11)
	assert.Equal(t, 5, fetches)
	assert.Equal(t, 3, s.Counts().Kept)
	get(5, 7) // in place of 1 and 2
	assert.Equal(t, 2, s.Counts().Kept)
	get(3, 2)
	get(5, 7)
	assert.Equal(t, 6, fetches)
	for range 100 {
		s.Invalidate(func(key int) bool { return key == 5 })
		get(5, 7)
	}
	assert.Equal(t, 2, s.Counts().Kept)
	assert.EqualValues(t, 2, s.Counts().Evictions)
}

// TestLaw14NoReaderJoinsARequestFromBeforeAWrite: who asked before the write has his answer, and
// nobody else. Mutation: Invalidate lets requests under way be joined.
func TestLaw14NoReaderJoinsARequestFromBeforeAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cache.NewShared[string](cache.Limits[string]{Answers: 10})
		content := "before"
		fetch := func(context.Context) (string, error) { //nolint:unparam // the type that Do takes
			v := content
			time.Sleep(time.Second)
			return v, nil
		}
		var early atomic.Int32
		for range 2 {
			go func() {
				v, err := s.Do(t.Context(), "k", nil, fetch)
				assert.NoError(t, err)
				assert.Equal(t, "before", v)
				early.Add(1)
			}()
		}
		synctest.Wait()
		content = "after"
		s.Invalidate(func(k string) bool { return k == "k" })
		for range 10 {
			go func() {
				v, err := s.Do(t.Context(), "k", func(string) bool { return true }, fetch)
				assert.NoError(t, err)
				assert.Equal(t, "after", v)
			}()
		}
		time.Sleep(2 * time.Second)
		assert.EqualValues(t, 2, early.Load())
		assert.EqualValues(t, 2, s.Counts().Requests)
	})
}

// TestLaw14WhatWasAskedForBeforeAWriteIsNotKept: though its answer comes after it.
// Mutation: Shared.lead keeps it all the same.
func TestLaw14WhatWasAskedForBeforeAWriteIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cache.NewShared[string](cache.Limits[string]{Answers: 10})
		content := "before"
		fetch := func(context.Context) (string, error) { //nolint:unparam // the type that Do takes
			v := content
			time.Sleep(time.Second)
			return v, nil
		}
		go func() { _, _ = s.Do(t.Context(), "k", nil, fetch) }()
		synctest.Wait()
		content = "after"
		s.Invalidate(func(string) bool { return true })
		time.Sleep(2 * time.Second)
		v, err := s.Do(t.Context(), "k", func(string) bool { return true }, fetch)
		require.NoError(t, err)
		assert.Equal(t, "after", v)
	})
}

func TestInvalidateLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	s := cache.NewShared[int](ten)
	fetches := 0
	get := func(key int) {
		_, err := s.Do(t.Context(), key, whichever, func(context.Context) (int, error) { fetches++; return 0, nil })
		require.NoError(t, err)
	}
	get(1)
	get(2)
	s.Invalidate(func(key int) bool { return key == 1 })
	get(2)
	assert.Equal(t, 2, fetches)
	get(1)
	assert.Equal(t, 3, fetches)
}

// TestRenewGetsNothingFromBeforeItsCall: and however many call it, they share. Mutation: Renew joins
// what is under way.
func TestRenewGetsNothingFromBeforeItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cache.NewShared[string](cache.Limits[time.Time]{Answers: 10})
		fetch := func(context.Context) (time.Time, error) {
			asked := time.Now()
			time.Sleep(time.Second)
			return asked, nil
		}
		go func() { _, _ = s.Do(t.Context(), "k", nil, fetch) }()
		time.Sleep(500 * time.Millisecond)
		var served atomic.Int32
		for i := range 1000 {
			go func() {
				time.Sleep(time.Duration(i) * time.Millisecond / 10)
				called := time.Now()
				asked, err := s.Renew(t.Context(), "k", fetch)
				assert.NoError(t, err)
				assert.False(t, asked.Before(called))
				served.Add(1)
			}()
		}
		time.Sleep(10 * time.Second)
		assert.EqualValues(t, 1000, served.Load())
		assert.EqualValues(t, 2, s.Counts().Requests)
		assert.EqualValues(t, 1000, s.Counts().Joins)
	})
}

func TestAPanickingFetchDoesNotWedgeTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cache.NewShared[string](ten)
		panicked := make(chan any)
		go func() {
			defer func() { panicked <- recover() }()
			_, _ = s.Do(t.Context(), "k", nil, func(context.Context) (int, error) { time.Sleep(time.Second); panic("oh") })
		}()
		synctest.Wait()
		var served atomic.Int32
		for range 10 {
			go func() {
				v, err := s.Do(t.Context(), "k", nil, func(context.Context) (int, error) { time.Sleep(time.Second); return 7, nil })
				assert.NoError(t, err)
				assert.Equal(t, 7, v)
				served.Add(1)
			}()
		}
		assert.Equal(t, "oh", <-panicked, "it is the caller's own")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.EqualValues(t, 10, served.Load())
	})
}

func TestKeysDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cache.NewShared[int](ten)
		start := time.Now()
		var wg sync.WaitGroup
		for key := range 10 {
			wg.Go(func() {
				_, _ = s.Do(t.Context(), key, nil, func(context.Context) (int, error) { time.Sleep(time.Second); return key, nil })
			})
		}
		wg.Wait()
		assert.Equal(t, time.Second, time.Since(start))
	})
}

// inVain is a fetch that nobody answers, and tells how often it was called.
func inVain(asked *atomic.Int32) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		asked.Add(1)
		<-ctx.Done()
		return 0, ctx.Err()
	}
}

// TestLaw14AShortLeaderFailsOnlyWhoHasLittleMore: fast or slow, all others get what one of them asks for.
// Mutation: little is a second.
func TestLaw14AShortLeaderFailsOnlyWhoHasLittleMore(t *testing.T) {
	for _, unit := range []time.Duration{10 * time.Millisecond, time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := cache.NewShared[string](ten)
			var asked, served atomic.Int32
			var wg sync.WaitGroup
			do := func(within time.Duration, fetch func(context.Context) (int, error)) (time.Duration, error) {
				ctx, cancel := context.WithTimeout(t.Context(), within)
				defer cancel()
				began := time.Now()
				_, err := s.Do(ctx, "k", nil, fetch)
				return time.Since(began), err
			}
			wg.Go(func() { _, _ = do(20*unit, inVain(&asked)) })
			synctest.Wait()
			for range 100 {
				wg.Go(func() {
					took, err := do(21*unit, inVain(&asked))
					assert.Equal(t, 20*unit, took, "little more")
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				})
				wg.Go(func() {
					took, err := do(100*unit, func(context.Context) (int, error) {
						asked.Add(1)
						time.Sleep(75 * unit)
						return 1, nil
					})
					served.Add(1)
					assert.Equal(t, 95*unit, took)
					assert.NoError(t, err)
				})
			}
			wg.Wait()
			require.EqualValues(t, 100, served.Load())
			require.EqualValues(t, 2, asked.Load(), "one of them asks for all")
		})
	}
}
