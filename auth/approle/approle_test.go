package approle_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(ctx context.Context, server *vaulttest.Server, m auth.Method) error {
	c, err := leasehold.New(ctx, leasehold.Config{Address: "http://vault.test", Auth: m, HTTPClient: server.Client()})
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// write replaces a file as those who rotate credentials do.
func write(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
}

func TestTheMethodMayBeMountedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, secretID := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour, Mount: "team/apps"})
		require.NoError(t, start(t.Context(), server, approle.New(roleID, approle.SecretIDString(secretID), approle.Mount("/team/apps/"))))
		require.Equal(t, 1, server.Count("POST", "auth/team/apps/login"))
		require.Error(t, start(t.Context(), server, approle.New(roleID, approle.SecretIDString(secretID))))
	})
}

// TestA8BothIDsAreReadAfreshForEachLogin, from wherever they come.
// Mutation: the role-id is read once.
func TestA8BothIDsAreReadAfreshForEachLogin(t *testing.T) {
	dir := t.TempDir()
	roleFile, secretFile := filepath.Join(dir, "role-id"), filepath.Join(dir, "secret-id")
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		ofFiles := approle.NewFrom(auth.File(roleFile), approle.SecretIDFile(secretFile))
		ofEnv := approle.NewFrom(auth.Env("APP_ROLE_ID"), approle.SecretIDEnv("APP_SECRET_ID"))
		before := ""
		for _, role := range []string{"blue", "green"} {
			roleID, secretID := server.AppRole(role, vaulttest.AppRoleSpec{})
			write(t, roleFile, roleID+"\r\n")
			write(t, secretFile, "\n "+secretID+"\r\n")
			t.Setenv("APP_ROLE_ID", roleID)
			t.Setenv("APP_SECRET_ID", secretID)
			require.NoError(t, start(t.Context(), server, ofFiles))
			require.NoError(t, start(t.Context(), server, ofEnv))

			mark, err := ofFiles.Fingerprint(t.Context())
			require.NoError(t, err)
			require.NotEqual(t, before, mark)
			same, err := ofEnv.Fingerprint(t.Context())
			require.NoError(t, err)
			require.Equal(t, mark, same)
			before = mark
		}
		require.Equal(t, 4, server.Count("POST", "auth/approle/login"))
	})
}

// TestA8WithoutASecretIDTheRoleIDAloneLogsIn: the official helper refuses to try.
// Mutation: a secret-id is read for a role that has none.
func TestA8WithoutASecretIDTheRoleIDAloneLogsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{NoBindSecretID: true})
		method := approle.New(roleID, approle.NoSecretID())
		require.NoError(t, start(t.Context(), server, method))
		_, err := method.Fingerprint(t.Context())
		require.NoError(t, err)
		bound, _ := server.AppRole("bound", vaulttest.AppRoleSpec{})
		require.ErrorContains(t, start(t.Context(), server, approle.New(bound, approle.NoSecretID())), "missing secret_id")
		require.Error(t, start(t.Context(), server, approle.New(" ", approle.NoSecretID())))
		require.Equal(t, 2, server.Count("POST", "auth/approle/login"))
	})
}

func TestASecretIDOfFewUsesSaysSo(t *testing.T) {
	id := approle.SecretIDString("x")
	require.False(t, approle.New("role", id).Limited())
	require.True(t, approle.New("role", id, approle.LimitedUses()).Limited())
}

// recorder is a Vault that keeps what it is sent.
type recorder struct{ bodies []map[string]any }

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body map[string]any
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		return nil, err
	}
	r.bodies = append(r.bodies, body)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"auth":{"client_token":"x"}}`)), Request: req}, nil
}

// TestALongSecretIDIsSentWhole: the official helper cuts a file at 1000 bytes and says nothing,
// and leaves a carriage return in.
func TestALongSecretIDIsSentWhole(t *testing.T) {
	long := strings.Repeat("s", 5000)
	file := filepath.Join(t.TempDir(), "secret-id")
	write(t, file, long+"\r\n")
	var vault recorder
	conf := api.DefaultConfig()
	conf.HttpClient = &http.Client{Transport: &vault}
	client, err := api.NewClient(conf)
	require.NoError(t, err)
	_, err = approle.New("role", approle.SecretIDFile(file)).Login(t.Context(), client)
	require.NoError(t, err)
	require.Equal(t, []map[string]any{{"role_id": "role", "secret_id": long}}, vault.bodies)
}

// TestABadSecretIDSourceIsNamed and asks Vault nothing.
func TestABadSecretIDSourceIsNamed(t *testing.T) {
	dir := t.TempDir()
	empty, large := filepath.Join(dir, "empty"), filepath.Join(dir, "large")
	require.NoError(t, os.WriteFile(empty, []byte(" \n"), 0o600))
	require.NoError(t, os.WriteFile(large, make([]byte, 2<<20), 0o600))
	for name, tc := range map[string]struct {
		id   approle.SecretID
		says string
	}{
		"missing":         {approle.SecretIDFile(filepath.Join(dir, "nothing")), "nothing: no such file or directory"},
		"empty":           {approle.SecretIDFile(empty), "is empty"},
		"large":           {approle.SecretIDFile(large), "is larger than"},
		"text":            {approle.SecretIDString(""), "the source is empty"},
		"none":            {approle.SecretID{}, "no source was given"},
		"environment":     {approle.SecretIDEnv("APP_SECRET_ID_THAT_IS_NOT"), "APP_SECRET_ID_THAT_IS_NOT is not set"},
		"failing":         {approle.SecretIDFrom(func(context.Context) (string, error) { return "", errors.New("the agent is away") }), "the agent is away"},
		"wrapped":         {approle.Wrapped(auth.File(empty)), "is empty"},
		"wrapped in none": {approle.Wrapped(nil), "no source was given"},
		"wrapped, half":   {approle.Wrapped(auth.String(`{"wrap_info":{"tok`)), "broken or cut short"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
				began := time.Now()
				method := approle.New(roleID, tc.id)
				err := start(t.Context(), server, method)
				require.ErrorContains(t, err, "approle: secret-id: ")
				require.ErrorContains(t, err, tc.says)
				require.Zero(t, time.Since(began))
				require.Empty(t, server.Requests())
				_, err = method.Fingerprint(t.Context())
				require.ErrorContains(t, err, tc.says)
			})
		})
	}
}
