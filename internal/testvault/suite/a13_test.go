package suite

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// TestA13TwoClientsNeverShareAToken has two clients of one process, with identities of
// their own and tokens that change every few seconds, ask the same server for what only
// they use. Vault's audit log names the identity behind each request, and the proxy's log
// the token: one that is seen with both is a cache with too small a key.
func TestA13TwoClientsNeverShareAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := testvault.NewProxy(t, w.v.Addr())
	names := []string{"a13one", "a13two"}
	var wg sync.WaitGroup
	failed := make(chan error, 1000)
	var clients []*app
	for _, name := range names {
		w.v.Write("secret/data/"+name, map[string]any{"data": map[string]any{"api_key": canaryValue}})
		w.v.DatabaseRole("database", name, map[string]any{"default_ttl": "4s", "max_ttl": "1h"})
		a := w.start(t, "approle-"+name, map[string]any{"token_ttl": "4s", "token_max_ttl": "8s"}, via(p))
		clients = append(clients, a)
		creds, err := dynamic.Database(t.Context(), a, name)
		require.NoError(t, err)
		wg.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for end := time.Now().Add(12 * time.Second); time.Now().Before(end); <-tick.C {
				if _, err := kv.Get[stripe](t.Context(), a.KV("secret"), name); err != nil {
					failed <- err
				}
				if _, err := creds.Get(); err != nil {
					failed <- err
				}
			}
		})
	}
	wg.Wait()
	assert.Empty(t, failed)

	// What the proxy saw: whose path each token was used on.
	users := map[string]map[string]bool{}
	for _, n := range p.Log() {
		for _, name := range names {
			if n.Token == "" || !strings.HasSuffix(n.Path, "/"+name) {
				continue
			}
			if users[n.Token] == nil {
				users[n.Token] = map[string]bool{}
			}
			users[n.Token][name] = true
		}
	}
	shared := 0
	for _, by := range users {
		if len(by) > 1 {
			shared++
		}
	}
	// What Vault says: who it was.
	requests, strangers := 0, 0
	for _, e := range w.v.Audit().Responses() {
		for _, name := range names {
			if !strings.HasSuffix(e.Path, "/"+name) {
				continue
			}
			requests++
			if e.DisplayName != "approle-"+name {
				strangers++
			}
		}
	}
	assert.GreaterOrEqual(t, len(users), 4, "tokens: both clients must have had several")
	assert.Greater(t, requests, 100, "too few requests to say anything")
	assert.Zero(t, shared, "tokens used by both clients")
	assert.Zero(t, strangers, "requests made with the other client's token")
	figure.AtMost(stdout, "a13-shared-tokens", float64(shared+strangers), "tokens", 0, "oracle=proxy-log,audit-log")

	for i, name := range names {
		require.NoError(t, clients[i].Close(context.Background()))
		assert.Zero(t, w.liveTokens("approle-"+name), "tokens left")
		w.nothingLeft(t, name)
	}
}
