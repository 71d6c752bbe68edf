package cache

import "time"

// Maker is every *[Value], a nil one too. Who knows T only at run time, as leasehold.Load
// does, makes values of a field's type through it.
type Maker interface {
	// Target returns a new *T, to decode into.
	Target() any
	// Make returns a new *Value[T] and what publishes in it the T that a target points to. Its Err is health.
	Make(health func() error, opts ...Option) (value any, publish func(target any, obtained time.Time))
}

// Target implements [Maker].
func (*Value[T]) Target() any { return new(T) }

// Make implements [Maker].
func (*Value[T]) Make(health func() error, opts ...Option) (value any, publish func(target any, obtained time.Time)) {
	v, p := New[T](opts...)
	v.source = health
	return v, func(target any, obtained time.Time) {
		if t, ok := target.(*T); ok {
			p.Publish(*t, obtained, time.Time{})
		}
	}
}
