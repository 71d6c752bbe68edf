package leasehold_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

type wanted struct {
	Banner *cache.Value[string]                  `vault:"secret:app/config#banner"`
	Other  string                                `vault:"secret:app/config#other,optional"`
	Old    map[string]string                     `vault:"old:legacy"`
	Creds  *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/app,dynamic"`
	More   *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/app,dynamic"`
	Static dynamic.UserPass                      `vault:"database:static-creds/app,static"`
}

// TestU1PreflightTellsWhichLinesOfPolicyAreMissing, in one request, and reads nothing.
// Mutation: a path on which something else is allowed is taken for allowed.
func TestU1PreflightTellsWhichLinesOfPolicyAreMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, NoDefaultPolicy: true})
		w.MountKV1("old")
		line := func(path, capability string) vaulttest.Rule {
			return vaulttest.Rule{Path: path, Capabilities: []string{capability}}
		}
		needed := []vaulttest.Rule{
			line("secret/data/app/config", "read"), line("old/legacy", "read"), line("database/creds/app", "read"), line("database/static-creds/app", "read"),
		}
		upkeep := []vaulttest.Rule{
			line("sys/leases/renew", "update"), line("sys/leases/lookup", "update"), line("auth/token/lookup-self", "read"),
			line("sys/leases/revoke", "update"), line("auth/token/renew-self", "update"), line("auth/token/revoke-self", "update"),
		}
		may := line("sys/capabilities-self", "update")
		w.Policy("app", may)
		c := w.start()
		asked := len(w.Requests())
		err := c.Preflight(t.Context(), &wanted{})
		var lacks *leasehold.PermissionError
		require.ErrorAs(t, err, &lacks)
		require.Len(t, lacks.Missing, len(needed)+len(upkeep))
		require.Equal(t, leasehold.Permission{Path: "secret/data/app/config", Capability: "read", For: `Banner, Other, or path "secret/app/config" if that is KV version 1`}, lacks.Missing[0])
		require.Equal(t, 1, w.Count("", "sys/capabilities-self"))
		require.Len(t, w.Requests(), asked+3, "one more for the version of each mount")
		require.ErrorContains(t, err, `path "sys/leases/revoke" { capabilities = ["update"] } # or a Load that fails`, "the token is revoked at Close, with its leases")

		// What it says is what it takes: pasted, nothing is missing any more.
		w.PolicyHCL("app", err.Error()[len("leasehold: preflight: the token's policies lack:"):]+"\n"+`path "sys/capabilities-self" { capabilities = ["update"] }`)
		require.NoError(t, c.Preflight(t.Context(), &wanted{}))

		time.Sleep(2 * time.Minute) // now that Vault would tell, it is asked for the versions again
		require.ErrorAs(t, c.Preflight(t.Context(), &wanted{}), &lacks)
		require.Equal(t, []leasehold.Permission{{Path: "old/legacy", Capability: "read", For: "Old"}}, lacks.Missing)

		w.Policy("app", append(needed[1:], may)...)
		require.ErrorAs(t, c.Preflight(t.Context(), &wanted{}), &lacks)
		require.False(t, lacks.Missing[0].Upkeep)
		for _, p := range lacks.Missing[1:] {
			require.True(t, p.Upkeep, p)
		}
		w.Policy("app", append(append(needed[1:], may), vaulttest.Rule{Path: "secret/*", Capabilities: []string{"read", "list"}}, line("secret/data/app/config", "list"))...)
		require.ErrorContains(t, c.Preflight(t.Context(), &wanted{}), `path "secret/data/app/config" { capabilities = ["read"] } # Banner, Other`)

		w.Policy("app")
		err = c.Preflight(t.Context(), &wanted{})
		require.ErrorContains(t, err, `403`)
		require.ErrorContains(t, err, `path "sys/capabilities-self" { capabilities = ["update"] }`)
		require.Zero(t, w.creations()+w.reads())
	})
}

// TestPreflightSaysWhatAGivenTokenNeeds: to be renewed, since there is no other; and one that an agent keeps is
// only looked at. Mutation: all tokens are renewed.
func TestPreflightSaysWhatAGivenTokenNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		line := func(path, capability string) vaulttest.Rule {
			return vaulttest.Rule{Path: path, Capabilities: []string{capability}}
		}
		may := []vaulttest.Rule{line("secret/data/app/config", "read"), line("sys/capabilities-self", "update")}
		w.Policy("app", may...)
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: time.Hour, NoDefaultPolicy: true})
		_, err := leasehold.New(t.Context(), w.config(func(c *leasehold.Config) { c.Auth = token.New(given) }))
		const lookup = `path "auth/token/lookup-self" { capabilities = ["read"] }`
		require.ErrorContains(t, err, "grant it by policy: "+lookup)

		w.Policy("app", append(may, line("auth/token/lookup-self", "read"))...)
		var cfg struct {
			Banner string `vault:"secret:app/config#banner"`
		}
		c := w.start(func(c *leasehold.Config) { c.Auth = token.New(given) })
		require.EqualError(t, c.Preflight(t.Context(), &cfg), "leasehold: preflight: the token's policies lack:\n"+
			`path "auth/token/renew-self" { capabilities = ["update"] } # or the token ends, and everything with it`)

		file := filepath.Join(t.TempDir(), "token")
		require.NoError(t, os.WriteFile(file, []byte(given), 0o600))
		c = w.start(func(c *leasehold.Config) { c.Auth = token.File(file) })
		require.NoError(t, c.Preflight(t.Context(), &cfg))

		w = newWorld(t, vaulttest.AppRoleSpec{NoDefaultPolicy: true})
		w.Policy("app", may...)
		const revoke = "auth/token/revoke-self"
		require.ErrorContains(t, w.start().Preflight(t.Context(), &cfg), revoke)
		err = w.start(func(c *leasehold.Config) { c.KeepOnClose = true }).Preflight(t.Context(), &cfg)
		require.NotContains(t, fmt.Sprint(err), revoke)
	})
}

// TestPreflightKnowsWhoseTokenItIs: a given one is not revoked, so its leases are each. Mutation: what Vault
// does not say is taken for allowed.
func TestPreflightKnowsWhoseTokenItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		w.Policy("app", append(appPolicy[:2:2], vaulttest.Rule{Path: "old/*", Capabilities: []string{"read"}}, vaulttest.Rule{Path: "database/*", Capabilities: []string{"read"}})...)
		w.MountKV1("old")
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Auth = token.New(given) })
		err := c.Preflight(t.Context(), &wanted{})
		require.EqualError(t, err, "leasehold: preflight: the token's policies lack:\n"+
			`path "sys/leases/revoke" { capabilities = ["update"] } # or Close leaves leases to end by themselves`)

		root := w.start(func(c *leasehold.Config) { c.Auth = token.New(w.RootToken()) })
		require.NoError(t, root.Preflight(t.Context(), &wanted{}))

		spaces := w.start(func(c *leasehold.Config) { c.Namespace, c.AuthNamespace = "team", "ops" })
		err = spaces.Preflight(t.Context(), &wanted{})
		require.EqualError(t, err, "leasehold: preflight: the token's policies lack in namespace team:\n"+
			`path "sys/leases/revoke" { capabilities = ["update"] } # or a Load that fails leaves its credentials to end by themselves`)
		var asked []string
		for _, s := range w.wire.all() {
			if s.path == "sys/capabilities-self" {
				asked = append(asked, s.namespace)
			}
		}
		assert.Equal(t, []string{"", "", "team", "ops"}, asked)

		w.Fail(vaulttest.Fault{Path: "sys/capabilities-self", Status: http.StatusServiceUnavailable})
		time.AfterFunc(10*time.Second, w.ClearFaults)
		require.NoError(t, root.Preflight(t.Context(), &wanted{}))
		end := w.Fail(vaulttest.Fault{Path: "sys/capabilities-self", Status: http.StatusOK, Body: `{"data":{}}`})
		require.ErrorContains(t, root.Preflight(t.Context(), &wanted{}), `path "secret/data/app/config"`, "what is not said is not allowed")
		end()
		w.Fail(vaulttest.Fault{Path: "sys/capabilities-self", Status: http.StatusOK, Body: "[]"})
		require.ErrorContains(t, root.Preflight(t.Context(), &wanted{}), "not JSON of the expected form")
		require.NoError(t, root.Close(context.Background()))
		require.ErrorIs(t, root.Preflight(t.Context(), &wanted{}), leasehold.ErrClosed)
	})
}
