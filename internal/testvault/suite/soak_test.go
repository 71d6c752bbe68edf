package suite

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// soakLength and soakSeed are LEASEHOLD_SOAK and LEASEHOLD_SOAK_SEED: make soak sets
// them, and make integration leaves them alone.
func soakLength(t *testing.T) time.Duration {
	t.Helper()
	length, err := time.ParseDuration(orElse(os.Getenv("LEASEHOLD_SOAK"), "60s"))
	require.NoError(t, err, "LEASEHOLD_SOAK")
	return length
}

func soakSeed(t *testing.T) uint64 {
	t.Helper()
	seed, err := strconv.ParseUint(orElse(os.Getenv("LEASEHOLD_SOAK_SEED"), "1"), 10, 64)
	require.NoError(t, err, "LEASEHOLD_SOAK_SEED")
	return seed
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// Bounds of what Vault may be asked in any minute. Half of it is the roles' own: the
// token of 20 s alone has two leases replaced three times a minute. A loop would make
// hundreds.
const (
	soakCreations = 60
	soakLogins    = 20
)

// TestSoak drives two applications with four credentials through seeded random faults:
// every kind that the proxy has, every few seconds, at any time in a lease's life, and
// now and then an outside revocation of leases or of a token, or the end of all
// connections to the database. Every fault is shorter than three tenths of the shortest
// life, so that no credential need ever end. What fails must be inside of a window that
// the outside has opened, and that closes two seconds after Vault and the database
// answer again. A race between a renewal, a replacement, a revocation and a lost answer
// that nobody has thought of shows here.
func TestSoak(t *testing.T) {
	t.Parallel()
	length, seed := soakLength(t), soakSeed(t)
	w := newWorld(t)
	s := &soak{t: t, w: w, seed: seed, p: testvault.NewProxy(t, w.v.Addr(), testvault.Seed(int64(seed))), dead: &graves{w: w}}
	tokens := len(w.v.List("auth/token/accessors"))
	w.v.DatabaseRole("database", "long", map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
	w.v.DatabaseRole("database", "short", map[string]any{"default_ttl": "10s", "max_ttl": "1h"})
	w.v.DatabaseRole("database", "fixed", map[string]any{"default_ttl": "12s", "max_ttl": "12s"})
	s.write()
	through := func(c *leasehold.Config) { // the hosts are for the redirects of a standby
		c.Address = s.p.Addr()
		c.RedirectHosts = []string{strings.TrimPrefix(w.v.Addr(), "http://")}
	}
	s.move("approle-soak-short", map[string]any{"token_ttl": "10s", "token_max_ttl": "20s"}, through, "long", "long")
	s.move("approle-soak-long", map[string]any{"token_ttl": "30s"}, through, "short", "fixed")
	s.watch()

	script := soakScript(seed, length)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	s.began = time.Now()
	var wg sync.WaitGroup
	wg.Go(func() { s.dead.dig(ctx) })
	for _, l := range s.lodgers {
		l.live(ctx, &wg)
	}
	wg.Go(func() { s.read(ctx) })
	s.play(ctx, script)
	wg.Wait()

	s.judge(script)
	s.leave(tokens)
}

// play lets the script happen.
func (s *soak) play(ctx context.Context, script []step) {
	for _, st := range script {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(s.began.Add(st.at))):
		}
		began := time.Now()
		for _, f := range faults {
			if f.name == st.what {
				end := f.begin(s.p)
				<-time.After(st.lasts)
				end()
			}
		}
		for _, k := range strikes {
			if k.name == st.what {
				k.hit(s, st)
			}
		}
		s.mu.Lock()
		s.past = append(s.past, event{st, began, time.Now()})
		s.mu.Unlock()
	}
}

// judge asserts what the laws promise, each failure with what led to it.
func (s *soak) judge(script []step) {
	t := s.t
	t.Helper()
	seed := fmt.Sprintf("seed=%d", s.seed)
	failed, outside, corpses, missing, queries, reads := 0, 0, 0, 0, 0, 0
	var slowest, recovery time.Duration
	for _, l := range s.lodgers {
		queries += l.queries
		reads += l.held.reads
		slowest = max(slowest, l.slowest)
		failed += len(l.failed)
		for _, f := range l.failed {
			open, since := s.open(l.role, f.at, true)
			if !open {
				outside++
				s.blame(f, l.role, "a query failed")
			}
			recovery = max(recovery, since)
		}
		for _, c := range l.held.corpses {
			if open, _ := s.open(l.role, c.at, false); !open {
				corpses++
				s.blame(c, l.role, "a credential was handed out whose user was gone")
			}
		}
		for _, m := range l.held.misses {
			if open, _ := s.open(l.role, m.at, false); !open {
				missing++
				s.blame(m, l.role, "there was no valid credential")
			}
		}
	}
	for _, f := range s.badReads {
		s.blame(f, "kv", "a read failed")
	}
	creations, logins := s.perMinute("database/creds/"), s.perMinute("auth/approle-soak-")
	assert.Greater(t, queries, len(s.lodgers)*10*int(soakLength(t).Seconds()), "too few queries to say anything")
	assert.LessOrEqual(t, creations, soakCreations, "creations in one minute, in the audit log")
	assert.LessOrEqual(t, logins, soakLogins, "logins in one minute, in the audit log")
	notes := []string{"oracle=query-log", seed, fmt.Sprintf("length=%v", soakLength(t)), fmt.Sprintf("steps=%d", len(script)), fmt.Sprintf("queries=%d", queries), fmt.Sprintf("failed=%d", failed)}
	figure.AtMost(stdout, "soak-expired-handed-out", float64(corpses), "credentials", 0, "oracle=pg_roles", seed, fmt.Sprintf("reads=%d", reads))
	figure.AtMost(stdout, "soak-failed-outside-windows", float64(outside), "queries", 0, notes...)
	figure.AtMost(stdout, "soak-nothing-valid-outside-windows", float64(missing), "reads", 0, "oracle=application", seed, fmt.Sprintf("reads=%d", reads))
	figure.AtMost(stdout, "soak-failed-kv-reads", float64(len(s.badReads)), "reads", 0, "oracle=application", seed, fmt.Sprintf("reads=%d", s.reads))
	figure.AtMost(stdout, "soak-recovery", recovery.Seconds(), "s", 2, "oracle=query-log", seed, fmt.Sprintf("windows=%d", len(s.windows)))
	figure.AtMost(stdout, "soak-slowest-query", slowest.Seconds(), "s", 5, "oracle=query-log", seed)
	figure.AtMost(stdout, "soak-creations-a-minute", float64(creations), "creations", soakCreations, "oracle=audit-log", seed)
	figure.AtMost(stdout, "soak-logins-a-minute", float64(logins), "logins", soakLogins, "oracle=audit-log", seed)
}

// leave closes everything and looks at what remains. A token whose login's answer was
// lost is known to nobody, and ends by itself.
func (s *soak) leave(tokens int) {
	t := s.t
	t.Helper()
	testvault.Poll(t, 5*time.Second, func() bool { return s.flags.Get().N == s.written }, s.tell("the value that was written last is not seen", time.Now()))
	for _, l := range s.lodgers {
		require.NoError(t, l.db.Close())
	}
	for _, a := range s.apps {
		require.NoError(t, a.Close(context.Background()), s.tell("close", time.Now()))
	}
	left, lost := len(s.w.v.List("auth/token/accessors"))-tokens, s.loginsInFaults()
	assert.LessOrEqual(t, left, lost, s.tell("tokens left after Close, and logins whose answer may have been lost", time.Now()))
	for _, role := range []string{"long", "short", "fixed"} {
		s.w.nothingLeft(t, role)
	}
	testvault.Poll(t, 40*time.Second, func() bool { return len(s.w.v.List("auth/token/accessors")) == tokens }, "tokens that nobody knows of have outlived their time")
	figure.AtMost(stdout, "soak-tokens-left", float64(left), "tokens", float64(lost), "oracle=token-store", fmt.Sprintf("seed=%d", s.seed))
}

// perMinute is the largest number of successful requests in any minute.
func (s *soak) perMinute(path string) int {
	var times []time.Time
	for _, e := range s.w.v.Audit().Responses() {
		if strings.HasPrefix(e.Path, path) {
			times = append(times, e.Time)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	most := 0
	for i, from := 0, 0; i < len(times); i++ {
		for times[i].Sub(times[from]) > time.Minute {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// loginsInFaults counts the logins whose answer something may have come in the way of.
func (s *soak) loginsInFaults() (n int) {
	for _, e := range s.w.v.Audit().Responses() {
		if strings.HasPrefix(e.Path, "auth/approle-soak-") && slices.ContainsFunc(s.past, func(f event) bool {
			return e.Time.After(f.began) && e.Time.Before(f.ended.Add(time.Second))
		}) {
			n++
		}
	}
	return n
}
