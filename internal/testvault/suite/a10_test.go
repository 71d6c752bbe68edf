package suite

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// TestA10NothingDiesByATokensLastUse logs in for tokens of five uses, reads secrets with
// them, and lives on a database credential meanwhile. Vault revokes a token with its last
// use and takes along what hangs on it, even what that very use has created: a hidden
// lookup, or a use too many, shows as a refused read or as a failed query.
func TestA10NothingDiesByATokensLastUse(t *testing.T) {
	t.Parallel()
	const role, mount, uses, reads = "a10", "approle-a10", 5, 24
	w := newWorld(t)
	p := testvault.NewProxy(t, w.v.Addr())
	w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "10s", "max_ttl": "1h"})
	a := w.start(t, mount, map[string]any{"token_num_uses": uses, "token_ttl": "30s", "token_max_ttl": "1h"}, via(p))
	creds, err := dynamic.Database(t.Context(), a, role)
	require.NoError(t, err)
	db := w.open(t, creds)

	refused := make(chan error, reads)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for range reads {
			<-tick.C
			if _, err := kv.Get[stripe](t.Context(), a.KV("secret"), "payments/stripe"); err != nil {
				refused <- err
			}
		}
	}()
	log := w.queried(t.Context(), db, role, 15*time.Second)
	<-done
	assert.Empty(t, refused, "reads that failed")
	assert.Empty(t, log.failed, "failed queries")
	assert.Greater(t, log.done, 100, "too few queries to say anything")

	spent, forbidden := map[string]int{}, 0
	for _, n := range p.Log() {
		if n.Token != "" {
			spent[n.Token]++
		}
		if n.Status == http.StatusForbidden {
			forbidden++
		}
	}
	most := 0
	for _, n := range spent {
		most = max(most, n)
	}
	assert.Zero(t, forbidden, "refused requests on the wire")
	assert.LessOrEqual(t, most, uses-2, "requests with one token: one use is for giving it back, and the last is left")
	logins := w.v.Audit().Count("", "auth/"+mount+"/login")
	assert.GreaterOrEqual(t, logins, reads/(uses-2), "logins in the audit log: a token was used up several times")
	figure.AtMost(stdout, "a10-refused", float64(forbidden+len(refused)), "requests", 0, "oracle=proxy-log",
		fmt.Sprintf("reads=%d", reads), fmt.Sprintf("logins=%d", logins), fmt.Sprintf("most_uses=%d", most), fmt.Sprintf("failed_queries=%d", len(log.failed)))

	require.NoError(t, db.Close())
	require.NoError(t, a.Close(context.Background()))
	assert.Zero(t, w.liveTokens(mount), "tokens left")
	w.nothingLeft(t, role)
}
