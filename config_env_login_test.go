package leasehold_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/cert"
	"github.com/seed-f5e1ac40/leasehold/auth/userpass"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// TestU3EachVariableReachesTheLogin: none has its default here, and what is sent first, to whatever mount and
// as whoever, is as they say. Mutations: VAULT_AUTH_MOUNT is ignored, VAULT_JWT_FILE is, and so on.
func TestU3EachVariableReachesTheLogin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("from-the-file\n"), 0o600))
	for name, tc := range map[string]struct {
		set  []string
		path string // below auth/
		body string
		sent string // the token
	}{
		"approle": {
			set:  []string{"VAULT_ROLE_ID=r", "VAULT_SECRET_ID=s", "VAULT_AUTH_MOUNT=apps"},
			path: "apps/login", body: `{"role_id": "r", "secret_id": "s"}`,
		},
		"approle, role-id in a file": {
			set:  []string{"VAULT_ROLE_ID_FILE=" + file, "VAULT_SECRET_ID=s", "VAULT_AUTH_MOUNT=apps"},
			path: "apps/login", body: `{"role_id": "from-the-file", "secret_id": "s"}`,
		},
		"approle, secret-id in a file": {
			set:  []string{"VAULT_ROLE_ID=r", "VAULT_SECRET_ID_FILE=" + file, "VAULT_AUTH_MOUNT=apps"},
			path: "apps/login", body: `{"role_id": "r", "secret_id": "from-the-file"}`,
		},
		"approle, without a secret-id": {set: []string{"VAULT_ROLE_ID=r", "VAULT_AUTH_MOUNT=apps"}, path: "apps/login", body: `{"role_id": "r"}`},
		"kubernetes": {
			set:  []string{"VAULT_ROLE=web", "VAULT_JWT_FILE=" + file, "VAULT_AUTH_MOUNT=k8s"},
			path: "k8s/login", body: `{"role": "web", "jwt": "from-the-file"}`,
		},
		"jwt": {
			set:  []string{"VAULT_ROLE=web", "VAULT_JWT_FILE=" + file, "VAULT_AUTH_MOUNT=oidc"},
			path: "oidc/login", body: `{"role": "web", "jwt": "from-the-file"}`,
		},
		"cert": {set: []string{"VAULT_ROLE=web", "VAULT_AUTH_MOUNT=team/tls"}, path: "team/tls/login", body: `{"name": "web"}`},
		"userpass": {
			set:  []string{"VAULT_USERNAME=mitchell", "VAULT_PASSWORD_FILE=" + file, "VAULT_AUTH_MOUNT=people"},
			path: "people/login/mitchell", body: `{"password": "from-the-file"}`,
		},
		"userpass, in a variable": {
			set:  []string{"VAULT_USERNAME=mitchell", "VAULT_PASSWORD=p", "VAULT_AUTH_MOUNT=people"},
			path: "people/login/mitchell", body: `{"password": "p"}`,
		},
		"token":            {set: []string{"VAULT_TOKEN=given"}, path: "token/lookup-self", sent: "given"},
		"token, in a file": {set: []string{"VAULT_TOKEN_FILE=" + file}, path: "token/lookup-self", sent: "from-the-file"},
	} {
		t.Run(name, func(t *testing.T) {
			method, _, _ := strings.Cut(name, ",")
			environment(t, append([]string{
				"VAULT_ADDR=" + address, "VAULT_NAMESPACE=team", "VAULT_AUTH_NAMESPACE=people", "VAULT_AUTH_METHOD=" + method,
			}, tc.set...)...)
			sent := firstSent(t)
			require.Equal(t, "auth/"+tc.path, sent[0].path)
			require.Equal(t, "people", sent[0].namespace)
			require.Equal(t, tc.sent, sent[0].token)
			if tc.body == "" {
				require.Empty(t, sent[0].body)
			} else {
				require.JSONEq(t, tc.body, sent[0].body)
			}
			last := sent[len(sent)-1]
			require.Equal(t, []string{"secret/data/x", "team"}, []string{last.path, last.namespace})
		})
	}
}

// TestU3NoneSendsNoToken, but to the namespace that was said.
func TestU3NoneSendsNoToken(t *testing.T) {
	environment(t, "VAULT_AGENT_ADDR="+address, "VAULT_NAMESPACE=team", "VAULT_AUTH_METHOD=none")
	sent := firstSent(t)
	require.Equal(t, "secret/data/x", sent[len(sent)-1].path)
	for _, s := range sent {
		require.Empty(t, s.token, s.path)
		require.Equal(t, "team", s.namespace, s.path)
	}
}

// firstSent is what a client of the environment sends to log in and read secret/x.
func firstSent(t *testing.T) []sent {
	t.Helper()
	cfg, err := leasehold.ConfigFromEnv(cert.FromEnv, userpass.FromEnv)
	require.NoError(t, err)
	w := &wire{next: roundTrip(func(r *http.Request) (*http.Response, error) {
		body := `{"auth": {"client_token": "x", "lease_duration": 3600}}`
		switch {
		case strings.HasSuffix(r.URL.Path, "/data/x"):
			body = `{"data": {"data": {"n": 1}, "metadata": {"version": 1}}}`
		case strings.HasSuffix(r.URL.Path, "/lookup-self"):
			body = `{"data": {"ttl": 3600, "creation_ttl": 3600, "expire_time": "2100-01-01T00:00:00Z", "num_uses": 0, "policies": ["app"], "type": "service"}}`
		}
		return reply(r, http.StatusOK, body), nil
	})}
	cfg.HTTPClient = &http.Client{Transport: w}
	c, err := leasehold.New(t.Context(), cfg)
	require.NoError(t, err)
	_, err = kv.Get[map[string]json.Number](t.Context(), c.KV("secret", kv.Version2()), "x")
	require.NoError(t, err)
	all := w.all()
	require.NoError(t, c.Close(t.Context()))
	return all
}

// TestU3TheFilesOfTLSAreThoseOfTheEnvironment. Mutation: VAULT_CLIENT_KEY is taken for VAULT_CLIENT_CERT.
func TestU3TheFilesOfTLSAreThoseOfTheEnvironment(t *testing.T) {
	environment(t, "VAULT_ADDR="+address, "VAULT_AUTH_METHOD=cert",
		"VAULT_CACERT=/run/ca", "VAULT_CLIENT_CERT=/run/c", "VAULT_CLIENT_KEY=/run/k", "VAULT_TLS_SERVER_NAME=vault")
	cfg, err := leasehold.ConfigFromEnv(cert.FromEnv)
	require.NoError(t, err)
	require.Equal(t, leasehold.TLSConfig{CACert: "/run/ca", ClientCert: "/run/c", ClientKey: "/run/k", ServerName: "vault"}, cfg.TLS)
	require.Equal(t, address, cfg.Address)
}
