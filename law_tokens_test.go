package leasehold_test

import (
	"fmt"
	"os"
	"path/filepath"
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
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw01TwoHundredUsersShareOneLogin (A14): neither the first use nor the death of
// the token makes more than one login. Mutation: Entry.Invalidate hurries a
// replacement whether or not the dead grant is still the current one.
func TestLaw01TwoHundredUsersShareOneLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		for i := range 200 {
			w.PutKV("secret", fmt.Sprint("user/", i), map[string]any{"n": i})
		}
		// Some are refused while the login is under way, and some when it is done.
		w.Fail(vaulttest.Fault{Path: "secret/", Delay: 10 * time.Millisecond})
		w.Fail(vaulttest.Fault{Path: loginPath, Delay: 2 * time.Millisecond})
		c := w.start(func(c *leasehold.Config) { c.Budget.Requests = 200 })
		all := func() {
			var wg sync.WaitGroup
			for i := range 200 {
				wg.Go(func() {
					time.Sleep(time.Duration(i) * 50 * time.Microsecond)
					_, err := kv.Get[map[string]any](t.Context(), c.KV("secret"), fmt.Sprint("user/", i))
					assert.NoError(t, err)
				})
			}
			wg.Wait()
		}
		all()
		require.Equal(t, 1, w.logins(), "first use")
		require.True(t, w.RevokeToken(w.token()))
		all()
		time.Sleep(time.Minute)
		require.Equal(t, 2, w.logins(), "after the death of the token")
		require.Len(t, w.Tokens(), 1)
	})
}

// TestLaw01SourcesAreReadAfreshAtEachLogin (A8): a secret-id file that was replaced is
// what the next login uses. Mutation: approle.New reads the secret-id once.
func TestLaw01SourcesAreReadAfreshAtEachLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute, TokenMaxTTL: time.Minute})
		file := filepath.Join(t.TempDir(), "secret-id")
		require.NoError(t, os.WriteFile(file, []byte(w.secretID+"\n"), 0o600))
		w.start(func(c *leasehold.Config) { c.Auth = approle.New(w.roleID, approle.SecretIDFile(file)) })
		require.NoError(t, os.WriteFile(file, []byte(w.NewSecretID(w.roleID)+"\n"), 0o600))
		w.DestroySecretID(w.secretID)
		time.Sleep(35 * time.Second) // it is handed over after 20 to 30 s
		require.Equal(t, 2, w.logins())
		require.Len(t, w.Tokens(), 2)
	})
}

// TestLaw01LoginTimeIsStampedBeforeTheRequest (K2, law 9): a login whose answer takes
// 5 s has aged by them. Mutation: logIn stamps the token when the answer is there.
func TestLaw01LoginTimeIsStampedBeforeTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 20 * time.Second}) // not renewed before 6 s
		w.Fail(vaulttest.Fault{Path: loginPath, Delay: 5 * time.Second, After: true, Count: 1})
		sent := time.Now()
		c := w.start()
		require.Equal(t, 5*time.Second, time.Since(sent))
		require.WithinDuration(t, sent.Add(20*time.Second), c.Status().Token.Expires, 0)
	})
}

// TestLaw02ALeaseEndsWithItsToken (A1): the answer says 3600 s, the token lives for 8 s
// and Vault stops answering: Get follows the token, and so does Status.
// Mutation: Grant.deadline ignores the parent.
func TestLaw02ALeaseEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 8 * time.Second})
		start := time.Now()
		c := w.start()
		creds := w.open(c)
		require.WithinDuration(t, start.Add(8*time.Second), creds.Snapshot().Expires(), 0)
		require.WithinDuration(t, start.Add(8*time.Second), c.Status().Leases[0].Expires, 0)
		w.Fail(vaulttest.Fault{Refuse: true})
		every(10*time.Second, 100*time.Millisecond, func(at time.Duration) {
			up, err := creds.Get()
			if at < 8*time.Second {
				require.NoError(t, err, at)
				require.True(t, w.Alive(up.Username), "dead credential at %s", at)
				return
			}
			require.ErrorIs(t, err, dynamic.ErrExpired, at)
			require.Empty(t, up)
		})
		require.EqualValues(t, "expired", c.Status().Leases[0].Condition)
	})
}

// TestLaw02ARenewedTokenIsNoReasonToTouchItsChildren: for a minute the token of 8 s is
// renewed; the lease of an hour under it is neither renewed nor replaced, and its
// deadline moves. Mutation: the manager plans by Grant.Life instead of the lease's TTL.
func TestLaw02ARenewedTokenIsNoReasonToTouchItsChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 8 * time.Second})
		c := w.start()
		creds := w.open(c)
		every(time.Minute, time.Second, func(at time.Duration) {
			up, err := creds.Get()
			require.NoError(t, err, at)
			require.True(t, w.Alive(up.Username))
			require.WithinDuration(t, w.Tokens()[0].Expires, creds.Snapshot().Expires(), time.Second)
		})
		require.Equal(t, 1, w.creations())
		require.Equal(t, 1, w.logins())
		require.Zero(t, w.Count("", renewLease))
		require.Greater(t, w.Count("", renewToken), 10)
	})
}

// TestLaw03TheTokenIsReplacedBeforeItEnds (A1, A3): token_ttl 8 s, maximum 12 s, a role
// of one hour, ten minutes: at each 100 ms there is a credential, and the server
// knows its user. The old token is left alone at each handover.
// Mutation: Manager.replaced does not mark the old grant as superseded.
func TestLaw03TheTokenIsReplacedBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 8 * time.Second, TokenMaxTTL: 12 * time.Second})
		creds := w.open(w.start())
		every(10*time.Minute, 100*time.Millisecond, func(at time.Duration) {
			up, err := creds.Get()
			require.NoError(t, err, at)
			require.True(t, w.Alive(up.Username), "dead credential at %s", at)
		})
		require.GreaterOrEqual(t, w.logins(), 600/12)
		require.LessOrEqual(t, w.logins(), 600/3)
		require.LessOrEqual(t, w.creations(), w.logins()+1)
		w.oldTokensWereLeftAlone()
	})
}

// oldTokensWereLeftAlone asserts that after each login the tokens of before were
// neither renewed nor revoked.
func (w *world) oldTokensWereLeftAlone() {
	w.t.Helper()
	current := ""
	old := map[string]bool{}
	for _, r := range w.Requests() {
		switch {
		case r.Path == lookupSelf && r.Accessor != current: // follows each login, with the new token
			old[current] = true
			current = r.Accessor
		case r.Path == renewToken || r.Path == revokeSelf:
			require.False(w.t, old[r.Accessor], "%s of a token that was handed over", r.Path)
		}
	}
	require.Zero(w.t, w.Count("", revokeSelf))
}

// TestLaw03AHandoverDoesNotOutwaitALeaseThatEndsSooner: the token has ten minutes when it is
// handed over, the lease under it one: it moves while it is alive.
// Mutation: the spread looks at the parent's end alone.
func TestLaw03AHandoverDoesNotOutwaitALeaseThatEndsSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 900 * time.Second, TokenMaxTTL: 900 * time.Second})
		w.database(vaulttest.RoleSpec{DefaultTTL: 20 * time.Second, MaxTTL: time.Hour})
		c := w.start()
		for range 8 { // one of them draws a long spread
			w.open(c)
		}
		time.Sleep(455 * time.Second) // handed over after 300 to 450 s
		require.Equal(t, 2, w.logins())
		for range 400 {
			time.Sleep(time.Second)
			require.Empty(t, w.events.of(lease.Expired, ""))
		}
	})
}

// TestLaw03ChildrenMoveOverWithinHalfOfWhatIsLeft: forty children of one token are
// obtained anew spread over at most half of the old token's remaining life.
// Mutation: the spread is not halved.
func TestLaw03ChildrenMoveOverWithinHalfOfWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const children = 40
		// A maximum that equals the TTL: the first grant cannot be extended.
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 600 * time.Second, TokenMaxTTL: 600 * time.Second})
		c := w.start()
		for range children {
			w.open(c)
		}
		began := time.Now()
		for w.logins() < 2 {
			time.Sleep(100 * time.Millisecond)
			require.Less(t, time.Since(began), 600*time.Second, "no login before the end of the token")
		}
		login := w.named(loginPath)[1].Time
		left := w.Tokens()[0].Expires.Sub(login)
		time.Sleep(left/2 - time.Since(login) + 10*time.Millisecond)
		moved := w.named(credsPath)[children:]
		require.Len(t, moved, children, "not all after half of what was left")
		require.Greater(t, moved[children-1].Time.Sub(moved[0].Time), left/10, "all at once")
	})
}
