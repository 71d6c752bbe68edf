package kv_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

type flags struct {
	Banner string `json:"banner"`
}

const path = "secret/data/app/flags"

// root returns a client with the root token, and a secret app/flags.
func root(t *testing.T) (*leasehold.Client, *vaulttest.Server) {
	t.Helper()
	server := vaulttest.New(t)
	server.PutKV("secret", "app/flags", map[string]any{"banner": "one"})
	c, err := leasehold.New(t.Context(), leasehold.Config{Address: "http://vault.test", Auth: token.New(server.RootToken()), HTTPClient: server.Client()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close(context.Background())) })
	return c, server
}

// TestC2AWatchedSecretIsSeenWithinItsInterval: and is asked for no more than half as
// often again. An unchanged version wakes nobody.
// Mutation: Policy.poll adds the jitter to the interval.
func TestC2AWatchedSecretIsSeenWithinItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		value, err := kv.Watch[flags](t.Context(), c.KV("secret"), "app/flags", kv.Every(10*time.Second))
		require.NoError(t, err)
		for i := range 20 {
			text := string(rune('a' + i))
			server.PutKV("secret", "app/flags", map[string]any{"banner": text})
			time.Sleep(10 * time.Second)
			synctest.Wait()
			require.Equal(t, text, value.Get().Banner)
		}
		require.LessOrEqual(t, server.Count("GET", path), 1+200/8)
		generation := value.Snapshot().Generation
		require.EqualValues(t, 21, generation)
		time.Sleep(time.Hour)
		require.Equal(t, generation, value.Snapshot().Generation)
		require.NoError(t, value.Err())
	})
}

// TestC3ADeletedSecretKeepsItsLastGoodValue: Err says what happened, and a new version
// ends it, also where its number is that of the old one.
// Mutation: watcher.poll compares the version alone.
func TestC3ADeletedSecretKeepsItsLastGoodValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		value, err := kv.Watch[flags](t.Context(), c.KV("secret"), "app/flags", kv.Every(10*time.Second))
		require.NoError(t, err)
		admin := c.Vault().Logical()
		_, err = admin.DeleteWithContext(t.Context(), path)
		require.NoError(t, err)
		time.Sleep(11 * time.Second)
		require.Equal(t, "one", value.Get().Banner)
		require.ErrorIs(t, value.Err(), kv.ErrDeleted)
		var stale *cache.StaleError
		require.ErrorAs(t, value.Err(), &stale)
		require.WithinDuration(t, time.Now().Add(-11*time.Second), stale.Since, time.Second)

		_, err = admin.DeleteWithContext(t.Context(), "secret/metadata/app/flags")
		require.NoError(t, err)
		time.Sleep(11 * time.Second)
		require.ErrorIs(t, value.Err(), kv.ErrNotFound)
		require.Equal(t, 1, server.PutKV("secret", "app/flags", map[string]any{"banner": "again"}))
		time.Sleep(11 * time.Second)
		require.NoError(t, value.Err())
		require.Equal(t, "again", value.Get().Banner)
	})
}

// TestC2AnOutageIsTriedAgainSoonerThanTheInterval: of five minutes here.
func TestC2AnOutageIsTriedAgainSoonerThanTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		value, err := kv.Watch[flags](t.Context(), c.KV("secret"), "app/flags", kv.Every(5*time.Minute), kv.MaxStale(6*time.Minute))
		require.NoError(t, err)
		server.Fail(vaulttest.Fault{Path: path, Status: http.StatusServiceUnavailable})
		time.Sleep(7 * time.Minute)
		require.ErrorContains(t, value.Err(), "503")
		require.Equal(t, "one", value.Get().Banner)
		server.ClearFaults()
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		time.Sleep(2*time.Minute + 40*time.Second)
		require.Equal(t, "two", value.Get().Banner)
		require.NoError(t, value.Err())
	})
}

// TestLaw12ASecretThatNobodyConfirmsIsStale: MaxStale counts while the read that would confirm it, or say
// why not, hangs, and has not failed. Mutation: Watch drops the option.
func TestLaw12ASecretThatNobodyConfirmsIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		began := time.Now()
		limited := watch[flags](t, c, kv.Every(time.Second), kv.MaxStale(2*time.Second))
		unlimited := watch[flags](t, c, kv.Every(time.Second))
		server.Fail(vaulttest.Fault{Path: path, Hang: true})
		time.Sleep(2 * time.Second)
		require.NoError(t, limited.Err())
		time.Sleep(2 * time.Second)
		require.NoError(t, unlimited.Err(), "nothing has failed yet")
		var stale *cache.StaleError
		require.ErrorAs(t, limited.Err(), &stale)
		require.Equal(t, cache.StaleError{Since: began}, *stale)
		require.Equal(t, "one", limited.Get().Banner)

		server.ClearFaults()
		require.NoError(t, limited.Refresh(t.Context()))
		require.NoError(t, limited.Err())
	})
}

// TestAWatchedValueThatIsClosedAsksNoMore. Mutation: Watch's undo does not remove the entry.
func TestAWatchedValueThatIsClosedAsksNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		value, err := kv.Watch[flags](t.Context(), c.KV("secret"), "app/flags", kv.Every(time.Second))
		require.NoError(t, err)
		require.NoError(t, value.Close())
		require.NoError(t, value.Close())
		asked := server.Count("GET", path)
		time.Sleep(time.Hour)
		require.Equal(t, asked, server.Count("GET", path))
		require.Equal(t, "one", value.Get().Banner)
		require.Empty(t, c.Status().Values)
	})
}

// TestAVersionCanBeNamed, and MaxAge does not mix versions up.
func TestAVersionCanBeNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		for range 2 {
			latest, err := kv.Get[flags](t.Context(), c.KV("secret"), "app/flags", kv.MaxAge(time.Minute))
			require.NoError(t, err)
			require.Equal(t, "two", latest.Value.Banner)
			require.Equal(t, 2, latest.Metadata.Version)
			first, err := kv.Get[flags](t.Context(), c.KV("secret"), "app/flags", kv.MaxAge(time.Minute), kv.AtVersion(1))
			require.NoError(t, err)
			require.Equal(t, "one", first.Value.Banner)
			require.Equal(t, 1, first.Metadata.Version)
		}
		require.Equal(t, 2, server.Count("GET", path))
		_, err := kv.Get[flags](t.Context(), c.KV("secret"), "app/flags", kv.AtVersion(7))
		require.ErrorIs(t, err, kv.ErrNotFound)
		_, err = kv.Get[flags](t.Context(), c.KV("secret"), "app/flags", kv.AtVersion(-1))
		require.ErrorContains(t, err, "negative")
		time.Sleep(61 * time.Second)
		_, err = kv.Get[flags](t.Context(), c.KV("secret"), "app/flags", kv.MaxAge(time.Minute))
		require.NoError(t, err)
		require.Equal(t, 4, server.Count("GET", path))
	})
}
