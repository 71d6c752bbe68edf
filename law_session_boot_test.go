package leasehold_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// withToken uses a given token.
func withToken(value string) func(*leasehold.Config) {
	return func(c *leasehold.Config) { c.Auth = token.New(value) }
}

// boot is a start as programs make it.
func boot(ctx context.Context, w *world) error {
	c, err := leasehold.New(ctx, w.config())
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.Background()) }()
	_, err = dynamic.Database(ctx, c, "app")
	return err
}

// TestS1AStartThatIsCancelledLeavesNothing (A14, law 18): in each of its phases, on the way there and on
// the way back, and at each moment besides. Mutation: logIn takes what comes when nobody waits.
func TestS1AStartThatIsCancelledLeavesNothing(t *testing.T) {
	const step = 200 * time.Millisecond
	cancelAt := func(t *testing.T, at time.Duration, faults ...vaulttest.Fault) (*world, error) {
		t.Helper()
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		for _, f := range faults {
			w.Fail(f)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if at == 0 {
			cancel()
		} else {
			time.AfterFunc(at, cancel)
		}
		began := time.Now()
		err := boot(ctx, w)
		require.LessOrEqual(t, time.Since(began), at+5*time.Second)
		time.Sleep(10 * time.Second)
		w.nothingLeft()
		return w, err
	}
	for _, tc := range []struct {
		name  string
		at    time.Duration
		fault vaulttest.Fault
		asks  string
	}{
		{"before the login", 0, vaulttest.Fault{Path: loginPath, Delay: time.Hour}, ""},
		{"login on its way", step / 2, vaulttest.Fault{Path: loginPath, Delay: step}, loginPath},
		{"login on its way back", step / 2, vaulttest.Fault{Path: loginPath, Delay: step, After: true}, loginPath},
		{"between two logins", step / 2, vaulttest.Fault{Path: loginPath, Status: 503}, loginPath},
		{"before its adoption", step / 2, vaulttest.Fault{Path: lookupSelf, Delay: step}, lookupSelf},
		{"before its adoption, answered", step / 2, vaulttest.Fault{Path: lookupSelf, Delay: step, After: true}, lookupSelf},
		{"Open on its way", step / 2, vaulttest.Fault{Path: credsPath, Delay: step}, credsPath},
		{"Open on its way back", step / 2, vaulttest.Fault{Path: credsPath, Delay: step, After: true}, credsPath},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, err := cancelAt(t, tc.at, tc.fault)
				require.ErrorIs(t, err, context.Canceled)
				if tc.asks == "" {
					require.Empty(t, w.Requests())
				} else {
					require.Positive(t, w.Count("", tc.asks))
				}
			})
		})
	}
	t.Run("at each moment", func(t *testing.T) {
		for at := time.Duration(0); at <= 8*step; at += step / 4 {
			synctest.Test(t, func(t *testing.T) {
				_, _ = cancelAt(t, at,
					vaulttest.Fault{Path: loginPath, Delay: step, Count: 1},
					vaulttest.Fault{Path: loginPath, Delay: step, After: true},
					vaulttest.Fault{Path: lookupSelf, Delay: step},
					vaulttest.Fault{Path: credsPath, Delay: step, After: true},
					vaulttest.Fault{Path: revokeSelf, Delay: step})
			})
		}
	})
}

// TestS1AStartThatIsToldToStopRevokesWhatItsLoginObtains: the program ends when New returns, and
// what is done behind its back is not done. Mutation: New returns at once.
func TestS1AStartThatIsToldToStopRevokesWhatItsLoginObtains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.Fail(vaulttest.Fault{Path: loginPath, Delay: 800 * time.Millisecond, After: true, Count: 1})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		_, err := leasehold.New(ctx, w.config())
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1, w.logins())
		require.Empty(t, w.Tokens())

		w.Fail(vaulttest.Fault{Path: loginPath, Hang: true})
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		began := time.Now()
		_, err = leasehold.New(ctx, w.config())
		require.ErrorIs(t, err, context.Canceled)
		require.LessOrEqual(t, time.Since(began), 1100*time.Millisecond)
		w.ClearFaults()
		time.Sleep(time.Minute)
		require.Empty(t, w.Tokens())
	})
}
