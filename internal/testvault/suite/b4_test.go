package suite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestB4ALeaseThatMeetsItsMaximumIsReplacedOnce lets leases run into the end that
// renewing cannot move: their role's maximum, or their token's. Renewals go on
// succeeding there, with 10, 6, 3 and 1 seconds (F14); a client that is content with
// that finds its user gone. Shown as well: the predecessor lives on while the successor
// is first used (B5), and no renewal asks for a time or costs some (B9).
func TestB4ALeaseThatMeetsItsMaximumIsReplacedOnce(t *testing.T) {
	t.Parallel()
	const run = 45 * time.Second
	w := newWorld(t)
	type scene struct {
		*player

		end     time.Duration // after which a lease has ended whatever is done
		soonest time.Duration // after which the first truncated answer can come
		spy     *renewalSpy
	}
	scenes := []*scene{
		{player: w.player(t, "leasemax", map[string]any{"default_ttl": "10s", "max_ttl": "15s"}, hour()), end: 15 * time.Second, soonest: 5 * time.Second},
		{player: w.player(t, "firstmax", map[string]any{"default_ttl": "12s", "max_ttl": "12s"}, hour()), end: 12 * time.Second, soonest: 4 * time.Second},
		{player: w.player(t, "tokenmax", map[string]any{"default_ttl": "1h", "max_ttl": "2h"}, shortToken()), end: 12 * time.Second},
	}
	watched := watchUsers(t, w)
	for _, s := range scenes {
		s.spy = spyOnRenewals(s.p)
		s.play(t, 4)
	}
	<-time.After(run)
	for _, s := range scenes {
		s.rest()
	}
	rested := time.Now()
	// The last predecessors must have died, too.
	<-time.After(15 * time.Second)
	seen := watched()

	overlap, inUse, overlaps := time.Hour, time.Hour, 0
	for _, s := range scenes {
		s.unharmed(t)
		creations := s.creations()
		assert.GreaterOrEqual(t, len(creations), 1+int(run/s.end), "%s: creations", s.name)
		made := slices.IndexFunc(creations, rested.Before)
		if made < 0 {
			made = len(creations)
		}
		// The newest one may be yet to be dialled with.
		assert.Contains(t, []int{made, made - 1}, len(s.log.seen), "%s: each creation is a user that was seen", s.name)
		if s.soonest > 0 { // a token's end is told by its own renewals
			for _, gap := range gaps(creations) {
				assert.Greater(t, gap, s.soonest-time.Second, "%s: replaced before an answer was truncated", s.name)
				assert.Less(t, gap, s.end, "%s: replaced after its end", s.name)
			}
			assert.Equal(t, 1, s.logins(), "%s: logins", s.name)
		}
		for i := 1; i < len(s.log.seen) && i < len(creations); i++ {
			died, ok := seen.died[s.log.seen[i-1]]
			require.True(t, ok, "%s: a predecessor never died", s.name)
			overlap, overlaps = min(overlap, died.Sub(creations[i])), overlaps+1
			inUse = min(inUse, died.Sub(seen.born[s.log.seen[i]]))
		}
		assert.Empty(t, s.spy.shortened(), "%s: renewals after which the lease ended sooner than before", s.name)
	}
	assert.Greater(t, overlaps, 8, "changes of the database user")
	assert.Positive(t, inUse, "the successor must be in use before the predecessor's death")
	notes := []string{fmt.Sprintf("changes=%d", overlaps), "shortest-life=12s"}
	figure.AtLeast(stdout, "b5-overlap", overlap.Seconds(), "s", 1.5, append(notes, "oracle=audit-log,pg_roles")...)
	figure.AtLeast(stdout, "b5-overlap-in-use", inUse.Seconds(), "s", 0.5, append(notes, "oracle=pg_stat_activity,pg_roles")...)
	renewals, increments := w.increments(t)
	assert.Greater(t, renewals, 8, "renewals of leases and tokens in the audit log")
	assert.Zero(t, increments, "renewals that carry an increment")
	for _, s := range scenes {
		s.leave(t)
	}
}

// renewalSpy reads what Vault answers to renewals of leases.
type renewalSpy struct {
	mu   sync.Mutex
	ends map[string][]time.Time // by lease
}

func spyOnRenewals(p *testvault.Proxy) *renewalSpy {
	spy := &renewalSpy{ends: map[string][]time.Time{}}
	p.Fault(testvault.Rule{
		Name: "read", Path: "sys/leases/renew",
		Rewrite: func(status int, _ http.Header, body []byte) (int, []byte) {
			var answer struct {
				ID  string `json:"lease_id"`
				TTL int    `json:"lease_duration"`
			}
			if json.Unmarshal(body, &answer) == nil && answer.ID != "" {
				spy.mu.Lock()
				defer spy.mu.Unlock()
				spy.ends[answer.ID] = append(spy.ends[answer.ID], time.Now().Add(time.Duration(answer.TTL)*time.Second))
			}
			return status, body
		},
	})
	return spy
}

// shortened returns by how much a lease's end came nearer with a renewal. Vault counts
// in whole seconds.
func (s *renewalSpy) shortened() (by []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ends := range s.ends {
		for _, gap := range gaps(ends) {
			if gap < -1500*time.Millisecond {
				by = append(by, -gap)
			}
		}
	}
	return by
}

// obituary is when PostgreSQL first had a session of a user, and when the user was gone.
type obituary struct{ born, died map[string]time.Time }

// watchUsers looks at pg_stat_activity and pg_roles until stop.
func watchUsers(t *testing.T, w world) (stop func() obituary) {
	t.Helper()
	o := obituary{map[string]time.Time{}, map[string]time.Time{}}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		var before []string
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			var users string
			err := w.pg.DB().QueryRowContext(t.Context(), "SELECT coalesce(string_agg(DISTINCT usename, ' '), '') FROM pg_stat_activity").Scan(&users)
			if err != nil {
				return // the test has ended
			}
			for user := range strings.FieldsSeq(users) {
				if o.born[user].IsZero() {
					o.born[user] = time.Now()
				}
			}
			now := w.pg.Roles()
			for _, role := range before {
				if !slices.Contains(now, role) {
					o.died[role] = time.Now()
				}
			}
			before = now
		}
	}()
	end := sync.OnceFunc(func() { close(quit); <-done })
	t.Cleanup(end)
	return func() obituary { end(); return o }
}

// increments counts the renewals in the audit log, and those that ask for a time.
func (w world) increments(t *testing.T) (renewals, increments int) {
	t.Helper()
	for line := range bytes.Lines(w.v.AuditRaw()) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // still being written
		}
		var l struct {
			Type    string `json:"type"`
			Request struct {
				Path string         `json:"path"`
				Data map[string]any `json:"data"`
			} `json:"request"`
		}
		require.NoError(t, json.Unmarshal(line, &l))
		if l.Type != "response" || l.Request.Path != "sys/leases/renew" && l.Request.Path != "auth/token/renew-self" {
			continue
		}
		renewals++
		if _, sent := l.Request.Data["increment"]; sent {
			increments++
		}
	}
	return renewals, increments
}
