package kubernetes_test

import (
	"context"
	"fmt"
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
	"github.com/seed-f5e1ac40/leasehold/auth/kubernetes"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newServer(t *testing.T, mount string) *vaulttest.Server {
	t.Helper()
	server := vaulttest.New(t)
	server.KubernetesRole("app", vaulttest.KubernetesRoleSpec{
		BoundServiceAccountNames: []string{"app"}, BoundServiceAccountNamespaces: []string{"prod"}, TokenTTL: time.Hour, Mount: mount,
	})
	return server
}

// login logs in once, as a client does.
func login(ctx context.Context, t *testing.T, server *vaulttest.Server, m auth.Method) error {
	t.Helper()
	conf := api.DefaultConfig()
	conf.Address, conf.HttpClient, conf.MaxRetries = "http://vault.test", server.Client(), 0
	client, err := api.NewClient(conf)
	require.NoError(t, err)
	client.ClearToken()
	_, err = m.Login(ctx, client)
	return err
}

// TestA7TheTokenIsReadAfreshForEachLogin, through the links that the kubelet swaps: the official helper
// reads it once, and keeps the white space around it.
// Mutation: the token is read when the method is made.
func TestA7TheTokenIsReadAfreshForEachLogin(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	require.NoError(t, os.Symlink(filepath.Join("..data", "token"), file))
	swap := func(t *testing.T, i int, text string) {
		t.Helper()
		version := fmt.Sprintf("..v%d", i)
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, version, "token"), []byte(text), 0o600))
		require.NoError(t, os.Symlink(version, filepath.Join(dir, "..new")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
	}
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, "")
		method := kubernetes.New("app", kubernetes.TokenFile(file))
		require.ErrorContains(t, login(t.Context(), t, server, method), "no such file", "New does not mind, and the login says so")
		prints := map[string]bool{}
		for i := range 3 {
			swap(t, i, "\n"+server.ServiceAccountToken("prod", "app", 10*time.Minute)+"\r\n")
			require.NoError(t, login(t.Context(), t, server, method))
			mark, err := method.Fingerprint(t.Context())
			require.NoError(t, err)
			prints[mark] = true
			time.Sleep(15 * time.Minute)
		}
		require.Len(t, prints, 3)
		require.Equal(t, 3, server.Count("POST", "auth/kubernetes/login"))
	})
}

// TestA7ARefusedTokenIsReadOnceMore, and Vault is asked again only about another.
// Mutation: Vault is asked again about the same.
func TestA7ARefusedTokenIsReadOnceMore(t *testing.T) {
	for name, tc := range map[string]struct {
		replaced bool
		asked    int
	}{"the same": {false, 1}, "another": {true, 2}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, "")
				bad, good := server.ServiceAccountToken("prod", "app", -time.Hour), server.ServiceAccountToken("prod", "app", time.Hour)
				began := time.Now()
				err := login(t.Context(), t, server, kubernetes.New("app", kubernetes.TokenFrom(func(context.Context) (string, error) {
					if tc.replaced && time.Since(began) > time.Second/2 {
						return good, nil
					}
					return bad, nil
				})))
				require.Equal(t, tc.replaced, err == nil, err)
				require.Equal(t, time.Second, time.Since(began))
				require.Equal(t, tc.asked, server.Count("POST", "auth/kubernetes/login"))
			})
		})
	}
}

// TestTheContextEndsThePause before the token is read once more, and Vault's answer is the error.
func TestTheContextEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, "")
		jwt := server.ServiceAccountToken("prod", "app", -time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/4)
		defer cancel()
		began := time.Now()
		err := login(ctx, t, server, kubernetes.New("app", kubernetes.TokenFrom(auth.String(jwt))))
		var re *api.ResponseError
		require.ErrorAs(t, err, &re)
		require.Equal(t, 403, re.StatusCode)
		require.Equal(t, time.Second/4, time.Since(began))
	})
}

// TestAnOutageIsNoRefusal: the token is not read again, and the client tries again by itself.
func TestAnOutageIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, "k8s/prod")
		server.Fail(vaulttest.Fault{Path: "auth/k8s/prod/login", Status: 503, Count: 1})
		reads := 0
		jwt := server.ServiceAccountToken("prod", "app", time.Hour)
		method := kubernetes.New("app", kubernetes.Mount("/k8s/prod/"), kubernetes.TokenFrom(func(context.Context) (string, error) {
			reads++
			return jwt, nil
		}))
		require.Error(t, login(t.Context(), t, server, method))
		require.Equal(t, 1, reads)
		c, err := leasehold.New(t.Context(), leasehold.Config{Address: "http://vault.test", Auth: method, HTTPClient: server.Client()})
		require.NoError(t, err)
		require.NoError(t, c.Close(t.Context()))
	})
}

func TestWhatIsMissingIsSaidUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, "")
		for says, method := range map[string]*kubernetes.Method{
			"no role name":              kubernetes.New("", kubernetes.TokenFrom(auth.String("x"))),
			"the source is empty":       kubernetes.New("app", kubernetes.TokenFrom(auth.String(" "))),
			"no source was given":       kubernetes.New("app", kubernetes.TokenFrom(nil)),
			"segment":                   kubernetes.New("app", kubernetes.Mount("../sys"), kubernetes.TokenFrom(auth.String("x"))),
			kubernetes.DefaultTokenFile: kubernetes.New("app"), // this is no pod
		} {
			require.ErrorContains(t, login(t.Context(), t, server, method), says)
		}
		_, err := kubernetes.New("app").Fingerprint(t.Context())
		require.ErrorContains(t, err, kubernetes.DefaultTokenFile)
		require.Empty(t, server.Requests())
	})
}

// TestNothingSecretIsPrinted of a method, or said in an error.
func TestNothingSecretIsPrinted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, "")
		jwt := server.ServiceAccountToken("prod", "app", -time.Hour)
		method := kubernetes.New("app", kubernetes.TokenFrom(auth.String(jwt)))
		err := login(t.Context(), t, server, method)
		require.Error(t, err)
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			require.NotContains(t, fmt.Sprintf(verb, method)+fmt.Sprintf(verb, *method)+fmt.Sprintf(verb, err), "eyJ")
		}
	})
}
