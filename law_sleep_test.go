package leasehold_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// sleeper is a machine that can sleep: its wall clock goes on, and its monotonic one not.
type sleeper struct {
	*world

	skew atomic.Int64
}

func newSleeper(t *testing.T, spec vaulttest.AppRoleSpec) *sleeper {
	t.Helper()
	return &sleeper{world: newWorld(t, spec)}
}

func (s *sleeper) clock(c *leasehold.Config) {
	system := lease.SystemClock()
	c.SetClock(func() lease.Instant {
		now := system()
		now.Wall = now.Wall.Add(time.Duration(s.skew.Load()))
		return now
	})
}

// sleep has d go by for all but the machine.
func (s *sleeper) sleep(d time.Duration) {
	s.skew.Add(int64(d))
	s.Advance(d)
}

// TestLaw09WhatEndedWhileTheMachineSleptIsNotHandedOut (K1): the credential ended in the sleep,
// the token did not. Mutation: a sleep counts for nothing.
func TestLaw09WhatEndedWhileTheMachineSleptIsNotHandedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSleeper(t, vaulttest.AppRoleSpec{TokenTTL: 4 * time.Hour})
		c := w.start(w.clock)
		creds := w.open(c)
		old := creds.Snapshot()
		time.Sleep(10 * time.Minute)
		lookups := w.Count("GET", lookupSelf)
		w.sleep(2 * time.Hour)
		_, err := creds.Get()
		require.ErrorIs(t, err, dynamic.ErrExpired)
		require.Error(t, c.Ready())
		require.LessOrEqual(t, old.Left(), time.Duration(0))
		up, err := creds.Current(t.Context())
		require.NoError(t, err)
		require.NotEqual(t, old.Value.Username, up.Username)
		require.True(t, w.Alive(up.Username))
		time.Sleep(5 * time.Minute)
		require.Equal(t, lookups+1, w.Count("GET", lookupSelf), "one lookup of the token")
		require.Equal(t, 1, w.logins())
		require.Equal(t, 2, w.creations())
		require.NoError(t, c.Ready())
	})
}

// TestLaw09AClockThatIsPutForwardMintsNothing (K2): Vault knows all of it still. Mutation: what
// is past its end by the wall clock is replaced.
func TestLaw09AClockThatIsPutForwardMintsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSleeper(t, vaulttest.AppRoleSpec{TokenTTL: 2 * time.Hour})
		c := w.start(w.clock)
		creds := w.open(c)
		before, err := creds.Get()
		require.NoError(t, err)
		for range 3 {
			w.skew.Add(int64(24 * time.Hour))
			_, err = creds.Get()
			require.ErrorIs(t, err, dynamic.ErrExpired, "nobody can tell that from a sleep")
			after, err := creds.Current(t.Context())
			require.NoError(t, err)
			require.Equal(t, before.Username, after.Username)
			time.Sleep(time.Minute)
		}
		require.NoError(t, c.Ready())
		require.Equal(t, 1, w.logins())
		require.Equal(t, 1, w.creations())
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}

// TestLaw09AClockThatIsPutBackChangesNothing (K2). Mutation: validity goes by the wall clock.
func TestLaw09AClockThatIsPutBackChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSleeper(t, vaulttest.AppRoleSpec{TokenTTL: 40 * time.Second, TokenMaxTTL: time.Minute})
		c := w.start(w.clock)
		creds := w.open(c)
		every(5*time.Minute, 500*time.Millisecond, func(at time.Duration) {
			if at%(20*time.Second) == 0 {
				w.skew.Add(-int64(time.Hour))
			}
			up, err := creds.Get()
			require.NoError(t, err, at)
			require.True(t, w.Alive(up.Username), "a dead credential at %s", at)
		})
		w.Fail(vaulttest.Fault{Refuse: true})
		time.Sleep(2 * time.Minute)
		w.skew.Add(-int64(time.Hour))
		_, err := creds.Get()
		require.ErrorIs(t, err, dynamic.ErrExpired)
	})
}

// TestLaw09ATokenThatEndedWhileTheMachineSleptIsReplacedOnce (K1). Mutation: a lookup cannot
// find a token dead.
func TestLaw09ATokenThatEndedWhileTheMachineSleptIsReplacedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSleeper(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start(w.clock)
		var all []*dynamic.Credential[dynamic.UserPass]
		for range 10 {
			all = append(all, w.open(c))
		}
		time.Sleep(10 * time.Minute)
		w.sleep(24 * time.Hour)
		renewals := w.Count("", renewToken) + w.Count("", renewLease)
		time.Sleep(2 * time.Minute)
		for _, creds := range all {
			up, err := creds.Get()
			require.NoError(t, err)
			require.True(t, w.Alive(up.Username))
		}
		require.Equal(t, 2, w.logins())
		require.Equal(t, 20, w.creations())
		require.Equal(t, renewals, w.Count("", renewToken)+w.Count("", renewLease), "what is dead is not renewed")
	})
}

// TestLaw09AHeldTokenIsNotRenewedAfterASleep either: its keeper does that. The machine sleeps a
// minute after the start: a token that the manager takes in after the sleep is old already, and asked about
// instead of checked. Mutation: what a check finds is ours to renew.
func TestLaw09AHeldTokenIsNotRenewedAfterASleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSleeper(t, vaulttest.AppRoleSpec{})
		a := newAgent(w.world, vaulttest.TokenSpec{TTL: time.Hour})
		c := w.start(w.clock, func(cfg *leasehold.Config) { cfg.Auth = held{a.read} })
		time.Sleep(time.Minute)
		lookups := w.Count("GET", lookupSelf)
		w.sleep(10 * time.Minute)
		time.Sleep(48 * time.Minute)
		require.Greater(t, w.Count("GET", lookupSelf), lookups)
		require.NoError(t, c.Ready())
		require.Zero(t, w.Count("", renewToken))
	})
}
