package suite

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// paid is payments/stripe, of which retries may be a text.
type paid struct {
	APIKey  secret.String `json:"api_key"`
	Retries int           `json:"retries"`
}

// loaded is a configuration from every kind of source.
type loaded struct {
	Key     secret.String                         `vault:"secret:payments/stripe#api_key"`
	Whole   paid                                  `vault:"secret:payments/stripe"`
	Port    int                                   `vault:"team/old:app/plain#port"`
	Wait    time.Duration                         `vault:"team/old:app/plain#wait,default=5s"`
	Banner  string                                `vault:"secret:payments/ui#banner,optional"`
	Live    *cache.Value[paid]                    `vault:"secret:payments/stripe"`
	Creds   *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/c6,dynamic"`
	User    string                                `vault:"database:creds/c6#username,dynamic"`
	Pass    secret.String                         `vault:"database:creds/c6#password,dynamic"`
	Static  dynamic.UserPass                      `vault:"database:static-creds/c6-static,static"`
	Ignored string                                `vault:"-"`
}

// TestC6LoadTellsEverythingThatIsWrong starts with a token that may do nothing, whose Load must name every
// path at once. The lines that Preflight then prints, pasted as they are, must be exactly what was missing.
// After that a Load fails for one path alone, which must not leave the credentials behind that it got
// for the others: those are counted in Vault's lease table and in pg_roles.
func TestC6LoadTellsEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	const role, mount = "c6", "approle-c6"
	w := newWorld(t)
	w.v.Mount("team/old", "kv", map[string]string{"version": "1"})
	w.v.Write("team/old/app/plain", map[string]any{"port": "8080"})
	w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
	w.pg.Exec("CREATE ROLE c6fixed LOGIN PASSWORD 'first'")
	w.v.Write("database/static-roles/c6-static", map[string]any{"db_name": "app", "username": "c6fixed", "rotation_period": "1h"})
	const capabilities = `path "sys/capabilities-self" { capabilities = ["update"] }`
	w.v.Policy("app", capabilities)
	p := testvault.NewProxy(t, w.v.Addr())
	a := w.start(t, mount, map[string]any{"token_ttl": "1h", "token_no_default_policy": true}, via(p))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	var cfg loaded
	began := time.Now()
	err := a.Load(ctx, &cfg)
	require.Error(t, err)
	assert.Less(t, time.Since(began), 5*time.Second)
	for _, part := range []string{
		"fields Key, Whole, Live: ", "secret/data/payments/stripe", "fields Port, Wait: ", "field Banner: ", "secret/data/payments/ui",
		"field Creds: ", "fields User, Pass: ", "database/creds/c6", "field Static: ", "database/static-creds/c6-static",
	} {
		require.ErrorContains(t, err, part)
	}
	assert.Equal(t, loaded{}, cfg)

	var lacks *leasehold.PermissionError
	err = a.Preflight(ctx, &cfg)
	require.ErrorAs(t, err, &lacks)
	_, lines, _ := strings.Cut(err.Error(), ":\n")
	// KV version 1 shows itself to who may do something below its mount.
	require.Contains(t, lines, `path "team/old/data/app/plain" { capabilities = ["read"] } # Port, Wait, or path "team/old/app/plain" if that is KV version 1`)
	policy := capabilities + "\n" + `path "secret/data/payments/none" { capabilities = ["read"] }` + "\n" + strings.Replace(lines, "team/old/data/", "team/old/", 1)
	const revoke = `path "sys/leases/revoke" { capabilities = ["update"] }`
	require.Contains(t, policy, revoke, "to give back what a Load that fails has obtained")
	w.v.Policy("app", policy)
	b := w.start(t, "approle-c6-later", map[string]any{"token_ttl": "1h", "token_no_default_policy": true}, via(p))
	require.NoError(t, b.Preflight(ctx, &cfg), "the lines that Preflight printed are all that was missing")

	missing := struct {
		loaded
		Missing string `vault:"secret:payments/none#x"`
	}{}
	w.v.Policy("app", strings.Replace(policy, revoke, "", 1))
	err = b.Load(ctx, &missing)
	require.ErrorIs(t, err, kv.ErrNotFound)
	require.ErrorContains(t, err, "field Missing: leasehold: read secret/payments/none")
	assert.NotContains(t, err.Error(), "field Key")
	require.ErrorContains(t, err, revoke, "the default policy lacks it, and so do we")
	assert.Len(t, w.v.Leases("database/creds/"+role), 2)
	w.v.RevokeLeases("database/creds/" + role)
	w.v.Policy("app", policy)
	err = b.Load(ctx, &missing)
	require.ErrorIs(t, err, kv.ErrNotFound)
	assert.NotContains(t, err.Error(), "sys/leases/revoke")
	w.nothingLeft(t, role)

	reads := w.v.Audit().Count("read", "secret/data/payments/stripe")
	require.NoError(t, a.Load(ctx, &struct {
		Key   secret.String      `vault:"secret:payments/stripe#api_key"`
		Whole paid               `vault:"secret:payments/stripe"`
		Live  *cache.Value[paid] `vault:"secret:payments/stripe"` // which is read again within a minute, whenever that is
	}{}))
	assert.Equal(t, reads+1, w.v.Audit().Count("read", "secret/data/payments/stripe"), "reads of one path in the audit log")

	// An outage of two seconds.
	p.Refuse()
	time.AfterFunc(2*time.Second, p.Accept)
	require.NoError(t, b.Load(ctx, &cfg))
	assert.Equal(t, canaryValue, cfg.Key.Reveal())
	assert.Equal(t, 3, cfg.Whole.Retries)
	assert.Equal(t, cfg.Whole, cfg.Live.Get())
	assert.Equal(t, 8080, cfg.Port)
	assert.Equal(t, 5*time.Second, cfg.Wait)
	up, err := cfg.Creds.Get()
	require.NoError(t, err)
	assert.Len(t, w.roles(role), 2)
	assert.Contains(t, w.pg.Roles(), up.Username)
	assert.Contains(t, w.pg.Roles(), cfg.User)
	assert.Equal(t, "c6fixed", cfg.Static.Username)
	assert.False(t, cfg.Pass.IsZero())

	w.v.Write("secret/data/payments/stripe", map[string]any{"data": map[string]any{"api_key": canaryValue, "retries": "5"}})
	require.NoError(t, cfg.Live.Refresh(ctx))
	assert.Equal(t, 5, cfg.Live.Get().Retries)
	assert.NotContains(t, a.said.String()+b.said.String(), canaryValue)
	require.NoError(t, a.Close(context.Background()))
	require.NoError(t, b.Close(context.Background()))
	w.nothingLeft(t, role)
}
