package kv_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestC5AnUpgradeIsNoticedWhereThePolicyIsForVersion2Alone: at the paths of version 1 Vault says 403 then, and no
// more. Mutation: a 403 casts no doubt on a version that is known.
func TestC5AnUpgradeIsNoticedWhereThePolicyIsForVersion2Alone(t *testing.T) {
	for name, ask := range map[string]func(context.Context, *kv.Store) error{
		"get": func(ctx context.Context, s *kv.Store) error { _, err := kv.Get[flags](ctx, s, "x"); return err },
		"put": func(ctx context.Context, s *kv.Store) error { _, err := s.Put(ctx, "x", flags{}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				server.PutKV("secret", "x", map[string]any{"banner": "new"})
				server.Fail(vaulttest.Fault{
					Path: uiMounts + "secret", Count: 1, Status: http.StatusOK, // as it was before
					Body: `{"request_id": "7", "data": {"type": "kv", "path": "secret/", "options": null}}`,
				})
				store := app(t, server, vaulttest.Rule{Path: "secret/data/*", Capabilities: []string{"read", "update"}}).KV("secret")
				var refused *leasehold.Error
				for range 10 {
					require.ErrorAs(t, ask(t.Context(), store), &refused)
					require.Equal(t, http.StatusForbidden, refused.Status)
				}
				require.Equal(t, 1, server.Count("GET", uiMounts))
				time.Sleep(time.Minute)
				for range 10 {
					require.NoError(t, ask(t.Context(), store))
				}
				require.Equal(t, 2, server.Count("GET", uiMounts))
			})
		})
	}
}

// TestC5ARefusalCastsDoubtOnVersion1NowAndThen: once a minute, and what was known stays known where Vault does not
// tell. Mutations: the mount is asked for at each refusal; no answer makes it version 2.
func TestC5ARefusalCastsDoubtOnVersion1NowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.MountKV1("old")
		server.PutKV("old", "x", map[string]any{"banner": "old"})
		store := app(t, server, vaulttest.Rule{Path: "old/x", Capabilities: []string{"read"}}).KV("old")
		read := func(path string) error { _, err := kv.Get[flags](t.Context(), store, path); return err }
		for i := range 600 {
			require.NoError(t, read("x"))
			require.ErrorContains(t, read("y"), `path "old/y" { capabilities = ["read"] }`)
			time.Sleep(time.Second)
			if i == 300 {
				server.Fail(vaulttest.Fault{Path: uiMounts, Status: http.StatusForbidden})
			}
		}
		require.LessOrEqual(t, server.Count("GET", uiMounts), 11)
		require.GreaterOrEqual(t, server.Count("GET", uiMounts), 9)
		require.Zero(t, server.Count("GET", "old/data/"))
	})
}

// TestC5AnUpgradeIsNoticedByWhatOnlyVersion2Has: it is not sent to version 1, which would tell. Vault is asked once a
// minute. Mutations: what was known of the mount stays known to writes; and to patches.
func TestC5AnUpgradeIsNoticedByWhatOnlyVersion2Has(t *testing.T) {
	for name, write := range map[string]func(context.Context, *kv.Store) error{
		"put": func(ctx context.Context, s *kv.Store) error {
			_, err := s.Put(ctx, "x", flags{}, kv.CAS(1))
			return err
		},
		"patch": func(ctx context.Context, s *kv.Store) error {
			_, err := s.Patch(ctx, "x", flags{}, kv.ReadModifyWrite())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				server.PutKV("secret", "x", map[string]any{"banner": "new"})
				defer server.Fail(vaulttest.Fault{ // as it was
					Path: uiMounts + "secret", Status: http.StatusOK,
					Body: `{"request_id": "7", "data": {"type": "kv", "path": "secret/", "options": null}}`,
				})()
				store := app(t, server, vaulttest.Rule{Path: "secret/data/*", Capabilities: []string{"read", "update", "patch"}}).KV("secret")
				for range 100 {
					require.ErrorContains(t, write(t.Context(), store), "is KV version 1")
					time.Sleep(10 * time.Second)
				}
				require.LessOrEqual(t, server.Count("GET", uiMounts), 20, "questions in 1000 s")
				server.ClearFaults()
				time.Sleep(time.Minute)
				require.NoError(t, write(t.Context(), store))
			})
		})
	}
}
