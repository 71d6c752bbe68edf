package leasehold_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// settings is what the secret app/config holds.
type settings struct {
	Banner string `json:"banner"`
}

// TestLaw11ReadingAsksNothingAndAllocatesNothing: a million reads of a credential and of a watched
// value are no request. Mutation: Credential.Get returns a copy made on the heap.
func TestLaw11ReadingAsksNothingAndAllocatesNothing(t *testing.T) {
	w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	c := w.start()
	creds := w.open(c)
	value, err := kv.Watch[settings](t.Context(), c.KV("secret"), "app/config")
	require.NoError(t, err)
	before := len(w.Requests())
	require.Zero(t, testing.AllocsPerRun(1000, func() { credential, _ = creds.Get() }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { banner = value.Get() }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { snapshot = creds.Snapshot() }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { staleness = value.Err() }))
	require.Len(t, w.Requests(), before)
	require.NoError(t, staleness)
}

// What is measured is stored here, so that it is not optimised away.
var (
	credential dynamic.UserPass
	banner     settings
	snapshot   dynamic.Snapshot[dynamic.UserPass]
	staleness  error
)

// TestLaw11PastTheDeadlineGetSaysSoAndCurrentWaits: a hundred callers of Current join one
// replacement. Mutation: Credential.Get does not look at the clock.
func TestLaw11PastTheDeadlineGetSaysSoAndCurrentWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.database(vaulttest.RoleSpec{DefaultTTL: 30 * time.Second, MaxTTL: time.Hour})
		creds := w.open(w.start())
		w.Fail(vaulttest.Fault{Path: "database/", Status: 503})
		w.Fail(vaulttest.Fault{Path: renewLease, Status: 503})
		time.Sleep(40 * time.Second)
		got, err := creds.Get()
		require.ErrorIs(t, err, dynamic.ErrExpired)
		require.Zero(t, got)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err = creds.Current(ctx)
		require.ErrorIs(t, err, dynamic.ErrExpired)
		require.ErrorContains(t, err, "503", "with the cause")

		w.ClearFaults()
		failed := w.creations()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				up, err := creds.Current(t.Context())
				if assert.NoError(t, err) {
					assert.True(t, w.Alive(up.Username))
				}
			})
		}
		wg.Wait()
		require.Equal(t, failed+1, w.creations())
	})
}

// TestLaw11AfterCloseACredentialIsClosedAndAValueRemains. Mutation: Credential.open does not
// ask to be told of the client's end.
func TestLaw11AfterCloseACredentialIsClosedAndAValueRemains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		creds := w.open(c)
		value, err := kv.Watch[settings](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		waiting := make(chan error, 2)
		go func() { _, err := creds.Wait(t.Context(), 1); waiting <- err }()
		go func() { _, err := value.Wait(t.Context(), 1); waiting <- err }()
		synctest.Wait()
		require.NoError(t, c.Close(t.Context()))
		first, second := <-waiting, <-waiting
		require.True(t, errors.Is(first, leasehold.ErrClosed) || errors.Is(first, cache.ErrClosed), first)
		require.True(t, errors.Is(second, leasehold.ErrClosed) || errors.Is(second, cache.ErrClosed), second)
		_, err = creds.Get()
		require.ErrorIs(t, err, dynamic.ErrClosed)
		_, err = creds.Current(t.Context())
		require.ErrorIs(t, err, dynamic.ErrClosed)
		require.Equal(t, "hello", value.Get().Banner)
	})
}

// TestLaw12FreshStaleAndExpiredAreVisibleWithTheirReason: for credentials and for values, in
// Status. Mutation: Entry.publish always says fresh.
func TestLaw12FreshStaleAndExpiredAreVisibleWithTheirReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Hour})
		c := w.start()
		w.open(c)
		value, err := kv.Watch[settings](t.Context(), c.KV("secret"), "app/config", kv.Every(10*time.Second))
		require.NoError(t, err)
		st := c.Status()
		require.Equal(t, credsPath, st.Leases[0].Name)
		require.Equal(t, "secret/app/config", st.Values[0].Name)
		require.Equal(t, lease.Fresh, st.Leases[0].Condition)
		require.Equal(t, lease.Fresh, st.Values[0].Condition)
		require.Equal(t, lease.Fresh, st.Token.Condition)

		down := time.Now()
		w.Fail(vaulttest.Fault{Status: 503})
		time.Sleep(32 * time.Second)
		st = c.Status()
		for _, s := range []leasehold.LeaseStatus{st.Leases[0], st.Values[0]} {
			require.Equal(t, lease.Stale, s.Condition, s.Name)
			require.ErrorContains(t, s.Err, "503", s.Name)
			require.Positive(t, s.Failures, s.Name)
			require.WithinRange(t, s.Since, down, down.Add(31*time.Second), s.Name)
		}
		var stale *cache.StaleError
		require.ErrorAs(t, value.Err(), &stale)
		require.False(t, stale.Since.After(down))
		require.NoError(t, c.Ready(), "what is held is valid")

		time.Sleep(time.Minute)
		st = c.Status()
		require.Equal(t, lease.ExpiredAt, st.Leases[0].Condition)
		require.ErrorContains(t, c.Ready(), credsPath+" expired at")
		require.ErrorContains(t, c.Ready(), "503")
		require.Equal(t, "hello", value.Get().Banner)

		w.ClearFaults()
		time.Sleep(2 * time.Minute)
		st = c.Status()
		require.Equal(t, lease.Fresh, st.Leases[0].Condition)
		require.Equal(t, lease.Fresh, st.Values[0].Condition)
		require.NoError(t, value.Err())
		require.NoError(t, c.Ready())
	})
}

// TestLaw13AGrantThatIsNotAcceptedIsVerifiedAgain (B12): the old credential stays, the same new
// one is tried with back-off, and another is minted only when that one nears its end.
// Mutation: Credential.obtain mints anew each time.
func TestLaw13AGrantThatIsNotAcceptedIsVerifiedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 24 * time.Hour})
		w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Minute})
		var refuse atomic.Bool
		var mu sync.Mutex
		tried := map[string]int{} // under mu
		creds := w.open(w.start(), dynamic.Verify(func(_ context.Context, up dynamic.UserPass) error {
			mu.Lock()
			defer mu.Unlock()
			tried[up.Username]++
			if refuse.Load() {
				return errors.New("no such user yet")
			}
			return nil
		}))
		old, err := creds.Get()
		require.NoError(t, err)
		refuse.Store(true)
		time.Sleep(50 * time.Second)
		got, err := creds.Get()
		require.NoError(t, err)
		require.Equal(t, old, got)
		require.Equal(t, 2, w.creations())
		synctest.Wait()
		mu.Lock()
		require.Len(t, tried, 2)
		mu.Unlock()
		require.NotEmpty(t, w.events.of(lease.ReplaceFailed, credsPath))
		require.ErrorContains(t, w.events.of(lease.ReplaceFailed, credsPath)[0].Err, "no such user yet")

		time.Sleep(10 * time.Minute)
		_, err = creds.Get()
		require.ErrorIs(t, err, dynamic.ErrExpired)
		require.LessOrEqual(t, w.creations(), 2+600/40+1)

		refuse.Store(false)
		up, err := creds.Current(t.Context())
		require.NoError(t, err)
		require.True(t, w.Alive(up.Username))
		mu.Lock()
		defer mu.Unlock()
		require.Positive(t, tried[up.Username])
	})
}

// TestLaw13AVersionThatIsNotAcceptedIsNotPublished: a watched value stays as it is, says why,
// and takes the version once it is accepted. Mutation: watcher.poll publishes before it checks.
func TestLaw13AVersionThatIsNotAcceptedIsNotPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		var bad atomic.Value // the banner that is not accepted
		bad.Store("")
		value, err := kv.Watch[settings](t.Context(), w.start().KV("secret"), "app/config", kv.Every(10*time.Second),
			kv.Verify(func(_ context.Context, s settings) error {
				if s.Banner == bad.Load() {
					return errors.New("this banner is rude")
				}
				return nil
			}))
		require.NoError(t, err)
		bad.Store("rude")
		w.PutKV("secret", "app/config", map[string]any{"banner": "rude"})
		time.Sleep(11 * time.Second)
		require.Equal(t, "hello", value.Get().Banner)
		require.ErrorContains(t, value.Err(), "version 2 was not accepted: this banner is rude")
		require.NotEmpty(t, w.events.of(lease.ReadFailed, "secret/app/config"))
		bad.Store("")
		time.Sleep(11 * time.Second)
		require.Equal(t, "rude", value.Get().Banner)
		require.NoError(t, value.Err())
	})
}

// TestLaw13WhatDoesNotDecodeIsNotPublished: nor is what no longer fits the type.
// Mutation: publish what did not decode.
func TestLaw13WhatDoesNotDecodeIsNotPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		value, err := kv.Watch[settings](t.Context(), w.start().KV("secret"), "app/config", kv.Every(10*time.Second))
		require.NoError(t, err)
		w.PutKV("secret", "app/config", map[string]any{"banner": 12})
		time.Sleep(11 * time.Second)
		require.Equal(t, "hello", value.Get().Banner)
		require.ErrorContains(t, value.Err(), "secret/app/config#banner: want string, the secret holds a JSON number")
	})
}

// TestLaw14AThousandColdReadersCauseOneRead (D1). Mutation: Shared.Do never joins a flight.
func TestLaw14AThousandColdReadersCauseOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Fail(vaulttest.Fault{Path: configPath, Delay: 50 * time.Millisecond})
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Microsecond) // some come after the answer
				got, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config", kv.MaxAge(time.Minute))
				if assert.NoError(t, err) {
					assert.Equal(t, "hello", got.Value.Banner)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, w.reads())
		require.Equal(t, 1, w.logins())
	})
}

// TestLaw14ALeaderThatGoesAwayFailsNobodyElse (D1): the caller whose request it is gives up; the others
// are served. Mutation: Shared.lead hands its own cancellation to all.
func TestLaw14ALeaderThatGoesAwayFailsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Fail(vaulttest.Fault{Path: configPath, Delay: time.Second})
		leader, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := kv.Get[settings](leader, c.KV("secret"), "app/config")
			assert.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		for range 100 {
			wg.Go(func() {
				_, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
				assert.NoError(t, err)
			})
		}
		time.Sleep(500 * time.Millisecond)
		cancel()
		wg.Wait()
		require.LessOrEqual(t, w.reads(), 2)
	})
}

// TestLaw14APatientReaderOutlastsAnImpatientOneThatItJoined: the leader's time is its own, also
// where it gives up just before it ends. Mutation: only a ctx that has ended counts.
func TestLaw14APatientReaderOutlastsAnImpatientOneThatItJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Seal()
		read := func(within time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			_, err := kv.Get[settings](ctx, c.KV("secret"), "app/config")
			return err
		}
		var impatient, patient error
		var wg sync.WaitGroup
		wg.Go(func() { impatient = read(time.Second) })
		synctest.Wait()
		wg.Go(func() { patient = read(30 * time.Second) })
		time.Sleep(10 * time.Second)
		w.Unseal()
		wg.Wait()
		require.ErrorIs(t, impatient, context.DeadlineExceeded)
		require.NoError(t, patient)
		require.NoError(t, c.Close(t.Context()))
	})
}
