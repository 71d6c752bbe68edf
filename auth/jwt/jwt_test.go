package jwt_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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
	"github.com/seed-f5e1ac40/leasehold/auth/jwt"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// issuer signs JWTs that a server's role "app" accepts.
type issuer struct {
	server *vaulttest.Server
	key    *ecdsa.PrivateKey
}

func newIssuer(t *testing.T, mount string) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	i := issuer{vaulttest.New(t), key}
	i.server.JWT(vaulttest.JWTSpec{Keys: []crypto.PublicKey{key.Public()}, DefaultRole: "app", Mount: mount})
	i.server.JWTRole("app", vaulttest.JWTRoleSpec{BoundAudiences: []string{"vault"}, TokenTTL: time.Hour, Mount: mount})
	return i
}

func (i issuer) token(ttl time.Duration) string {
	now := i.server.Now()
	return i.server.SignJWT(i.key, map[string]any{"sub": "app", "aud": "vault", "iat": now.Unix(), "exp": now.Add(ttl).Unix(), "jti": rand.Text()})
}

func start(ctx context.Context, server *vaulttest.Server, m auth.Method) error {
	c, err := leasehold.New(ctx, leasehold.Config{Address: "http://vault.test", Auth: m, HTTPClient: server.Client()})
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// TestA7TheJWTIsReadAfreshForEachLogin, with a role and without one.
// Mutation: the JWT is read when the method is made.
func TestA7TheJWTIsReadAfreshForEachLogin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jwt")
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t, "oidc")
		named := jwt.New("app", auth.File(file), jwt.Mount("/oidc/"))
		byDefault := jwt.New("", auth.File(file), jwt.Mount("oidc"))
		require.ErrorContains(t, start(t.Context(), i.server, named), "no such file")
		prints := map[string]bool{}
		for range 3 {
			require.NoError(t, os.WriteFile(file, []byte(i.token(5*time.Minute)+"\r\n"), 0o600))
			require.NoError(t, start(t.Context(), i.server, named))
			require.NoError(t, start(t.Context(), i.server, byDefault))
			mark, err := named.Fingerprint(t.Context())
			require.NoError(t, err)
			prints[mark] = true
			time.Sleep(20 * time.Minute)
		}
		require.Len(t, prints, 3)
		require.Equal(t, 6, i.server.Count("POST", "auth/oidc/login"))

		err := start(t.Context(), i.server, named)
		require.Error(t, err, "the last one has expired")
		require.NotContains(t, err.Error(), "eyJ")
	})
}

func TestWhatIsMissingIsSaidUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t, "")
		for says, method := range map[string]*jwt.Method{
			"jwt: the source is empty": jwt.New("app", auth.String(" ")),
			"jwt: no source was given": jwt.New("app", nil),
			"segment":                  jwt.New("app", auth.String("x"), jwt.Mount("../sys")),
		} {
			require.ErrorContains(t, start(t.Context(), i.server, method), says)
		}
		_, err := jwt.New("app", nil).Fingerprint(t.Context())
		require.ErrorContains(t, err, "jwt: no source was given")
		require.Empty(t, i.server.Requests())
	})
}

func TestNothingSecretIsPrinted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t, "")
		method := jwt.New("app", auth.String(i.token(time.Minute)))
		require.NoError(t, start(t.Context(), i.server, method))
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			require.NotContains(t, fmt.Sprintf(verb, method)+fmt.Sprintf(verb, *method), "eyJ")
		}
	})
}
