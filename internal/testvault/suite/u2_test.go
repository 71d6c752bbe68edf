package suite

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// TestU2TokenAndSecretsHaveNamespacesOfTheirOwn looks at the headers that reach the proxy:
// what is about the token goes to AuthNamespace, what is about secrets and leases to
// Namespace. The free Vault ignores both, so that the requests succeed all the same; an
// enterprise one would answer "invalid role or secret ID" and the like.
func TestU2TokenAndSecretsHaveNamespacesOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.v.DatabaseRole("database", "spaces", map[string]any{"default_ttl": "6s", "max_ttl": "12s"})
	p := testvault.NewProxy(t, w.v.Addr())
	a := w.start(t, "approle-spaces", map[string]any{"token_ttl": "6s", "token_max_ttl": "10s"}, via(p), func(c *leasehold.Config) {
		c.Namespace, c.AuthNamespace = "team/payments", "ops"
	})
	creds, err := dynamic.Database(t.Context(), a, "spaces")
	require.NoError(t, err)
	_, err = kv.Get[map[string]any](t.Context(), a.KV("secret"), "payments/stripe")
	require.NoError(t, err)
	seen := func(path string) bool { return p.Count("", path) > 0 }
	testvault.Poll(t, 30*time.Second, func() bool {
		creds.Suspect(creds.Snapshot().Generation)
		return p.Count("", "auth/approle-spaces/login") > 1 && seen("auth/token/renew-self") && seen("sys/leases/renew") && seen("sys/leases/lookup")
	}, "not every kind of request was made")
	require.NoError(t, a.Close(context.Background()))

	about := map[string]int{}
	for _, r := range p.Log() {
		want := "team/payments"
		if strings.HasPrefix(r.Path, "auth/") {
			want = "ops"
		}
		assert.Equal(t, want, r.Namespace, "%s %s", r.Method, r.Path)
		about[want]++
	}
	assert.Greater(t, about["ops"], 4)
	assert.Greater(t, about["team/payments"], 4)
	assert.True(t, seen("auth/token/revoke-self"))
	w.nothingLeft(t, "spaces")
}
