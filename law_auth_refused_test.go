package leasehold_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestA8ASourceThatYieldsAnotherEachTimeIsNoNewCredential: a function that fetches a secret-id, or
// signs a JWT, when it is asked. While these are refused the role must not be locked out for
// all who share it, and what hands them out must not be asked without end.
// Mutation: that it is fickle is not noticed.
func TestA8ASourceThatYieldsAnotherEachTimeIsNoNewCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 2 * time.Minute, TokenMaxTTL: 2 * time.Minute})
		var bad atomic.Bool
		var asked atomic.Int64
		c := w.start(withSecretID(w, func() string {
			if !bad.Load() {
				return w.secretID
			}
			return fmt.Sprintf("11111111-2222-3333-4444-%012d", asked.Add(1))
		}))
		for range 2 {
			bad.Store(true)
			asked.Store(0)
			before := w.logins()
			time.Sleep(time.Hour)
			require.Error(t, c.Ready())
			require.LessOrEqual(t, w.logins()-before, 2+4+4, "four, and then every 16 minutes")
			require.LessOrEqual(t, asked.Load(), int64(12), "of secret-ids that were handed out")
			bad.Store(false)
			time.Sleep(17 * time.Minute)
			require.NoError(t, c.Ready())
		}
		for _, ev := range w.events.of(lease.ReplaceFailed, "token") {
			require.ErrorContains(t, ev.Err, "invalid role or secret ID", "never locked out")
		}
	})
}

// TestA8ASourceThatChangesAllTheTimeIsTriedLessAndLess: it signs with the time of day, to the second or to the minute, or is
// two sources in turn.
// Mutations: what is new is always tried at once; a minute is steady.
func TestA8ASourceThatChangesAllTheTimeIsTriedLessAndLess(t *testing.T) {
	for _, value := range []func(now time.Time) string{
		func(now time.Time) string { return now.Format(time.DateTime) }, func(now time.Time) string { return now.Format("15:04") },
		func(now time.Time) string { return []string{"one", "another"}[now.Minute()%2] },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 2 * time.Minute, TokenMaxTTL: 2 * time.Minute})
			var bad atomic.Bool
			c := w.start(withSecretID(w, func() string {
				if bad.Load() {
					return value(time.Now())
				}
				return w.secretID
			}))
			bad.Store(true)
			defer w.Fail(vaulttest.Fault{Path: loginPath, Status: http.StatusBadRequest, Body: `{"errors":["error validating token: invalid issuer (iss) claim"]}`})()
			time.Sleep(10 * time.Hour)
			require.Error(t, c.Ready())
			require.LessOrEqual(t, w.logins(), 120, "in ten hours")
		})
	}
}

// TestA8ASourceThatHasBeenSteadyIsTriedAtOnce however often it was changed to no avail: each was shown more than
// once, so that somebody means something by the next one.
// Mutation: what was steady in between counts as changed all the time.
func TestA8ASourceThatHasBeenSteadyIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 2 * time.Minute, TokenMaxTTL: 2 * time.Minute})
		var secretID atomic.Value
		secretID.Store(w.secretID)
		c := w.start(withSecretID(w, func() string { return secretID.Load().(string) }))
		for i := range 10 {
			secretID.Store(fmt.Sprintf("11111111-2222-3333-4444-%012d", i))
			time.Sleep(time.Hour)
			require.Error(t, c.Ready())
		}
		for before := w.logins(); w.logins() == before; {
			time.Sleep(time.Second)
		}
		secretID.Store(w.NewSecretID(w.roleID))
		time.Sleep(11 * time.Second)
		require.NoError(t, c.Ready())
	})
}

// TestNoneFollowsAProxyThatRecovers: its token died, and after a while it has another, of which nobody
// tells us.
// Mutation: what a proxy is refused waits for the back-off.
func TestNoneFollowsAProxyThatRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		give := func() string {
			return w.CreateToken(vaulttest.TokenSpec{TTL: 20 * time.Minute, Policies: []string{"app"}})
		}
		p := &proxy{next: w.Client().Transport}
		p.token.Store(give())
		c := w.start(func(cfg *leasehold.Config) { cfg.Auth, cfg.HTTPClient = auth.None(), &http.Client{Transport: p} })
		for range 5 { // by chance it is tried just then
			before := w.Count("GET", lookupSelf)
			p.token.Store("hvs.this-one-is-dead")
			time.Sleep(90 * time.Minute)
			require.Error(t, c.Ready())
			require.LessOrEqual(t, w.Count("GET", lookupSelf)-before, 2*90, "one in half a minute")
			p.token.Store(give())
			time.Sleep(41 * time.Second)
			require.NoError(t, c.Ready())
		}
	})
}

// TestA7AnIssuerThatIsAwayIsNoRefusal: Vault gets no keys to judge a JWT with, and says 400. A start
// waits for it, and a service that missed its login is back soon after.
// Mutation: what the issuer is to blame for counts as a refusal.
func TestA7AnIssuerThatIsAwayIsNoRefusal(t *testing.T) {
	for _, text := range []string{
		`error validating token: error verifying token signature: fetching keys oidc: get keys failed Get \"https://issuer/k\": dial tcp: connection refused`,
		`error validating token: error verifying token signature: fetching keys oidc: get keys failed: 503 Service Unavailable down`,
		`error configuring token validator: keyset configuration error: Get \"https://issuer/.well-known/openid-configuration\": dial tcp: connection refused`,
	} {
		waitedFor(t, text, "does not get the issuer's keys")
	}
}

// TestA7ADirectoryThatIsAwayIsNoRefusal: Vault says 400 where it does not reach the LDAP server, too.
// Mutation: what the directory is to blame for counts as a refusal.
func TestA7ADirectoryThatIsAwayIsNoRefusal(t *testing.T) {
	waitedFor(t, `ldap.(Client).Authenticate: failed to connect: 1 error occurred:\n\t* ldap.(Client).connect: error connecting to host \"ldap://dir\": LDAP Result Code 200 \"Network Error\": dial tcp: connection refused\n\n`,
		"does not reach the LDAP server")
}

// waitedFor asserts that a login that fails with 400 and this text is one that may pass.
func waitedFor(t *testing.T, text, hint string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 2 * time.Minute, TokenMaxTTL: 2 * time.Minute})
		away := vaulttest.Fault{Path: loginPath, Status: http.StatusBadRequest, Body: `{"errors":["` + text + `"]}`}
		time.AfterFunc(20*time.Second, w.Fail(away))
		c := w.start()
		require.NotEmpty(t, w.events.of(lease.ObtainFailed, "token"))
		require.ErrorContains(t, w.events.list()[0].Err, hint)
		end := w.Fail(away)
		time.Sleep(time.Hour)
		require.Error(t, c.Ready())
		require.LessOrEqual(t, w.logins(), 250)
		end()
		time.Sleep(31 * time.Second)
		require.NoError(t, c.Ready())
	})
}

// busyError is how SDKs report the answer of who is asked for credentials.
type busyError int

func (e busyError) Error() string { return fmt.Sprintf("the metadata service: %d", int(e)) }

func (e busyError) HTTPStatusCode() int { return int(e) }

// busy is a method whose credentials cannot be had for a while.
type busy struct {
	auth.Method

	status *atomic.Int64
}

func (b busy) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	if n := b.status.Load(); n != 0 {
		return nil, fmt.Errorf("credentials: %w", busyError(n))
	}
	return b.Method.Login(ctx, client)
}

// TestA9WhoIsAskedForCredentialsMayBeBusy: an outage or a throttle of theirs is waited for, and what they
// refuse is not. Mutation: only a network that fails is waited for.
func TestA9WhoIsAskedForCredentialsMayBeBusy(t *testing.T) {
	for status, waits := range map[int64]bool{500: true, 503: true, 429: true, 400: false, 403: false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{})
			var now atomic.Int64
			now.Store(status)
			time.AfterFunc(20*time.Second, func() { now.Store(0) })
			c, err := leasehold.New(t.Context(), w.config(func(cfg *leasehold.Config) { cfg.Auth = busy{cfg.Auth, &now} }))
			if !waits {
				require.ErrorContains(t, err, fmt.Sprintf("the metadata service: %d", status))
				return
			}
			require.NoError(t, err, status)
			require.NoError(t, c.Close(t.Context()))
		})
	}
}

// TestE3APageOfAProxyIsNoRefusal where logins have worked before: it goes as it came. Before that the
// address may be wrong, and a start ends at once.
// Mutation: who answered is not looked at.
func TestE3APageOfAProxyIsNoRefusal(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 2 * time.Minute, TokenMaxTTL: 2 * time.Minute})
			c := w.start()
			for range 5 { // by chance it is tried just then
				before := w.logins()
				end := w.Fail(vaulttest.Fault{Path: loginPath, Status: status, Body: "<html>default backend</html>"})
				began := time.Now()
				_, err := leasehold.New(t.Context(), w.config())
				require.ErrorContains(t, err, fmt.Sprintf("log in auth/approle/login: %d", status))
				require.Less(t, time.Since(began), time.Second, "a start does not wait for it")
				time.Sleep(time.Hour)
				require.Error(t, c.Ready())
				require.LessOrEqual(t, w.logins()-before, 250)
				end()
				time.Sleep(31 * time.Second)
				require.NoError(t, c.Ready())
			}
		})
	}
}

// TestE3APageThatForbidsEndsNothing: for a while something before Vault answers every request with a 403 of its own.
// It says nothing about the token, and nothing of what is held.
// Mutations: any 403 is Vault's refusal; any page's is that of a login.
func TestE3APageThatForbidsEndsNothing(t *testing.T) {
	for _, body := range []string{"<html>blocked</html>", `{"message":"Forbidden"}`, `{"message":"invalid token"}`} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
			c := w.start()
			creds := w.open(c)
			before, err := creds.Get()
			require.NoError(t, err)
			end := w.Fail(vaulttest.Fault{Status: http.StatusForbidden, Body: body})
			err = read(t.Context(), c, "secret")
			require.ErrorContains(t, err, "that is no answer of Vault's")
			require.NotContains(t, err.Error(), "policy")
			serves := func(for_ time.Duration) {
				every(for_, time.Second, func(time.Duration) {
					_, err := creds.Get()
					require.NoError(t, err)
					require.NoError(t, c.Ready())
				})
			}
			serves(35 * time.Minute) // renewals of both are due
			end()
			serves(10 * time.Minute)
			after, err := creds.Get()
			require.NoError(t, err)
			require.Equal(t, before.Username, after.Username)
			require.Equal(t, 1, w.logins())
			require.Equal(t, 1, w.creations())

			w.Fail(vaulttest.Fault{Path: loginPath, Status: http.StatusForbidden, Body: body, Count: 20})
			w.RevokeToken(w.token())
			require.Error(t, read(t.Context(), c, "secret"))
			time.Sleep(10 * time.Minute) // each was tried again as in an outage, and not as a refused one
			require.NoError(t, c.Ready())
		})
	}
}

// TestA8AWrappingTokenThatIsSpentIsLoudAndCheap: a thief has used what is put there for a program that runs.
// Nothing is made of it, the old secret-id included, which its owner means to take away; a good one
// ends it.
// Mutation: what was refused is looked up again at each look at the source.
func TestA8AWrappingTokenThatIsSpentIsLoudAndCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hours = 10
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 2 * time.Minute, TokenMaxTTL: 2 * time.Minute})
		var wrapping atomic.Value
		wrapping.Store(w.WrappedSecretID(w.roleID, time.Hour))
		c := w.start(func(cfg *leasehold.Config) {
			cfg.Auth = approle.New(w.roleID, approle.Wrapped(func(context.Context) (string, error) { return wrapping.Load().(string), nil }))
		})
		creds := w.open(c)
		for range 3 {
			spent := w.WrappedSecretID(w.roleID, 24*time.Hour)
			w.unwrap(spent)
			logins, told := w.logins(), len(w.events.of(lease.ReplaceFailed, "token"))
			lookups, unwraps := w.Count("", "sys/wrapping/lookup"), w.Count("", "sys/wrapping/unwrap")
			wrapping.Store(spent)
			every(hours*time.Hour, time.Second, func(time.Duration) { _, _ = creds.Get() })
			require.Error(t, c.Ready())
			events := w.events.of(lease.ReplaceFailed, "token")[told:]
			require.NotEmpty(t, events)
			for _, ev := range events {
				require.ErrorContains(t, ev.Err, "unwrapped by somebody else")
				require.ErrorContains(t, ev.Err, "revoke it, find out who, and supply a new one")
				require.NotContains(t, ev.Err.Error(), spent)
			}
			require.LessOrEqual(t, len(events), hours*10+10, "events: each try, with a pause of six to ten minutes at last")
			require.LessOrEqual(t, w.Count("", "sys/wrapping/lookup")-lookups, hours*10+10)
			require.Equal(t, unwraps, w.Count("", "sys/wrapping/unwrap"))
			require.Equal(t, logins, w.logins(), "with the secret-id of before")

			wrapping.Store(w.WrappedSecretID(w.roleID, time.Hour))
			time.Sleep(11 * time.Second)
			require.NoError(t, c.Ready())
			_, err := creds.Current(t.Context())
			require.NoError(t, err)
		}
	})
}

// unwrap does what a thief does with a wrapping token.
func (w *world) unwrap(wrapping string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, address+"/v1/sys/wrapping/unwrap", http.NoBody)
	require.NoError(w.t, err)
	req.Header.Set("X-Vault-Token", wrapping)
	resp, err := w.Client().Do(req)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	require.Equal(w.t, http.StatusOK, resp.StatusCode)
}

// TestA11AFileThatIsGoneForAWhileCostsNoCredential: it comes back with the token that was there before,
// which its keeper has renewed meanwhile. That is no other token to obtain everything under.
// Mutation: a source that cannot be read is a refusal.
func TestA11AFileThatIsGoneForAWhileCostsNoCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		a := newAgent(w, vaulttest.TokenSpec{TTL: 10 * time.Minute})
		c := w.start(func(cfg *leasehold.Config) { cfg.Auth = held{a.read} })
		creds := w.open(c)
		for range 5 {
			time.Sleep(7 * time.Minute)
			a.renew(t)
			time.Sleep(30 * time.Second)
			a.away.Store(true)
			time.Sleep(2 * time.Minute) // the token is looked up at 8 to 9
			a.away.Store(false)
			time.Sleep(time.Minute)
			a.renew(t)
			require.NoError(t, c.Ready())
			_, err := creds.Get()
			require.NoError(t, err)
		}
		require.Equal(t, 1, w.creations())
		require.Empty(t, w.events.of(lease.Replaced, "token"))
	})
}

// TestA11AFileThatStaysAwayLetsItsTokenLive for as long as its keeper renews it: he does not write the file
// for that. That it has gone is told once, and of the token's end no sooner than that is there.
// Mutation: the token in hand is not looked up.
func TestA11AFileThatStaysAwayLetsItsTokenLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		a := newAgent(w, vaulttest.TokenSpec{TTL: 10 * time.Minute})
		c := w.start(func(cfg *leasehold.Config) { cfg.Auth = held{a.read} })
		creds := w.open(c)
		a.away.Store(true)
		every(70*time.Minute, 10*time.Second, func(at time.Duration) {
			if at%(7*time.Minute) == 0 {
				a.renew(t)
			}
			require.NoError(t, c.Ready())
			_, err := creds.Get()
			require.NoError(t, err)
		})
		require.Empty(t, w.events.of(lease.RenewFailed, "token"))
		require.Len(t, w.events.of(lease.ReadFailed, "token"), 1)
		require.LessOrEqual(t, w.Count("GET", lookupSelf), 15)
		require.Equal(t, 1, w.creations())
		time.Sleep(10*time.Minute + time.Second)
		require.ErrorContains(t, c.Ready(), "the file is empty")
		_, err := creds.Get()
		require.ErrorIs(t, err, dynamic.ErrExpired)
	})
}

// TestA11ManyWhoAreRefusedAtOnceLookOnce (law 1): their token's keeper has just written another, and one lookup
// of that is enough for all. Mutation: each of them looks.
func TestA11ManyWhoAreRefusedAtOnceLookOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		a := newAgent(w, vaulttest.TokenSpec{TTL: time.Hour})
		c := w.start(func(cfg *leasehold.Config) { cfg.Auth = held{a.read} })
		before := w.Count("GET", lookupSelf)
		w.Fail(vaulttest.Fault{Path: lookupSelf, Delay: 100 * time.Millisecond})
		a.current.Store(w.CreateToken(vaulttest.TokenSpec{TTL: time.Hour, Policies: []string{"app"}}))
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				_, err := kv.Get[settings](t.Context(), c.KV("secret", kv.Version1()), fmt.Sprint("private/", i))
				assert.ErrorContains(t, err, "403")
			})
		}
		wg.Wait()
		require.Equal(t, w.token(), c.Status().Token.Accessor)
		require.LessOrEqual(t, w.Count("GET", lookupSelf)-before, 3, "of the old one, of the new one, and of that when it is refused")
	})
}

// TestFreshIsWhatItBuilds, in all that a client asks of a method after a login.
// Mutation: that logins are scarce does not get through.
func TestFreshIsWhatItBuilds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 10 * time.Minute, TokenMaxTTL: 25 * time.Minute})
		given := w.CreateToken(vaulttest.TokenSpec{TTL: time.Hour})
		file := t.TempDir() + "/token"
		require.NoError(t, os.WriteFile(file, []byte(given), 0o600))
		for name, tc := range map[string]struct {
			m                    auth.Method
			owned, held, limited bool
		}{
			"scarce": {approle.New(w.roleID, approle.SecretIDString(w.secretID), approle.LimitedUses()), true, false, true},
			"given":  {token.New(given), false, false, false},
			"held":   {token.File(file), false, true, false},
			"plain":  {approle.New(w.roleID, approle.SecretIDString(w.secretID)), true, false, false},
		} {
			m := auth.Fresh(func(context.Context) (auth.Method, error) { return tc.m, nil })
			w.start(func(cfg *leasehold.Config) { cfg.Auth = m })
			require.Equal(t, tc.owned, m.(auth.Owner).Owned(), name)
			require.Equal(t, tc.held, m.(auth.Holder).Held(), name)
			require.Equal(t, tc.limited, m.(auth.Limiter).Limited(), name)
		}
	})
}
