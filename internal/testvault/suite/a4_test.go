package suite

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// TestA4OfAGivenTokenOnlyWhatRemainsCounts hands the client tokens that somebody else
// made. One of 20 s is 12 s old by then: who counts from its creation TTL believes in a
// credential for 12 s too long, since Vault says an hour of a lease under it.
func TestA4OfAGivenTokenOnlyWhatRemainsCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.v.Policy("app", `
		path "secret/data/*"     { capabilities = ["read"] }
		path "database/creds/*"  { capabilities = ["read"] }
		path "sys/leases/revoke" { capabilities = ["update"] }`)

	t.Run("what cannot be renewed ends when Vault says", func(t *testing.T) {
		t.Parallel()
		w, p := w.in(t), testvault.NewProxy(t, w.v.Addr())
		w.v.DatabaseRole("database", "a4ends", map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
		given := w.token(map[string]any{"ttl": "20s", "renewable": false})
		<-time.After(12 * time.Second)
		a := w.given(t, given, via(p))
		ends := w.endOf(t, given)
		told := a.Status().Token.Expires
		assert.False(t, told.After(ends), "the client's idea of the end must not be later than Vault's: %s > %s", told, ends)
		assert.WithinDuration(t, ends, told, 2500*time.Millisecond)
		require.NoError(t, a.Ready())
		creds, err := dynamic.Database(t.Context(), a, "a4ends")
		require.NoError(t, err)
		assert.False(t, creds.Snapshot().Expires().After(ends), "the credential dies with its token")

		good, late := 0, 0
		testvault.Poll(t, 15*time.Second, func() bool {
			now := time.Now()
			_, err := creds.Get()
			switch {
			case err == nil && now.After(ends):
				late++
			case err == nil:
				good++
			default:
				require.ErrorIs(t, err, dynamic.ErrExpired)
			}
			return now.After(ends.Add(2 * time.Second))
		}, "two seconds after the token's end")
		assert.Positive(t, good)
		assert.Zero(t, late, "credentials handed out after their end")
		figure.AtMost(stdout, "a4-handed-out-late", float64(late), "credentials", 0, "oracle=expire_time", fmt.Sprintf("good=%d", good))
		require.ErrorContains(t, a.Ready(), "token expired")
		_, err = kv.Get[stripe](t.Context(), a.KV("secret"), "payments/stripe")
		require.ErrorContains(t, err, "no valid token")
		_, err = creds.Current(t.Context())
		require.ErrorIs(t, err, dynamic.ErrExpired)
		assert.Zero(t, p.Count("", "auth/token/renew-self"))
		require.NoError(t, a.Close(context.Background()))
		w.nothingLeft(t, "a4ends")
	})

	t.Run("what can be renewed is renewed in what remains", func(t *testing.T) {
		t.Parallel()
		w, p := w.in(t), testvault.NewProxy(t, w.v.Addr())
		w.v.DatabaseRole("database", "a4lives", map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
		given := w.token(map[string]any{"ttl": "20s"})
		<-time.After(12 * time.Second)
		a := w.given(t, given, via(p))
		creds, err := dynamic.Database(t.Context(), a, "a4lives")
		require.NoError(t, err)
		db := w.open(t, creds)
		log := w.queried(t.Context(), db, "a4lives", 12*time.Second) // it would have ended at 8 s
		assert.Empty(t, log.failed)
		assert.Greater(t, log.done, 100)
		assert.Len(t, log.seen, 1, "database users")
		assert.Positive(t, p.Count("", "auth/token/renew-self"))
		assert.LessOrEqual(t, p.Count("", "auth/token/renew-self"), 3)
		require.NoError(t, a.Ready())
		assert.False(t, a.Status().Token.Expires.After(w.endOf(t, given)))
		require.NoError(t, db.Close())
		require.NoError(t, a.Close(context.Background()))
		assert.True(t, w.v.Alive(given), "a given token outlives the client")
		w.nothingLeft(t, "a4lives")
	})

	t.Run("what has no end is left alone", func(t *testing.T) {
		t.Parallel()
		w, p := w.in(t), testvault.NewProxy(t, w.v.Addr())
		w.v.DatabaseRole("database", "a4root", map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
		a := w.given(t, w.v.RootToken(), via(p))
		assert.True(t, a.Status().Token.Expires.IsZero())
		creds, err := dynamic.Database(t.Context(), a, "a4root")
		require.NoError(t, err)
		db := w.open(t, creds)
		log := w.queried(t.Context(), db, "a4root", 3*time.Second)
		assert.Empty(t, log.failed)
		require.NoError(t, a.Ready())
		assert.Zero(t, p.Count("", "auth/token/renew-self"))
		require.NoError(t, db.Close())
		require.NoError(t, a.Close(context.Background()))
		assert.True(t, w.v.Alive(w.v.RootToken()))
		w.nothingLeft(t, "a4root")
	})
}

// token makes a token that is nobody's child, with the policy app unless more says so.
func (w world) token(more map[string]any) string {
	body := map[string]any{"policies": []string{"app"}, "no_parent": true}
	maps.Copy(body, more)
	auth, _ := w.v.Write("auth/token/create", body)["auth"].(map[string]any)
	value, _ := auth["client_token"].(string)
	return value
}

// given starts a client on a token that it was given.
func (w world) given(t *testing.T, value string, change ...func(*leasehold.Config)) *leasehold.Client {
	t.Helper()
	cfg := leasehold.Config{Address: w.v.Addr(), Auth: token.New(value)}
	for _, f := range change {
		f(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := leasehold.New(ctx, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// endOf is when Vault says that a token ends.
func (w world) endOf(t *testing.T, value string) time.Time {
	t.Helper()
	data, _ := w.v.As(value).Read("auth/token/lookup-self")["data"].(map[string]any)
	text, _ := data["expire_time"].(string)
	ends, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return ends
}
