package suite

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// unforwarded has standbys redirect to the leader rather than forward to it.
type unforwarded struct {
	base     http.RoundTripper
	mu       sync.Mutex
	redirect map[string]int // by path
}

func (u *unforwarded) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Vault-No-Request-Forwarding", "true")
	resp, err := u.base.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusTemporaryRedirect {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.redirect[strings.TrimPrefix(r.URL.Path, "/v1/")]++
	}
	return resp, err
}

func (u *unforwarded) reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	clear(u.redirect)
}

func (u *unforwarded) count(path string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.redirect[path]
}

// TestHAAStandbyRedirectsEverything gives a client the address of a standby that does not
// forward, and of the others as hosts that it may be redirected to. Login, reads,
// creations and renewals, with their bodies and their tokens, must arrive at the leader,
// also at the one that takes over in the midst of the lease: a third of it, since an
// election may take ten seconds. A client that follows no redirect, loses the body or
// repeats a creation fails.
func TestHAAStandbyRedirectsEverything(t *testing.T) {
	t.Parallel()
	w, c := newClusterWorld(t)
	const role, mount = "redirect", "approle-redirect"
	w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "30s", "max_ttl": "1h"})
	address := c.Standbys()[0]
	wire := &unforwarded{base: &http.Transport{DisableKeepAlives: true}, redirect: map[string]int{}}
	a := w.start(t, mount, map[string]any{"token_ttl": "30s"}, trust(c), func(cfg *leasehold.Config) {
		cfg.Address = address.Addr()
		cfg.HTTPClient = &http.Client{Transport: wire}
	})
	creds, err := dynamic.Database(t.Context(), a, role)
	require.NoError(t, err)
	db := w.open(t, creds)
	log := &queryLog{w: w, role: role}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { log.work(ctx, db) })

	// Of the leader: what was asked of it directly, without this package's own requests.
	reach := func(leader *testvault.Node) {
		t.Helper()
		_, err := kv.Get[limits](t.Context(), a.KV("secret"), "limits")
		require.NoError(t, err)
		_, err = dynamic.Database(t.Context(), a, role)
		require.NoError(t, err)
		for _, path := range []string{"secret/data/limits", "database/creds/" + role, "sys/leases/renew", "auth/token/renew-self"} {
			testvault.Poll(t, 20*time.Second, func() bool { return leader.Audit().Count("", path) > 0 && wire.count(path) > 0 },
				path+" does not reach the leader by a redirect")
		}
	}
	reach(c.Leader())
	assert.Equal(t, 1, wire.count("auth/"+mount+"/login"), "redirected logins")
	wire.reset()
	leader := c.StepDown()
	if leader == address { // it would redirect nobody
		leader = c.StepDown()
	}
	require.NotEqual(t, address, leader)
	c.Audit().Reset()
	reach(leader)
	cancel()
	wg.Wait()
	assert.Empty(t, log.failed, "failed queries")
	assert.Greater(t, log.done, 50, "too few queries to say anything")
	assert.Zero(t, log.changes, "changes of the database user")
	figure.AtMost(stdout, "ha-redirect-failed", float64(len(log.failed)), "queries", 0, "oracle=query-log",
		fmt.Sprintf("queries=%d", log.done), fmt.Sprintf("renewals=%d", wire.count("sys/leases/renew")),
		fmt.Sprintf("creations=%d", wire.count("database/creds/"+role)), fmt.Sprintf("logins=%d", 1+wire.count("auth/"+mount+"/login")))
	require.NoError(t, db.Close())
	require.NoError(t, a.Close(context.Background()))
	w.nothingLeft(t, role)
}

// TestHAARedirectToAnUnknownHostIsBackedOffFromLikeAnOutage has the first renewal of the
// lease and that of the token meet a standby that has just lost its leader: it forwards
// at all other times, and now redirects to a host that nobody has configured. That passes
// within seconds. Who takes it for a setting that somebody must change waits until the
// lease can only be replaced, or has ended.
func TestHAARedirectToAnUnknownHostIsBackedOffFromLikeAnOutage(t *testing.T) {
	t.Parallel()
	const role, mount = "unknown", "approle-unknown"
	w := newWorld(t)
	p := testvault.NewProxy(t, w.v.Addr())
	for _, path := range []string{"sys/leases/renew", "auth/token/renew-self"} {
		p.Fault(testvault.Rule{Path: path, Redirect: "http://127.0.0.1:1", Times: 1})
	}
	w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "10s", "max_ttl": "1h"})
	a := w.start(t, mount, map[string]any{"token_ttl": "10s"}, via(p))
	creds, err := dynamic.Database(t.Context(), a, role)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 14*time.Second)
	defer cancel()
	held := &holder{graves: &graves{w: w}, creds: creds}
	every(ctx, 20*time.Millisecond, func() { held.look(ctx) })
	logins, creations := w.v.Audit().Count("", "auth/"+mount+"/login"), w.v.Audit().Count("read", "database/creds/"+role)
	assert.Empty(t, held.misses, "failed reads of the held credential")
	assert.Equal(t, 1, logins, "logins in the audit log: none but the first")
	assert.Equal(t, 1, creations, "creations in the audit log: none but the first")
	figure.AtMost(stdout, "ha-unknown-host-logins", float64(logins-1), "logins", 0, "oracle=audit-log", fmt.Sprintf("creations=%d", creations-1))
	require.NoError(t, a.Close(context.Background()))
	w.nothingLeft(t, role)
}
