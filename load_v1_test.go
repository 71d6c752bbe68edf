package leasehold_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestC5ATagSaysThatAnEngineIsOfVersion1 where something keeps the question away: to Load, its live fields and
// Preflight. Mutation: the option is not passed on.
func TestC5ATagSaysThatAnEngineIsOfVersion1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 100 * time.Hour})
		w.MountKV1("old")
		w.Policy("app", append(appPolicy, vaulttest.Rule{Path: "old/*", Capabilities: []string{"read"}})...)
		w.Fail(vaulttest.Fault{Path: uiMounts + "*", Status: http.StatusNotFound, Body: "<html>"})
		w.PutKV("old", "x", map[string]any{"limit": "1"})
		w.PutKV("old", "y", map[string]any{"limit": "2"})
		c := w.start()
		var cfg struct {
			Live  *cache.Value[int] `vault:"old:x#limit,v1"`
			Plain int               `vault:"old:y#limit,v1,default=5"`
		}
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.Equal(t, 1, cfg.Live.Get())
		require.Equal(t, 2, cfg.Plain)
		w.PutKV("old", "x", map[string]any{"limit": "3"})
		time.Sleep(time.Minute)
		require.Equal(t, 3, cfg.Live.Get())
		require.NoError(t, c.Preflight(t.Context(), &cfg))
		require.Zero(t, w.Count("", uiMounts))

		require.ErrorContains(t, c.Load(t.Context(), &struct {
			X int `vault:"old:x#limit"`
		}{}), `",v1" in a vault tag`)
		asked := len(w.Requests())
		for _, f := range []func(any) error{
			func(dst any) error { return c.Load(t.Context(), dst) }, func(dst any) error { return c.Preflight(t.Context(), dst) },
		} {
			require.EqualError(t, f(&struct {
				X    int `vault:"old:x#limit"`
				Y    int `vault:"old:y#limit,v1"`
				Also int `vault:"old:x#other,optional,v1"`
			}{}), `leasehold: load: field Also: tag "old:x#other,optional,v1": field X reads the same without v1`)
			require.ErrorContains(t, f(&struct {
				X dynamic.UserPass `vault:"database:creds/app,dynamic,v1"`
			}{}), "v1 is for a KV engine")
		}
		require.Len(t, w.Requests(), asked)

		w.ClearFaults()
		var lacks *leasehold.PermissionError
		w.Policy("app")
		require.ErrorAs(t, c.Preflight(t.Context(), &cfg), &lacks)
		require.Equal(t, leasehold.Permission{Path: "old/x", Capability: "read", For: "Live"}, lacks.Missing[0])
	})
}
