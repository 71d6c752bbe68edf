package dynamic_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

const creds = "database/creds/app"

// root returns a client with the root token, and a role "app" of an hour.
func root(t *testing.T) (*leasehold.Client, *vaulttest.Server) {
	t.Helper()
	server := vaulttest.New(t)
	server.DynamicRole("database", "app", vaulttest.RoleSpec{DefaultTTL: time.Hour, MaxTTL: 24 * time.Hour})
	c, err := leasehold.New(t.Context(), leasehold.Config{Address: "http://vault.test", Auth: token.New(server.RootToken()), HTTPClient: server.Client()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c, server
}

func open(t *testing.T, c *leasehold.Client, opts ...dynamic.Option) *dynamic.Credential[dynamic.UserPass] {
	t.Helper()
	cred, err := dynamic.Database(t.Context(), c, "app", opts...)
	require.NoError(t, err)
	return cred
}

// TestEachOpenIsALeaseOfItsOwn, and Close gives back that one.
func TestEachOpenIsALeaseOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		a, b := open(t, c), open(t, c)
		require.Len(t, server.Leases(), 2)
		require.NoError(t, a.Close(t.Context()))
		require.NoError(t, a.Close(t.Context()))
		require.Len(t, server.Leases(), 1)
		_, err := a.Get()
		require.ErrorIs(t, err, dynamic.ErrClosed)
		_, err = a.Wait(t.Context(), 0)
		require.ErrorIs(t, err, dynamic.ErrClosed)
		up, err := b.Get()
		require.NoError(t, err)
		require.True(t, server.Alive(up.Username))
		require.Len(t, c.Status().Leases, 1)
	})
}

// TestAllYieldsEachGenerationUntilTheEnd. Mutation: Credential.publish wakes nobody.
func TestAllYieldsEachGenerationUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := root(t)
		cred := open(t, c)
		var seen []uint64
		for s, err := range cred.All(t.Context()) {
			if err != nil {
				require.ErrorIs(t, err, dynamic.ErrClosed)
				break
			}
			seen = append(seen, s.Generation)
			if s.Generation == 3 {
				go func() { _ = cred.Close(context.WithoutCancel(t.Context())) }()
				continue
			}
			cred.Invalidate(s.Generation)
		}
		require.Equal(t, []uint64{1, 2, 3}, seen)
		require.EqualValues(t, 3, cred.Snapshot().Generation)
	})
}

// TestB3ASuspicionIsLookedIntoOnceASecond: a living lease stays, a dead one is replaced.
// Mutation: Suspect does not count the time.
func TestB3ASuspicionIsLookedIntoOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		cred := open(t, c)
		for range 50 {
			cred.Suspect(1)
			time.Sleep(100 * time.Millisecond)
		}
		require.LessOrEqual(t, server.Count("", "sys/leases/lookup"), 6)
		require.Equal(t, 1, server.Count("GET", creds))
		time.Sleep(time.Second)
		require.True(t, server.RevokeLease(server.Leases()[0].ID))
		cred.Suspect(1)
		synctest.Wait()
		up, err := cred.Get()
		require.NoError(t, err)
		require.True(t, server.Alive(up.Username))
		require.Equal(t, 2, server.Count("GET", creds))
		cred.Suspect(1) // of a generation that is gone
		synctest.Wait()
		require.Equal(t, 2, server.Count("GET", creds))
	})
}

// TestAnAnswerThatDoesNotDecodeIsAnErrorAndGivenBack: what was minted for nothing is revoked.
// Mutation: Credential.abandon does not release.
func TestAnAnswerThatDoesNotDecodeIsAnErrorAndGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		_, err := dynamic.Open(t.Context(), c, dynamic.Request{Path: creds}, func(*dynamic.Grant) (int, error) { return 0, errors.New("no number in it") })
		require.ErrorContains(t, err, "decode database/creds/app: no number in it")
		synctest.Wait()
		require.Equal(t, 1, server.Count("GET", creds))
		require.Empty(t, server.Leases())
		require.Empty(t, c.Status().Leases)
	})
}

// TestAFirstCredentialThatIsNotAcceptedIsVerifiedUntilTheContextEnds (B12).
// Mutation: Credential.obtain mints anew each time.
func TestAFirstCredentialThatIsNotAcceptedIsVerifiedUntilTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		left := 3
		verify := dynamic.Verify(func(context.Context, dynamic.UserPass) error {
			if left--; left >= 0 {
				return errors.New("not there yet")
			}
			return nil
		})
		open(t, c, verify)
		require.Equal(t, 1, server.Count("GET", creds))

		left = 1000
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := dynamic.Database(ctx, c, "app", verify)
		require.ErrorContains(t, err, "the new credential was not accepted: not there yet")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		require.Equal(t, 2, server.Count("GET", creds))
		require.Len(t, server.Leases(), 1, "the one that was refused is given back")
	})
}

// TestACallbackThatPanicsFailsItsOwnLeaseOnly, and its value is not shown.
func TestACallbackThatPanicsFailsItsOwnLeaseOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		server.DynamicRole("database", "app", vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Minute})
		calls := 0
		cred := open(t, c, dynamic.Verify(func(context.Context, dynamic.UserPass) error {
			if calls++; calls == 2 {
				panic("canary")
			}
			return nil
		}))
		time.Sleep(50 * time.Second)
		up, err := cred.Get()
		require.NoError(t, err)
		require.True(t, server.Alive(up.Username))
		require.GreaterOrEqual(t, cred.Snapshot().Generation, uint64(2))
	})
}

// TestOpenDecodesWhatTheEngineGives: any engine that makes leases will do.
func TestOpenDecodesWhatTheEngineGives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		server.DynamicRole("keys", "app", vaulttest.RoleSpec{DefaultTTL: time.Hour, Create: func() (map[string]any, error) {
			return map[string]any{"key": "abc"}, nil
		}})
		cred, err := dynamic.Open(t.Context(), c, dynamic.Request{Path: "keys/creds/app"}, func(g *dynamic.Grant) (string, error) {
			var data struct {
				Key string `json:"key"`
			}
			require.Equal(t, time.Hour, g.TTL)
			err := json.Unmarshal(g.Data.Reveal(), &data)
			return data.Key, err
		})
		require.NoError(t, err)
		key, err := cred.Get()
		require.NoError(t, err)
		require.Equal(t, "abc", key)
		require.Equal(t, time.Hour, cred.Snapshot().Life())

		up, err := dynamic.Database(t.Context(), c, "app", dynamic.Mount("/database/"))
		require.NoError(t, err)
		require.NoError(t, up.Close(t.Context()))
		server.Fail(vaulttest.Fault{Path: creds, Status: http.StatusOK, Body: `{"lease_duration":60,"data":{"username":""}}`, Count: 1})
		_, err = dynamic.Database(t.Context(), c, "app")
		require.ErrorContains(t, err, "the answer holds no username and password")
	})
}

func TestAFixedCredentialNeedsNoClient(t *testing.T) {
	t.Parallel()
	c := dynamic.Fixed(dynamic.UserPass{Username: "local"})
	up, err := c.Current(t.Context())
	require.NoError(t, err)
	require.Equal(t, "local", up.Username)
	s := c.Snapshot()
	require.Equal(t, uint64(1), s.Generation)
	require.Zero(t, s.Expires())
	c.Invalidate(1)
	c.Suspect(1)
	c.CountOverdue(func() int { return 0 })()
	require.NoError(t, c.Close(t.Context()))
	_, err = c.Get()
	require.ErrorIs(t, err, dynamic.ErrClosed)
	_, err = c.Wait(t.Context(), 1)
	require.ErrorIs(t, err, dynamic.ErrClosed)
}
