package cache

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// Shared is a bounded cache of answers in which concurrent callers for the same
// key cause one request (failure code D1). The zero value is not usable: see
// NewShared. Its methods may be called by many goroutines at once.
//
// It has no notion of age: each caller says which kept answer will do.
type Shared[K comparable, V any] struct {
	limits Limits[V]

	mu      sync.Mutex // guards the rest; held over no call but of usable, match and Size
	kept    map[K]*list.Element
	recent  list.List // of *answer[K, V], the one that was used last in front
	size    int       // of all that is kept
	flights map[K]*flight[V]
	begun   uint64 // flights so far
	counts  Counts
}

// Limits bounds what a Shared keeps. What was used least recently makes room.
type Limits[V any] struct {
	Answers int // at least 1
	// Bytes bounds the sum of what Size says of each answer; without a Size there is no
	// such bound.
	Bytes int
	Size  func(V) int
}

// Counts is what a Shared has done since it was made, and how much it keeps.
type Counts struct {
	Hits      uint64 // callers that a kept answer served
	Misses    uint64 // callers that a kept answer might have served: none would do
	Joins     uint64 // callers that waited for another's request
	Requests  uint64 // calls of fetch
	Evictions uint64 // answers that made room for others
	Kept      int    // answers, now
}

type answer[K comparable, V any] struct {
	key   K
	value V
	size  int
}

type flight[V any] struct {
	number    uint64
	done      chan struct{}
	abandoned bool      // the leader went away; somebody else must ask
	ends      time.Time // the leader's deadline, where that was the reason
	value     V
	err       error
}

// NewShared returns an empty cache.
func NewShared[K comparable, V any](limits Limits[V]) *Shared[K, V] {
	return &Shared[K, V]{limits: limits, kept: make(map[K]*list.Element), flights: make(map[K]*flight[V])}
}

// Do returns the answer for key: a kept one that usable agrees to (nil: none will do),
// else that of a request under way, else that of fetch, which it calls and whose success
// it keeps. A caller whose ctx ends returns; the others are still served, by one of them
// calling its own fetch if that caller was the one who asked; only who has less than a tenth of
// his time left then fails with him. usable must return at once, and use the cache for nothing.
func (s *Shared[K, V]) Do(ctx context.Context, key K, usable func(V) bool, fetch func(context.Context) (V, error)) (V, error) {
	return s.do(ctx, key, usable, 0, fetch)
}

// Kept returns the answer that is kept for key if usable agrees to it. It asks nobody and waits for nobody:
// for who would rather not prepare a Do that is not needed.
func (s *Shared[K, V]) Kept(key K, usable func(V) bool) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hit(key, usable)
}

// hit is Kept for who holds mu. Without usable no kept answer will do.
func (s *Shared[K, V]) hit(key K, usable func(V) bool) (v V, ok bool) {
	e, ok := s.kept[key]
	if !ok || usable == nil || !usable(answerOf[K, V](e).value) {
		return v, false
	}
	s.recent.MoveToFront(e)
	s.counts.Hits++
	return answerOf[K, V](e).value, true
}

// Renew is Do for who must not get an answer from before this call: it neither takes a
// kept one nor joins a request that began earlier, but waits for that one's end. Callers
// still share: however many there are, one request is under way at a time.
func (s *Shared[K, V]) Renew(ctx context.Context, key K, fetch func(context.Context) (V, error)) (V, error) {
	s.mu.Lock()
	after := s.begun
	s.mu.Unlock()
	return s.do(ctx, key, nil, after, fetch)
}

// do joins no flight up to number after.
func (s *Shared[K, V]) do(ctx context.Context, key K, usable func(V) bool, after uint64, fetch func(context.Context) (V, error)) (V, error) {
	var joined time.Time
	for counted := false; ; {
		s.mu.Lock()
		if v, ok := s.hit(key, usable); ok {
			s.mu.Unlock()
			return v, nil
		}
		f := s.flights[key]
		if !counted {
			counted = true
			if usable != nil {
				s.counts.Misses++
			}
			if f != nil {
				s.counts.Joins++
			}
		}
		if f == nil {
			s.begun++
			s.counts.Requests++
			f = &flight[V]{number: s.begun, done: make(chan struct{}), abandoned: true}
			s.flights[key] = f
			s.mu.Unlock()
			return s.lead(ctx, key, f, fetch)
		}
		s.mu.Unlock()
		if joined.IsZero() {
			joined = time.Now()
		}
		select {
		case <-f.done:
			if f.number > after && (!f.abandoned || f.noLonger(ctx, joined)) {
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
	defer func() {
		s.mu.Lock()
		if s.flights[key] == f { // else it began before an Invalidate: nobody may join it, and its answer is not kept
			delete(s.flights, key)
			if f.err == nil && !f.abandoned {
				s.keep(key, f.value)
			}
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

// noLonger reports whether little is left, beyond the leader's time, of what ctx gave to who
// joined at joined. The leader gave up for want of time: a thousand that came with it, or one
// after the other, would each ask once more. Little is a tenth.
func (f *flight[V]) noLonger(ctx context.Context, joined time.Time) bool {
	end, limited := ctx.Deadline()
	return limited && !f.ends.IsZero() && end.Sub(f.ends) < end.Sub(joined)/10
}

// keep keeps v in place of what was kept for key. What is too large for the cache is not
// kept, rather than all else for its sake.
func (s *Shared[K, V]) keep(key K, v V) {
	if e, ok := s.kept[key]; ok {
		s.drop(e)
	}
	a := &answer[K, V]{key: key, value: v}
	if s.limits.Size != nil {
		if a.size = s.limits.Size(v); a.size > s.limits.Bytes {
			return
		}
	}
	for len(s.kept) > 0 && (len(s.kept) >= s.limits.Answers || (s.limits.Size != nil && s.size+a.size > s.limits.Bytes)) {
		s.drop(s.recent.Back())
		s.counts.Evictions++
	}
	s.kept[key] = s.recent.PushFront(a)
	s.size += a.size
}

func (s *Shared[K, V]) drop(e *list.Element) {
	a := answerOf[K, V](e)
	s.recent.Remove(e)
	delete(s.kept, a.key)
	s.size -= a.size
}

func answerOf[K comparable, V any](e *list.Element) *answer[K, V] {
	return e.Value.(*answer[K, V]) //nolint:forcetypeassert // the list's only type
}

// Invalidate forgets the answers whose key match agrees to, and those that are under way:
// who waits for these gets them, since their question is as old, but nobody joins any more
// and they are not kept. Called after a write, it keeps what was read before out of
// all that is asked from now on. match must return at once, and use the cache for nothing.
func (s *Shared[K, V]) Invalidate(match func(K) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, e := range s.kept {
		if match(key) {
			s.drop(e)
		}
	}
	for key := range s.flights {
		if match(key) {
			delete(s.flights, key)
		}
	}
}

// Counts returns what happened so far.
func (s *Shared[K, V]) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := s.counts
	counts.Kept = len(s.kept)
	return counts
}
