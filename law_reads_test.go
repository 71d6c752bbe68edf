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
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw07WhatWasNeverSentMayBeRepeated: for want of a token: that is no lost answer.
// Mutation: the login's failure counts as the creation's.
func TestLaw07WhatWasNeverSentMayBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 10 * time.Second})
		c := w.start()
		w.Fail(vaulttest.Fault{Status: 502})
		time.Sleep(11 * time.Second) // the token has ended, and logins are tried every few seconds
		time.AfterFunc(20*time.Second, w.ClearFaults)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := dynamic.Database(ctx, c, "app")
		require.NoError(t, err)
	})
}

// TestC2ADeletedSecretIsReadAtThePaceOfItsInterval: nothing but a write changes it.
// Mutation: a missing secret is retried like an outage.
func TestC2ADeletedSecretIsReadAtThePaceOfItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		_, err := kv.Watch[settings](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		req, _ := http.NewRequest(http.MethodDelete, address+"/v1/"+configPath, http.NoBody)
		req.Header.Set("X-Vault-Token", w.RootToken())
		resp, err := w.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 204, resp.StatusCode)
		before := w.Count("GET", configPath)
		time.Sleep(time.Hour)
		n := w.Count("GET", configPath) - before
		require.LessOrEqual(t, n, 90, "reads in an hour at an interval of a minute")
	})
}

// TestLaw06AllWhoMeetADeadTokenAtOnceAreServed: where Vault's text does not tell it from a missing
// permission. Mutation: only who looks it up learns of it.
func TestLaw06AllWhoMeetADeadTokenAtOnceAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		for i := range 10 {
			w.PutKV("secret", fmt.Sprint("user/", i), map[string]any{"n": i})
		}
		c := w.start(func(c *leasehold.Config) {
			c.HTTPClient = &http.Client{Transport: noInvalid{w.wire}}
		})
		time.Sleep(2 * time.Minute)
		w.RevokeToken(w.token())
		w.Fail(vaulttest.Fault{Path: "secret/data/user/", Delay: time.Second}) // all are on their way before the first learns of it
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				_, err := kv.Get[map[string]any](t.Context(), c.KV("secret"), fmt.Sprint("user/", i))
				assert.NoError(t, err)
			})
		}
		wg.Wait()
	})
}

// TestLaw17AFailedLoadChangesNothing: nor what is behind a pointer or in a map.
// Mutation: it sets what it has.
func TestLaw17AFailedLoadChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		dst := struct {
			M map[string]any `vault:"secret:app/config"`
			P *settings      `vault:"secret:app/config"`
			X string         `vault:"secret:nope#x"`
		}{M: map[string]any{"banner": "old"}, P: &settings{Banner: "old"}}
		require.Error(t, c.Load(t.Context(), &dst))
		assert.Equal(t, map[string]any{"banner": "old"}, dst.M)
		assert.Equal(t, "old", dst.P.Banner)
	})
}

// TestLaw17AttemptsOfLoadAreTold: each one that failed. Mutation: they are not.
func TestLaw17AttemptsOfLoadAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Seal()
		time.AfterFunc(20*time.Second, w.Unseal)
		var dst struct {
			X string `vault:"secret:app/config#banner"`
		}
		require.NoError(t, c.Load(t.Context(), &dst))
		time.Sleep(time.Second)
		n := 0
		for _, e := range w.events.list() {
			if e.Err != nil {
				n++
			}
		}
		require.NotZero(t, n, "20 s of a sealed Vault during Load: no event")
	})
}

// TestLaw17AttemptsOfOpenAreTold: each one that failed. Mutation: they are not.
func TestLaw17AttemptsOfOpenAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Fail(vaulttest.Fault{Path: "database/", Status: 503})
		time.AfterFunc(20*time.Second, w.ClearFaults)
		w.open(c)
		n := 0
		for _, e := range w.events.list() {
			if e.Err != nil {
				n++
			}
		}
		require.NotZero(t, n)
	})
}

// TestLaw21ALoginCannotLeaveItsMount: a credential must not be written where others read.
// Mutation: the mount is not checked.
func TestLaw21ALoginCannotLeaveItsMount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		_, err := leasehold.New(t.Context(), w.config(func(c *leasehold.Config) {
			c.Auth = approle.New(w.roleID, approle.SecretIDString(w.secretID), approle.Mount("../secret/data"))
		}))
		require.Error(t, err)
		for _, s := range w.wire.all() {
			t.Error("sent to", s.path)
		}
	})
}

// noInvalid is a Vault that does not say "invalid token".
type noInvalid struct{ next http.RoundTripper }

func (n noInvalid) RoundTrip(r *http.Request) (*http.Response, error) {
	return rewrite{n.next, r.URL.Path[len("/v1/"):], `invalid token`, `x`}.RoundTrip(r)
}
