package cache

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
)

// copied is what a server gave: the version that it held, when it was asked, and when its
// answer was there.
type copied struct {
	version     int
	asked, came time.Time
}

var errServer = errors.New("the server says no")

// model is a server of a few keys, and what a reader may expect of a cache before it.
type model struct {
	t      *testing.T
	shared *Shared[int, copied]

	mu      sync.Mutex // guards the rest
	random  *rand.Rand
	version map[int]int // at the server
	written map[int]int // the version that a local write has made, when that had returned
	asking  map[int]int // requests under way
	writes  int         // local ones
	asked   int
}

func (m *model) dice(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.random.IntN(n)
}

func (m *model) pause(most int) { time.Sleep(time.Duration(m.dice(most)) * time.Millisecond) }

// fetch asks the server: the request is on its way, is answered, and so is the answer.
func (m *model) fetch(key int) func(context.Context) (copied, error) {
	return func(ctx context.Context) (copied, error) {
		asked := time.Now()
		m.mu.Lock()
		m.asked++
		m.asking[key]++
		// One, and those that a write has overtaken.
		assert.LessOrEqual(m.t, m.asking[key], 1+m.writes, "requests at once")
		m.mu.Unlock()
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.asking[key]--
		}()
		wait := func() bool {
			select {
			case <-time.After(time.Duration(m.dice(100)) * time.Millisecond):
				return true
			case <-ctx.Done():
				return false
			}
		}
		if !wait() {
			return copied{}, ctx.Err()
		}
		m.mu.Lock()
		version := m.version[key]
		m.mu.Unlock()
		if !wait() {
			return copied{}, ctx.Err()
		}
		if m.dice(10) == 0 {
			return copied{}, errServer
		}
		return copied{version, asked, time.Now()}, nil
	}
}

// read is a reader that allows an age, or wants what is asked for from now on, and may go away.
func (m *model) read(key int) {
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	if m.dice(3) == 0 {
		defer time.AfterFunc(time.Duration(m.dice(150))*time.Millisecond, cancel).Stop()
	}
	maxAge := time.Duration(m.dice(3)*m.dice(500)) * time.Millisecond
	m.mu.Lock()
	floor := m.written[key]
	m.mu.Unlock()
	called := time.Now()
	var got copied
	var err error
	renew := m.dice(4) == 0
	switch {
	case renew:
		got, err = m.shared.Renew(ctx, key, m.fetch(key))
	case maxAge > 0:
		got, err = m.shared.Do(ctx, key, func(c copied) bool { return time.Since(c.asked) <= maxAge }, m.fetch(key))
	default:
		got, err = m.shared.Do(ctx, key, nil, m.fetch(key))
	}
	switch {
	case errors.Is(err, context.Canceled):
		assert.Equal(m.t, err, ctx.Err(), "another's end")
	case err != nil:
		assert.Equal(m.t, errServer, err)
	default:
		assert.GreaterOrEqual(m.t, got.version, floor, "older than a local write that had returned")
		if renew {
			assert.False(m.t, got.asked.Before(called), "asked for before the call")
		} else if got.came.Before(called) {
			assert.LessOrEqual(m.t, called.Sub(got.asked), maxAge, "kept for longer than was allowed")
		}
	}
}

// write changes the server: from here, which the cache is told of, or from elsewhere.
func (m *model) write(key int, local bool) {
	m.pause(50) // on its way
	m.mu.Lock()
	m.version[key]++
	made := m.version[key]
	m.mu.Unlock()
	m.pause(50) // and back
	if !local {
		return
	}
	m.mu.Lock()
	m.writes++
	m.mu.Unlock()
	m.shared.Invalidate(func(k int) bool { return k == key })
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written[key] = max(m.written[key], made)
}

// TestLaw14SharedHoldsWhateverHappens: readers, writers and cancellations in random order. No reader sees less than
// a local write that had returned, none gets what is too old, none fails because of another;
// and nothing remains. Mutation: Renew joins a request that has just begun.
func TestLaw14SharedHoldsWhateverHappens(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const keys, kept = 5, 3
				m := &model{
					t: t, shared: NewShared[int](Limits[copied]{Answers: kept}),
					random:  rand.New(rand.NewPCG(seed, 1)),
					version: map[int]int{}, written: map[int]int{}, asking: map[int]int{},
				}
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						for range 50 {
							m.pause(50)
							m.read(m.dice(keys))
							assert.LessOrEqual(t, m.shared.Counts().Kept, kept)
						}
					})
				}
				for i := range 4 {
					wg.Go(func() {
						for range 20 {
							m.pause(400)
							m.write(m.dice(keys), i%2 == 0)
						}
					})
				}
				wg.Wait()
				counts := m.shared.Counts()
				require.EqualValues(t, m.asked, counts.Requests)
				require.Empty(t, m.shared.flights)
				require.Equal(t, len(m.shared.kept), m.shared.recent.Len())
				require.NotZero(t, counts.Hits)
				require.NotZero(t, counts.Joins)
				require.NotZero(t, counts.Evictions)
				require.Less(t, counts.Requests, uint64(1000), "of as many reads")
			})
		})
	}
}
