package session

import (
	"maps"
	"slices"
	"sync"
)

// registry holds what others have registered, until they undo it.
type registry[T any] struct {
	mu    sync.Mutex // guards the rest; never held over a call to others
	all   map[int]T
	next  int
	ended bool
}

// add registers v. After end it reports false.
func (r *registry[T]) add(v T) (undo func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return func() {}, false
	}
	n := r.next
	r.next++
	if r.all == nil {
		r.all = make(map[int]T)
	}
	r.all[n] = v
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.all, n)
	}, true
}

// list returns what is registered, in no order.
func (r *registry[T]) list() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.all))
}

// end is list for the last time: what comes later is not registered.
func (r *registry[T]) end() []T {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	return r.list()
}
