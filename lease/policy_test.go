package lease_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

var rands = []float64{0, 0.25, 0.5, 0.75, 0.999999}

func TestPolicyNextDecides(t *testing.T) {
	t.Parallel()
	const ttl = 60 * sec
	tests := []struct {
		name   string
		policy lease.Policy
		state  lease.State // TTL is 60 s and Left what remains, where not set; a TTL of -1 is 0
		do     lease.Action
		lo, hi time.Duration
	}{
		{name: "a new lease is renewed between 1/3 and 1/2 of its TTL", state: lease.State{Renewable: true}, do: lease.Renew, lo: 20 * sec, hi: 30 * sec},
		{name: "its age counts", state: lease.State{Renewable: true, Age: 15 * sec}, do: lease.Renew, lo: 5 * sec, hi: 15 * sec},
		{name: "what others renew is looked at between 4/5 and 9/10", state: lease.State{Renewable: true, Held: true}, do: lease.Renew, lo: 48 * sec, hi: 54 * sec},
		{name: "and soon again if they have not", state: lease.State{Renewable: true, Held: true, Age: 50 * sec, Tried: 50 * sec, Failures: 1, Last: lease.Transient, Failed: lease.Renew}, do: lease.Renew, lo: 5 * sec, hi: 5 * sec},
		{name: "an old one is renewed now", state: lease.State{Renewable: true, Age: 31 * sec}, do: lease.Renew, lo: 0, hi: 0},
		{name: "one that cannot be renewed is replaced between 2/3 and 5/6", state: lease.State{}, do: lease.Replace, lo: 40 * sec, hi: 50 * sec},
		{name: "its age counts as well", state: lease.State{Age: 30 * sec}, do: lease.Replace, lo: 10 * sec, hi: 20 * sec},
		{name: "an old one that cannot be renewed is replaced now", state: lease.State{Age: 51 * sec}, do: lease.Replace, lo: 0, hi: 0},
		{name: "what does not end is left alone", state: lease.State{TTL: -1, Left: math.MaxInt64, Renewable: true}, do: lease.Idle},
		{name: "ending: now", state: lease.State{Renewable: true, Ending: true, Age: sec}, do: lease.Replace},
		{name: "ending although it does not end: now", state: lease.State{TTL: -1, Left: math.MaxInt64, Ending: true}, do: lease.Replace},
		{name: "dead: now", state: lease.State{Renewable: true, Age: sec, Left: -1}, do: lease.Replace},
		{name: "past its deadline: now", state: lease.State{Renewable: true, Age: 61 * sec, Left: -sec}, do: lease.Replace},

		{name: "a failed renewal is repeated, after a fifth of the TTL", state: lease.State{Renewable: true, Age: 25 * sec, Failures: 1}, do: lease.Renew, lo: 7200 * ms, hi: 12 * sec},
		{name: "and so on", state: lease.State{Renewable: true, Age: 27 * sec, Failures: 40}, do: lease.Renew, lo: 7200 * ms, hi: 12 * sec},
		{name: "a retry that would fall into the last third replaces", state: lease.State{Renewable: true, Age: 39500 * ms, Failures: 1}, do: lease.Replace, lo: 7200 * ms, hi: 10250 * ms},
		{name: "in the last third an answered failure replaces", state: lease.State{Renewable: true, Age: 45 * sec, Failures: 1, Last: lease.Unknown}, do: lease.Replace, lo: 7200 * ms, hi: 7500 * ms},
		{name: "in the last third an unreachable server is asked to renew", state: lease.State{Renewable: true, Age: 45 * sec, Failures: 1, Last: lease.Transient}, do: lease.Renew, lo: 7200 * ms, hi: 7500 * ms},
		{name: "but not if it could not be renewed anyway", state: lease.State{Age: 45 * sec, Failures: 1, Last: lease.Transient}, do: lease.Replace, lo: 7200 * ms, hi: 7500 * ms},
		{name: "and at the beginning of the last twelfth at the latest", state: lease.State{Renewable: true, Age: 53 * sec, Tried: 45 * sec, Failures: 3, Last: lease.Transient, Failed: lease.Renew}, do: lease.Renew, lo: 2 * sec, hi: 2 * sec},
		{name: "or at once where an earlier renewal failed only then", state: lease.State{Renewable: true, Age: 56 * sec, Tried: 53 * sec, Failures: 4, Last: lease.Transient, Failed: lease.Renew}, do: lease.Renew, lo: 250 * ms, hi: 250 * ms},
		{name: "and then for another", state: lease.State{Renewable: true, Age: 55 * sec, Tried: 55 * sec, Failures: 4, Last: lease.Transient, Failed: lease.Renew}, do: lease.Replace, lo: 250 * ms, hi: 250 * ms},
		{name: "after the pause that it asked for", state: lease.State{Renewable: true, Age: 55 * sec, Tried: 55 * sec, Failures: 4, Last: lease.Transient, Failed: lease.Renew, RetryAfter: 2 * sec}, do: lease.Replace, lo: 2500 * ms, hi: 2500 * ms},
		{name: "in turns", state: lease.State{Renewable: true, Age: 57 * sec, Tried: 57 * sec, Failures: 4, Last: lease.Transient, Failed: lease.Replace}, do: lease.Renew, lo: 1500 * ms, hi: 1500 * ms},
		{name: "a failure long before the window does not replace", state: lease.State{Age: 10 * sec, Failures: 1}, do: lease.Replace, lo: 30 * sec, hi: 30 * sec},

		{name: "after a sleep it is asked first", state: lease.State{Renewable: true, Unsure: true, Age: time.Hour, Left: -sec}, do: lease.Renew, lo: 0, hi: 0},
		{name: "and again, soon", state: lease.State{Renewable: true, Unsure: true, Age: time.Hour, Left: -sec, Failures: 1, Last: lease.Transient}, do: lease.Renew, lo: sec, hi: 1500 * ms},
		{name: "unless it is to be replaced anyway", state: lease.State{Renewable: true, Unsure: true, Ending: true, Age: sec}, do: lease.Replace},
		{name: "or cannot be renewed", state: lease.State{Unsure: true, Age: time.Hour, Left: -sec}, do: lease.Replace},

		{name: "dead and failing backs off", state: lease.State{Age: 61 * sec, Left: -sec, Failures: 5}, do: lease.Replace, lo: 2400 * ms, hi: 4 * sec},
		{name: "never under a second", state: lease.State{TTL: 3 * sec, Left: -sec, Failures: 1}, do: lease.Replace, lo: sec, hi: 1500 * ms},
		{name: "or the floor that is set", policy: lease.Policy{MinBackoff: 3 * sec}, state: lease.State{TTL: 3 * sec, Left: -1, Failures: 1}, do: lease.Replace, lo: 3 * sec, hi: 4500 * ms},
		{name: "what is missed is tried every half minute", state: lease.State{TTL: time.Hour, Left: -sec, Failures: 30}, do: lease.Replace, lo: 18 * sec, hi: 30 * sec},
		{name: "what is not, every ten minutes at least", state: lease.State{TTL: 24 * time.Hour, Age: 9 * time.Hour, Renewable: true, Failures: 30, Last: lease.Transient}, do: lease.Renew, lo: 6 * time.Minute, hi: 10 * time.Minute},
		{name: "or at the limit that is set", policy: lease.Policy{MaxBackoff: 10 * sec}, state: lease.State{TTL: time.Hour, Left: -sec, Failures: 30}, do: lease.Replace, lo: 6 * sec, hi: 10 * sec},

		{name: "what needs somebody to act is slow at once", state: lease.State{Left: -1, Failures: 1, Last: lease.Permanent}, do: lease.Replace, lo: 4800 * ms, hi: 8 * sec},
		{name: "and slower later", state: lease.State{Left: -1, Failures: 30, Last: lease.Permanent}, do: lease.Replace, lo: 6 * time.Minute, hi: 10 * time.Minute},
		{name: "a refusal as well", state: lease.State{Left: -1, Failures: 30, Last: lease.Refused}, do: lease.Replace, lo: 6 * time.Minute, hi: 10 * time.Minute},
		{name: "a permanent failure is slow near the deadline too", state: lease.State{Age: 58 * sec, Failures: 30, Last: lease.Permanent}, do: lease.Replace, lo: 6 * time.Minute, hi: 10 * time.Minute},
		{name: "unless it was of renewing, and a replacement is next", state: lease.State{TTL: 12 * sec, Age: 6 * sec, Renewable: true, Failures: 1, Last: lease.Permanent, Failed: lease.Renew, Tried: 6 * sec}, do: lease.Replace, lo: 3 * sec, hi: 3 * sec},

		{name: "where there is no other, half of what is left", state: lease.State{Age: 40 * sec, Failures: 1, Last: lease.Spent, Failed: lease.Replace}, do: lease.Replace, lo: 10 * sec, hi: 10 * sec},
		{name: "and what is slow at least", state: lease.State{Age: 58 * sec, Failures: 30, Last: lease.Spent, Failed: lease.Replace}, do: lease.Replace, lo: 6 * time.Minute, hi: 10 * time.Minute},

		{name: "Retry-After is honoured", state: lease.State{Renewable: true, Age: 21 * sec, Failures: 1, Last: lease.Transient, RetryAfter: 15 * sec}, do: lease.Renew, lo: 15 * sec, hi: 15 * sec},
		{name: "but not past half of what is left (F24)", state: lease.State{Renewable: true, Age: 40 * sec, Failures: 1, Last: lease.Transient, RetryAfter: 30 * sec}, do: lease.Renew, lo: 10 * sec, hi: 10 * sec},
		{name: "nor more than the limit", state: lease.State{Left: -1, Failures: 1, Last: lease.Transient, RetryAfter: 24 * time.Hour}, do: lease.Replace, lo: 10 * time.Minute, hi: 10 * time.Minute},
		{name: "a back-off stays inside what is left", state: lease.State{Age: 58 * sec, Failures: 9}, do: lease.Replace, lo: sec, hi: sec},
		{name: "down to a quarter of a second", state: lease.State{Age: 59900 * ms, Failures: 9}, do: lease.Replace, lo: 250 * ms, hi: 250 * ms},
		{name: "a lease of a century is not replaced at once", state: lease.State{TTL: 100 * 365 * 24 * time.Hour}, do: lease.Replace, lo: 66 * 365 * 24 * time.Hour, hi: 84 * 365 * 24 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tt.state
			if s.TTL == 0 {
				s.TTL = ttl
			}
			s.TTL = max(s.TTL, 0)
			if s.Left == 0 {
				s.Left = s.TTL - s.Age
			}
			for _, s.Rand = range rands {
				got := tt.policy.Next(s)
				assert.Equal(t, tt.do, got.Do, "rand %v", s.Rand)
				assert.GreaterOrEqual(t, got.In, tt.lo, "rand %v", s.Rand)
				assert.LessOrEqual(t, got.In, tt.hi, "rand %v", s.Rand)
			}
		})
	}
}

func TestPolicySpreadsByRand(t *testing.T) {
	t.Parallel()
	var p lease.Policy
	for _, s := range []lease.State{
		{TTL: time.Minute, Left: time.Minute, Renewable: true},
		{TTL: time.Minute, Left: time.Minute},
		{TTL: time.Minute, Left: -1, Failures: 5},
	} {
		early, late := s, s
		early.Rand, late.Rand = 0, 0.99
		assert.Greater(t, p.Next(late).In, p.Next(early).In+sec, "%+v", s)
	}
}

// A lease that is left alone by the server for its whole life is tried only a
// bounded number of times, whatever the class of the answer and the TTL.
func TestPolicyBoundsTheTriesOfOneLease(t *testing.T) {
	t.Parallel()
	var p lease.Policy
	for _, class := range []lease.Class{lease.Unknown, lease.Transient, lease.Refused, lease.Dead, lease.ParentDead, lease.Permanent} {
		for _, ttl := range []time.Duration{2 * sec, 10 * sec, time.Minute, time.Hour, 768 * time.Hour} {
			for _, r := range rands {
				tries, now := 0, time.Duration(0)
				for s := (lease.State{TTL: ttl, Renewable: true, Rand: r, Last: class}); ; s.Failures++ {
					s.Age, s.Left = now, ttl-now
					now += p.Next(s).In
					if now > ttl {
						break
					}
					tries++
				}
				limit := 40 + int(ttl/3*2/(30*sec)) // half a minute is the shortest of the longest pauses
				assert.LessOrEqual(t, tries, limit, "class %v, TTL %v, rand %v", class, ttl, r)
			}
		}
	}
}

func FuzzPolicyNext(f *testing.F) {
	f.Add(int64(60*sec), int64(0), int64(60*sec), true, false, false, 0, 0, 0, int64(0), int64(0), 0.5, int64(0), int64(0))
	f.Add(int64(math.MaxInt64), int64(0), int64(math.MaxInt64), false, false, true, 1, 1, 1, int64(sec), int64(math.MaxInt64), 0.9, int64(sec), int64(time.Hour))
	f.Add(int64(1), int64(5), int64(-4), true, true, true, 70, 5, 2, int64(-1), int64(-1), 0.0, int64(-1), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, ttl, age, left int64, renewable, ending, unsure bool, failures, class, failed int, tried, retryAfter int64, r float64, minB, maxB int64) {
		const year = 365 * 24 * time.Hour
		if !(r >= 0 && r < 1) || age < 0 || time.Duration(age) > 100*year || time.Duration(minB) > year || time.Duration(maxB) > year ||
			(minB > 0 && time.Duration(minB) < 250*ms) {
			return // never passed
		}
		p := lease.Policy{MinBackoff: time.Duration(minB), MaxBackoff: time.Duration(maxB)}
		s := lease.State{
			TTL: time.Duration(ttl), Age: time.Duration(age), Left: time.Duration(left), Renewable: renewable, Ending: ending, Unsure: unsure,
			Failed: lease.Action(failed), Tried: time.Duration(tried), Failures: failures, Last: lease.Class(class), RetryAfter: time.Duration(retryAfter), Rand: r,
		}
		got := p.Next(s)
		switch {
		case got.In < 0:
			t.Errorf("%+v: a pause of %v", s, got.In)
		case got.Do == lease.Idle && (s.TTL > 0 || s.Left <= 0 || s.Ending || (s.Unsure && s.Renewable)):
			t.Errorf("%+v: idle", s)
		case got.Do == lease.Renew && (!s.Renewable || s.Ending || (s.Left <= 0 && !s.Unsure)):
			t.Errorf("%+v: renewed", s)
		case s.Failures > 0 && got.Do != lease.Idle && got.In < 250*ms:
			t.Errorf("%+v: only %v after a failure", s, got.In)
		case s.Failures > 0 && s.Left <= 0 && got.In < sec && p.MinBackoff <= 0:
			t.Errorf("%+v: only %v after a failure, past the deadline", s, got.In)
		}
	})
}

func ExamplePolicy_Next() {
	var p lease.Policy
	fresh := lease.State{TTL: time.Hour, Left: time.Hour, Renewable: true, Rand: 0.5}
	fmt.Println(p.Next(fresh).In) // between 1/3 and 1/2 of the TTL

	failed := fresh
	failed.Age, failed.Left = 30*time.Minute, 30*time.Minute
	failed.Failures, failed.Last = 1, lease.Transient
	step := p.Next(failed)
	fmt.Println(step.Do == lease.Renew, step.In) // not replaced: it lives on
	// Output:
	// 25m0s
	// true 8m0s
}
