package leasehold_test

import (
	"context"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// harmful are variables that would change the official client, and everything made of it.
var harmful = map[string]string{
	"VAULT_ADDR": "http://other.test:1", "VAULT_AGENT_ADDR": "http://agent.test:1", "VAULT_TOKEN": "hvs.fromTheEnvironment",
	"VAULT_NAMESPACE": "foreign", "VAULT_HEADERS": `{"X-Foreign":"yes"}`, "VAULT_WRAP_TTL": "60s", "VAULT_MAX_RETRIES": "7",
	"VAULT_SKIP_VERIFY": "true", "VAULT_RATE_LIMIT": "0.01:1", "VAULT_PROXY_ADDR": "http://proxy.invalid:1",
	"VAULT_HTTP_PROXY": "http://proxy.invalid:1", "HTTP_PROXY": "http://proxy.invalid:1", "HTTPS_PROXY": "http://proxy.invalid:1",
	"VAULT_SRV_LOOKUP": "true", "VAULT_DISABLE_REDIRECTS": "true", "VAULT_CLIENT_TIMEOUT": "1ms", "VAULT_TLS_SERVER_NAME": "foreign",
	"VAULT_MFA": "foreign", "VAULT_FORMAT": "foreign", "VAULT_CLI_NO_COLOR": "foreign",
}

// TestLaw19NoVariableChangesARequest (U3): each alone. Requests go where they should as they
// should, take their time, are followed where they lead, and are not repeated behind our back.
// Mutation: newAPI begins with the official client's defaults.
func TestLaw19NoVariableChangesARequest(t *testing.T) {
	for name, value := range harmful {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
				c := w.start(func(c *leasehold.Config) {
					c.Address, c.RedirectHosts = "http://vault.test", []string{"active.test:80"}
				},
					through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
						if r.URL.Host == "vault.test" {
							return reply(r, 307, "", "Location", "http://active.test"+r.URL.Path), nil
						}
						return next.RoundTrip(r)
					}))
				began := time.Now()
				for range 5 {
					_, err := c.Vault().Logical().ReadWithContext(t.Context(), configPath)
					require.NoError(t, err)
				}
				require.Equal(t, began, time.Now())
				w.Fail(vaulttest.Fault{Path: configPath, Delay: 5 * time.Second, Count: 2})
				_, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
				require.NoError(t, err)
				_, err = c.Vault().Logical().Read(configPath)
				require.NoError(t, err)
				w.Fail(vaulttest.Fault{Path: "secret/data/broken", Status: 500})
				_, err = c.Vault().Logical().ReadWithContext(t.Context(), "secret/data/broken")
				require.Error(t, err)
				require.Equal(t, 1, w.Count("GET", "secret/data/broken"))
				require.NoError(t, c.Close(context.Background()))
				for _, s := range w.wire.all() {
					require.Equal(t, "active.test", s.host, s.path)
					require.Empty(t, s.namespace, s.path)
					require.NotContains(t, s.token, "Environment", s.path)
					require.Empty(t, s.header.Get("X-Foreign"), s.path)
					require.Empty(t, s.header.Get("X-Vault-Wrap-Ttl"), s.path)
					require.Empty(t, s.header.Get("X-Vault-Mfa"), s.path)
				}
			})
		})
	}
}

// malformed are variables that the official client refuses to be made with.
var malformed = map[string]string{
	"VAULT_MAX_RETRIES": "canary", "VAULT_RATE_LIMIT": "canary", "VAULT_CLIENT_TIMEOUT": "canary", "VAULT_SKIP_VERIFY": "canary",
	"VAULT_SRV_LOOKUP": "canary", "VAULT_DISABLE_REDIRECTS": "canary", "VAULT_HEADERS": "canary", "VAULT_CACERT": "/no/canary",
	"VAULT_CACERT_BYTES": "canary", "VAULT_CAPATH": "/no/canary", "VAULT_CLIENT_CERT": "/no/canary", "VAULT_CLIENT_KEY": "/no/canary",
	"VAULT_PROXY_ADDR": "http://user:canary@%zz", "VAULT_HTTP_PROXY": "http://user:canary@%zz",
}

// TestLaw19AVariableThatIsInTheWayIsNamed, without its value: the official client cannot be kept from
// reading it. A variable that is set later is in nobody's way, not even at the next login.
// Mutations: the official client's error is passed on; each login makes an official client.
func TestLaw19AVariableThatIsInTheWayIsNamed(t *testing.T) {
	for name, value := range malformed {
		t.Run(name, func(t *testing.T) {
			restore := os.Getenv(name)
			t.Setenv(name, value)
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute, TokenMaxTTL: time.Minute})
				_, err := leasehold.New(t.Context(), w.config())
				require.ErrorContains(t, err, "reads "+name+" from the environment")
				require.NotContains(t, err.Error(), "canary")

				t.Setenv(name, restore)
				c := w.start()
				t.Setenv(name, value)
				time.Sleep(5 * time.Minute)
				require.NoError(t, c.Ready())
				require.Greater(t, w.logins(), 4)
			})
		})
	}
}
