package lease

import "time"

// Policy says when to do what. The zero value is right for production.
//
// A lease is first renewed at a random point between 1/3 and 1/2 of its TTL (so
// that a thousand clients started together do not come together, failure
// code D2), and replaced in the last third if that did not work. Within that third, a
// server that could not be reached is asked to renew first: an outage is no
// reason to mint new credentials (A2). At the beginning of the last twelfth it is asked
// once more, and only if that fails do replacements take turns with renewals. Pauses are
// about a fifth of the TTL: after an outage everybody is back within that, and not at once.
type Policy struct {
	// MinBackoff is the shortest pause after a failure, but for the very last tries
	// before a deadline. Default 1 s.
	MinBackoff time.Duration
	// MaxBackoff is the longest pause after a failure. Default 10 min. What has ended
	// already, and is missed, is tried every 30 s at least, unless the server asks for a
	// longer pause or somebody must act first.
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
	Held       bool          // others renew it: to renew is to see whether they have
	Ending     bool          // cannot be extended, or its parent was replaced: replace now
	Unsure     bool          // the machine slept: only the server knows whether it has ended
	Failures   int           // in a row
	Last       Class         // of the latest failure
	Failed     Action        // what failed then
	Tried      time.Duration // the age at which that was begun
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
	case s.Unsure && s.Renewable && !s.Ending:
		return Step{Renew, pause}
	case s.Left <= 0 || s.Ending:
		return Step{Replace, pause}
	case s.TTL <= 0:
		return Step{Idle, 0}
	case s.Failures == 0 && s.Renewable && s.Held:
		// Vault Agent renews at two thirds to three quarters.
		return Step{Renew, max(0, between(s.TTL/5*4, s.TTL/10*9, s.Rand)-s.Age)}
	case s.Failures == 0 && s.Renewable:
		return Step{Renew, max(0, between(s.TTL/3, s.TTL/2, s.Rand)-s.Age)}
	case s.Failures == 0:
		// 2/3 to 5/6 leaves a sixth of the TTL for retries.
		return Step{Replace, max(0, between(s.TTL/3*2, s.TTL/6*5, s.Rand)-s.Age)}
	}
	window, final := s.TTL/3*2, s.TTL/12*11 // divided first: a lease of a century must not overflow
	switch {
	case !s.Renewable, s.Last != Transient && s.Age+pause >= window:
		return Step{Replace, max(pause, window-s.Age)}
	case s.Failed == Renew && s.Tried >= final:
		// It may be only renewing that does not work. Another was not asked for yet, so that
		// there is nothing to back off from, but for what the server asked for.
		if s.RetryAfter == 0 {
			pause = lastTry
		}
		return Step{Replace, pause}
	case (s.Age < final || s.Failed == Renew) && s.Age+pause > final && s.RetryAfter == 0:
		// Not later, also where what was begun before final is answered after it: a replacement takes
		// its time.
		return Step{Renew, max(final-s.Age, lastTry)}
	}
	return Step{Renew, pause}
}

const longestPause = 10 * time.Minute

// missed is the longest pause once there is nothing valid any more.
const missed = 30 * time.Second

// backoff is the pause after the latest failure; none after a success.
func (p Policy) backoff(s State) time.Duration {
	if s.Failures <= 0 {
		return 0
	}
	floor, limit := orDefault(p.MinBackoff, time.Second), orDefault(p.MaxBackoff, longestPause)
	limit = max(limit, floor)
	pause := min(max(s.TTL/5, floor), limit)
	switch {
	case s.Last == Permanent || s.Last == Refused || s.Last == Spent:
		pause = doubled(min(8*floor, limit), limit, s.Failures)
	case s.Left <= 0 || s.TTL <= 0:
		// Every other time only: what is missed should be back two seconds after a short
		// outage, and many clients that miss something must not storm after a long one.
		pause = doubled(floor, max(min(missed, limit), floor), (s.Failures+1)/2)
	}
	// Not from zero: pauses of nearly the same length keep those who began apart apart.
	pause = between(max(pause/10*6, floor), max(pause, floor+floor/2), s.Rand)
	pause = max(pause, min(s.RetryAfter, limit))
	if s.Last == Spent {
		return max(pause, s.Left/2) // a few times in all, however long it lives
	}
	if s.Left > 0 && pause >= s.Left/2 && (s.Last != Permanent || s.Failed == Renew) {
		// A pause past the deadline would hand out a corpse: try inside what
		// remains, also where the server asked for longer (F24).
		pause = min(pause, max(s.Left/2, lastTry))
	}
	return pause
}

// doubled returns base, doubled with each failure after the first, up to limit.
func doubled(base, limit time.Duration, failures int) time.Duration {
	if shift := failures - 1; shift < 16 && base <= limit>>shift {
		return base << shift
	}
	return limit
}

// poll is the pause before a value without a lease is read again.
func (p Policy) poll(interval time.Duration, s State) time.Duration {
	if s.Failures > 0 && s.Last != Refused && s.Last != Permanent {
		// Half an interval at most: with many clients an outage must not make more requests
		// than there are without one (D2).
		s.TTL, s.Left = interval/2*5, never
		return max(min(p.backoff(s), interval), min(s.RetryAfter, orDefault(p.MaxBackoff, longestPause)))
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
