package suite

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestB2WhatARenewalIsToldDecidesWhenItIsReplaced answers every renewal with one of what
// Vault, or something before it, may say, from the first lease on. What says that the
// lease is dead is believed at once, and so is, once, what says that the token is: of
// the next token a lookup-self says otherwise. Anything else is no reason to mint before
// the lease's last third, and no answer is a reason to ask again and again.
func TestB2WhatARenewalIsToldDecidesWhenItIsReplaced(t *testing.T) {
	t.Parallel()
	const ttl, run = 12 * time.Second, 27 * time.Second
	w := newWorld(t)
	type scene struct {
		*player
		role   string
		began  time.Time
		status int
		texts  []string
		dead   bool // the lease
		token  bool // or the token, as far as the answer goes
	}
	scenes := []*scene{
		{role: "notfound", status: 400, texts: []string{"lease not found"}, dead: true},
		{role: "expired", status: 400, texts: []string{"lease expired"}, dead: true},
		{role: "norenew", status: 400, texts: []string{"lease is not renewable"}, dead: true},
		{role: "deadtok", status: 403, texts: []string{"2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"}, token: true},
		{role: "denied", status: 403, texts: []string{"1 error occurred:\n\t* permission denied\n\n"}},
		{role: "nopath", status: 404},
		{role: "server", status: 500, texts: []string{"internal error"}},
		{role: "notimpl", status: 501, texts: []string{"not implemented"}},
		{role: "ratelim", status: 429, texts: []string{"request path \"sys/leases/renew\": rate limit quota exceeded"}},
		{role: "unknown", status: 400, texts: []string{"the frobnicator is out of phase"}},
	}
	for _, s := range scenes {
		s.began = time.Now()
		s.player = w.player(t, s.role, map[string]any{"default_ttl": "12s", "max_ttl": "1h"}, hour())
		rule := testvault.Status(s.status, s.texts...)
		rule.Path = "sys/leases/renew"
		s.p.Fault(rule)
		s.play(t, 2)
	}
	<-time.After(run)
	for _, s := range scenes {
		s.rest()
	}

	slowest, soonest := time.Duration(0), 2*ttl
	var of []string
	for _, s := range scenes {
		s.unharmed(t)
		creations, renewals := s.creations(), s.renewals()
		asked, lived := s.asked(), time.Since(s.began) // until rest the scenes live on, each for longer than its neighbour
		each := perLease(creations, renewals)
		swift, timely := creations[:1], asked // each but the first was made: at once, or in the last third
		switch {
		case s.dead:
			swift, timely = creations, nil
			assert.LessOrEqual(t, slices.Max(each), 1, "%s: renewals of a dead lease", s.name)
			assert.GreaterOrEqual(t, len(creations), 4, "%s: dead leases are replaced at once", s.name)
			assert.LessOrEqual(t, len(creations), 1+int(lived/(ttl/3)), "%s: creations", s.name)
		case s.token:
			swift, timely = creations[:min(2, len(creations))], asked[1:]
			assert.LessOrEqual(t, each[0], 2, "%s: renewals with the token that was said to be dead, and with its successor", s.name)
		}
		worst := time.Duration(0)
		for _, at := range swift[1:] {
			last := slices.MaxFunc(renewals, func(a, b time.Time) int { return before(at, a).Compare(before(at, b)) })
			worst = max(worst, at.Sub(last))
		}
		if len(swift) > 1 {
			slowest, of = max(slowest, worst), append(of, fmt.Sprintf("%s=%.2fs", s.name, worst.Seconds()))
		}
		if !s.dead {
			assert.Less(t, slices.Max(each), 10, "%s: renewals of one lease", s.name)
			assert.GreaterOrEqual(t, len(creations), 3, "%s: each lease is replaced in time", s.name)
		}
		for _, gap := range gaps(timely) {
			soonest = min(soonest, gap)
			assert.Greater(t, gap, ttl*2/3-time.Second, "%s: replaced before the window", s.name)
		}
		switch {
		case s.token:
			assert.Equal(t, 2, s.logins(), "%s: one login, since the first such answer is believed", s.name)
		case s.status == 403:
			assert.LessOrEqual(t, s.logins(), 2, "%s: one login to see if the policies are others", s.name)
		default:
			assert.Equal(t, 1, s.logins(), "%s: only a dead token makes a login", s.name)
		}
	}
	figure.AtMost(stdout, "b2-dead-replaced", slowest.Seconds(), "s", 1, append(of, "oracle=audit-log,proxy-log")...)
	figure.AtLeast(stdout, "b2-early", soonest.Seconds()/ttl.Seconds(), "of-ttl", 0.65, "oracle=audit-log", "scenes=7")
	for _, s := range scenes {
		s.leave(t)
	}
}

// before returns at if it is before limit, else the zero time.
func before(limit, at time.Time) time.Time {
	if at.Before(limit) {
		return at
	}
	return time.Time{}
}
