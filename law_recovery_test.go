package leasehold_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw03CredentialsRecoverWithTheToken: what failed for want of a token is not backed off
// from when there is one. Mutation: only a dead token is a reason that goes away.
func TestLaw03CredentialsRecoverWithTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute, TokenMaxTTL: 2 * time.Minute})
		var id atomic.Value
		id.Store(w.secretID)
		c := w.start(withSecretID(w, func() string { return id.Load().(string) }))
		creds := w.open(c)
		w.DestroySecretID(w.secretID)
		time.Sleep(time.Hour)
		id.Store(w.NewSecretID(w.roleID))
		var back time.Time
		for range 3600 {
			time.Sleep(time.Second)
			synctest.Wait()
			if back.IsZero() && c.Status().Token.Condition == "fresh" {
				back = time.Now()
			}
			_, err := creds.Current(t.Context())
			if err == nil {
				require.Less(t, time.Since(back), 30*time.Second)
				return
			}
		}
		t.Fatal("never")
	})
}

// TestLaw14ReadersWithOneDeadlineDoNotAskInTurn: the leader gave up for want of time, and they have no
// more. Mutation: each asks again.
func TestLaw14ReadersWithOneDeadlineDoNotAskInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Fail(vaulttest.Fault{Path: configPath, Status: 429, Header: http.Header{"Retry-After": {"60"}}, Delay: time.Second})
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, _ = kv.Get[settings](ctx, c.KV("secret"), "app/config")
			})
		}
		wg.Wait()
		require.Equal(t, 1, w.reads())
	})
}

// TestLaw13AVerifierThatWaitsForItsContextIsEnded: one lost packet must not end the upkeep.
// Mutation: its context has no deadline.
func TestLaw13AVerifierThatWaitsForItsContextIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: 2 * time.Minute})
		c := w.start()
		n := 0
		creds, err := dynamic.Database(t.Context(), c, "app", dynamic.Verify(func(ctx context.Context, _ dynamic.UserPass) error {
			if n++; n == 2 { // one packet lost: a dial that heeds its context
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = creds.Current(ctx)
		require.NoError(t, err)
	})
}

// TestLaw13AVerifierOfAWatchedValueIsEndedToo: one lost packet must not end the watching.
// Mutation: its context has no deadline.
func TestLaw13AVerifierOfAWatchedValueIsEndedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		n := 0
		v, err := kv.Watch[settings](t.Context(), c.KV("secret"), "app/config", kv.Every(time.Second), kv.Verify(func(ctx context.Context, _ settings) error {
			if n++; n == 2 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}))
		require.NoError(t, err)
		w.PutKV("secret", "app/config", map[string]any{"banner": "new"})
		time.Sleep(time.Hour)
		require.EqualValues(t, 2, v.Snapshot().Generation)
	})
}

// TestLaw23AnEngineThatHangsDoesNotHoldUpOthers: a hundred credentials of it want a replacement.
// Mutation: one name may take all workers.
func TestLaw23AnEngineThatHangsDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.DynamicRole("broken", "r", vaulttest.RoleSpec{DefaultTTL: 30 * time.Second, MaxTTL: time.Hour, NotRenewable: true})
		w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: 2 * time.Minute})
		w.Policy("app", append(appPolicy, vaulttest.Rule{Path: "broken/creds/*", Capabilities: []string{"read"}})...)
		c := w.start()
		for range 100 {
			_, err := dynamic.Database(t.Context(), c, "r", dynamic.Mount("broken"))
			require.NoError(t, err)
		}
		good := w.open(c)
		w.Fail(vaulttest.Fault{Path: "broken/", Hang: true})
		bad := 0
		every(30*time.Minute, time.Second, func(_ time.Duration) {
			if _, err := good.Get(); err != nil {
				bad++
			}
		})
		w.ClearFaults()
		require.Zero(t, bad, "seconds of 1800 without a credential")
	})
}
