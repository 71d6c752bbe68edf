package leasehold_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

type live struct {
	Banner *cache.Value[string]   `vault:"secret:app/config#banner"`
	Limit  *cache.Value[*int]     `vault:"secret:app/config#limit,optional"`
	Whole  *cache.Value[settings] `vault:"secret:app/config"`
	Plain  string                 `vault:"secret:app/config#banner"`
}

// TestLaw12LiveFieldsFollowTheirSecret: all of one secret together, and when one does not fit, none; the
// last good ones stay and say why. Mutation: a field that fits is published all the same.
func TestLaw12LiveFieldsFollowTheirSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 100 * time.Hour})
		c := w.start()
		w.PutKV("secret", "app/config", map[string]any{"banner": "one", "limit": "1"})
		var cfg live
		began := time.Now()
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.Equal(t, 1, w.reads(), "one read for all of them")
		require.Equal(t, "one", cfg.Banner.Get())
		require.Equal(t, "one", cfg.Whole.Get().Banner)
		require.Equal(t, 1, *cfg.Limit.Get())
		require.Equal(t, began, cfg.Banner.Snapshot().Obtained)
		require.EqualValues(t, 1, cfg.Banner.Snapshot().Generation)
		require.Len(t, c.Status().Values, 1)

		w.PutKV("secret", "app/config", map[string]any{"banner": "two", "limit": "2"})
		s, err := cfg.Banner.Wait(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, "two", s.Value)
		require.LessOrEqual(t, time.Since(began), time.Minute)
		require.Equal(t, 2, *cfg.Limit.Get())

		w.PutKV("secret", "app/config", map[string]any{"banner": "three", "limit": "many"})
		time.Sleep(time.Minute)
		for _, err := range []error{cfg.Banner.Err(), cfg.Whole.Err(), cfg.Limit.Err()} {
			var stale *cache.StaleError
			require.ErrorAs(t, err, &stale)
			require.ErrorContains(t, err, "secret/app/config#limit: want int")
			require.NotContains(t, err.Error(), "many")
		}
		require.Equal(t, "two", cfg.Banner.Get())
		require.NotEmpty(t, w.events.of(lease.ReadFailed, "secret/app/config"))

		w.PutKV("secret", "app/config", map[string]any{"banner": "four", "limit": 4})
		require.NoError(t, cfg.Whole.Refresh(t.Context()))
		require.Equal(t, "four", cfg.Banner.Get())
		require.Equal(t, 4, *cfg.Limit.Get())
		require.NoError(t, cfg.Banner.Err())
		require.Equal(t, "one", cfg.Plain)

		require.NoError(t, cfg.Whole.Close())
		require.NoError(t, cfg.Limit.Close())
		w.PutKV("secret", "app/config", map[string]any{"banner": "five", "limit": 5})
		time.Sleep(time.Minute)
		require.Equal(t, "five", cfg.Banner.Get(), "one that is open is kept")
		require.Equal(t, "four", cfg.Whole.Get().Banner)
		require.NoError(t, cfg.Banner.Close())
		asked := w.reads()
		time.Sleep(time.Hour)
		require.Equal(t, asked, w.reads())
		require.Empty(t, c.Status().Values)
	})
}

// TestC6AnOptionalLiveFieldIsInNobodysWay: once it is gone from the secret it stays as it is, and the others go on
// to follow. Mutation: an optional field that is missing is one that does not fit.
func TestC6AnOptionalLiveFieldIsInNobodysWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 100 * time.Hour})
		c := w.start()
		w.PutKV("secret", "app/config", map[string]any{"banner": "one", "limit": "1"})
		var cfg live
		require.NoError(t, c.Load(t.Context(), &cfg))
		for _, data := range []map[string]any{{"banner": "two"}, {"banner": "three", "limit": nil}} {
			w.PutKV("secret", "app/config", data)
			time.Sleep(time.Minute)
			require.Equal(t, data["banner"], cfg.Banner.Get())
			require.Equal(t, data["banner"], cfg.Whole.Get().Banner)
			require.Equal(t, 1, *cfg.Limit.Get())
			require.NoError(t, cfg.Limit.Err())
			require.EqualValues(t, 1, cfg.Limit.Snapshot().Generation)
		}
		w.PutKV("secret", "app/config", map[string]any{"banner": "four", "limit": "4"})
		time.Sleep(time.Minute)
		require.Equal(t, "four", cfg.Banner.Get())
		require.Equal(t, 4, *cfg.Limit.Get())
	})
}

// TestD2ALiveFieldThatDoesNotFitIsReadNoMoreOften: only a write can change that. Mutation: what does not fit is
// taken for what may pass.
func TestD2ALiveFieldThatDoesNotFitIsReadNoMoreOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 100 * time.Hour})
		c := w.start()
		w.PutKV("secret", "app/config", map[string]any{"banner": "one", "limit": "1"})
		var cfg live
		require.NoError(t, c.Load(t.Context(), &cfg))
		w.PutKV("secret", "app/config", map[string]any{"banner": "two", "limit": "many"})
		asked := w.reads()
		time.Sleep(time.Hour)
		require.Error(t, cfg.Limit.Err())
		require.LessOrEqual(t, w.reads()-asked, 60*60/45)
	})
}

// TestLiveFieldsAreClosedWithTheirClient. Mutation: they are not.
func TestLiveFieldsAreClosedWithTheirClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		var cfg live
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.Nil(t, cfg.Limit, "optional, and missing")
		require.NoError(t, c.Close(t.Context()))
		require.Equal(t, "hello", cfg.Banner.Get())
		require.ErrorIs(t, cfg.Banner.Err(), leasehold.ErrClosed)
		_, err := cfg.Banner.Wait(t.Context(), 1)
		require.ErrorIs(t, err, cache.ErrClosed)
		require.ErrorIs(t, cfg.Banner.Refresh(t.Context()), cache.ErrClosed)
		require.NoError(t, cfg.Whole.Close())
	})
}

// TestAnOptionalLiveFieldKeepsWhatItWasSetTo if there is nothing to follow, and costs nothing.
func TestAnOptionalLiveFieldKeepsWhatItWasSetTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		cfg := struct {
			Gone  *cache.Value[string] `vault:"secret:gone#x,optional"`
			Field *cache.Value[string] `vault:"secret:app/config#gone,optional"`
		}{cache.Fixed("default"), cache.Fixed("default")}
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.Equal(t, "default", cfg.Gone.Get())
		require.Equal(t, "default", cfg.Field.Get())
		require.Empty(t, c.Status().Values)
	})
}

// TestC6AFailedLoadLeavesNothingBehind: no lease, and nothing that is watched. Mutation: it gives nothing back.
func TestC6AFailedLoadLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		var cfg struct {
			Creds   *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/app,dynamic"`
			User    string                                `vault:"database:creds/app#username,dynamic"`
			Banner  *cache.Value[string]                  `vault:"secret:app/config#banner"`
			Missing string                                `vault:"secret:missing#x"`
		}
		err := c.Load(t.Context(), &cfg)
		require.ErrorIs(t, err, kv.ErrNotFound)
		require.Equal(t, 2, w.creations())
		require.Empty(t, w.Leases())
		require.Empty(t, c.Status().Values)
		require.Empty(t, c.Status().Leases)
		require.Nil(t, cfg.Creds)
		require.Nil(t, cfg.Banner)

		// A decoder of the caller's that panics.
		var odd struct {
			Creds *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/app,dynamic"`
			Bad   panics                                `vault:"secret:app/config#banner"`
		}
		require.Panics(t, func() { _ = c.Load(t.Context(), &odd) })
		require.Empty(t, w.Leases())
		var inside struct {
			Creds *dynamic.Credential[panics] `vault:"database:creds/app,dynamic"`
		}
		require.ErrorContains(t, c.Load(t.Context(), &inside), "field Creds: leasehold: load database/creds/app: panic")
		synctest.Wait()
		require.Empty(t, w.Leases())

		w.Policy("app", appPolicy[:2]...) // no sys/leases/revoke
		other := w.start()
		err = other.Load(t.Context(), &cfg)
		require.ErrorContains(t, err, "what was obtained for nothing ends by itself")
		require.ErrorContains(t, err, `path "sys/leases/revoke" { capabilities = ["update"] }`)
		require.NoError(t, other.Close(t.Context()))
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}

// TestB1ALoadThatIsRepeatedMakesNothingEachTime until all else is there.
// Mutation: what a failed Load has given back is made again at once.
func TestB1ALoadThatIsRepeatedMakesNothingEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		var cfg struct {
			Creds  *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/app,dynamic"`
			User   string                                `vault:"database:creds/app#username,dynamic"`
			Banner string                                `vault:"secret:app/late#banner"`
		}
		for range 60 {
			require.ErrorIs(t, c.Load(t.Context(), &cfg), kv.ErrNotFound)
			time.Sleep(time.Second)
		}
		require.Equal(t, 2, w.creations(), "the first time only")
		require.Empty(t, w.Leases())

		w.PutKV("secret", "app/late", map[string]any{"banner": "here"})
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.Equal(t, "here", cfg.Banner)
		require.NotEmpty(t, cfg.User)
		require.Equal(t, 4, w.creations())
		require.Len(t, w.Leases(), 2)
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}

type panics struct{}

func (*panics) UnmarshalText([]byte) error { panic("canary") }

func (*panics) UnmarshalJSON([]byte) error { panic("canary") }

// TestLoadedCredentialsAreKept: live ones are replaced; plain ones are copies of one that is
// renewed, and a later Load has the one of then without another lease. Mutation: each Load opens anew.
func TestLoadedCredentialsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		w.database(vaulttest.RoleSpec{DefaultTTL: time.Hour, MaxTTL: 10 * time.Hour})
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: 100 * time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Auth = token.New(given) })
		var cfg, later struct {
			Creds *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/app,dynamic"`
			User  string                                `vault:"database:creds/app#username,dynamic"`
			Pass  secret.String                         `vault:"database:creds/app#password,dynamic"`
			Both  dynamic.UserPass                      `vault:"database:creds/app,dynamic"`
		}
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.Len(t, w.Leases(), 2)
		require.Equal(t, cfg.User, cfg.Both.Username)
		require.Equal(t, cfg.Pass, cfg.Both.Password)
		up, err := cfg.Creds.Get()
		require.NoError(t, err)
		require.NotEqual(t, cfg.User, up.Username)

		time.Sleep(8 * time.Hour)
		require.True(t, w.Alive(cfg.User), "it is renewed")
		require.NoError(t, cfg.Creds.Close(t.Context()))
		require.NoError(t, c.Load(t.Context(), &later))
		require.Equal(t, cfg.User, later.User)
		require.Len(t, w.Leases(), 2)
		time.Sleep(8 * time.Hour)
		require.False(t, w.Alive(cfg.User))
		require.NotEmpty(t, w.events.of(lease.Replaced, credsPath))
		require.NoError(t, later.Creds.Close(t.Context()))
		require.NoError(t, c.Load(t.Context(), &later))
		require.True(t, w.Alive(later.User))
		require.Len(t, w.Leases(), 2)
		require.NoError(t, c.Close(t.Context()))
		require.Empty(t, w.Leases())
	})
}

// TestD1LoadsAtOnceShareACredential: those that fail, or have no more time, take it from nobody else.
// Mutation: each Load that finds none kept opens its own.
func TestD1LoadsAtOnceShareACredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 100 * time.Hour})
		slow := through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/v1/database/creds/") {
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			}
			return next.RoundTrip(r)
		})
		c := w.start(slow)
		type plain struct {
			User string `vault:"database:creds/app#username,dynamic"`
		}
		var wg sync.WaitGroup
		users := make([]plain, 20)
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		for i := range users {
			wg.Go(func() {
				var failing struct {
					plain

					Missing string `vault:"secret:missing#x"`
				}
				var late plain
				switch i % 4 {
				case 0:
					if err := c.Load(impatient, &late); !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
				case 1:
					if err := c.Load(t.Context(), &failing); !errors.Is(err, kv.ErrNotFound) {
						t.Error(err)
					}
				}
				assert.NoError(t, c.Load(t.Context(), &users[i]))
			})
		}
		wg.Wait()
		for _, u := range users {
			assert.Equal(t, users[0], u)
			assert.True(t, w.Alive(u.User))
		}
		require.Len(t, w.Leases(), 1)
		require.Len(t, c.Status().Leases, 1)

		var nobody struct {
			User string `vault:"database:creds/nobody#username,dynamic"`
		}
		asked := w.creations()
		for range 10 {
			wg.Go(func() { assert.ErrorContains(t, c.Load(t.Context(), &nobody), "unknown role") })
		}
		wg.Wait()
		require.Equal(t, asked+1, w.creations())
		require.ErrorContains(t, c.Load(t.Context(), &nobody), "unknown role")
		require.Equal(t, asked+2, w.creations(), "it is asked again")
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}

// TestU4ALoadWaitsForACopyThatHasEnded as it does for the first. Mutation: it is tried once.
func TestU4ALoadWaitsForACopyThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 100 * time.Hour})
		w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Minute})
		c := w.start()
		var cfg struct {
			User string `vault:"database:creds/app#username,dynamic"`
		}
		require.NoError(t, c.Load(t.Context(), &cfg))
		w.Fail(vaulttest.Fault{Path: "database/creds/", Status: http.StatusServiceUnavailable})
		time.Sleep(10 * time.Minute)
		asked := w.creations()
		time.AfterFunc(2*time.Minute, w.ClearFaults)
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.True(t, w.Alive(cfg.User))
		require.LessOrEqual(t, w.creations()-asked, 12, "no storm")

		w.Fail(vaulttest.Fault{Path: "database/creds/", Status: http.StatusServiceUnavailable})
		time.Sleep(10 * time.Minute)
		limited, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, c.Load(limited, &cfg), context.DeadlineExceeded)
		require.LessOrEqual(t, time.Since(began), 20*time.Second)
		w.ClearFaults()
	})
}

// TestB11AFailingLoadWaitsForACredentialThatIsBeingMade, and gives it back: cut off, it would be left under a
// given token for as long as its TTL. Mutation: it is cut off like all else.
func TestB11AFailingLoadWaitsForACredentialThatIsBeingMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		slow := through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if strings.HasPrefix(r.URL.Path, "/v1/database/creds/") {
				select {
				case <-time.After(20 * time.Second):
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			}
			return resp, err
		})
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: 100 * time.Hour})
		start := func() *leasehold.Client { // of which none has seen a Load fail
			return w.start(slow, func(c *leasehold.Config) { c.Auth = token.New(given) })
		}
		var cfg struct {
			Missing string                                `vault:"secret:missing#x"`
			Creds   *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/app,dynamic"`
			User    string                                `vault:"database:creds/app#username,dynamic"`
		}
		began := time.Now()
		err := start().Load(t.Context(), &cfg)
		require.ErrorIs(t, err, kv.ErrNotFound)
		require.Equal(t, 20*time.Second, time.Since(began))
		require.Empty(t, w.Leases())

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began = time.Now()
		require.ErrorIs(t, start().Load(ctx, &cfg), context.DeadlineExceeded)
		require.LessOrEqual(t, time.Since(began), 15*time.Second, "ctx counts, and giving back")

		w.Fail(vaulttest.Fault{Path: "database/creds/", Status: http.StatusServiceUnavailable})
		began = time.Now()
		require.ErrorIs(t, start().Load(t.Context(), &cfg), kv.ErrNotFound)
		require.Equal(t, 20*time.Second, time.Since(began), "no other attempt")
	})
}

// TestLoadsFailuresOfCredentialsAreOfTheirFields too.
func TestLoadsFailuresOfCredentialsAreOfTheirFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		var cfg struct {
			Creds  *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/nobody,dynamic"`
			Type   *dynamic.Credential[map[string]int]   `vault:"database:creds/app,dynamic"`
			User   string                                `vault:"database:creds/nobody#username,dynamic"`
			Static dynamic.UserPass                      `vault:"database:static-creds/x,static"`
		}
		err := c.Load(t.Context(), &cfg)
		for _, part := range []string{
			"field Creds: leasehold: obtain database/creds/nobody: 400", "field User: leasehold: obtain database/creds/nobody: 400", "unknown role",
			"field Type: leasehold: decode database/creds/app: the answer's data does not make a map[string]int",
			"field Static: leasehold: read database/static-creds/x: 403", `path "database/static-creds/x" { capabilities = ["read"] }`,
		} {
			require.ErrorContains(t, err, part)
		}
		synctest.Wait()
		require.Empty(t, w.Leases())

		// An answer without what a UserPass is.
		w.Fail(vaulttest.Fault{Path: "database/static-creds/aws", Status: http.StatusOK, Body: `{"data": {"access_key": "AKIA", "secret_key": "hunter2"}}`})
		require.ErrorContains(t, c.Load(t.Context(), &struct {
			Static *dynamic.UserPass `vault:"database:static-creds/aws,static"`
		}{}), "field Static: leasehold: decode database/static-creds/aws: the answer holds no username and password")

		// A read that turns out to make something is no static role: nothing may be left of it.
		before := w.Count("", "sys/leases/revoke")
		for range 2 {
			w.Fail(vaulttest.Fault{Path: "other/creds-of/", Count: 1, Status: http.StatusOK, Body: `{"lease_id": "other/creds-of/x/canary", "lease_duration": 60, "data": {"username": "u"}}`})
			err = c.Load(t.Context(), &struct {
				Static dynamic.UserPass `vault:"other:creds-of/x,static"`
			}{})
			require.ErrorContains(t, err, `field Static: leasehold: read other/creds-of/x: it makes a credential with a lease: say ",dynamic"`)
			require.NotContains(t, err.Error(), "canary")
		}
		require.Equal(t, 2, w.Count("", "sys/leases/revoke")-before)

		// A tag that lacks ",dynamic" is not a matter of policy.
		require.ErrorContains(t, c.Load(t.Context(), &struct {
			User dynamic.UserPass `vault:"database:creds/app"`
		}{}), `if a credential is meant, add ",dynamic" to the tag`)

		// An answer that is none.
		w.Fail(vaulttest.Fault{Path: "database/static-creds/", Status: http.StatusOK, Body: `{"data": 5}`})
		require.ErrorContains(t, c.Load(t.Context(), &struct {
			Static dynamic.UserPass `vault:"database:static-creds/x,static"`
		}{}), "not JSON of the expected form")
		closed := w.start()
		require.NoError(t, closed.Close(context.Background()))
		err = closed.Load(t.Context(), &cfg)
		require.ErrorIs(t, err, leasehold.ErrClosed)
		require.NotErrorIs(t, err, kv.ErrNotFound)
	})
}

// TestB1WhatFailsForGoodIsAskedForBeforeWhatIsMade again: else each Load would make the other one.
// Mutation: what a failed Load has wasted once is asked for last for ever.
func TestB1WhatFailsForGoodIsAskedForBeforeWhatIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.DynamicRole("database", "other", vaulttest.RoleSpec{DefaultTTL: time.Hour, MaxTTL: time.Hour})
		c := w.start()
		var cfg struct {
			Creds  *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/app,dynamic"`
			Other  string                                `vault:"database:creds/other#username,dynamic"`
			Banner string                                `vault:"secret:app/late#banner"`
		}
		require.ErrorIs(t, c.Load(t.Context(), &cfg), kv.ErrNotFound)
		require.Equal(t, 2, w.creations())
		w.PutKV("secret", "app/late", map[string]any{"banner": "here"})
		end := w.Fail(vaulttest.Fault{Path: "database/creds/other", Status: http.StatusBadRequest, Body: `{"errors":["unknown role"]}`})
		for range 20 {
			require.ErrorContains(t, c.Load(t.Context(), &cfg), "unknown role")
			time.Sleep(time.Minute)
		}
		require.LessOrEqual(t, w.Count("GET", "database/creds/app"), 2)
		end()
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}

// TestLoadSurvivesAPanicWhereACopyIsOpened, such as one of the caller's own transport: nobody waits for it for ever.
// Mutation: who opens a copy says nothing when he panics.
func TestLoadSurvivesAPanicWhereACopyIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		var calm atomic.Bool
		c := w.start(through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/v1/database/creds/") && !calm.Load() {
				panic("canary")
			}
			return next.RoundTrip(r)
		}))
		var cfg struct {
			User string `vault:"database:creds/app#username,dynamic"`
		}
		require.ErrorContains(t, c.Load(t.Context(), &cfg), "panic (string)")
		calm.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, c.Load(ctx, &cfg))
	})
}

// TestALoadThatFailsWaitsForNoLogin that a credential would need which certainly was not made: its token is dead.
// Mutation: the login is part of the making.
func TestALoadThatFailsWaitsForNoLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start(through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/v1/database/creds/") {
				time.Sleep(time.Second)
			}
			return next.RoundTrip(r)
		}))
		w.Fail(vaulttest.Fault{Path: "database/creds/", Status: http.StatusForbidden, Body: `{"errors":["permission denied","invalid token"]}`})
		defer w.Fail(vaulttest.Fault{Path: loginPath, Hang: true})()
		var cfg struct {
			Missing string                                `vault:"secret:missing#x"`
			Creds   *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/app,dynamic"`
		}
		began := time.Now()
		require.ErrorIs(t, c.Load(t.Context(), &cfg), kv.ErrNotFound)
		require.LessOrEqual(t, time.Since(began), 6*time.Second)
	})
}
