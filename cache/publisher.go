package cache

import "time"

// Publisher feeds a [Value]. Its methods may be called by many goroutines at
// once; publications are seen in one order by all readers.
type Publisher[T any] struct{ v *Value[T] }

// Publish makes value the current one and wakes all who wait. It returns the new
// generation, or 0 if the value was closed.
func (p *Publisher[T]) Publish(value T, obtained, expires time.Time) uint64 {
	v := p.v
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return 0
	}
	next := &Snapshot[T]{Value: value, Generation: v.cur.Load().Generation + 1, Obtained: obtained, Expires: expires}
	v.health.Store(&health{confirmed: obtained})
	v.cur.Store(next)
	close(v.changed)
	v.changed = make(chan struct{})
	return next.Generation
}

// Confirm says that the value was found to be unchanged at the given time.
func (p *Publisher[T]) Confirm(at time.Time) { p.v.health.Store(&health{confirmed: at}) }

// Fail records why the value could not be refreshed. The value stays.
func (p *Publisher[T]) Fail(err error) {
	for {
		old := p.v.health.Load()
		if p.v.health.CompareAndSwap(old, &health{confirmed: old.confirmed, err: err}) {
			return
		}
	}
}
