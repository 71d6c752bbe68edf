package leasehold_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/userpass"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// environment sets exactly these VAULT_ variables, as NAME=value.
func environment(t *testing.T, pairs ...string) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "VAULT_") {
			t.Setenv(name, "")
		}
	}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
}

// TestU3EachMethodCanBeChosenByTheEnvironment and logs in.
func TestU3EachMethodCanBeChosenByTheEnvironment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		dir := t.TempDir()
		file := func(name, text string) string {
			path := filepath.Join(dir, name)
			require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
			return path
		}
		given := w.CreateToken(vaulttest.TokenSpec{TTL: time.Hour, Policies: []string{"app"}})
		for name, pairs := range map[string][]string{
			"a token":               {"VAULT_TOKEN=" + given},
			"a token, by name":      {"VAULT_AUTH_METHOD=token", "VAULT_TOKEN=" + given},
			"a token's file":        {"VAULT_TOKEN_FILE=" + file("token", given)},
			"AppRole":               {"VAULT_AUTH_METHOD=approle", "VAULT_ROLE_ID=" + w.roleID, "VAULT_SECRET_ID=" + w.secretID},
			"AppRole's files":       {"VAULT_AUTH_METHOD=approle", "VAULT_ROLE_ID_FILE=" + file("role", w.roleID), "VAULT_SECRET_ID_FILE=" + file("secret", w.secretID)},
			"AppRole, wrapped":      {"VAULT_AUTH_METHOD=approle", "VAULT_ROLE_ID=" + w.roleID, "VAULT_WRAPPED_SECRET_ID=" + w.WrappedSecretID(w.roleID, time.Minute)},
			"AppRole, mount":        {"VAULT_AUTH_METHOD=approle", "VAULT_ROLE_ID=" + w.roleID, "VAULT_SECRET_ID=" + w.secretID, "VAULT_AUTH_MOUNT=approle"},
			"AppRole, few logins":   {"VAULT_AUTH_METHOD=approle", "VAULT_ROLE_ID=" + w.roleID, "VAULT_SECRET_ID=" + w.secretID, "VAULT_SECRET_ID_LIMITED=true"},
			"what is off":           {"VAULT_TOKEN=" + given, "VAULT_SKIP_VERIFY=false", "VAULT_MAX_RETRIES=5"},
			"Kubernetes' own":       {"VAULT_TOKEN=" + given, "VAULT_AUTH_PROXY_SERVICE_HOST=10.0.0.1", "VAULT_AUTH_PROXY_SERVICE_PORT=80", "VAULT_AUTH_PROXY_SERVICE_PORT_HTTP=80", "VAULT_AUTH_PROXY_PORT=tcp://10.0.0.1:80", "VAULT_AUTH_PROXY_PORT_80_TCP_ADDR=10.0.0.1", "VAULT_AUTH_SERVICE_HOST=10.0.0.2", "VAULT_AUTH_PORT=tcp://10.0.0.2:80", "VAULT_AUTH_PORT_80_TCP=tcp://10.0.0.2:80"},
			"the address of agents": {"VAULT_TOKEN=" + given, "VAULT_ADDR=", "VAULT_AGENT_ADDR=" + address},
		} {
			environment(t, append([]string{"VAULT_ADDR=" + address, "VAULT_NAMESPACE=team"}, pairs...)...)
			cfg, err := leasehold.ConfigFromEnv()
			require.NoError(t, err, name)
			require.Equal(t, "team", cfg.Namespace)
			cfg.HTTPClient = &http.Client{Transport: w.wire}
			c, err := leasehold.New(t.Context(), cfg)
			require.NoError(t, err, name)
			require.NoError(t, c.Close(t.Context()), name)
		}
	})
}

// TestU3AFewLoginsAreNotSpentOnASuspicion (A8): the environment can say that they are few, and that it does so
// not by an empty or a false value. Mutation: the variable is read and not heeded.
func TestU3AFewLoginsAreNotSpentOnASuspicion(t *testing.T) {
	for value, limited := range map[string]bool{"true": true, "1": true, "false": false, "": false} {
		environment(t, "VAULT_ADDR="+address, "VAULT_AUTH_METHOD=approle", "VAULT_ROLE_ID=r", "VAULT_SECRET_ID=s", "VAULT_SECRET_ID_LIMITED="+value)
		cfg, err := leasehold.ConfigFromEnv()
		require.NoError(t, err, value)
		method, ok := cfg.Auth.(auth.Limiter)
		require.True(t, ok)
		require.Equal(t, limited, method.Limited(), value)
	}
}

// TestU3WhatIsWrongWithTheEnvironmentIsNamed, all of it, and without values that are secret.
func TestU3WhatIsWrongWithTheEnvironmentIsNamed(t *testing.T) {
	const canary = "canary-4711"
	for name, tc := range map[string]struct {
		set  []string
		more []auth.FromEnv
		says []string
	}{
		"nothing":              {nil, nil, []string{"VAULT_ADDR is not set", "VAULT_AUTH_METHOD is not set", "VAULT_TOKEN_FILE"}},
		"no URL":               {[]string{"VAULT_TOKEN=x", "VAULT_ADDR=vault.internal:8200"}, nil, []string{"VAULT_ADDR is not an http or https URL with a host, such as https://"}},
		"an agent without one": {[]string{"VAULT_TOKEN=x", "VAULT_ADDR=", "VAULT_AGENT_ADDR=127.0.0.1"}, nil, []string{"VAULT_AGENT_ADDR is not an http or https URL"}},
		"two addresses":        {[]string{"VAULT_TOKEN=x", "VAULT_AGENT_ADDR=http://b"}, nil, []string{"VAULT_ADDR and VAULT_AGENT_ADDR"}},
		"half a key pair":      {[]string{"VAULT_TOKEN=x", "VAULT_CLIENT_KEY=k"}, nil, []string{"VAULT_CLIENT_CERT and VAULT_CLIENT_KEY"}},
		"two tokens":           {[]string{"VAULT_TOKEN=" + canary, "VAULT_TOKEN_FILE=f"}, nil, []string{"VAULT_TOKEN and VAULT_TOKEN_FILE"}},
		"a token as well":      {[]string{"VAULT_AUTH_METHOD=kubernetes", "VAULT_ROLE=app", "VAULT_TOKEN=" + canary}, nil, []string{`VAULT_AUTH_METHOD="kubernetes"`, "VAULT_TOKEN is set"}},
		"two secret-ids":       {[]string{"VAULT_AUTH_METHOD=approle", "VAULT_ROLE_ID=r", "VAULT_SECRET_ID=" + canary, "VAULT_WRAPPED_SECRET_ID_FILE=f"}, nil, []string{"VAULT_SECRET_ID and VAULT_WRAPPED_SECRET_ID"}},
		"a secret-id twice":    {[]string{"VAULT_AUTH_METHOD=approle", "VAULT_SECRET_ID=" + canary, "VAULT_SECRET_ID_FILE=f"}, nil, []string{"VAULT_SECRET_ID and VAULT_SECRET_ID_FILE", "neither VAULT_ROLE_ID nor VAULT_ROLE_ID_FILE"}},
		"limited or what":      {[]string{"VAULT_AUTH_METHOD=approle", "VAULT_ROLE_ID=r", "VAULT_SECRET_ID=s", "VAULT_SECRET_ID_LIMITED=" + canary}, nil, []string{"VAULT_SECRET_ID_LIMITED is neither true nor false"}},
		"limited by itself":    {[]string{"VAULT_TOKEN=x", "VAULT_SECRET_ID_LIMITED=true"}, nil, []string{"VAULT_SECRET_ID_LIMITED is set, which is not for that method"}},
		"no role":              {[]string{"VAULT_AUTH_METHOD=kubernetes"}, nil, []string{"VAULT_ROLE is not set"}},
		"no JWT":               {[]string{"VAULT_AUTH_METHOD=jwt"}, nil, []string{"VAULT_JWT_FILE is not set"}},
		"no token":             {[]string{"VAULT_AUTH_METHOD=token"}, nil, []string{"neither VAULT_TOKEN nor VAULT_TOKEN_FILE"}},
		"an unknown method":    {[]string{"VAULT_AUTH_METHOD=saml"}, nil, []string{`"saml"`, "token, approle, kubernetes, jwt, none"}},
		"aws not passed in":    {[]string{"VAULT_AUTH_METHOD=aws"}, nil, []string{`"aws"`, "package auth/aws"}},
		"ldap":                 {[]string{"VAULT_AUTH_METHOD=ldap"}, nil, []string{"auth.Fresh"}},
		"userpass without all": {[]string{"VAULT_AUTH_METHOD=userpass"}, []auth.FromEnv{userpass.FromEnv}, []string{"VAULT_USERNAME", "VAULT_PASSWORD_FILE"}},
		"no method made":       {[]string{"VAULT_AUTH_METHOD=x"}, []auth.FromEnv{{Name: "x", New: func(*auth.Environment) (auth.Method, error) { return nil, nil }}}, []string{"no method"}}, //nolint:nilnil // what must not panic
		"a mistyped name":      {[]string{"VAULT_TOKEN=x", "VAULT_AUTH_MEHTOD=approle"}, nil, []string{"VAULT_AUTH_MEHTOD is unknown"}},
		"unverified":           {[]string{"VAULT_TOKEN=x", "VAULT_SKIP_VERIFY=true", "VAULT_HEADERS=a:" + canary}, nil, []string{"VAULT_SKIP_VERIFY", "VAULT_HEADERS"}},
	} {
		t.Run(name, func(t *testing.T) {
			all := []string{"VAULT_ADDR=" + address}
			if tc.set == nil {
				all = nil
			}
			environment(t, append(all, tc.set...)...)
			cfg, err := leasehold.ConfigFromEnv(tc.more...)
			for _, says := range tc.says {
				require.ErrorContains(t, err, says)
			}
			require.NotContains(t, err.Error(), canary)
			require.Equal(t, leasehold.Config{}, cfg)
		})
	}
}

// TestU3AVariableOfTheMethodIsNotCalledForeign where another one is missing: the advice to unset it
// would be wrong.
func TestU3AVariableOfTheMethodIsNotCalledForeign(t *testing.T) {
	for method, tc := range map[string]struct {
		missing string
		set     []string
	}{
		"approle":    {"VAULT_ROLE_ID", []string{"VAULT_SECRET_ID=x"}},
		"kubernetes": {"VAULT_ROLE", []string{"VAULT_JWT_FILE=x"}},
		"jwt":        {"VAULT_JWT_FILE", []string{"VAULT_ROLE=x"}},
		"userpass":   {"VAULT_PASSWORD", []string{"VAULT_USERNAME=x"}},
	} {
		t.Run(method, func(t *testing.T) {
			environment(t, append(tc.set, "VAULT_ADDR="+address, "VAULT_AUTH_METHOD="+method, "VAULT_AUTH_MOUNT=m")...)
			_, err := leasehold.ConfigFromEnv(userpass.FromEnv)
			require.ErrorContains(t, err, tc.missing)
			require.NotContains(t, err.Error(), "not for that method")
		})
	}
}

// TestU3AMethodThatIsPassedInIsTheOneThatIsMeant, also under the name of one that is built in.
func TestU3AMethodThatIsPassedInIsTheOneThatIsMeant(t *testing.T) {
	environment(t, "VAULT_ADDR="+address, "VAULT_AUTH_METHOD=kubernetes")
	own := auth.Fresh(nil)
	cfg, err := leasehold.ConfigFromEnv(auth.FromEnv{Name: "kubernetes", New: func(*auth.Environment) (auth.Method, error) { return own, nil }})
	require.NoError(t, err)
	require.Equal(t, own, cfg.Auth)
}
