package leasehold_test

import (
	"context"
	"fmt"
	"strconv"
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
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw02ARenewalIsCreditedToTheTokenThatItWasOf: a new token is being looked up, slowly, while the old one is due
// to be renewed. What is renewed is the old one.
func TestLaw02ARenewalIsCreditedToTheTokenThatItWasOf(t *testing.T) {
	for i := range 10 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 8 * time.Second})
				c := w.start()
				creds := w.open(c)
				time.Sleep(61 * time.Second)
				w.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: 8 * time.Second, Policies: []string{"app", "more"}})
				w.Policy("more", vaulttest.Rule{Path: "other/*", Capabilities: []string{"read"}})
				w.MountKV2("other")
				w.Fail(vaulttest.Fault{Path: lookupSelf, Delay: 4500 * time.Millisecond})
				go func() { _, _ = kv.Get[settings](t.Context(), c.KV("other"), "x") }()
				every(30*time.Second, 50*time.Millisecond, func(at time.Duration) {
					up, err := creds.Get()
					if err != nil {
						t.Errorf("%s: expired: %v", at, err)
						return
					}
					if !w.Alive(up.Username) {
						t.Errorf("%s: a dead credential was handed out, Expires in %s", at, time.Until(creds.Snapshot().Expires()))
					}
				})
				t.Log("logins", w.logins())
			})
		})
	}
}

// TestLaw23CreationsThatHangDoNotHoldUpRenewals: eight of one role hang, and the lease of
// another role of the same engine lives on. Mutation: replacements take the workers of renewals.
func TestLaw23CreationsThatHangDoNotHoldUpRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.DynamicRole("database", "broken", vaulttest.RoleSpec{DefaultTTL: 30 * time.Second, MaxTTL: time.Hour, NotRenewable: true})
		w.database(vaulttest.RoleSpec{DefaultTTL: 20 * time.Second, MaxTTL: 24 * time.Hour})
		c := w.start()
		for range 8 {
			_, err := dynamic.Database(t.Context(), c, "broken")
			require.NoError(t, err)
		}
		good := w.open(c)
		w.Fail(vaulttest.Fault{Path: "database/creds/broken", Hang: true})
		every(3*time.Minute, time.Second, func(at time.Duration) {
			_, err := good.Get()
			assert.NoError(t, err, at)
		})
		w.ClearFaults()
	})
}

// TestLaw23ReadsThatBackOffHoldUpNobody: as many as there are slots fail, and another read
// goes through. Mutation: a read keeps its slot during its pauses.
func TestLaw23ReadsThatBackOffHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Fail(vaulttest.Fault{Path: "secret/data/bad/", Status: 500})
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() { _, _ = kv.Get[settings](t.Context(), c.KV("secret"), fmt.Sprint("bad/", i)) })
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, err := kv.Get[settings](ctx, c.KV("secret"), "app/config")
		wg.Wait()
		require.NoError(t, err)
	})
}

// TestLaw22ALoginThatHangsIsTold: also where its method does not heed its context.
// Mutation: a login is waited for without end.
func TestLaw22ALoginThatHangsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, TokenMaxTTL: time.Hour})
		hang := make(chan struct{})
		c := w.start(func(c *leasehold.Config) {
			c.Auth = stuck{approle.New(w.roleID, approle.SecretIDString(w.secretID)), new(atomic.Int32), hang}
		})
		time.Sleep(59 * time.Minute)
		n := len(w.events.of(lease.ReplaceFailed, "token"))
		st := c.Status().Token
		t.Log(st.Condition, st.Err)
		close(hang)
		require.NotZero(t, n, "events of a login that hangs for a third of the token's life")
	})
}

// TestLaw07ASlowLoginIsWaitedFor like whatever creates something: cut off at half a minute, a server slower than
// that would make a token each time that nobody knows of.
// Mutation: a login is waited for as long as a read.
func TestLaw07ASlowLoginIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, TokenMaxTTL: time.Hour})
		w.Fail(vaulttest.Fault{Path: loginPath, Delay: 30 * time.Second, After: true})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		c, err := leasehold.New(ctx, w.config())
		require.NoError(t, err)
		require.Len(t, w.Tokens(), 1)
		time.Sleep(35 * time.Minute) // its renewal, after a third to a half, meets the maximum
		require.Equal(t, 2, w.logins())
		require.Empty(t, w.events.of(lease.ReplaceFailed, "token"))
		require.NoError(t, c.Close(t.Context()))
		require.Empty(t, w.Tokens())
	})
}

// TestLaw03ALoginThatHangsLeavesTimeForAnother before the token's end, where that is near.
// Mutation: what the token has left is not looked at.
func TestLaw03ALoginThatHangsLeavesTimeForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute, TokenMaxTTL: time.Minute})
		c := w.start()
		for range 10 {
			end := w.Fail(vaulttest.Fault{Path: loginPath, Hang: true, Count: 1})
			n := w.logins()
			for w.logins() < n+2 {
				time.Sleep(time.Second)
				require.NoError(t, c.Ready())
			}
			end()
			time.Sleep(time.Second)
			require.NoError(t, c.Ready())
		}
	})
}

// TestLaw22AnExpiryIsToldWhileAReplacementIsUnderWay: once.
// Mutation: a lease that is worked on is not woken for its end.
func TestLaw22AnExpiryIsToldWhileAReplacementIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.database(vaulttest.RoleSpec{DefaultTTL: 30 * time.Second, MaxTTL: 30 * time.Second, NotRenewable: true})
		c := w.start()
		creds := w.open(c)
		w.Fail(vaulttest.Fault{Path: "database/", Delay: 20 * time.Second, Count: 1})
		time.Sleep(35 * time.Second)
		_, err := creds.Get()
		require.Error(t, err)
		time.Sleep(11 * time.Second)
		require.Len(t, w.events.of(lease.Expired, credsPath), 1)
	})
}

// TestLaw16AnInvalidationDoesNotWaitForARenewalThatHangs: the renewal is of no use any more.
// Mutation: the renewal is not cancelled.
func TestLaw16AnInvalidationDoesNotWaitForARenewalThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 24 * time.Hour})
		c := w.start()
		creds := w.open(c)
		w.Fail(vaulttest.Fault{Path: renewLease, Hang: true})
		for w.Count("", renewLease) == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		creds.Invalidate(1)
		began := time.Now()
		_, err := creds.Current(context.Background())
		require.NoError(t, err)
		require.Less(t, time.Since(began), time.Second)
	})
}

// stuck is a method whose second login hangs and does not heed its context.
type stuck struct {
	*approle.Method
	n    *atomic.Int32
	hang chan struct{}
}

func (s stuck) Login(ctx context.Context, c *api.Client) (*api.Secret, error) {
	if s.n.Add(1) > 1 {
		<-s.hang
	}
	return s.Method.Login(ctx, c)
}
