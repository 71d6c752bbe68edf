package suite

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/kubernetes"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// cluster is the API server that the tests of A7 share.
var cluster testvault.SharedKubernetes

// sharing ends what the tests have shared, before goleak looks.
type sharing struct{ *testing.M }

// Run runs the tests.
func (s sharing) Run() int {
	defer cluster.Stop()
	return s.M.Run()
}

// audience is whom the tokens of these tests are for.
const audience = "vault"

// pod is a service in a cluster: its service account, a Vault that the account may log in
// to, and the volume that kubelet projects its token into.
type pod struct {
	world

	k      *testvault.Kube
	sa     testvault.ServiceAccount
	mount  string
	volume string
	turn   int
}

// newPod makes a pod whose account has the role "app" of the auth method at mount. The
// namespace has the name of the mount, for the cluster is shared.
func newPod(t *testing.T, mount string, role map[string]any) *pod {
	t.Helper()
	p := &pod{world: newVault(t), k: cluster.For(t), mount: mount, volume: t.TempDir()}
	p.k.Namespace(mount)
	p.sa = p.k.ServiceAccount(mount, "payments")
	p.enable(role)
	return p
}

// enable enables the auth method at the pod's mount.
func (p *pod) enable(role map[string]any) {
	p.v.KubernetesAuth(p.k, p.mount, nil)
	params := map[string]any{"token_policies": "app"}
	maps.Copy(params, role)
	p.v.KubernetesRole(p.mount, "app", p.sa, audience, params)
}

// project puts a token into the volume as kubelet does: into a new folder, which a link
// that is renamed over the old one then points to. The old folder goes.
func (p *pod) project(t *testing.T, token string) {
	t.Helper()
	data := filepath.Join(p.volume, "..data")
	old, _ := os.Readlink(data)
	p.turn++
	fresh := fmt.Sprintf("..2026_01_02_%02d", p.turn)
	require.NoError(t, os.Mkdir(filepath.Join(p.volume, fresh), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(p.volume, fresh, "token"), []byte(token), 0o600))
	require.NoError(t, os.Symlink(fresh, data+"_tmp"))
	require.NoError(t, os.Rename(data+"_tmp", data))
	if old == "" {
		require.NoError(t, os.Symlink(filepath.Join("..data", "token"), p.file()))
		return
	}
	require.NoError(t, os.RemoveAll(filepath.Join(p.volume, old)))
}

func (p *pod) file() string { return filepath.Join(p.volume, "token") }

// token is what kubelet would project.
func (p *pod) token() string { return p.k.Token(p.sa, 10*time.Minute, audience) }

// lasting is such a token, but one that Vault and the cluster take for d only. Both allow
// for clocks that are a minute apart.
func (p *pod) lasting(d time.Duration) string {
	now := time.Now()
	return p.k.Signed(p.sa, audience, testvault.Claims{
		"iat": now.Add(-time.Hour).Unix(), "nbf": now.Add(-time.Hour).Unix(), "exp": now.Add(d - time.Minute).Unix(),
	})
}

// connect starts the service, whose client may not come about.
func (p *pod) connect(t *testing.T, change ...func(*leasehold.Config)) (*app, error) {
	t.Helper()
	return p.enter(t, kubernetes.New("app", kubernetes.TokenFile(p.file()), kubernetes.Mount(p.mount)), change...)
}
