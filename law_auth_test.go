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
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// scarce is a method whose logins are.
type scarce struct{ auth.Method }

func (scarce) Limited() bool { return true }

// TestA8WhereLoginsAreScarceTheTokenIsUsedUp: at its maximum it is not replaced at once but
// near its end, a missing permission is no reason to log in, and "invalid token" is looked
// into first.
// Mutation: what is scarce is not asked for.
func TestA8WhereLoginsAreScarceTheTokenIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl, most = 10 * time.Minute, 25 * time.Minute
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: ttl, TokenMaxTTL: most})
		began := time.Now()
		c := w.start(func(cfg *leasehold.Config) { cfg.Auth = scarce{cfg.Auth} })
		_, err := kv.Get[map[string]string](t.Context(), c.KV("private"), "other")
		require.ErrorContains(t, err, "403")
		w.Fail(vaulttest.Fault{Path: "secret/data/app/config", Count: 1, Status: http.StatusForbidden, Body: `{"errors":["permission denied","invalid token"]}`})
		_, err = kv.Get[map[string]string](t.Context(), c.KV("secret"), "app/config")
		require.ErrorContains(t, err, "invalid token")
		require.Equal(t, 1, w.logins())
		time.Sleep(most - ttl/2 - time.Since(began)) // the maximum was met at a third to a half before
		require.Equal(t, 1, w.logins())
		time.Sleep(ttl / 2)
		require.Equal(t, 2, w.logins())
		require.NoError(t, c.Ready())
		require.Empty(t, w.events.of(lease.Expired, "token"))
	})
}

// TestA8TheSameRefusedCredentialIsNotShownAgain until Vault has stopped counting: after
// five failures it locks the role for all who share it.
// Mutation: spared lets every login pass.
func TestA8TheSameRefusedCredentialIsNotShownAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 2 * time.Minute, TokenMaxTTL: 2 * time.Minute})
		c := w.start()
		w.DestroySecretID(w.secretID)
		time.Sleep(10 * time.Hour)
		require.Error(t, c.Ready())
		require.LessOrEqual(t, w.logins()-1, 4+int(10*time.Hour/(16*time.Minute)))
		require.Greater(t, w.logins(), 20, "but not for ever: the role may have been mended")
		for _, ev := range w.events.of(lease.ReplaceFailed, "token") {
			require.ErrorContains(t, ev.Err, "invalid role or secret ID", "never locked out")
		}
	})
}

// TestA8AnotherCredentialIsTriedAtOnce, in the middle of a pause.
// Mutation: watchRefused does not retry.
func TestA8AnotherCredentialIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 2 * time.Minute, TokenMaxTTL: 2 * time.Minute})
		var secretID atomic.Value
		secretID.Store(w.secretID)
		c := w.start(withSecretID(w, func() string { return secretID.Load().(string) }))
		for range 3 {
			w.DestroySecretID(secretID.Load().(string))
			time.Sleep(time.Hour)
			require.Error(t, c.Ready())
			secretID.Store(w.NewSecretID(w.roleID))
			time.Sleep(11 * time.Second)
			require.NoError(t, c.Ready())
		}
	})
}

// TestA7A403ThatPassesEndsSoonAfterItDoes: Vault gives one, too, when it cannot ask whom it
// must, such as a Kubernetes API server.
// Mutation: what is missed waits for the back-off.
func TestA7A403ThatPassesEndsSoonAfterItDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 2 * time.Minute, TokenMaxTTL: 2 * time.Minute})
		c := w.start()
		end := w.Fail(vaulttest.Fault{Path: loginPath, Status: http.StatusForbidden, Body: `{"errors":["permission denied"]}`})
		time.Sleep(time.Hour)
		require.Error(t, c.Ready())
		require.LessOrEqual(t, w.logins(), 130, "one in half a minute")
		require.GreaterOrEqual(t, w.logins(), 80, "one in 40 seconds")
		end()
		time.Sleep(41 * time.Second)
		require.NoError(t, c.Ready())
	})
}

// held is a token that others keep alive and replace.
type held struct {
	value func() (string, error)
}

func (h held) Held() bool  { return true }
func (h held) Owned() bool { return false }

func (h held) Login(ctx context.Context, c *api.Client) (*api.Secret, error) {
	value, err := h.value()
	if err != nil {
		return nil, err
	}
	c.SetToken(value)
	return auth.LookupSelf(ctx, c)
}

func (h held) Fingerprint(context.Context) (string, error) {
	value, err := h.value()
	if err != nil {
		return "", err
	}
	return auth.Hash(value), nil
}

// agent keeps a token in the way of Vault Agent.
type agent struct {
	w       *world
	current atomic.Value
	away    atomic.Bool
}

func newAgent(w *world, spec vaulttest.TokenSpec) *agent {
	spec.Policies = []string{"app"}
	a := &agent{w: w}
	a.current.Store(w.CreateToken(spec))
	return a
}

func (a *agent) read() (string, error) {
	if a.away.Load() {
		return "", errors.New("the file is empty")
	}
	return a.current.Load().(string), nil
}

func (a *agent) renew(t *testing.T) {
	t.Helper()
	token, _ := a.current.Load().(string)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/v1/auth/token/renew-self", http.NoBody)
	require.NoError(t, err)
	req.Header.Set("X-Vault-Token", token)
	resp, err := a.w.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// TestA11AHeldTokenIsLookedAtAndNotRenewed, and what was obtained with it stays while its
// holder renews it.
// Mutation: newToken's answer is not made held.
func TestA11AHeldTokenIsLookedAtAndNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		a := newAgent(w, vaulttest.TokenSpec{TTL: 10 * time.Minute})
		c := w.start(func(cfg *leasehold.Config) { cfg.Auth = held{a.read} })
		creds := w.open(c)
		for range 20 {
			time.Sleep(7 * time.Minute)
			a.renew(t)
			_, err := creds.Get()
			require.NoError(t, err)
		}
		require.Equal(t, 20, w.Count("POST", "auth/token/renew-self"), "the holder's own")
		require.Equal(t, 1, w.creations())
		require.Empty(t, w.events.of(lease.RenewFailed, "token"))
		require.LessOrEqual(t, w.Count("GET", "auth/token/lookup-self"), 25)
	})
}

// TestA11AnotherHeldTokenIsTakenSoon, long before the old one's end, and what is half
// written meanwhile is told once and does no harm.
// Mutation: reread does not take what it finds.
func TestA11AnotherHeldTokenIsTakenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		a := newAgent(w, vaulttest.TokenSpec{TTL: time.Hour})
		c := w.start(func(cfg *leasehold.Config) { cfg.Auth = held{a.read} })
		creds := w.open(c)
		first := c.Status().Token.Accessor
		a.away.Store(true)
		time.Sleep(time.Minute)
		require.Len(t, w.events.of(lease.ReadFailed, "token"), 1)
		require.NoError(t, c.Ready())
		a.current.Store(w.CreateToken(vaulttest.TokenSpec{TTL: time.Hour, Policies: []string{"app"}}))
		a.away.Store(false)
		time.Sleep(11 * time.Second)
		require.NotEqual(t, first, c.Status().Token.Accessor)
		time.Sleep(11 * time.Minute) // children move within half of ten minutes
		require.Equal(t, 2, w.creations())
		_, err := creds.Get()
		require.NoError(t, err)
		require.NoError(t, c.Close(t.Context()))
		require.Len(t, w.Tokens(), 2, "neither is ours to revoke")
	})
}

// TestA11AHeldTokenThatIsRevokedIsReadAgain at the next refusal; while the source still has
// it, that is told, and another one ends it.
// Mutation: noteLogin does not keep what was read of a held token.
func TestA11AHeldTokenThatIsRevokedIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		a := newAgent(w, vaulttest.TokenSpec{TTL: time.Hour})
		c := w.start(func(cfg *leasehold.Config) { cfg.Auth = held{a.read} })
		w.RevokeToken(c.Status().Token.Accessor)
		_, err := kv.Get[map[string]string](t.Context(), c.KV("secret"), "app/config")
		require.ErrorContains(t, err, "the given token is revoked")
		require.Error(t, c.Ready())
		asked := len(w.Requests())
		time.Sleep(time.Minute)
		require.LessOrEqual(t, len(w.Requests())-asked, 6)
		a.current.Store(w.CreateToken(vaulttest.TokenSpec{TTL: time.Hour, Policies: []string{"app"}}))
		time.Sleep(11 * time.Second)
		require.NoError(t, c.Ready())

		w.RevokeToken(c.Status().Token.Accessor)
		a.current.Store(w.CreateToken(vaulttest.TokenSpec{TTL: time.Hour, Policies: []string{"app"}}))
		_, err = kv.Get[map[string]string](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err, "read again at the refusal")
	})
}

// TestA11AnotherTokenEndsAHeldOnesDeathSoon: what begins a second after it came is served, however long
// the source is left alone while its token lives.
// Mutation: nobody tells who watches that the token is missed.
func TestA11AnotherTokenEndsAHeldOnesDeathSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		a := newAgent(w, vaulttest.TokenSpec{TTL: time.Hour})
		c := w.start(func(cfg *leasehold.Config) { cfg.Auth = held{a.read} })
		fetch := func() error {
			_, err := kv.Get[map[string]string](t.Context(), c.KV("secret"), "app/config")
			return err
		}
		for i := range 20 { // by chance it is looked at just then
			time.Sleep(time.Duration(i) * time.Second)
			a.away.Store(i%2 == 1) // as when it is written in two steps
			w.RevokeToken(c.Status().Token.Accessor)
			require.Error(t, fetch())
			before := w.Count("GET", "auth/token/lookup-self")
			time.Sleep(100 * time.Millisecond)
			a.current.Store(w.CreateToken(vaulttest.TokenSpec{TTL: time.Hour, Policies: []string{"app"}}))
			a.away.Store(false)
			time.Sleep(time.Second)
			require.NoError(t, fetch())
			require.LessOrEqual(t, w.Count("GET", "auth/token/lookup-self")-before, 1, "to look at the source asks nothing of Vault")
		}
	})
}

// TestA11AHeldTokensDeathIsNoStorm: for an hour requests come and nothing is put there; then something is,
// and Vault is away.
// Mutation: a login that got no answer is tried again at the next look.
func TestA11AHeldTokensDeathIsNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		a := newAgent(w, vaulttest.TokenSpec{TTL: time.Hour})
		c := w.start(func(cfg *leasehold.Config) { cfg.Auth = held{a.read} })
		fetch := func() error {
			_, err := kv.Get[map[string]string](t.Context(), c.KV("secret"), "app/config")
			return err
		}
		w.RevokeToken(c.Status().Token.Accessor)
		asked := len(w.Requests())
		every(time.Hour, 500*time.Millisecond, func(time.Duration) { require.Error(t, fetch()) })
		require.LessOrEqual(t, len(w.Requests())-asked, 20, "requests in an hour")

		end := w.Fail(vaulttest.Fault{Refuse: true})
		told := len(w.events.of(lease.ReplaceFailed, "token"))
		a.current.Store(w.CreateToken(vaulttest.TokenSpec{TTL: time.Hour, Policies: []string{"app"}}))
		time.Sleep(10 * time.Minute)
		require.LessOrEqual(t, len(w.events.of(lease.ReplaceFailed, "token"))-told, 200, "logins in ten minutes")
		end()
		time.Sleep(6 * time.Second)
		require.NoError(t, fetch())
	})
}

// TestFreshBuildsAMethodForEachLogin, and its failure is one of the inputs.
func TestFreshBuildsAMethodForEachLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute, TokenMaxTTL: time.Minute})
		var built atomic.Int64
		c := w.start(func(cfg *leasehold.Config) {
			cfg.Auth = auth.Fresh(func(context.Context) (auth.Method, error) {
				built.Add(1)
				return approle.New(w.roleID, approle.SecretIDString(w.secretID)), nil
			})
		})
		time.Sleep(10 * time.Minute)
		require.Greater(t, built.Load(), int64(9))
		require.EqualValues(t, built.Load(), w.logins())
		require.NoError(t, c.Close(t.Context()))
		require.Empty(t, w.Tokens())

		for _, build := range []func(context.Context) (auth.Method, error){
			nil,
			func(context.Context) (auth.Method, error) { return nil, nil }, //nolint:nilnil // what must not panic
			func(context.Context) (auth.Method, error) { return nil, errors.New("no such file") },
		} {
			_, err := leasehold.New(t.Context(), w.config(func(cfg *leasehold.Config) { cfg.Auth = auth.Fresh(build) }))
			require.ErrorContains(t, err, "log in auth: ")
		}
	})
}
