package leasehold_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

const year = 365 * 24 * time.Hour

// TestLaw04APeriodAboveTheMaximumIsNoEnd: Vault grants its own maximum at each renewal, for ever, and warns
// each time that it capped the period. Neither is a token that was given at its end then, nor one
// whose logins are scarce, nor does another move what hangs on it.
// Mutation: Capped takes a warning about a period for an end.
func TestLaw04APeriodAboveTheMaximumIsNoEnd(t *testing.T) {
	for name, adjust := range map[string]func(*world) func(*leasehold.Config){
		"given": func(w *world) func(*leasehold.Config) {
			return withToken(w.CreateToken(vaulttest.TokenSpec{Period: year}))
		},
		"scarce": func(*world) func(*leasehold.Config) { return func(c *leasehold.Config) { c.Auth = scarce{c.Auth} } },
		"owned":  func(*world) func(*leasehold.Config) { return func(*leasehold.Config) {} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenPeriod: year})
				c := w.start(adjust(w))
				logins, looked := w.logins(), w.Count("", lookupSelf)
				first := w.token()
				for range 40 {
					time.Sleep(year / 20)
					require.NoError(t, c.Ready())
					require.Equal(t, first, c.Status().Token.Accessor)
				}
				require.Equal(t, logins, w.logins())
				require.Equal(t, looked, w.Count("", lookupSelf))
				require.LessOrEqual(t, w.Count("", renewToken), 70, "768 h each, renewed after a third at the soonest")
				require.Empty(t, w.events.of(lease.ReplaceFailed, ""))
			})
		})
	}
}

// TestLaw04AShorterPeriodIsNoEnd: it was lowered after the token was made, so that each grant is smaller than
// the first one. Mutation: a token that was given is at its end with the first small grant.
func TestLaw04AShorterPeriodIsNoEnd(t *testing.T) {
	for _, how := range []string{"given", "scarce"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenPeriod: 24 * time.Hour})
				adjust := withToken(w.loggedIn())
				if how == "scarce" {
					adjust = func(c *leasehold.Config) { c.Auth = scarce{c.Auth} }
				}
				c := w.start(adjust)
				logins := w.logins()
				w.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"app"}, TokenPeriod: time.Hour})
				for range 300 {
					time.Sleep(time.Hour)
					require.NoError(t, c.Ready())
				}
				require.Equal(t, logins, w.logins())
				require.Empty(t, w.events.of(lease.ReplaceFailed, ""))
			})
		})
	}
}

// loggedIn returns a token of the AppRole that somebody else has obtained.
func (w *world) loggedIn() string {
	w.t.Helper()
	conf := api.DefaultConfig()
	conf.Address, conf.HttpClient, conf.MaxRetries = address, w.Client(), 0
	client, err := api.NewClient(conf)
	require.NoError(w.t, err)
	s, err := client.Logical().WriteWithContext(w.t.Context(), loginPath, map[string]any{"role_id": w.roleID, "secret_id": w.secretID})
	require.NoError(w.t, err)
	return s.Auth.ClientToken
}

// TestLaw04AGivenTokenIsUsedToItsEnd: renewed until Vault has no more to give, which is told at once, a quarter of
// its TTL before the end at least, and then less and less; at its end there are an event, Ready and ErrExpired.
// Nothing of it is hot.
// Mutations: a grant that does not move the end is renewed on; it is told when little is left; what nothing can
// replace is looked for every ten minutes.
func TestLaw04AGivenTokenIsUsedToItsEnd(t *testing.T) {
	for name, spec := range map[string]vaulttest.TokenSpec{
		"renewable":     {TTL: 24 * time.Hour, ExplicitMaxTTL: 500 * time.Hour},
		"periodic":      {Period: 24 * time.Hour, ExplicitMaxTTL: 500 * time.Hour},
		"not renewable": {TTL: 500 * time.Hour, NotRenewable: true},
		"batch":         {TTL: 500 * time.Hour, Batch: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{})
				w.database(vaulttest.RoleSpec{DefaultTTL: 600 * time.Hour, MaxTTL: 600 * time.Hour})
				spec.Policies = []string{"app"}
				began := time.Now()
				c := w.start(withToken(w.CreateToken(spec)))
				creds := w.open(c)
				time.Sleep(500*time.Hour - time.Since(began) - 3*time.Second)
				require.NoError(t, c.Ready())
				_, err := creds.Get()
				require.NoError(t, err)
				told := w.events.of(lease.ReplaceFailed, "token")
				require.NotEmpty(t, told)
				require.ErrorContains(t, told[0].Err, "supply a new one")
				require.Greater(t, began.Add(500*time.Hour).Sub(told[0].Time), 6*time.Hour-time.Minute, "it is told early")
				require.LessOrEqual(t, len(told), 20)
				require.LessOrEqual(t, w.Count("", lookupSelf), 20)
				require.LessOrEqual(t, w.Count("", renewToken), 500/8+3)

				time.Sleep(5 * time.Second)
				require.ErrorContains(t, c.Ready(), "token expired")
				require.Len(t, w.events.of(lease.Expired, "token"), 1)
				_, err = creds.Get()
				require.ErrorIs(t, err, dynamic.ErrExpired)
				asked := len(w.Requests())
				time.Sleep(10 * time.Hour)
				require.LessOrEqual(t, len(w.Requests())-asked, 110, "every six minutes at most")
			})
		})
	}
}
