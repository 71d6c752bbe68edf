package leasehold_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// limited is a rate limit that says when to come back.
func limited(path, seconds string, count int) vaulttest.Fault {
	return vaulttest.Fault{
		Path: path, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {seconds}}, Count: count,
		Body: `{"errors":["request path \"x\": rate limit quota exceeded"]}`,
	}
}

// apart asserts that requests of a path keep that distance, for as long as they fail.
func (w *world) apart(path string, failed int, distance time.Duration) {
	w.t.Helper()
	all := w.named(path)
	require.Greater(w.t, len(all), failed)
	for i := range failed {
		require.GreaterOrEqual(w.t, all[i+1].Time.Sub(all[i].Time), distance)
	}
}

// TestE2RetryAfterIsHonouredAndBringsNoLogin (law 6): by a read, by the first login and by a renewal.
// Mutation: loginError forgets it.
func TestE2RetryAfterIsHonouredAndBringsNoLogin(t *testing.T) {
	t.Run("read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
			c := w.start()
			w.Fail(limited(configPath, "15", 2))
			require.NoError(t, read(t.Context(), c, "secret"))
			w.apart(configPath, 2, 15*time.Second)
			require.Equal(t, 1, w.logins())
		})
	})
	t.Run("login", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
			w.Fail(limited(loginPath, "20", 2))
			w.start()
			w.apart(loginPath, 2, 20*time.Second)
			require.Equal(t, 3, w.logins())
			synctest.Wait()
			require.Len(t, w.events.of(lease.ObtainFailed, "token"), 2)
		})
	})
	t.Run("renewal", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 10 * time.Minute})
			w.start()
			w.Fail(limited(renewToken, "130", 1)) // more than the policy's own two minutes
			time.Sleep(8 * time.Minute)
			w.apart(renewToken, 1, 130*time.Second)
			require.Equal(t, 1, w.logins())
		})
	})
}

// TestE3ASealedOrStandingByVaultCausesNoLogin (law 6): with readers that go on asking, for as long as the
// token lives. What is held is served, and afterwards all is as it was.
// Mutation: classify takes a sealed Vault for a refusal.
func TestE3ASealedOrStandingByVaultCausesNoLogin(t *testing.T) {
	for name, interrupt := range map[string]func(w *world){
		"sealed":              func(w *world) { w.Seal() },
		"standby":             func(w *world) { w.Fail(vaulttest.Fault{Status: 472}) },
		"performance standby": func(w *world) { w.Fail(vaulttest.Fault{Status: 473}) },
		"standby, by health":  func(w *world) { w.Fail(vaulttest.Fault{Status: 429}) },
		"overloaded":          func(w *world) { w.Fail(vaulttest.Fault{Status: 503, Body: "upstream overloaded"}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 10 * time.Minute})
				c := w.start()
				creds := w.open(c)
				before, err := creds.Get()
				require.NoError(t, err)
				interrupt(w)
				every(5*time.Minute, 5*time.Second, func(time.Duration) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					require.Error(t, read(ctx, c, "secret"))
					got, err := creds.Get()
					require.NoError(t, err)
					require.Equal(t, before, got)
				})
				w.Unseal()
				w.ClearFaults()
				require.NoError(t, read(t.Context(), c, "secret"))
				require.Equal(t, 1, w.logins())
				require.Equal(t, 1, w.creations())
			})
		})
	}
}

// TestLaw06AStormOfRefusalsIsNotAnswered: ten requests a second for an hour that policy forbids.
// There is a lookup a second at the most, and a login at 1, 2, 4, 8, 16 and 32 minutes.
// Mutation: lookups have no pace.
func TestLaw06AStormOfRefusalsIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 24 * time.Hour})
		c := w.start()
		seconds, probes := 3600, 6
		if raceDetector { // which is slow
			seconds, probes = 300, 3
		}
		for range 10 * seconds {
			time.Sleep(100 * time.Millisecond)
			require.Error(t, read(t.Context(), c, "other"))
		}
		require.LessOrEqual(t, w.Count("", lookupSelf), seconds+1)
		require.Equal(t, 1+probes, w.logins())
		require.Len(t, w.Tokens(), 1)
	})
}

// TestA12TheProbesPaceDoublesToAnHour (law 6): and comes down when nothing was refused for long.
// Mutations: the pace doubles on; it never comes down.
func TestA12TheProbesPaceDoublesToAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 72 * time.Hour})
		c := w.start()
		storm := func(d time.Duration) []vaulttest.Request {
			before := w.logins()
			every(d, time.Minute, func(time.Duration) { require.Error(t, read(t.Context(), c, "other")) })
			return w.named(loginPath)[before:]
		}
		probes := storm(12 * time.Hour)
		require.Len(t, probes, 7+10, "at 1, 2, 4, 8, 16, 32 and 64 minutes, and then each hour")
		for i, p := range probes[1:] {
			gap := p.Time.Sub(probes[i].Time)
			require.GreaterOrEqual(t, gap, time.Minute)
			require.LessOrEqual(t, gap, time.Hour)
		}
		time.Sleep(3 * time.Hour)
		require.Len(t, storm(4*time.Minute), 3, "at once, and after 1 and 3 minutes")
	})
}

// TestA12AHandoverIsNoNewBeginningForProbes (law 6): a token of ten minutes is handed over all the time,
// which shows its policies anyway. Mutation: each login sets the pace back to a minute.
func TestA12AHandoverIsNoNewBeginningForProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 10 * time.Minute, TokenMaxTTL: 10 * time.Minute})
		c := w.start()
		every(3*time.Hour, 20*time.Second, func(time.Duration) { require.Error(t, read(t.Context(), c, "other")) })
		require.Greater(t, w.logins(), 20)
		require.LessOrEqual(t, w.Count("", revokeSelf), 4, "each probe's token is revoked")
	})
}

// TestLaw07WhatVaultSaysHasFailedIsNotLost (B11): Open goes on after a 500 with Vault's reasons, and gives
// up where answers came from in between. Mutation: Ambiguous does not look who speaks.
func TestLaw07WhatVaultSaysHasFailedIsNotLost(t *testing.T) {
	for name, tc := range map[string]struct {
		fault vaulttest.Fault
		lost  bool
	}{
		"Vault's 500":    {vaulttest.Fault{Status: 500, Body: `{"errors":["1 error occurred:\n\t* internal error\n\n"]}`}, false},
		"a proxy's 500":  {vaulttest.Fault{Status: 500, Body: "<html>oops</html>"}, true},
		"an empty list":  {vaulttest.Fault{Status: 500, Body: `{}`}, true},
		"a bad gateway":  {vaulttest.Fault{Status: 502, Body: `{"errors":["no upstream"]}`}, true},
		"a proxy's 503":  {vaulttest.Fault{Status: 503, Body: "<html>wait</html>"}, false},
		"lost on return": {vaulttest.Fault{DropAfter: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
				c := w.start()
				tc.fault.Path, tc.fault.Count = credsPath, 3
				w.Fail(tc.fault)
				_, err := dynamic.Database(t.Context(), c, "app")
				if tc.lost {
					require.Error(t, err)
					require.LessOrEqual(t, w.creations(), 2)
					return
				}
				require.NoError(t, err)
				require.Equal(t, 4, w.creations())
			})
		})
	}
}

// TestLaw18CloseEndsAReadThatPauses: whatever Vault has asked it to wait for.
// Mutation: a pause ends with its context alone.
func TestLaw18CloseEndsAReadThatPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Fail(limited(configPath, "30", 0))
		paused := make(chan error, 1)
		go func() { paused <- read(t.Context(), c, "secret") }()
		time.Sleep(time.Second)
		require.NoError(t, c.Close(t.Context()))
		began := time.Now()
		require.ErrorIs(t, <-paused, leasehold.ErrClosed)
		require.Zero(t, time.Since(began))
	})
}

// TestLaw23ReadsAreLimitedInConcurrency: twenty at once, three slots, a second each.
// Mutation: there is no limit.
func TestLaw23ReadsAreLimitedInConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		for i := range 20 {
			w.PutKV("secret", fmt.Sprint("p/", i), map[string]any{"n": i})
		}
		c := w.start(func(c *leasehold.Config) { c.Budget.Requests = 3 })
		w.Fail(vaulttest.Fault{Path: "secret/data/p/", Delay: time.Second})
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				_, err := kv.Get[map[string]any](t.Context(), c.KV("secret"), fmt.Sprint("p/", i))
				assert.NoError(t, err)
			})
		}
		time.Sleep(500 * time.Millisecond)
		atOnce := w.Count("", "secret/data/p/")
		wg.Wait()
		require.Equal(t, 3, atOnce)
		require.Equal(t, 7*time.Second, time.Since(began))
	})
}
