package leasehold_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestF23ACreationIsNeverRepeatedByNetHTTP (law 7): over sockets. The server breaks each connection
// that is used again after it has read the request; net/http repeats a GET then, by itself.
// Mutation: transport.RoundTrip sends a creation on the shared connections.
func TestF23ACreationIsNeverRepeatedByNetHTTP(t *testing.T) {
	for _, own := range []bool{true, false} {
		t.Run(fmt.Sprintf("own transport %t", own), func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{})
			w.Fail(vaulttest.Fault{Path: credsPath, DropAfter: true})
			cfg := leasehold.Config{Address: fragile(w), Auth: token.New(w.RootToken())}
			if !own {
				cfg.HTTPClient = &http.Client{Transport: &http.Transport{}}
				defer cfg.HTTPClient.CloseIdleConnections()
			}
			c, err := leasehold.New(t.Context(), cfg)
			require.NoError(t, err)
			defer func() { _ = c.Close(context.Background()) }()
			// The shared connections are warm now: a lookup-self has gone over one.
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			<-ctx.Done()
			_, err = dynamic.Database(t.Context(), c, "app")
			require.Error(t, err)
			require.Equal(t, 1, w.creations())
			require.Len(t, w.Leases(), 1)
		})
	}
}

// TestLaw22EachBackgroundFailureIsVisibleThreeWays (U5): as an event, in the log and in Status or Ready.
// Mutation: Manager.failed sends no event.
func TestLaw22EachBackgroundFailureIsVisibleThreeWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute})
		w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Hour})
		var log bytes.Buffer
		c := w.start(func(c *leasehold.Config) { c.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
		w.open(c)
		_, err := kv.Watch[settings](t.Context(), c.KV("secret"), "app/config", kv.Every(10*time.Second))
		require.NoError(t, err)
		w.Fail(vaulttest.Fault{Status: 500})
		time.Sleep(40 * time.Second)
		for name, kind := range map[string]lease.EventKind{"token": lease.RenewFailed, credsPath: lease.RenewFailed, "secret/app/config": lease.ReadFailed} {
			failed := w.events.of(kind, name)
			require.NotEmpty(t, failed, name)
			require.ErrorContains(t, failed[0].Err, "500", name)
		}
		st := c.Status()
		for _, s := range []leasehold.LeaseStatus{st.Token.LeaseStatus, st.Leases[0], st.Values[0]} {
			require.Equal(t, lease.Stale, s.Condition, s.Name)
			require.ErrorContains(t, s.Err, "500", s.Name)
		}
		time.Sleep(time.Minute)
		for _, name := range []string{"token", credsPath} {
			require.NotEmpty(t, w.events.of(lease.Expired, name), name)
			require.ErrorContains(t, c.Ready(), name+" expired")
		}
		require.NoError(t, c.Close(t.Context()))
		for _, part := range []string{
			`"kind":"renew_failed","name":"token"`, `"kind":"renew_failed","name":"database/creds/app"`, `"kind":"read_failed","name":"secret/app/config"`,
			`"kind":"expired","name":"token"`, `"kind":"expired","name":"database/creds/app"`, `500 Internal Server Error`,
		} {
			require.Contains(t, log.String(), part)
		}
	})
}

// TestLaw22EventsComeInOrderAndASlowListenerLosesTheOldest: counted in Status; nothing waits for it.
// Mutation: events.put drops the newest.
func TestLaw22EventsComeInOrderAndASlowListenerLosesTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 6 * time.Second})
		gate := make(chan struct{})
		var got []time.Time
		c := w.start(func(c *leasehold.Config) {
			c.OnEvent = func(e leasehold.Event) { <-gate; got = append(got, e.Time) }
		})
		time.Sleep(time.Hour)
		renewals := w.Count("", renewToken)
		require.Greater(t, renewals, 1000, "upkeep does not wait for the listener")
		dropped := c.Status().Dropped
		require.EqualValues(t, renewals+1, 256+1+dropped, "what waits, what is being told and what was dropped is everything")
		newest := time.Now().Add(-10 * time.Second)
		close(gate)
		synctest.Wait()
		require.Len(t, got, 257)
		require.IsNonDecreasing(t, unix(got))
		require.True(t, got[256].After(newest), "the newest were kept")
	})
}

func unix(times []time.Time) []int64 {
	all := make([]int64, len(times))
	for i, t := range times {
		all[i] = t.UnixNano()
	}
	return all
}

// TestLaw23UpkeepDoesNotQueueBehindReads: one read may be under way, and it hangs; others wait for it.
// Token and lease are renewed all the same. Mutation: Session.Once takes a foreground slot.
func TestLaw23UpkeepDoesNotQueueBehindReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 8 * time.Second, TokenMaxTTL: 12 * time.Second})
		w.database(vaulttest.RoleSpec{DefaultTTL: 8 * time.Second, MaxTTL: time.Minute})
		c := w.start(func(c *leasehold.Config) { c.Budget.Requests = 1 })
		creds := w.open(c)
		w.Fail(vaulttest.Fault{Path: "secret/", Hang: true})
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
				defer cancel()
				_, err := kv.Get[settings](ctx, c.KV("secret"), fmt.Sprint("p", i))
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			})
		}
		every(time.Minute, 100*time.Millisecond, func(at time.Duration) {
			up, err := creds.Get()
			require.NoError(t, err, at)
			require.True(t, w.Alive(up.Username), at)
		})
		wg.Wait()
		require.LessOrEqual(t, w.Count("", "secret/"), 9, "one at a time")
	})
}

// TestLaw23WatchedValuesDoNotHoldUpLeases: three hundred watched secrets whose reads hang; the leases
// are renewed in time. Mutation: polls take the workers of leases.
func TestLaw23WatchedValuesDoNotHoldUpLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.database(vaulttest.RoleSpec{DefaultTTL: 8 * time.Second, MaxTTL: time.Hour})
		c := w.start()
		creds := w.open(c)
		for i := range 300 {
			path := fmt.Sprint("app/config", i) // one request serves all who watch one path
			w.PutKV("secret", path, map[string]any{"banner": "hello"})
			_, err := kv.Watch[settings](t.Context(), c.KV("secret"), path, kv.Every(5*time.Second))
			require.NoError(t, err)
		}
		w.Fail(vaulttest.Fault{Path: "secret/", Hang: true})
		every(2*time.Minute, 100*time.Millisecond, func(at time.Duration) {
			_, err := creds.Get()
			require.NoError(t, err, at)
		})
		require.Equal(t, 1, w.creations())
	})
}
