package suite

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// TestA12ATokenWithOldPoliciesIsReplacedWithoutAStorm has reads refused, every quarter of
// a second, by a token that is good for an hour. Where the role got a new policy after the
// login, one more login cures it; where it did not, a login for each refusal would be a
// storm, and one that is kept would be a token too many. Vault says the same in both.
func TestA12ATokenWithOldPoliciesIsReplacedWithoutAStorm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.v.Mount("extra", "kv", map[string]string{"version": "2"})
	w.v.Policy("extra", `path "extra/data/*" { capabilities = ["read"] }`)
	w.v.Write("extra/data/new", map[string]any{"data": map[string]any{"api_key": canaryValue}})
	for _, tc := range []struct {
		name, role string
		granted    bool
	}{
		{"the role got a policy", "a12new", true},
		{"the role did not", "a12old", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, mount := w.in(t), "approle-"+tc.role
			w.v.DatabaseRole("database", tc.role, map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
			began := time.Now()
			a := w.start(t, mount, map[string]any{"token_ttl": "1h"})
			creds, err := dynamic.Database(t.Context(), a, tc.role)
			require.NoError(t, err)
			db := w.open(t, creds)
			read := func() error {
				_, err := kv.Get[stripe](t.Context(), a.KV("extra"), "new")
				return err
			}
			require.ErrorContains(t, read(), "403")
			if tc.granted {
				w.v.Write("auth/"+mount+"/role/app", map[string]any{"token_policies": "app,extra"})
			}

			const limit = 75 * time.Second
			var worked time.Duration
			refused := 0
			tick := time.NewTicker(250 * time.Millisecond)
			defer tick.Stop()
			for worked == 0 && time.Since(began) < limit {
				<-tick.C
				if read() == nil {
					worked = time.Since(began)
				} else {
					refused++
				}
			}
			var user string
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT current_user").Scan(&user))
			logins := w.v.Audit().Count("", "auth/"+mount+"/login")
			creations := w.v.Audit().Count("", "database/creds/"+tc.role)
			assert.Equal(t, 2, logins, "logins in the audit log: the first and one probe")
			assert.Greater(t, refused, 100, "refused reads")
			if tc.granted {
				assert.GreaterOrEqual(t, worked, 59*time.Second, "the probe comes a minute after the login")
				assert.NotZero(t, worked, "reads must work in the end")
				figure.AtMost(stdout, "a12-cured-after", worked.Seconds(), "s", 65, "oracle=audit-log", "logins=2")
			} else {
				assert.Zero(t, worked)
				assert.Equal(t, 1, creations, "a probe that brings nothing replaces nothing")
				assert.Equal(t, 1, w.liveTokens(mount), "the probe's token was revoked at once")
			}
			require.NoError(t, db.Close())
			require.NoError(t, a.Close(context.Background()))
			testvault.Poll(t, 5*time.Second, func() bool { return w.liveTokens(mount) == 0 }, "tokens left after Close")
			w.nothingLeft(t, tc.role)
		})
	}
}
