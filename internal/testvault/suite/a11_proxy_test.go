package suite

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// proxied starts a real Vault Proxy with a cache, which logs in by AppRole, and returns what leads a
// client to it. The proxy listens at once and logs in a second later, when it finds its secret-id: who
// is started with it must wait.
func (w world) proxied(t *testing.T, mount string, role map[string]any) (_ *testvault.Program, behind func(*leasehold.Config)) {
	t.Helper()
	role["token_policies"] = "app"
	roleID, secretID := w.v.AppRole(mount, "app", role)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("role-id"), []byte(roleID))
	time.AfterFunc(time.Second, func() { assert.NoError(t, os.WriteFile(in("secret-id"), []byte(secretID), 0o600)) })
	addr := freeAddr(t)
	write(t, in("proxy.hcl"), fmt.Appendf(nil, `
vault { address = %q }
auto_auth {
  method "approle" {
    mount_path = "auth/%s"
    min_backoff = "50ms"
    max_backoff = "200ms"
    config = {
      role_id_file_path = %q
      secret_id_file_path = %q
      remove_secret_id_file_after_reading = false
    }
  }
}
api_proxy { use_auto_auth_token = "force" }
cache {}
listener "tcp" {
  address = %q
  tls_disable = true
}`, w.v.Addr(), mount, in("role-id"), in("secret-id"), addr))
	program := testvault.NewCLI(t, w.v.Addr()).Start("proxy", "-config="+in("proxy.hcl"))
	return program, func(c *leasehold.Config) { c.Address = "http://" + addr }
}

// freeAddr is an address on loopback that nobody listens at.
func freeAddr(t *testing.T) string {
	t.Helper()
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, free.Close())
	return free.Addr().String()
}

// consumer is a service behind a proxy, with what came of its reads and queries.
type consumer struct {
	*app

	creds   *dynamic.Credential[dynamic.UserPass]
	reads   *reads
	queries *queryLog
	stop    func()
}

func (w world) consumer(t *testing.T, role string, behind func(*leasehold.Config)) *consumer {
	t.Helper()
	a, err := w.enter(t, auth.None(), behind)
	require.NoError(t, err)
	c := &consumer{app: a, queries: &queryLog{w: w, role: role}}
	c.creds, err = dynamic.Database(t.Context(), a, role)
	require.NoError(t, err)
	db := w.open(t, c.creds)
	log, end := a.load(t.Context())
	c.reads = log
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { c.queries.work(ctx, db) })
	}
	c.stop = func() {
		end()
		cancel()
		wg.Wait()
		require.NoError(t, db.Close())
	}
	return c
}

// unharmed asserts that nothing failed.
func (c *consumer) unharmed(t *testing.T, watched time.Duration) {
	t.Helper()
	assert.Greater(t, c.reads.done, workers*int(watched/queries)/2, "too few reads to say anything")
	assert.Empty(t, c.reads.failed, "failed reads")
	assert.Greater(t, c.queries.done, workers*int(watched/queries)/2, "too few queries to say anything")
	assert.Empty(t, c.queries.failed, "failed queries")
	assert.NotContains(t, c.said.String(), "hvs.")
}

// nothingRevoked asserts that those behind a proxy gave nothing back.
func (w world) nothingRevoked(t *testing.T) {
	t.Helper()
	assert.Zero(t, w.v.Audit().Count("", "auth/token/revoke"), "revoked tokens in the audit log")
	assert.Zero(t, w.v.Audit().Count("", "sys/leases/revoke"), "revoked leases in the audit log")
}

// TestA11AProxyRotatesItsToken: a real Vault Proxy, whose tokens die every 20 s, puts them in and tells
// nobody of them, by ID or accessor. Leases of an hour die with each, so that who takes the next one
// for the same token extended is without a database soon.
func TestA11AProxyRotatesItsToken(t *testing.T) {
	t.Parallel()
	const mount, role, watched = "approle-a11proxy", "behindpr", 65 * time.Second
	w := newWorld(t)
	w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
	proxy, behind := w.proxied(t, mount, map[string]any{"token_ttl": "20s", "token_max_ttl": "20s"})
	c := w.consumer(t, role, behind)
	<-time.After(watched)
	require.True(t, proxy.Running(), "the proxy runs")
	c.stop()
	tokens, refused := w.logins(mount)
	creations := w.v.Audit().Count("read", "database/creds/"+role)
	lookups := w.v.Audit().Count("", "auth/token/lookup-self")
	require.NoError(t, c.creds.Close(context.Background()))
	require.NoError(t, c.Close(context.Background()))
	c.unharmed(t, watched)
	assert.Empty(t, c.queries.late, "credentials that came when their predecessor was gone")
	assert.GreaterOrEqual(t, tokens, 4, "the proxy's logins in the audit log: no token lasts longer than 20 s")
	assert.Zero(t, refused)
	assert.GreaterOrEqual(t, creations, 3, "creations in the audit log: none outlives its token")
	assert.LessOrEqual(t, creations, 3*tokens, "creations in the audit log")
	assert.LessOrEqual(t, lookups, 15*tokens, "lookups in the audit log")
	w.nothingRevoked(t)
	figure.AtMost(stdout, "a11-proxy-failed", float64(len(c.reads.failed)+len(c.queries.failed)), "requests", 0, "oracle=application",
		fmt.Sprintf("reads=%d", c.reads.done), fmt.Sprintf("queries=%d", c.queries.done), fmt.Sprintf("tokens=%d", tokens),
		fmt.Sprintf("creations=%d", creations), fmt.Sprintf("lookups=%d", lookups))
	require.Equal(t, "0", proxy.End(), "the proxy's exit status")
}

// TestA11WhatAProxyHasCachedEndsNoLaterThanVaultSays: two services get the same credential from the
// proxy's cache, and what each knows of its end is compared with Vault's own, which moves when the
// proxy renews. Who believes the cached answers loses the credential after its first TTL.
func TestA11WhatAProxyHasCachedEndsNoLaterThanVaultSays(t *testing.T) {
	t.Parallel()
	const mount, role, apart, watched = "approle-a11cache", "cachedpr", 25 * time.Second, 85 * time.Second
	w := newWorld(t)
	// The proxy may keep a credential until a tenth of its TTL is left. Of a shorter one that is less
	// than what is lost to whole seconds, and to those who ask.
	w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "40s", "max_ttl": "80s"})
	proxy, behind := w.proxied(t, mount, map[string]any{"token_ttl": "1h"})
	all := []*consumer{w.consumer(t, role, behind)}
	<-time.After(apart)
	all = append(all, w.consumer(t, role, behind))
	require.Equal(t, all[0].creds.Snapshot().Value.Username, all[1].creds.Snapshot().Value.Username, "it is cached")

	compared, beyond := 0, time.Duration(0)
	for end := time.Now().Add(watched); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		for _, c := range all {
			told := c.creds.Snapshot()
			expires := told.Expires() // before Vault is asked: what it says only moves away
			leases := w.v.Leases("database/creds/" + role)
			if len(leases) != 1 || !slices.Equal(w.roles(role), []string{told.Value.Username}) {
				continue // nobody can tell which is whose
			}
			status, body, err := w.v.TryWrite("sys/leases/lookup", map[string]any{"lease_id": leases[0]})
			require.NoError(t, err)
			data, _ := body["data"].(map[string]any)
			text, _ := data["expire_time"].(string)
			if status != 200 {
				continue
			}
			ends, err := time.Parse(time.RFC3339Nano, text)
			require.NoError(t, err)
			compared++
			beyond = max(beyond, expires.Sub(ends))
		}
	}
	require.True(t, proxy.Running(), "the proxy runs")
	for _, c := range all {
		c.stop()
		require.NoError(t, c.Close(context.Background()))
	}
	all[0].unharmed(t, watched+apart)
	all[1].unharmed(t, watched)
	creations, renewals := w.v.Audit().Count("read", "database/creds/"+role), w.v.Audit().Count("", "sys/leases/renew")
	assert.Greater(t, compared, 100, "too few comparisons to say anything")
	assert.Zero(t, beyond, "a deadline beyond Vault's own")
	assert.GreaterOrEqual(t, creations, 2, "creations in the audit log: none lasts longer than 80 s")
	assert.LessOrEqual(t, creations, 4, "creations in the audit log: the cache is for both")
	w.nothingRevoked(t)
	figure.AtMost(stdout, "a11-cache-beyond", beyond.Seconds(), "s", 0, "oracle=lease-table",
		fmt.Sprintf("compared=%d", compared), fmt.Sprintf("reads=%d", all[0].reads.done+all[1].reads.done),
		fmt.Sprintf("queries=%d", all[0].queries.done+all[1].queries.done), fmt.Sprintf("creations=%d", creations),
		fmt.Sprintf("renewals=%d", renewals), fmt.Sprintf("lookups=%d", w.v.Audit().Count("", "sys/leases/lookup")))
	require.Equal(t, "0", proxy.End(), "the proxy's exit status")
}
