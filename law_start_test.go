package leasehold_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw17NewBlocksUntilVaultIsUp (E9, U4): each failed attempt is reported.
// Mutation: firstLogin returns its first error.
func TestLaw17NewBlocksUntilVaultIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.Seal()
		began := time.Now()
		time.AfterFunc(20*time.Second, w.Unseal)
		w.start()
		require.GreaterOrEqual(t, time.Since(began), 20*time.Second)
		require.LessOrEqual(t, time.Since(began), 30*time.Second)
		synctest.Wait()
		require.Len(t, w.events.of(lease.ObtainFailed, "token"), w.logins()-1)
	})
}

// TestLaw17TheConstructorsContextIsNotKept: cancelled right afterwards, it changes nothing.
// Mutation: session.New derives the session's context from the caller's.
func TestLaw17TheConstructorsContextIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 8 * time.Second, TokenMaxTTL: 12 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		c, err := leasehold.New(ctx, w.config())
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close(t.Context())) }()
		creds, err := dynamic.Database(ctx, c, "app")
		require.NoError(t, err)
		value, err := kv.Watch[settings](ctx, c.KV("secret"), "app/config", kv.Every(5*time.Second))
		require.NoError(t, err)
		cancel()
		w.PutKV("secret", "app/config", map[string]any{"banner": "new"})
		every(time.Minute, time.Second, func(at time.Duration) {
			_, err := creds.Get()
			require.NoError(t, err, at)
		})
		require.Equal(t, "new", value.Get().Banner)
	})
}

// TestLaw17LoadNamesEveryPathThatIsBad: in one error; what is optional is left as it was, and a failed
// Load changes nothing. Mutation: Load returns the first error.
func TestLaw17LoadNamesEveryPathThatIsBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		var cfg struct {
			Banner   string `vault:"secret:app/config#banner"`
			Optional string `vault:"secret:app/other#x,optional"`
			Missing  string `vault:"secret:missing/one#x"`
			Nested   struct {
				Also settings `vault:"secret:missing/two"`
			}
			NoField string `vault:"secret:app/config#nothing"`
			Kind    int    `vault:"secret:app/config#banner"`
			Denied  string `vault:"other:x#y"`
		}
		cfg.Optional = "default"
		err := c.Load(t.Context(), &cfg)
		for _, part := range []string{
			"field Missing: leasehold: read secret/missing/one", "field Nested.Also: leasehold: read secret/missing/two",
			`field NoField: leasehold: decode secret/app/config: no field "nothing"`, "field Kind: leasehold: decode secret/app/config#banner: want int",
			`field Denied: leasehold: read other/data/x: 403`, `path "other/data/x" { capabilities = ["read"] }`,
		} {
			require.ErrorContains(t, err, part)
		}
		require.ErrorIs(t, err, kv.ErrNotFound)
		require.NotContains(t, err.Error(), "Optional")
		require.Empty(t, cfg.Banner, "a failed Load changes nothing")
		require.Equal(t, 1, w.reads(), "one read for three fields")

		var good struct {
			Banner   string   `vault:"secret:app/config#banner"`
			Optional string   `vault:"secret:app/other#x,optional"`
			All      settings `vault:"secret:app/config"`
		}
		good.Optional = "default"
		require.NoError(t, c.Load(t.Context(), &good))
		require.Equal(t, "hello", good.Banner)
		require.Equal(t, "hello", good.All.Banner)
		require.Equal(t, "default", good.Optional)
	})
}

// TestBadInputGivesOneErrorThatSaysWhatToFix: and none waits longer than its context, or asks Vault
// where that can be known without (laws 17, 21).
func TestBadInputGivesOneErrorThatSaysWhatToFix(t *testing.T) {
	newClient := func(ctx context.Context, w *world, adjust ...func(*leasehold.Config)) error {
		_, err := leasehold.New(ctx, w.config(adjust...))
		return err
	}
	for _, tc := range []struct {
		name  string
		do    func(ctx context.Context, w *world, c *leasehold.Client) error
		says  []string
		waits bool // until ctx ends; else it returns at once
		asks  int
	}{
		{name: "wrong secret-id", do: func(ctx context.Context, w *world, _ *leasehold.Client) error {
			return newClient(ctx, w, withSecretID(w, func() string { return "wrong" }))
		}, says: []string{"auth/approle/login: 400", "invalid role or secret ID", "check the role, its credentials"}, asks: 1},
		{name: "no secret-id file", do: func(ctx context.Context, w *world, _ *leasehold.Client) error {
			return newClient(ctx, w, func(c *leasehold.Config) {
				c.Auth = approle.New(w.roleID, approle.SecretIDFile("/nowhere/secret-id"))
			})
		}, says: []string{"approle: secret-id: open /nowhere/secret-id: no such file"}},
		{name: "dead token", do: func(ctx context.Context, w *world, _ *leasehold.Client) error {
			return newClient(ctx, w, func(c *leasehold.Config) { c.Auth = token.New("hvs.nobodyKnowsThisOne") })
		}, says: []string{"lookup-self: 403", "the given token is revoked, expired or mistyped"}, asks: 1},
		{name: "token without lookup-self", do: func(ctx context.Context, w *world, _ *leasehold.Client) error {
			return newClient(ctx, w, func(c *leasehold.Config) {
				c.Auth = token.New(w.CreateToken(vaulttest.TokenSpec{NoDefaultPolicy: true, TTL: time.Hour}))
			})
		}, says: []string{"lookup-self: 403", `path "auth/token/lookup-self" { capabilities = ["read"] }`}, asks: 1},
		{name: "no proxy that authenticates", do: func(ctx context.Context, w *world, _ *leasehold.Client) error {
			return newClient(ctx, w, func(c *leasehold.Config) { c.Auth = auth.None() })
		}, says: []string{"lookup-self: 403", "use_auto_auth_token"}, waits: true, asks: -1}, // it may be about to
		{name: "unreachable Vault", do: func(ctx context.Context, w *world, _ *leasehold.Client) error {
			w.Close()
			defer w.Restart()
			return newClient(ctx, w)
		}, says: []string{"no token after", "connection refused", "is Vault running and reachable"}, waits: true},
		{name: "Vault that hangs", do: func(ctx context.Context, w *world, _ *leasehold.Client) error {
			w.Fail(vaulttest.Fault{Hang: true})
			defer w.ClearFaults()
			return newClient(ctx, w)
		}, says: []string{"log in", "is Address right"}, waits: true, asks: -1}, // the login goes on and its token is revoked
		{name: "sealed Vault", do: func(ctx context.Context, w *world, c *leasehold.Client) error {
			w.Seal()
			defer w.Unseal()
			_, err := kv.Get[settings](ctx, c.KV("secret"), "app/config")
			return err
		}, says: []string{"503", "Vault is sealed", "given up"}, waits: true, asks: -1},
		{name: "empty configuration", do: func(ctx context.Context, _ *world, _ *leasehold.Client) error {
			_, err := leasehold.New(ctx, leasehold.Config{})
			return err
		}, says: []string{"Config.Address is empty", "Config.Auth is nil"}},
		{name: "address without a scheme", do: func(ctx context.Context, w *world, _ *leasehold.Client) error {
			return newClient(ctx, w, func(c *leasehold.Config) { c.Address = "vault.internal:8200" })
		}, says: []string{"Config.Address is not an http or https URL"}},
		{name: "address without a host", do: func(ctx context.Context, w *world, _ *leasehold.Client) error {
			return newClient(ctx, w, func(c *leasehold.Config) { c.Address = "http://:8200" })
		}, says: []string{"Config.Address is not an http or https URL with a host"}},
		{name: "method that is nil", do: func(ctx context.Context, w *world, _ *leasehold.Client) error {
			return newClient(ctx, w, func(c *leasehold.Config) { c.Auth = (*token.Method)(nil) })
		}, says: []string{"panicked"}},
		{name: "missing path", do: func(ctx context.Context, _ *world, c *leasehold.Client) error {
			_, err := kv.Get[settings](ctx, c.KV("secret"), "app/nothing")
			return err
		}, says: []string{"secret/app/nothing", "no secret at this path", "without the mount"}, asks: 2},
		{name: "path with dots", do: func(ctx context.Context, _ *world, c *leasehold.Client) error {
			_, err := kv.Get[settings](ctx, c.KV("secret"), "../../sys/health")
			return err
		}, says: []string{`path "../../sys/health" has a ".." segment`}},
		{name: "wrong type in a field", do: func(ctx context.Context, _ *world, c *leasehold.Client) error {
			_, err := kv.Get[struct {
				Banner int `json:"banner"`
			}](ctx, c.KV("secret"), "app/config")
			return err
		}, says: []string{"secret/app/config#banner: want int, the secret holds a JSON string"}, asks: 2},
		{name: "unknown tag option", do: func(ctx context.Context, _ *world, c *leasehold.Client) error {
			var cfg struct {
				A string `vault:"secret:app/config#banner,omitempty"`
			}
			return c.Load(ctx, &cfg)
		}, says: []string{"field A", `unknown option "omitempty"`, `",optional"`}},
		{name: "no database role", do: func(ctx context.Context, _ *world, c *leasehold.Client) error {
			_, err := dynamic.Database(ctx, c, "nobody")
			return err
		}, says: []string{"database/creds/nobody", "unknown role: nobody"}, asks: 1},
		{name: "role with a slash", do: func(ctx context.Context, _ *world, c *leasehold.Client) error {
			_, err := dynamic.Database(ctx, c, "a/b")
			return err
		}, says: []string{`role "a/b" has a slash`, "dynamic.Mount"}},
		{name: "verifier of another type", do: func(ctx context.Context, _ *world, c *leasehold.Client) error {
			_, err := dynamic.Database(ctx, c, "app", dynamic.Verify(func(context.Context, string) error { return nil }))
			return err
		}, says: []string{"Verify takes a"}},
		{name: "interval too short", do: func(ctx context.Context, _ *world, c *leasehold.Client) error {
			_, err := kv.Watch[settings](ctx, c.KV("secret"), "app/config", kv.Every(time.Millisecond))
			return err
		}, says: []string{"Every(1ms): at least 1s"}},
		{name: "closed client", do: func(ctx context.Context, w *world, _ *leasehold.Client) error {
			c, err := leasehold.New(ctx, w.config())
			require.NoError(w.t, err)
			require.NoError(w.t, c.Close(ctx))
			_, err = kv.Get[settings](ctx, c.KV("secret"), "app/config")
			require.ErrorIs(w.t, err, leasehold.ErrClosed)
			return err
		}, says: []string{"leasehold: closed"}, asks: 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
				c := w.start()
				asked, began := len(w.Requests()), time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				err := tc.do(ctx, w, c)
				require.Error(t, err)
				for _, part := range tc.says {
					require.ErrorContains(t, err, part)
				}
				if tc.waits {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.LessOrEqual(t, time.Since(began), 310*time.Millisecond)
				} else {
					require.Zero(t, time.Since(began))
				}
				if tc.asks >= 0 {
					require.Len(t, w.Requests(), asked+tc.asks)
				}
			})
		})
	}
}

// TestU1ASourceThatHangsIsNamed: Vault is not to blame where it was not asked.
// Mutation: what a login waits for is Vault.
func TestU1ASourceThatHangsIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := leasehold.New(ctx, w.config(func(c *leasehold.Config) {
			c.Auth = approle.New(w.roleID, approle.SecretIDFrom(func(ctx context.Context) (string, error) {
				<-ctx.Done()
				return "", ctx.Err()
			}))
		}))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "Vault was not asked yet")
		require.NotContains(t, err.Error(), "Address")
		time.Sleep(10 * time.Second) // the login is given up after New has returned
	})
}

// TestU1TheReasonOutlivesAnAttemptThatIsCutOff: ctx ends while the last of many attempts waits for its answer,
// and the error still says what failed before.
// Mutation: the last attempt's error is the reason in any case.
func TestU1TheReasonOutlivesAnAttemptThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Fail(vaulttest.Fault{Path: configPath, Count: 3, Status: http.StatusInternalServerError, Body: `{"errors":["disk is full"]}`})
		w.Fail(vaulttest.Fault{Path: configPath, Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := kv.Get[settings](ctx, c.KV("secret"), "app/config")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "500 Internal Server Error: disk is full")
		require.ErrorContains(t, err, "given up")
	})
}

// TestLaw21APathThatIsAnotherPathIsRefused before any request: in mounts, paths, tags and roles.
// Mutation: CheckPath lets ".." pass.
func TestLaw21APathThatIsAnotherPathIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		asked := len(w.Requests())
		for _, path := range []string{"", ".", "..", "a/../b", "a/./b", "/a", "a/", "a//b", "../../sys/seal", "a\x00b", "a\nb"} {
			_, err := kv.Get[settings](t.Context(), c.KV("secret"), path)
			require.Error(t, err, "path %q", path)
			_, err = kv.Watch[settings](t.Context(), c.KV("secret"), path)
			require.Error(t, err, "watched path %q", path)
			_, err = dynamic.Open(t.Context(), c, dynamic.Request{Path: path}, func(*dynamic.Grant) (int, error) { return 0, nil })
			require.Error(t, err, "credential path %q", path)
			if path != "/a" && path != "a/" { // around a mount slashes are taken off
				_, err = kv.Get[settings](t.Context(), c.KV(path), "x")
				require.Error(t, err, "mount %q", path)
			}
		}
		for _, role := range []string{"", ".", ".."} {
			_, err := dynamic.Database(t.Context(), c, role)
			require.Error(t, err, "role %q", role)
		}
		var cfg struct {
			A string `vault:"secret:../x#y"`
		}
		require.Error(t, c.Load(t.Context(), &cfg))
		require.Len(t, w.Requests(), asked)
	})
}

// TestLaw21ATokenGoesToNoForeignHost: a redirect is followed to RedirectHosts only.
// Mutation: transport.trusted says yes.
func TestLaw21ATokenGoesToNoForeignHost(t *testing.T) {
	const stranger = "stranger.test:8200"
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.Fail(vaulttest.Fault{Path: configPath, Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://" + stranger + "/v1/" + configPath}}})
		var tokens []string // that the stranger was shown
		way := through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if r.URL.Host != stranger {
				return next.RoundTrip(r)
			}
			tokens = append(tokens, r.Header.Get("X-Vault-Token"))
			return reply(r, http.StatusOK, `{"data":{"data":{"banner":"elsewhere"},"metadata":{"version":1}}}`), nil
		})

		c := w.start(way)
		_, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
		require.ErrorContains(t, err, "add it to RedirectHosts")
		require.Empty(t, tokens)

		trusting := w.start(way, func(c *leasehold.Config) { c.RedirectHosts = []string{stranger} })
		got, err := kv.Get[settings](t.Context(), trusting.KV("secret"), "app/config")
		require.NoError(t, err)
		require.Equal(t, "elsewhere", got.Value.Banner)
		require.Len(t, tokens, 1)
		require.NotEmpty(t, tokens[0])
		require.NoError(t, c.Close(t.Context()))
		require.NoError(t, trusting.Close(t.Context()))
	})
}

// TestLaw19TheEnvironmentChangesNothing (U3). Mutation: newAPI leaves the headers of vault/api.
func TestLaw19TheEnvironmentChangesNothing(t *testing.T) {
	for name, value := range map[string]string{
		"VAULT_TOKEN": "hvs.fromTheEnvironment", "VAULT_NAMESPACE": "foreign", "VAULT_ADDR": "http://other.test:1", "VAULT_AGENT_ADDR": "http://agent.test:1",
		"VAULT_WRAP_TTL": "60s", "VAULT_HEADERS": `{"X-Foreign":"yes"}`, "VAULT_MAX_RETRIES": "7",
	} {
		t.Setenv(name, value)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute})
		c := w.start()
		w.open(c)
		_, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		_, err = c.Vault().Logical().ReadWithContext(t.Context(), configPath)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.NoError(t, c.Close(t.Context()))
		for _, s := range w.wire.all() {
			require.Equal(t, "vault.test:8200", s.host, s.path)
			require.Empty(t, s.namespace, s.path)
			require.NotEqual(t, "hvs.fromTheEnvironment", s.token, s.path)
			require.Empty(t, s.header.Get("X-Foreign"), s.path)
			require.Empty(t, s.header.Get("X-Vault-Wrap-Ttl"), s.path)
		}
	})
}
