package leasehold_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

const uiMounts = "sys/internal/ui/mounts/"

// TestU1PreflightSaysWhatNoPolicyCures: what is no mount, or no KV engine, in the words of Load, and no line for it.
// Mutation: it looks at the version alone.
func TestU1PreflightSaysWhatNoPolicyCures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.MountKV2("team/kv")
		w.PutKV("team/kv", "app", map[string]any{"x": "y"})
		c := w.start(func(c *leasehold.Config) { c.Auth = token.New(w.RootToken()) })
		var cfg struct {
			Nested string           `vault:"team/kv/app:settings#x"`
			Also   string           `vault:"team/kv/app:settings#y"`
			Creds  dynamic.UserPass `vault:"database:creds/app"`
			Good   string           `vault:"secret:app/config#banner"`
		}
		err := c.Preflight(t.Context(), &cfg)
		require.Zero(t, w.reads()+w.creations())
		for _, part := range []string{
			`fields Nested, Also: leasehold: read team/kv/app/settings: no KV secrets engine is mounted there (the mount is "team/kv": app belongs to the path)`,
			`field Creds: leasehold: read database/creds/app: no KV secrets engine is mounted there (the engine at "database" is of type "database"); if a credential is meant, add ",dynamic" to the tag`,
		} {
			require.ErrorContains(t, err, part)
			require.ErrorContains(t, c.Load(t.Context(), &cfg), part)
		}
		require.ErrorIs(t, err, kv.ErrNoMount)

		err = w.start().Preflight(t.Context(), &struct {
			Creds dynamic.UserPass `vault:"database:creds/app"`
			Other string           `vault:"elsewhere:x#y"`
		}{})
		require.ErrorIs(t, err, kv.ErrNoMount)
		var lacks *leasehold.PermissionError
		require.ErrorAs(t, err, &lacks)
		require.Len(t, lacks.Missing, 1)
		require.Equal(t, "elsewhere/data/x", lacks.Missing[0].Path)
	})
}

// TestU4PreflightWaitsToBeToldTheVersion of an engine, as kv.Get waits for what it reads.
// Mutation: it asks once, and remembers for a minute that it was told nothing.
func TestU4PreflightWaitsToBeToldTheVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.MountKV1("old")
		w.Policy("app", vaulttest.Rule{Path: "old/x", Capabilities: []string{"read"}})
		c := w.start()
		var cfg struct {
			Old string `vault:"old:x#y"`
		}
		w.Fail(vaulttest.Fault{Path: uiMounts + "*", Status: http.StatusServiceUnavailable})
		began := time.Now()
		err := c.Preflight(t.Context(), &cfg)
		require.ErrorContains(t, err, "field Old: leasehold: detect the KV version of sys/internal/ui/mounts/old: 503")
		var lacks *leasehold.PermissionError
		require.NotErrorAs(t, err, &lacks)
		require.LessOrEqual(t, time.Since(began), time.Minute)
		time.AfterFunc(10*time.Second, w.ClearFaults)
		require.NoError(t, c.Preflight(t.Context(), &cfg))

		// One that something in between keeps away is not waited for.
		w.Fail(vaulttest.Fault{Path: uiMounts + "*", Status: http.StatusNotFound, Body: "<html>"})
		began = time.Now()
		require.ErrorContains(t, w.start().Preflight(t.Context(), &cfg), `or path "old/x" if that is KV version 1`)
		require.LessOrEqual(t, time.Since(began), time.Second)
	})
}

// TestU1OneFailureOfPreflightIsItself, and what could not be asked does not hide behind what is missing.
// Mutation: all of them are joined.
func TestU1OneFailureOfPreflightIsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{NoDefaultPolicy: true})
		w.Policy("app", vaulttest.Rule{Path: "sys/capabilities-self", Capabilities: []string{"update"}})
		c := w.start()
		var cfg struct {
			Banner string `vault:"secret:app/config#banner"`
		}
		err := c.Preflight(t.Context(), &cfg)
		_, itself := err.(*leasehold.PermissionError) //nolint:errorlint // whether it is wrapped is the question
		assert.True(t, itself)

		c = w.start(func(c *leasehold.Config) { c.Namespace = "team" }, through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if r.URL.Path == "/v1/sys/capabilities-self" && r.Header.Get("X-Vault-Namespace") != "" {
				return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			}
			return next.RoundTrip(r)
		}))
		err = c.Preflight(t.Context(), &cfg)
		var lacks *leasehold.PermissionError
		var failed *leasehold.Error
		require.ErrorAs(t, err, &failed)
		require.NotErrorAs(t, err, &lacks, "it would be taken for all that is wrong")
	})
}
