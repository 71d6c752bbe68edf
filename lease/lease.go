// Package lease keeps things that end alive: it decides when each of any number
// of leases is to be renewed or replaced, and has it done in time.
//
// It knows nothing of Vault, HTTP or JSON. A [Keeper] does the work for one
// lease; the [Manager] is one goroutine with a heap of deadlines that says when;
// [Policy] is the pure function that it asks. A [Grant] is one thing that was
// handed out, with its true deadline: the minimum of its own and that of the
// parent it was obtained under, since a lease dies with the token that got it
// (failure code A1).
package lease

import (
	"errors"
	"fmt"
	"time"
)

// ErrClosed is returned by what is used after its owner was closed.
var ErrClosed = errors.New("leasehold: closed")

// Instant is a moment on both clocks. Durations are counted on Mono; Wall is for
// people, and for noticing a machine that slept.
type Instant struct {
	Mono time.Duration // since an arbitrary start, the same for all instants of a Clock
	Wall time.Time
}

// Add returns the moment d later.
func (now Instant) Add(d time.Duration) Instant {
	now.Mono += d
	if !now.Wall.IsZero() {
		now.Wall = now.Wall.Add(d)
	}
	return now
}

// slept is how far the wall clock must have run ahead of the monotonic one for the
// machine to have been asleep, rather than its clock corrected a little.
const slept = 2 * time.Second

// since returns how much time has passed between then and now. The monotonic clock
// stands still while a machine sleeps, so where the wall clock has gone further, that
// counts (failure code K1). A wall clock that was put back counts for nothing (K2).
func (now Instant) since(then Instant) time.Duration {
	mono := now.Mono - then.Mono
	if now.Wall.IsZero() || then.Wall.IsZero() {
		return mono
	}
	if wall := now.Wall.Sub(then.Wall); wall-slept > mono {
		return wall
	}
	return mono
}

// awake returns the same moment as it is if the machine never slept.
func (now Instant) awake() Instant { return Instant{Mono: now.Mono} }

// Clock says what time it is. It must be safe for concurrent use.
type Clock func() Instant

// SystemClock returns a clock on time.Now that starts at zero.
func SystemClock() Clock {
	start := time.Now()
	return func() Instant {
		now := time.Now()
		return Instant{Mono: now.Sub(start), Wall: now.Round(0)}
	}
}

// Lease is what was granted by one answer. Whatever identifies it stays with
// the keeper.
type Lease struct {
	// TTL is how long it lasts, from Sent; 0 means that it does not end.
	TTL time.Duration
	// Asked is the TTL that was hoped for: a TTL that is shorter by more than a
	// second's rounding says that the maximum is near. 0: nothing was asked.
	Asked time.Duration
	// Sent is when the request was sent, not when the answer came: a slow answer
	// ages its own lease (failure code K2).
	Sent Instant
	// Renewable is whether it makes sense to try to renew.
	Renewable bool
	// Held is set if somebody else renews it: Renew then only sees what is left, and is
	// called late, when that ought to have been done.
	Held bool
	// Capped is set if the server said that it cut the TTL to the maximum.
	Capped bool
}

// Truncated reports whether this is less than was asked for: the end is near.
func (l Lease) Truncated() bool {
	return l.Capped || (l.TTL > 0 && l.Asked > 0 && l.TTL < l.Asked-time.Second)
}

// Class is what an error means for a lease.
type Class int

// The classes of errors.
const (
	// Unknown is an answer that fits no other class: as Transient, but the
	// server did answer, so waiting for it to come back is pointless.
	Unknown Class = iota
	// Transient: the server could not be reached, or could not serve. Nothing is
	// known about the lease; keep it and try again.
	Transient
	// Refused: not permitted. Trying again soon will not help.
	Refused
	// Dead: the lease is gone. Replace it now.
	Dead
	// ParentDead: the token is gone, and the lease with it.
	ParentDead
	// Permanent: fails until something outside is changed.
	Permanent
	// Spent: the lease cannot be extended any more, and lives on to its end. Replace it now. Of a
	// replacement: there is no other, and hardly will be.
	Spent
)

var classNames = [...]string{"unknown", "transient", "refused", "dead", "parent dead", "permanent", "spent"}

// String returns the class's name in lower case.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("class %d", int(c))
	}
	return classNames[c]
}

// Error is how a Keeper says what a failure means. An error of another type
// counts as Unknown.
type Error struct {
	Class Class
	// RetryAfter is how long the server asked us to wait; 0: it did not say.
	RetryAfter time.Duration
	Err        error
}

// Error returns the text of the cause.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// classify returns err as an *Error.
func classify(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{Class: e.Class, RetryAfter: e.RetryAfter, Err: err}
	}
	return &Error{Class: Unknown, Err: err}
}
