package cache

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Shared is a bounded cache of answers in which concurrent callers for the same
// key cause one request (failure code D1). The zero value is not usable: see
// NewShared. Its methods may be called by many goroutines at once.
type Shared[K comparable, V any] struct {
	limit int

	mu      sync.Mutex // guards the maps; never held during a fetch
	entries map[K]stored[V]
	flights map[K]*flight[V]
}

type stored[V any] struct {
	value V
	at    time.Time // when it was asked for
}

type flight[V any] struct {
	done      chan struct{}
	abandoned bool      // the leader went away; somebody else must ask
	ends      time.Time // what the leader had time for, where that was the reason
	value     V
	err       error
}

// NewShared returns a cache of at most limit values; beyond that, an arbitrary one
// makes room.
func NewShared[K comparable, V any](limit int) *Shared[K, V] {
	return &Shared[K, V]{limit: limit, entries: make(map[K]stored[V]), flights: make(map[K]*flight[V])}
}

// Do returns the value of key: a kept one that is no older than maxAge, else that of
// a request under way, else that of fetch, which it calls. A caller whose ctx ends
// returns; the others are still served, by one of them calling its own fetch if
// that caller was the one who asked.
func (s *Shared[K, V]) Do(ctx context.Context, key K, maxAge time.Duration, fetch func(context.Context) (V, error)) (V, error) {
	for {
		s.mu.Lock()
		if kept, ok := s.entries[key]; ok && maxAge > 0 && time.Since(kept.at) <= maxAge {
			s.mu.Unlock()
			return kept.value, nil
		}
		f := s.flights[key]
		if f == nil {
			f = &flight[V]{done: make(chan struct{}), abandoned: true}
			s.flights[key] = f
			s.mu.Unlock()
			return s.lead(ctx, key, f, fetch)
		}
		s.mu.Unlock()
		select {
		case <-f.done:
			if !f.abandoned || f.noLonger(ctx) {
				return f.value, f.err
			}
		case <-ctx.Done():
			var zero V
			return zero, ctx.Err()
		}
	}
}

// lead calls fetch for all. A fetch that panics leaves the flight abandoned.
func (s *Shared[K, V]) lead(ctx context.Context, key K, f *flight[V], fetch func(context.Context) (V, error)) (V, error) {
	asked := time.Now()
	defer func() {
		s.mu.Lock()
		delete(s.flights, key)
		if f.err == nil && !f.abandoned {
			s.keep(key, stored[V]{f.value, asked})
		}
		s.mu.Unlock()
		close(f.done)
	}()
	f.value, f.err = fetch(ctx)
	// A deadline is the leader's own, also where it gave up just before it: who has more
	// time asks again. Without one, the others would have done no better.
	ends, limited := ctx.Deadline()
	f.abandoned = f.err != nil && (ctx.Err() != nil || (limited && errors.Is(f.err, context.DeadlineExceeded)))
	if limited && errors.Is(f.err, context.DeadlineExceeded) {
		f.ends = ends
	}
	return f.value, f.err
}

// noLonger reports whether ctx gives little more time than the leader had, which gave up
// for want of it: a thousand in turn would each ask once more.
func (f *flight[V]) noLonger(ctx context.Context) bool {
	end, limited := ctx.Deadline()
	return limited && !f.ends.IsZero() && end.Sub(f.ends) < time.Second
}

func (s *Shared[K, V]) keep(key K, v stored[V]) {
	if _, ok := s.entries[key]; !ok && len(s.entries) >= s.limit {
		for other := range s.entries {
			delete(s.entries, other)
			break
		}
	}
	s.entries[key] = v
}
