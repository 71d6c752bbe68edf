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
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestE3ASealedVaultTakesNothingAway seals Vault when the first renewal of a lease of 20 s
// falls due, and unseals it 6 s later. Token and lease live on in the storage, and so
// must they here: no login, no new credential, no failed query, and ready all the time.
func TestE3ASealedVaultTakesNothingAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	y := w.player(t, "sealed", map[string]any{"default_ttl": "20s", "max_ttl": "1h"}, hour())
	first := y.creds.Snapshot()
	y.play(t, workers)
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				assert.NoError(t, y.app.Ready(), "what the application holds is valid")
			}
		}
	})
	<-time.After(6 * time.Second)
	w.v.Seal()
	var answered time.Time
	var waited error
	wg.Go(func() {
		waited = y.app.read(t, time.Minute)
		answered = time.Now()
	})
	<-time.After(6 * time.Second)
	w.v.Unseal()
	unsealed := time.Now()
	<-time.After(time.Until(first.Obtained.Add(24 * time.Second)))
	stop()
	wg.Wait()
	y.rest()
	require.NoError(t, waited, "a read that began while Vault was sealed")
	figure.AtMost(stdout, "e3-recovery", answered.Sub(unsealed).Seconds(), "s", 5, "oracle=clock", "sealed=6s")
	y.unharmed(t)
	assert.Equal(t, first.Value.Username, y.creds.Snapshot().Value.Username)
	assert.Equal(t, first.Generation, y.creds.Snapshot().Generation)
	assert.NotEmpty(t, y.answers("update", "sys/leases/renew"), "the lease was renewed after all")
	assert.Len(t, y.creations(), 1)
	assert.Equal(t, 1, y.logins())
	y.leave(t)
}

// TestE8AnotherClusterIsOneLoginAway puts another Vault behind the address, which knows
// neither the token nor the lease, as a failover to a disaster recovery site may. The old
// credential still works at the database; the client finds out with its next renewal,
// logs in once, and has what it held made anew.
func TestE8AnotherClusterIsOneLoginAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next := newVault(t)
	next.pg = w.pg
	const roleID, secretID, mount, role = "e8-role", "e8-secret", "approle-e8", "failover"
	for _, v := range []world{w, next} {
		v.v.AppRole(mount, "app", map[string]any{"token_ttl": "1h", "token_policies": "app"})
		v.v.Write("auth/"+mount+"/role/app/role-id", map[string]any{"role_id": roleID})
		v.v.Write("auth/"+mount+"/role/app/custom-secret-id", map[string]any{"secret_id": secretID})
	}
	lease := map[string]any{"default_ttl": "9s", "max_ttl": "1h"}
	next.v.Database(w.pg, "database")
	next.v.DatabaseRole("database", role, lease)
	next.v.Policy("app", `
		path "secret/data/*"    { capabilities = ["read"] }
		path "database/creds/*" { capabilities = ["read"] }`)
	y := w.player(t, role, lease, hour(), func(c *leasehold.Config) {
		c.Auth = approle.New(roleID, approle.SecretIDString(secretID), approle.Mount(mount))
	})
	y.play(t, workers)
	<-time.After(time.Second)
	swapped := time.Now()
	y.p.Swap(next.v.Addr())
	testvault.Poll(t, 15*time.Second, func() bool { return next.v.Audit().Count("read", "database/creds/"+role) > 0 }, "nothing was obtained from the other cluster")
	figure.AtMost(stdout, "e8-moved", time.Since(swapped).Seconds(), "s", 6, "oracle=audit-log", "lease=9s")
	<-time.After(10 * time.Second) // the old credential has ended
	y.rest()
	y.unharmed(t)
	assert.Equal(t, 1, y.log.changes, "changes of the database user")
	assert.Equal(t, 1, next.v.Audit().Count("", "auth/"+mount+"/login"), "logins at the other cluster")
	assert.Equal(t, 1, next.v.Audit().Count("read", "database/creds/"+role), "creations at the other cluster")
	require.NoError(t, y.app.read(t, 5*time.Second))
	require.NoError(t, y.db.Close())
	require.NoError(t, y.app.Close(context.Background()))
	next.nothingLeft(t, role)
}

// TestE9AClientStartsBeforeVaultDoes has nobody listen at the address for the first 3 s,
// as in a pod whose sidecar is not up yet.
func TestE9AClientStartsBeforeVaultDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.v.DatabaseRole("database", "early", map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
	p := testvault.NewProxy(t, w.v.Addr())
	p.Refuse()
	var wg sync.WaitGroup
	var up time.Time
	wg.Go(func() {
		<-time.After(3 * time.Second)
		up = time.Now()
		p.Accept()
	})
	a := w.start(t, "approle-early", hour(), via(p)) // fails the test unless New succeeds
	started := time.Now()
	wg.Wait()
	figure.AtMost(stdout, "e9-start", started.Sub(up).Seconds(), "s", 5, "oracle=clock", fmt.Sprintf("requests=%d", p.Count("", "")))
	_, err := dynamic.Database(t.Context(), a, "early")
	require.NoError(t, err)
	require.NoError(t, a.read(t, 5*time.Second))
	assert.Equal(t, 1, w.v.Audit().Count("", "auth/approle-early/login"))
	require.NoError(t, a.Close(t.Context()))
	w.nothingLeft(t, "early")
}
