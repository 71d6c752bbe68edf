package leasehold_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw04ATruncatedRenewalMeansReplaceNow (B4): a lease of 10 s, 15 s at most: the
// first renewal that grants less is followed at once by one creation, and by no
// further renewal of that lease. Mutation: Manager.renewed never marks a lease as ending.
func TestLaw04ATruncatedRenewalMeansReplaceNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.database(vaulttest.RoleSpec{DefaultTTL: 10 * time.Second, MaxTTL: 15 * time.Second})
		creds := w.open(w.start())
		every(5*time.Minute, 100*time.Millisecond, func(at time.Duration) {
			up, err := creds.Get()
			require.NoError(t, err, at)
			require.True(t, w.Alive(up.Username), "dead credential at %s", at)
		})
		// A renewal at 3.3 to 5 s is full; the next, 3.3 to 5 s later, is not.
		require.GreaterOrEqual(t, w.creations(), 300/10)
		require.LessOrEqual(t, w.creations(), 300/5)
		require.LessOrEqual(t, w.Count("", renewLease), 2*w.creations())
	})
}

// TestLaw04OneReplacementIsInFlightAndRetriedWhileTheOldLives: creations fail for a
// while after a truncated renewal; they are tried one at a time with pauses, and the old
// credential is served. Mutation: Manager.renewed never marks a lease as ending.
func TestLaw04OneReplacementIsInFlightAndRetriedWhileTheOldLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.database(vaulttest.RoleSpec{DefaultTTL: 60 * time.Second, MaxTTL: 60 * time.Second})
		creds := w.open(w.start())
		old, err := creds.Get()
		require.NoError(t, err)
		w.Fail(vaulttest.Fault{Path: credsPath, Delay: 500 * time.Millisecond, Status: http.StatusServiceUnavailable})
		time.Sleep(50 * time.Second)
		got, err := creds.Get()
		require.NoError(t, err)
		require.Equal(t, old, got)
		tries := w.named(credsPath)[1:]
		require.GreaterOrEqual(t, len(tries), 3, "retried")
		require.LessOrEqual(t, len(tries), 15, "with pauses")
		for i := range tries[1:] {
			require.GreaterOrEqual(t, tries[i+1].Time.Sub(tries[i].Time), 1500*time.Millisecond, "one at a time, a second apart")
		}
		w.ClearFaults()
		time.Sleep(10 * time.Second)
		got, err = creds.Get()
		require.NoError(t, err)
		require.NotEqual(t, old, got)
		require.True(t, w.Alive(got.Username))
	})
}

// TestLaw05AFailedRenewalNeverMints (B1): a role whose renewals fail, leases of 60 s, five
// minutes: each lease is used up to its replacement window, and asked to be renewed only a
// few times. LifetimeWatcher made 10,134 requests of one such lease.
// Mutation: Policy.Next has no replacement window.
func TestLaw05AFailedRenewalNeverMints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.database(vaulttest.RoleSpec{
			DefaultTTL: 60 * time.Second, MaxTTL: time.Hour,
			RenewErr: func() error { return errors.New("syntax error at or near PLEASE") },
		})
		creds := w.open(w.start())
		every(5*time.Minute, 100*time.Millisecond, func(at time.Duration) {
			up, err := creds.Get()
			require.NoError(t, err, at)
			require.True(t, w.Alive(up.Username), "dead credential at %s", at)
		})
		require.LessOrEqual(t, w.creations(), 9)
		all := w.named(credsPath)
		for i := range all[1:] {
			require.GreaterOrEqual(t, all[i+1].Time.Sub(all[i].Time), 40*time.Second, "before the last third")
		}
		require.Less(t, w.Count("", renewLease), 10*w.creations())
		require.NotEmpty(t, w.events.of(lease.RenewFailed, credsPath))
	})
}

// TestLaw05AnInvalidationCreatesOnce: however often a generation is reported, and also
// after it was replaced, there is one creation.
// Mutation: Credential.Invalidate does not compare the generation.
func TestLaw05AnInvalidationCreatesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		creds := w.open(w.start())
		for range 3 {
			for range 100 {
				creds.Invalidate(1)
			}
			synctest.Wait()
		}
		time.Sleep(time.Second)
		require.Equal(t, 2, w.creations())
		require.EqualValues(t, 2, creds.Snapshot().Generation)
		_, err := creds.Get()
		require.NoError(t, err)
	})
}

// TestLaw05CreationsHaveABudget: something that finds every new credential bad gets three
// at once and then one per tenth of a credential's life.
// Mutation: creations.take does not count.
func TestLaw05CreationsHaveABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.database(vaulttest.RoleSpec{DefaultTTL: 5 * time.Minute, MaxTTL: time.Hour})
		creds := w.open(w.start())
		every(5*time.Minute, 100*time.Millisecond, func(time.Duration) {
			creds.Invalidate(creds.Snapshot().Generation)
		})
		require.GreaterOrEqual(t, w.creations(), 8)
		require.LessOrEqual(t, w.creations(), 3+300/30)
	})
}

// TestLaw07AnAnswerThatWasLostLeavesOneOrphan (B11, F8): the creation happened, and its
// answer was dropped. Open says so and does not repeat it; what is left over is one lease,
// and Close takes it along. Mutation: Open repeats what may have happened.
func TestLaw07AnAnswerThatWasLostLeavesOneOrphan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Fail(vaulttest.Fault{Path: credsPath, DropAfter: true})
		_, err := dynamic.Database(t.Context(), c, "app")
		require.ErrorContains(t, err, "may have been created")
		require.Equal(t, 1, w.creations())
		w.ClearFaults()
		w.Fail(vaulttest.Fault{Path: credsPath, Status: http.StatusBadGateway, Body: "a proxy's page", After: true, Count: 1})
		_, err = dynamic.Database(t.Context(), c, "app")
		require.ErrorContains(t, err, "may have been created")
		require.Len(t, w.Leases(), 2, "one for each lost answer")

		w.Fail(vaulttest.Fault{Path: credsPath, Status: http.StatusInternalServerError, Body: `{"errors":["the database is down"]}`, Count: 2})
		w.open(c)
		require.Len(t, w.Leases(), 3, "what Vault says has failed is repeated")
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}

// TestLaw07ReadsAreRetriedWithinTheCallersContext (E3): a read outlives an outage that is
// shorter than its context. Mutation: Session.Read makes one attempt.
func TestLaw07ReadsAreRetriedWithinTheCallersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Fail(vaulttest.Fault{Path: configPath, DropBefore: true, Count: 1})
		w.Fail(vaulttest.Fault{Path: configPath, Status: http.StatusBadGateway, Count: 3})
		got, err := kv.Get[map[string]string](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		require.Equal(t, "hello", got.Value["banner"])
		require.Equal(t, 5, w.reads())
	})
}

// TestLaw08NoRenewalSendsAnIncrement (F13): an increment could only shorten a lease.
// Mutation: keeper.Renew sends one.
func TestLaw08NoRenewalSendsAnIncrement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 60 * time.Second})
		w.database(vaulttest.RoleSpec{DefaultTTL: 30 * time.Second, MaxTTL: time.Hour})
		w.open(w.start())
		time.Sleep(2 * time.Minute)
		renewals := 0
		for _, s := range w.wire.all() {
			if s.path == renewLease || s.path == renewToken {
				renewals++
				require.NotContains(t, s.body, "increment")
			}
		}
		require.Greater(t, renewals, 8)
		require.Equal(t, 1, w.creations())
	})
}

// TestA5BatchTokensAreReplacedAndNeverRenewed (law 8): renewing one is refused for ever, so it
// is not tried; the next login comes in time. Mutation: newToken takes batch tokens for renewable.
func TestA5BatchTokensAreReplacedAndNeverRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 9 * time.Second, TokenType: "batch"})
		// A Vault that calls a batch token renewable, as old versions did.
		w.wire.next = rewrite{w.wire.next, loginPath, `"renewable":false`, `"renewable":true`}
		creds := w.open(w.start())
		every(5*time.Minute, 100*time.Millisecond, func(at time.Duration) {
			up, err := creds.Get()
			require.NoError(t, err, at)
			require.True(t, w.Alive(up.Username), "dead credential at %s", at)
		})
		require.Zero(t, w.Count("", renewToken))
		require.GreaterOrEqual(t, w.logins(), 300/9)
		require.LessOrEqual(t, w.logins(), 300/5+1)
		require.LessOrEqual(t, w.creations(), w.logins()+1, "the end of the token is no reason to replace a lease under it")
	})
}

// TestA5ATokenThatIsNotRenewableIsNotRenewed (law 8): a given token without renewal is
// used as long as it lasts, and its end is told. Mutation: Policy.Next renews what is
// not renewable.
func TestA5ATokenThatIsNotRenewableIsNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: time.Minute, NotRenewable: true})
		c := w.start(func(c *leasehold.Config) { c.Auth = token.New(given) })
		time.Sleep(58 * time.Second)
		require.NoError(t, c.Ready())
		require.Zero(t, w.Count("", renewToken))
		time.Sleep(2 * time.Second)
		require.ErrorContains(t, c.Ready(), "token expired")
		require.NotEmpty(t, w.events.of(lease.Expired, "token"))
	})
}

// TestA6AMissingPermissionToRenewIsToldOnce (law 8): without the default policy nothing can be
// renewed. Each lease is tried once, is then replaced in time, and the event comes once
// for the token and once for the lease. Mutation: Manager.failed forgets that it was told.
func TestA6AMissingPermissionToRenewIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 2 * time.Minute, NoDefaultPolicy: true})
		w.database(vaulttest.RoleSpec{DefaultTTL: 60 * time.Second, MaxTTL: time.Hour})
		creds := w.open(w.start())
		every(10*time.Minute, 100*time.Millisecond, func(at time.Duration) {
			up, err := creds.Get()
			require.NoError(t, err, at)
			require.True(t, w.Alive(up.Username), "dead credential at %s", at)
		})
		require.LessOrEqual(t, w.Count("", renewLease), w.creations())
		require.LessOrEqual(t, w.Count("", renewToken), w.logins())
		for _, name := range []string{"token", credsPath} {
			told := w.events.of(lease.RenewRefused, name)
			require.Len(t, told, 1, name)
			require.ErrorContains(t, told[0].Err, `capabilities = ["update"]`)
		}
	})
}

// TestA10TheLastTwoUsesOfATokenAreKept (law 8): Vault revokes what is created with the last use,
// and Close wants one. A token of five uses is handed over with two left, and what was
// obtained with it lives on. Mutation: reservedUses is 0.
func TestA10TheLastTwoUsesOfATokenAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, TokenNumUses: 5})
		c := w.start()
		creds := w.open(c)
		for range 20 {
			_, err := kv.Get[map[string]string](t.Context(), c.KV("secret"), "app/config")
			require.NoError(t, err)
			time.Sleep(time.Second)
			up, err := creds.Get()
			require.NoError(t, err)
			require.True(t, w.Alive(up.Username))
		}
		uses := map[string]int{}
		for _, r := range w.Requests() {
			if r.Accessor != "" {
				uses[r.Accessor]++
			}
		}
		for accessor, n := range uses {
			require.LessOrEqual(t, n, 3, accessor)
		}
		for _, token := range w.Tokens() {
			require.GreaterOrEqual(t, token.NumUses, 2)
		}
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}

// TestLaw09SlowAnswersAgeWhatTheyBring (K2): the answer of a creation, of a renewal
// and of a login takes 5 s, on a lease and a token of 10 s; nothing is
// believed to live longer than the server lets it. Mutation: transport.RoundTrip stamps
// the request when the answer is there.
func TestLaw09SlowAnswersAgeWhatTheyBring(t *testing.T) {
	for _, slow := range []string{credsPath, renewLease, renewToken, loginPath} {
		t.Run(slow, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 10 * time.Second})
				w.database(vaulttest.RoleSpec{DefaultTTL: 10 * time.Second, MaxTTL: time.Hour})
				w.Fail(vaulttest.Fault{Path: slow, Delay: 5 * time.Second, After: true})
				creds := w.open(w.start())
				if slow == credsPath { // what its answer brought is all there is
					w.Fail(vaulttest.Fault{Path: "sys/", Refuse: true})
				}
				every(time.Minute, 100*time.Millisecond, func(at time.Duration) {
					if up, err := creds.Get(); err == nil {
						require.True(t, w.Alive(up.Username), "dead credential at %s", at)
					}
				})
			})
		})
	}
}

// TestC1AStaticRoleIsNotOpenedAsALease: nothing would tell when its password is rotated, and it
// would be handed out past that. Mutation: what has no lease has no end.
func TestC1AStaticRoleIsNotOpenedAsALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.StaticRole("database", "app", vaulttest.StaticSpec{Username: "app", RotationPeriod: time.Hour})
		w.Policy("app", append(appPolicy[:3:3], vaulttest.Rule{Path: "database/static-creds/*", Capabilities: []string{"read"}})...)
		c := w.start()
		_, err := dynamic.Open(t.Context(), c, dynamic.Request{Path: "database/static-creds/app"}, func(g *dynamic.Grant) (string, error) {
			return string(g.Data.Reveal()), nil
		})
		require.ErrorContains(t, err, "leasehold: obtain database/static-creds/app: the answer has no lease")
		require.Equal(t, 1, w.Count("", "database/static-creds/"))
		require.Empty(t, c.Status().Leases)
	})
}
