package userpass_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/userpass"
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

// TestThePasswordIsReadAfreshForEachLogin. Vault takes the user's name without regard to case.
func TestThePasswordIsReadAfreshForEachLogin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		method := userpass.New("App.One", auth.File(file), userpass.Mount("/people/"))
		prints := map[string]bool{}
		for _, password := range []string{"first", "second"} {
			server.Userpass("app.one", password, vaulttest.UserpassSpec{TokenTTL: time.Hour, Mount: "people"})
			require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
			require.NoError(t, start(t.Context(), server, method))
			mark, err := method.Fingerprint(t.Context())
			require.NoError(t, err)
			prints[mark] = true
		}
		require.Len(t, prints, 2)
		require.Equal(t, 2, server.Count("POST", "auth/people/login/"))
		require.ErrorContains(t, start(t.Context(), server, userpass.New("app.one", auth.String("third"), userpass.Mount("people"))), "invalid username or password")
	})
}

// TestLaw21AUserNameCannotLeadElsewhere: it is a part of the path, and a password would follow.
// Mutation: a slash may be in a user's name.
func TestLaw21AUserNameCannotLeadElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		password := auth.String("x")
		for _, name := range []string{"", ".", "..", "a/b", "../../../sys/seal", "/", "app/"} {
			require.ErrorContains(t, start(t.Context(), server, userpass.New(name, password)), "is no user name", name)
		}
		for says, method := range map[string]*userpass.Method{
			"segment":                            userpass.New("app", password, userpass.Mount("../sys")),
			"userpass: password: the source is":  userpass.New("app", auth.String("")),
			"userpass: password: no source was ": userpass.New("app", nil),
		} {
			require.ErrorContains(t, start(t.Context(), server, method), says)
		}
		_, err := userpass.New("app", nil).Fingerprint(t.Context())
		require.ErrorContains(t, err, "userpass: password: no source was ")
		require.Empty(t, server.Requests())

		require.Error(t, start(t.Context(), server, userpass.New("a?b=c#d%2e", password)))
		require.Equal(t, "auth/userpass/login/a?b=c#d%2e", server.Requests()[0].Path, "it is one segment of the path")
	})
}

func TestNothingSecretIsPrinted(t *testing.T) {
	method := userpass.New("app", auth.String("canary"))
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		require.NotContains(t, fmt.Sprintf(verb, method)+fmt.Sprintf(verb, *method), "canary")
	}
}
