package approle_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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

func TestTheMethodMayBeMountedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, secretID := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour, Mount: "team/apps"})
		require.NoError(t, start(t.Context(), server, approle.New(roleID, approle.SecretIDString(secretID), approle.Mount("/team/apps/"))))
		require.Equal(t, 1, server.Count("POST", "auth/team/apps/login"))
		require.Error(t, start(t.Context(), server, approle.New(roleID, approle.SecretIDString(secretID))))
	})
}

// TestAWrappedSecretIDIsUnwrappedOnce, in the way that the package's documentation
// shows, and serves more than one login.
func TestAWrappedSecretIDIsUnwrappedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		wrappingToken := server.WrappedSecretID(roleID, time.Minute)
		conf := api.DefaultConfig()
		conf.Address, conf.HttpClient = "http://vault.test", server.Client()
		vault, err := api.NewClient(conf)
		require.NoError(t, err)
		vault.ClearToken()

		var secretID string
		source := approle.SecretIDFrom(func(ctx context.Context) (string, error) {
			if secretID == "" {
				secret, err := vault.Logical().UnwrapWithContext(ctx, wrappingToken)
				if err != nil {
					return "", err
				}
				secretID, _ = secret.Data["secret_id"].(string)
			}
			return secretID, nil
		})
		method := approle.New(roleID, source)
		require.NoError(t, start(t.Context(), server, method))
		require.NoError(t, start(t.Context(), server, method))
		require.Equal(t, 1, server.Count("PUT", "sys/wrapping/unwrap"))
		require.Equal(t, 2, server.Count("PUT", "auth/approle/login"))

		secretID = "" // a program that has restarted comes too late
		require.ErrorContains(t, start(t.Context(), server, method), "wrapping token is not valid or does not exist")
		require.Error(t, start(t.Context(), server, approle.New(roleID, approle.SecretIDString(wrappingToken))))
	})
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
		"missing": {approle.SecretIDFile(filepath.Join(dir, "nothing")), "nothing: no such file or directory"},
		"empty":   {approle.SecretIDFile(empty), "is empty"},
		"large":   {approle.SecretIDFile(large), "is larger than"},
		"text":    {approle.SecretIDString(""), "the source is empty"},
		"none":    {nil, "no source was given"},
		"failing": {approle.SecretIDFrom(func(context.Context) (string, error) { return "", errors.New("the agent is away") }), "the agent is away"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
				began := time.Now()
				err := start(t.Context(), server, approle.New(roleID, tc.id))
				require.ErrorContains(t, err, "approle: secret-id: ")
				require.ErrorContains(t, err, tc.says)
				require.Zero(t, time.Since(began))
				require.Empty(t, server.Requests())
			})
		})
	}
}
