package suite

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestA3LostRenewalsAndAMaximumTTLFailNoQuery gives tokens of 6 s that end for good at
// 15 s, and takes every third renewal away: of the token before Vault sees it, of the
// lease when Vault has answered. Whoever renews once and hopes has a dead token within
// the first minute; whoever renews at the maximum for ever has one after 15 s.
func TestA3LostRenewalsAndAMaximumTTLFailNoQuery(t *testing.T) {
	t.Parallel()
	const role, mount = "a3", "approle-a3"
	w, watched := newWorld(t), time.Minute
	p := testvault.NewProxy(t, w.v.Addr())
	p.Fault(testvault.Rule{Path: "auth/token/renew-self", Every: 3, DropBefore: true})
	p.Fault(testvault.Rule{Path: "sys/leases/renew", Every: 3, DropAfter: true})
	w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "6s", "max_ttl": "1h"})
	a := w.start(t, mount, map[string]any{"token_ttl": "6s", "token_max_ttl": "15s"}, via(p))
	creds, err := dynamic.Database(t.Context(), a, role)
	require.NoError(t, err)
	db := w.open(t, creds)
	log := w.queried(t.Context(), db, role, watched)

	logins, creations := w.v.Audit().Count("", "auth/"+mount+"/login"), w.v.Audit().Count("", "database/creds/"+role)
	lost := 0
	for _, n := range p.Log() {
		if n.Fault != "" {
			lost++
		}
	}
	assert.Greater(t, log.done, int(watched/queries), "too few queries to say anything")
	assert.Empty(t, log.failed, "failed queries")
	assert.Empty(t, log.late, "credentials first used after their predecessor's death")
	assert.GreaterOrEqual(t, logins, int(watched/(15*time.Second)), "logins in the audit log: no token lasts longer than 15 s")
	assert.LessOrEqual(t, logins, int(watched/(5*time.Second)), "logins in the audit log: a lost renewal is no reason for one")
	assert.LessOrEqual(t, creations, logins+lost, "creations in the audit log: one for each token, and few besides")
	assert.GreaterOrEqual(t, lost, 4, "renewals that the proxy took away")
	figure.AtMost(stdout, "a3-failed", float64(len(log.failed)), "queries", 0, "oracle=query-log",
		fmt.Sprintf("queries=%d", log.done), fmt.Sprintf("logins=%d", logins), fmt.Sprintf("creations=%d", creations), fmt.Sprintf("lost_renewals=%d", lost))

	require.NoError(t, db.Close())
	require.NoError(t, a.Close(context.Background()))
	w.nothingLeft(t, role)
}
