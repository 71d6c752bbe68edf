package leasehold_test

import (
	"context"
	"encoding/pem"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// overHTTP2 serves w's Vault by https, as real ones do.
func overHTTP2(t *testing.T, w *world) (*httptest.Server, string) {
	t.Helper()
	s := httptest.NewUnstartedServer(w)
	s.EnableHTTP2, s.Config.ErrorLog = true, slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	return s, ca
}

// TestANewClientSpeaksToAVaultThatPrefersHTTP2: the connections that are used once
// (law 7) must not agree on HTTP/2 and then speak HTTP/1. Mutation: they do.
func TestANewClientSpeaksToAVaultThatPrefersHTTP2(t *testing.T) {
	w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	s, ca := overHTTP2(t, w)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	t.Run("own", func(t *testing.T) {
		c, err := leasehold.New(ctx, w.config(func(c *leasehold.Config) { c.HTTPClient = nil; c.Address = s.URL; c.TLS.CACert = ca }))
		require.NoError(t, err)
		_, err = kv.Get[map[string]any](ctx, c.KV("secret"), "app/config")
		require.NoError(t, err)
		w.open(c)
		require.NoError(t, c.Close(ctx))
	})
	t.Run("used client", func(t *testing.T) {
		resp, err := s.Client().Get(s.URL + "/v1/sys/health")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		c, err := leasehold.New(ctx, w.config(func(c *leasehold.Config) { c.HTTPClient = s.Client(); c.Address = s.URL }))
		require.NoError(t, err)
		require.NoError(t, c.Close(ctx))
	})
}
