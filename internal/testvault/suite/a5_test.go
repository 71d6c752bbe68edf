package suite

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// TestA5ABatchTokenIsReplacedInTimeAndNeverRenewed logs in for batch tokens of 8 s. Each
// attempt to renew one would be refused; each login that comes too late fails queries,
// and each that comes without need is seen in the audit log.
func TestA5ABatchTokenIsReplacedInTimeAndNeverRenewed(t *testing.T) {
	t.Parallel()
	const role, mount, watched = "a5", "approle-a5", 40 * time.Second
	w := newWorld(t)
	w.v.Policy("app", `
		path "database/creds/*"  { capabilities = ["read"] }
		path "sys/leases/revoke" { capabilities = ["update"] }`)
	w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
	a := w.start(t, mount, map[string]any{"token_type": "batch", "token_ttl": "8s"})
	creds, err := dynamic.Database(t.Context(), a, role)
	require.NoError(t, err)
	db := w.open(t, creds)
	log := w.queried(t.Context(), db, role, watched)

	logins, creations := w.v.Audit().Count("", "auth/"+mount+"/login"), w.v.Audit().Count("", "database/creds/"+role)
	renewed := w.v.Audit().Count("", "auth/token/renew-self")
	assert.Greater(t, log.done, int(watched/queries), "too few queries to say anything")
	assert.Empty(t, log.failed, "failed queries")
	assert.Empty(t, log.late, "credentials first used after their predecessor's death")
	assert.Zero(t, renewed, "renewals of a batch token in the audit log")
	assert.GreaterOrEqual(t, logins, 5, "logins in the audit log: no token lasts longer than 8 s")
	assert.LessOrEqual(t, logins, 10, "logins in the audit log: each token is used for at least half of its life")
	assert.LessOrEqual(t, creations, logins+1, "creations in the audit log: one for each token")
	figure.AtMost(stdout, "a5-failed", float64(len(log.failed)), "queries", 0, "oracle=query-log",
		fmt.Sprintf("queries=%d", log.done), fmt.Sprintf("logins=%d", logins), fmt.Sprintf("creations=%d", creations), fmt.Sprintf("renew_self=%d", renewed))

	require.NoError(t, db.Close())
	require.NoError(t, a.Close(context.Background()))
	w.nothingLeft(t, role)
}

// TestA6WithoutPermissionToRenewEachIsAskedForOnce gives a token without the default
// policy: it may renew neither itself nor its leases. Who takes the refusal for something
// that passes spins (40,000 log lines a minute, in one case); who takes it for a dead
// token logs in for each.
func TestA6WithoutPermissionToRenewEachIsAskedForOnce(t *testing.T) {
	t.Parallel()
	const role, mount, watched = "a6", "approle-a6", 30 * time.Second
	w := newWorld(t)
	p := testvault.NewProxy(t, w.v.Addr())
	w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "6s", "max_ttl": "1h"})
	var told heard
	a := w.start(t, mount, map[string]any{"token_ttl": "9s", "token_max_ttl": "1h", "token_no_default_policy": true}, via(p), told.listen)
	creds, err := dynamic.Database(t.Context(), a, role)
	require.NoError(t, err)
	db := w.open(t, creds)
	log := w.queried(t.Context(), db, role, watched)

	logins, creations := w.v.Audit().Count("", "auth/"+mount+"/login"), w.v.Audit().Count("", "database/creds/"+role)
	ofToken, ofLease := p.Count("", "auth/token/renew-self"), p.Count("", "sys/leases/renew")
	assert.Empty(t, log.failed, "failed queries")
	assert.Empty(t, log.late, "credentials first used after their predecessor's death")
	assert.Greater(t, log.done, int(watched/queries), "too few queries to say anything")
	assert.Positive(t, ofToken, "renewals of a token must have been tried for this to say anything")
	assert.Positive(t, ofLease, "renewals of a lease must have been tried for this to say anything")
	assert.LessOrEqual(t, ofToken, logins, "renewals: at most one for each token")
	assert.LessOrEqual(t, ofLease, creations, "renewals: at most one for each lease")
	assert.LessOrEqual(t, logins, 8, "logins in the audit log: a token is used for half of its life at least")
	assert.LessOrEqual(t, creations, logins+10, "creations in the audit log: a lease is used for half of its life at least")
	assert.Equal(t, 1, told.count(lease.RenewRefused, "token"), "events of the token")
	assert.Equal(t, 1, told.count(lease.RenewRefused, "database/creds/"+role), "events of the lease")
	figure.AtMost(stdout, "a6-refused-renewals", float64(ofToken)/float64(logins), "renewals/token", 1, "oracle=proxy-log",
		fmt.Sprintf("tokens=%d", logins), fmt.Sprintf("leases=%d", creations), fmt.Sprintf("lease_renewals=%d", ofLease), fmt.Sprintf("failed_queries=%d", len(log.failed)))

	require.NoError(t, db.Close())
	// It may not revoke itself either, and says so.
	require.ErrorContains(t, a.Close(context.Background()), "revoke-self")
	w.nothingLeft(t, role)
}

// heard is what a client told by events.
type heard struct {
	mu  sync.Mutex
	all []leasehold.Event
}

// listen is a change for start.
func (h *heard) listen(c *leasehold.Config) {
	next := c.OnEvent
	c.OnEvent = func(e leasehold.Event) {
		h.mu.Lock()
		h.all = append(h.all, e)
		h.mu.Unlock()
		next(e)
	}
}

func (h *heard) count(kind lease.EventKind, name string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.all {
		if e.Kind == kind && e.Name == name {
			n++
		}
	}
	return n
}
