package lease

import "time"

// Policy says when to do what. The zero value is right for production.
//
// A lease is first renewed at a random point between 1/3 and 1/2 of its TTL (so
// that a thousand clients started together do not come together, failure
// code D2), and replaced in the last third if that did not work. Within that third, a
// server that could not be reached is asked to renew first: an outage is no
// reason to mint new credentials (A2). The last tenth is for replacing
// only. Retries back off exponentially with jitter, scaled to the TTL.
type Policy struct {
	// MinBackoff is the shortest pause after a failure, but for the very last tries
	// before a deadline. Default 1 s.
	MinBackoff time.Duration
	// MaxBackoff is the longest pause after a failure that may pass by itself. A
	// failure that needs somebody to act is retried after up to ten times as
	// long. Default 1 min.
	MaxBackoff time.Duration
}

// Action is what is to be done next.
type Action int

// The actions.
const (
	Idle    Action = iota // nothing, ever: the lease does not end
	Renew                 // ask for more time
	Replace               // obtain another
)

// State is all that a decision depends on.
type State struct {
	TTL        time.Duration // granted by the newest answer; 0: does not end
	Age        time.Duration // since that answer was asked for
	Left       time.Duration // until the true deadline; 0 or less: past or dead
	Renewable  bool
	Ending     bool          // cannot be extended, or its parent was replaced: replace now
	Failures   int           // in a row
	Last       Class         // of the latest failure
	RetryAfter time.Duration // asked for by the latest failure
	Rand       float64       // in [0,1)
}

// Step is a decision: do Do, In from now.
type Step struct {
	Do Action
	In time.Duration
}

// lastTry is the shortest pause of all, before a deadline that is nearer than a
// back-off.
const lastTry = 250 * time.Millisecond

// Next decides. It is a pure function.
func (p Policy) Next(s State) Step {
	pause := p.backoff(s)
	switch {
	case s.Left <= 0 || s.Ending:
		return Step{Replace, pause}
	case s.TTL <= 0:
		return Step{Idle, 0}
	case s.Failures == 0 && s.Renewable:
		return Step{Renew, max(0, between(s.TTL/3, s.TTL/2, s.Rand)-s.Age)}
	case s.Failures == 0:
		// 2/3 to 5/6 leaves a sixth of the TTL for retries.
		return Step{Replace, max(0, between(s.TTL/3*2, s.TTL/6*5, s.Rand)-s.Age)}
	}
	window, final := s.TTL/3*2, s.TTL/10*9 // divided first: a lease of a century must not overflow
	at := s.Age + pause
	if s.Renewable && (at < window || (s.Last == Transient && at < final)) {
		return Step{Renew, pause}
	}
	return Step{Replace, max(pause, window-s.Age)}
}

// backoff is the pause after the latest failure; none after a success.
func (p Policy) backoff(s State) time.Duration {
	if s.Failures <= 0 {
		return 0
	}
	floor, limit := orDefault(p.MinBackoff, time.Second), orDefault(p.MaxBackoff, time.Minute)
	limit = max(limit, floor)
	base := min(max(s.TTL/30, floor), limit)
	top := limit
	if s.TTL > 0 {
		top = min(max(s.TTL/6, 2*floor), limit)
	}
	if s.Last == Permanent || s.Last == Refused {
		base, top = min(8*floor, limit), 10*limit
	}
	pause := top
	if shift := s.Failures - 1; shift < 16 && base <= top>>shift {
		pause = base << shift
	}
	pause = between(max(pause/2, floor), max(pause, floor+floor/2), s.Rand)
	pause = max(pause, min(s.RetryAfter, 10*limit))
	if s.Left > 0 && pause >= s.Left/2 && s.Last != Permanent {
		// A pause past the deadline would hand out a corpse: try inside what
		// remains, also where the server asked for longer (F24).
		pause = min(pause, max(s.Left/2, lastTry))
	}
	return pause
}

// poll is the pause before a value without a lease is read again.
func (p Policy) poll(interval time.Duration, s State) time.Duration {
	if s.Failures > 0 && s.Last != Refused && s.Last != Permanent {
		s.TTL = interval
		return min(p.backoff(s), interval)
	}
	return between(interval/4*3, interval/20*19, s.Rand) // an answer takes its time, too
}

func between(lo, hi time.Duration, r float64) time.Duration {
	return lo + time.Duration(r*float64(hi-lo))
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}
