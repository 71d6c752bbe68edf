package leasehold_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestE8AStormOfInvalidTokensIsLookedInto (law 6): one path says so of every token, as a server of
// another cluster behind the same address would. Mutation: each word of it is believed.
func TestE8AStormOfInvalidTokensIsLookedInto(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		creds := w.open(c)
		w.Fail(vaulttest.Fault{Path: configPath, Status: 403, Body: invalidToken})
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			require.Error(t, read(t.Context(), c, "secret"))
		}
		_, err := creds.Get()
		require.LessOrEqual(t, w.logins(), 2)
		require.NoError(t, err)
		require.LessOrEqual(t, w.Count("", lookupSelf), 70, "one a second")
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}

// looksAgain is a method that does one more request after its login.
type looksAgain struct{ auth *approle.Method }

func (m looksAgain) Login(ctx context.Context, c *api.Client) (*api.Secret, error) {
	s, err := m.auth.Login(ctx, c)
	if err != nil {
		return nil, err
	}
	c.SetToken(s.Auth.ClientToken)
	_, err = c.Auth().Token().LookupSelfWithContext(ctx)
	return s, err
}

// TestLaw08AMethodMayAskAfterItsLogin: what the login said of the token's kind is kept. Mutation: the
// latest answer counts.
func TestLaw08AMethodMayAskAfterItsLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, TokenType: "batch"})
		c := w.start(func(c *leasehold.Config) {
			c.Auth = looksAgain{approle.New(w.roleID, approle.SecretIDString(w.secretID))}
		})
		w.open(c)
		require.Equal(t, "batch", c.Status().Token.Type)
		require.NoError(t, c.Close(t.Context()))
		require.Empty(t, w.Leases())
	})
}

// TestA4AGivenTokenThatOthersKeepAliveIsUsedOn: it is good again when we can reach Vault again. Mutation: a given
// token never gets better.
func TestA4AGivenTokenThatOthersKeepAliveIsUsedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, Period: time.Minute})
		var cut atomic.Bool
		us := w.start(withToken(given), through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if cut.Load() {
				return nil, errors.New("no route to host")
			}
			return next.RoundTrip(r)
		}))
		w.start(withToken(given)) // the other instance
		cut.Store(true)
		time.Sleep(2 * time.Minute)
		cut.Store(false)
		time.Sleep(30 * time.Minute)
		require.Len(t, w.Tokens(), 1, "alive all the time")
		require.NoError(t, read(t.Context(), us, "secret"))
		require.NoError(t, us.Ready())
	})
}

// TestLaw03ATokenThatCannotBeRenewedIsNotDead: it and all under it live on to their end. Mutation:
// what cannot be renewed is dead.
func TestLaw03ATokenThatCannotBeRenewedIsNotDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		creds := w.open(c)
		w.Fail(vaulttest.Fault{Path: renewToken, Status: 400, Body: `{"errors":["lease is not renewable"]}`})
		w.Fail(vaulttest.Fault{Path: loginPath, Status: 503})
		time.Sleep(35 * time.Minute)
		require.Equal(t, 1, w.Count("", renewToken))
		require.Len(t, w.Tokens(), 1)
		_, err := creds.Get()
		require.NoError(t, err, "the token and the credential live for 25 minutes yet")
		require.NoError(t, read(t.Context(), c, "secret"))
	})
}

// TestLaw18ATokenWronglySaidToBeDeadIsRevokedAtClose. Mutation: what was said to be dead is not revoked.
func TestLaw18ATokenWronglySaidToBeDeadIsRevokedAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.open(c)
		w.Fail(vaulttest.Fault{Path: configPath, Status: 403, Body: invalidToken, Count: 1})
		require.NoError(t, read(t.Context(), c, "secret"))
		time.Sleep(time.Minute)
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}
