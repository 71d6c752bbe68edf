package suite

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestE1AStandbyThatLagsBehindIsAskedAgain answers 412 twice to the first login, to the
// token's first use, to the first read and to the first creation, as a standby does that
// has not yet heard of what was written elsewhere. Clients that know only 5xx to be of
// the moment fail at their start.
func TestE1AStandbyThatLagsBehindIsAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.v.DatabaseRole("database", "lagging", map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
	p := testvault.NewProxy(t, w.v.Addr())
	paths := []string{"auth/approle-lagging/login", "secret/data/payments/stripe", "database/creds/lagging"}
	for _, path := range append(paths, "auth/token/lookup-self") {
		rule := testvault.Status(http.StatusPreconditionFailed)
		rule.Path, rule.Times = path, 2
		p.Fault(rule)
	}
	a := w.start(t, "approle-lagging", hour(), via(p))
	require.NoError(t, a.read(t, 10*time.Second))
	creds, err := dynamic.Database(t.Context(), a, "lagging")
	require.NoError(t, err)
	_, err = creds.Get()
	require.NoError(t, err)
	for _, path := range paths {
		assert.Equal(t, 3, p.Count("", path), "proxy log: %s", path)
		assert.Equal(t, 1, w.v.Audit().Count("", path), "audit log: %s", path)
	}
	assert.Len(t, w.v.Leases("database/creds/lagging"), 1)
	require.NoError(t, a.Close(t.Context()))
	w.nothingLeft(t, "lagging")
}

// TestE2AQuotaOfVaultIsHonoured has Vault itself allow one request to the KV engine in ten
// seconds, and say when to come back. A reader with little time is told at once, one with
// more gets its value with the second request, and nobody takes a 429 for a dead token.
func TestE2AQuotaOfVaultIsHonoured(t *testing.T) {
	t.Parallel()
	w := newVault(t)
	w.v.Write("sys/quotas/config", map[string]any{"enable_rate_limit_response_headers": true})
	p := testvault.NewProxy(t, w.v.Addr())
	a := w.start(t, "approle-quota", hour(), via(p))
	w.v.Write("sys/quotas/rate-limit/kv", map[string]any{"path": "secret", "rate": 1, "interval": "10s"})
	require.NoError(t, a.read(t, 15*time.Second))

	p.Reset()
	began := time.Now()
	err := a.read(t, 2*time.Second)
	var refused *leasehold.Error
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, http.StatusTooManyRequests, refused.Status)
	figure.AtMost(stdout, "e2-told-at-once", time.Since(began).Seconds(), "s", 0.5, "oracle=clock", "ctx=2s")
	assert.Equal(t, 1, p.Count("", "secret/"), "requests of a reader with little time")

	p.Reset()
	require.NoError(t, a.read(t, 30*time.Second))
	assert.Equal(t, 2, p.Count("", "secret/"), "requests of a reader with time: one refused, one when Vault said so")
	assert.Equal(t, 1, w.v.Audit().Count("", "auth/approle-quota/login"))
	require.NoError(t, a.Close(t.Context()))
}

// TestE2ARetryAfterPastTheCtxIsNotWaitedFor answers each read by 429 with Retry-After 69,
// where the reader has 20 s. It gets Vault's answer at once rather than a deadline in the
// end, and is not taken for one with a dead token.
func TestE2ARetryAfterPastTheCtxIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := newVault(t)
	p := testvault.NewProxy(t, w.v.Addr())
	a := w.start(t, "approle-later", hour(), via(p))
	p.Fault(tooMany("secret/", 0))
	began := time.Now()
	err := a.read(t, 20*time.Second)
	var refused *leasehold.Error
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, http.StatusTooManyRequests, refused.Status)
	assert.Less(t, time.Since(began), 15*time.Second, "a ctx that ends before the next attempt is not waited for")
	assert.Equal(t, 1, p.Count("", "secret/"))
	assert.Equal(t, 1, p.Count("", "auth/approle-later/login"), "no login on 429")
	require.NoError(t, a.Close(t.Context()))
}

// tooMany is a rate limit with a long pause. Of the requests each every-th meets it.
func tooMany(path string, every int) testvault.Rule {
	rule := testvault.Status(http.StatusTooManyRequests, "rate limit quota exceeded")
	rule.Path, rule.Every = path, every
	rule.Header.Set("Retry-After", "69")
	return rule
}

// TestE2UpkeepDoesNotSleepPastTheEnd answers every second request of any kind by 429 with
// Retry-After 69, for 20 s from a lease's first second on. Obeyed, the pause outlasts the
// lease of 8 s: careful code around the official client loses 7 % of its queries (F24).
func TestE2UpkeepDoesNotSleepPastTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	players := []*player{
		w.player(t, "limited", map[string]any{"default_ttl": "8s", "max_ttl": "1h"}, hour()),
		w.player(t, "maximum", map[string]any{"default_ttl": "8s", "max_ttl": "12s"}, hour()),
		w.player(t, "tokens", map[string]any{"default_ttl": "1h", "max_ttl": "2h"}, shortToken()),
	}
	var undo []func()
	for _, y := range players {
		undo = append(undo, y.p.Fault(tooMany("", 2)))
		y.play(t, workers)
	}
	<-time.After(20 * time.Second)
	for _, f := range undo {
		f()
	}
	<-time.After(8 * time.Second)
	var failed, queries int
	for _, y := range players {
		y.rest()
		y.unharmed(t)
		failed, queries = failed+len(y.log.failed), queries+y.log.done
		limited := 0
		for _, s := range y.p.Log() {
			if s.Status == http.StatusTooManyRequests {
				limited++
			}
		}
		assert.Positive(t, limited, "%s: requests that met the limit", y.name)
	}
	assert.Equal(t, 1, players[0].logins(), "no login on 429")
	assert.Equal(t, 1, players[1].logins(), "no login on 429")
	figure.AtMost(stdout, "e2-failed", float64(failed), "queries", 0, "oracle=query-log", fmt.Sprintf("queries=%d", queries))
	assert.Len(t, players[0].creations(), 1, "a lease that can be renewed is, all the same")
	for _, y := range players {
		y.leave(t)
	}
}
