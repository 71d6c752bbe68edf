package lease

import (
	"math"
	"sync/atomic"
	"time"
)

// never is what is left of what does not end, and when to do what is not to be done.
const never = time.Duration(math.MaxInt64)

// Grant is one thing that was handed out: a token, or a credential obtained with
// it. It outlives renewals, which move its deadline, and ends at replacement or
// death. All methods are lock-free and safe for concurrent use.
type Grant struct {
	lease       atomic.Pointer[Lease]
	parent      *Grant
	ended       atomic.Bool
	hasChildren atomic.Bool
	superseded  atomic.Bool // a successor exists; what was obtained with this must move

	// Of the manager's goroutine alone.
	unsure bool // the machine slept: see slept
	check  bool // and what is left of it is to be asked before anything else
}

// NewGrant returns a grant of l obtained under parent, which is nil for what has
// none.
func NewGrant(l Lease, parent *Grant) *Grant {
	g := &Grant{parent: parent}
	if parent != nil {
		parent.hasChildren.Store(true)
	}
	g.lease.Store(&l)
	return g
}

// Lease returns what the newest answer granted.
func (g *Grant) Lease() Lease { return *g.lease.Load() }

// Parent returns the grant that this one was obtained under, or nil.
func (g *Grant) Parent() *Grant { return g.parent }

// End records that the server no longer knows the grant. What was obtained
// under it has ended with it.
func (g *Grant) End() { g.ended.Store(true) }

// Ended reports whether the grant, or its parent, was found to be gone.
func (g *Grant) Ended() bool {
	return g.ended.Load() || (g.parent != nil && g.parent.Ended())
}

// Valid reports whether the grant is still good at now.
func (g *Grant) Valid(now Instant) bool { return g.Left(now) > 0 }

// MayLive reports whether the server may still know the grant at now. It is true for
// longer than Valid if the wall clock jumped ahead: the machine slept, and then the grant
// has ended, or the clock was put forward, and then it has not.
func (g *Grant) MayLive(now Instant) bool { return g.Left(now.awake()) > 0 }

// Left returns how long the grant still is good for; 0 or less once it has ended, and
// the largest duration for what does not end.
func (g *Grant) Left(now Instant) time.Duration {
	left := never
	for ; g != nil; g = g.parent {
		if g.ended.Load() {
			return 0
		}
		if l := g.lease.Load(); l.TTL > 0 {
			left = min(left, l.TTL-now.since(l.Sent))
		}
	}
	return left
}

// Expires returns the true deadline as wall time, moving with each renewal of
// the grant or of its parent; the zero time if there is none. Of a grant that was
// found dead it is the time by which that grant would have ended.
func (g *Grant) Expires() time.Time {
	var at time.Time
	for ; g != nil; g = g.parent {
		if l := g.lease.Load(); l.TTL > 0 {
			if end := l.Sent.Wall.Add(l.TTL); at.IsZero() || end.Before(at) {
				at = end
			}
		}
	}
	return at
}

// Life returns the shortest TTL of the grant and its parents: how long it was
// good for when it was last renewed. 0 if it does not end.
func (g *Grant) Life() time.Duration {
	life := time.Duration(0)
	for ; g != nil; g = g.parent {
		if ttl := g.lease.Load().TTL; ttl > 0 && (life == 0 || ttl < life) {
			life = ttl
		}
	}
	return life
}
