package leasehold_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw06WhatWasRefusedUnderTheTokenOfBeforeIsRepeated: a slow request comes back with a 403 when
// there is another token already. It succeeds with that one, without a login or a lookup.
// Mutation: refused does not look whether there is one.
func TestLaw06WhatWasRefusedUnderTheTokenOfBeforeIsRepeated(t *testing.T) {
	for name, body := range map[string]string{"by policy": deniedByPolicy, "for a dead token": invalidToken} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
				w.MountKV2("other")
				w.PutKV("other", "app/config", map[string]any{"a": 1})
				c := w.start()
				w.Policy("more", vaulttest.Rule{Path: "other/data/*", Capabilities: []string{"read"}})
				w.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour, Policies: []string{"app", "more"}})
				time.Sleep(2 * time.Minute)
				w.Fail(vaulttest.Fault{Path: configPath, Delay: 10 * time.Second, Status: 403, Body: body, Count: 1})
				slow := make(chan error, 1)
				go func() { slow <- read(t.Context(), c, "secret") }()
				time.Sleep(time.Second)
				require.NoError(t, read(t.Context(), c, "other"), "by a probe")
				require.Equal(t, 2, w.logins())
				lookups := w.Count("", lookupSelf)
				require.NoError(t, <-slow)
				require.Equal(t, 2, w.reads())
				require.Equal(t, 2, w.logins(), "no other login")
				require.Equal(t, lookups, w.Count("", lookupSelf), "nor a lookup")
			})
		})
	}
}

// failover sends to one server and then to another.
type failover struct {
	now atomic.Pointer[world]
}

func (f *failover) RoundTrip(r *http.Request) (*http.Response, error) {
	return f.now.Load().wire.RoundTrip(r)
}

// Login implements auth.Method with the AppRole of whichever server answers.
func (f *failover) Login(ctx context.Context, c *api.Client) (*api.Secret, error) {
	w := f.now.Load()
	return approle.New(w.roleID, approle.SecretIDString(w.secretID)).Login(ctx, c)
}

// TestE8AClusterThatDoesNotKnowTheTokenCausesOneLogin (law 6): however many requests meet it at once, and
// each credential is obtained anew there, once.
// Mutation: a dead token is the problem of each who meets it.
func TestE8AClusterThatDoesNotKnowTheTokenCausesOneLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const readers, credentials = 50, 5
		first, second := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour}), newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		var f failover
		f.now.Store(first)
		c := first.start(func(c *leasehold.Config) {
			c.Auth, c.HTTPClient, c.Budget.Requests = &f, &http.Client{Transport: &f}, readers
		})
		for i := range readers {
			second.PutKV("secret", fmt.Sprint("p", i), map[string]any{"n": i})
		}
		var held []*dynamic.Credential[dynamic.UserPass]
		for range credentials {
			held = append(held, first.open(c))
		}
		f.now.Store(second)
		second.Fail(vaulttest.Fault{Path: "secret/", Delay: time.Second, Count: readers}) // all are on their way
		second.Fail(vaulttest.Fault{Path: loginPath, Delay: 100 * time.Millisecond})
		var wg sync.WaitGroup
		for i := range readers {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 5 * time.Millisecond)
				_, err := kv.Get[map[string]any](t.Context(), c.KV("secret"), fmt.Sprint("p", i))
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
		require.Equal(t, 1, second.logins())
		require.Equal(t, credentials, second.creations())
		for _, creds := range held {
			up, err := creds.Get()
			require.NoError(t, err)
			require.True(t, second.Alive(up.Username))
		}
	})
}
