package testvault

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// The versions that are built when none is installed. They must be those that
// vaultbin/go.mod and kubebin/go.mod require: they name the folders in the cache.
const (
	VaultVersion      = "1.21.0"
	KubernetesVersion = "1.35.4"
)

// program is a server that the tests start, and how to come by it.
type program struct {
	name    string   // of its file
	env     string   // the variable that may name one to use instead
	onPath  []string // the names under which one from PATH will do
	cache   string   // the folder for it in the cache; holds the version
	module  string   // the folder beside this file whose go.mod pins it
	pkg     string   // what to build there
	ldflags string
	cgo     bool
	takes   string // the first build, in a human's words
}

// A Vault is taken from PATH: a developer who has one means it. Nobody has an API
// server there for such a purpose, and an etcd may be of any age.
var (
	vaultProgram = program{
		name: "vault", env: "TESTVAULT_BIN", onPath: []string{"vault", "bao"},
		cache: "vault-" + VaultVersion, module: "vaultbin", pkg: "github.com/hashicorp/vault",
		ldflags: "-s -w", cgo: true, takes: "about ten minutes",
	}
	apiServerProgram = program{
		name: "kube-apiserver", env: "TESTVAULT_KUBE_APISERVER",
		cache: "kubernetes-" + KubernetesVersion, module: "kubebin", pkg: "k8s.io/kubernetes/cmd/kube-apiserver",
		// As its own build does: without them it calls itself v0.0.0.
		ldflags: "-s -w" +
			" -X k8s.io/component-base/version.gitVersion=v" + KubernetesVersion +
			" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35",
		takes: "about seven minutes",
	}
	etcdProgram = program{
		name: "etcd", env: "TESTVAULT_ETCD",
		cache: "kubernetes-" + KubernetesVersion, module: "kubebin", pkg: "./etcd",
		ldflags: "-s -w", takes: "less than a minute after kube-apiserver",
	}
)

// Binary returns the path of the Vault to test against: TESTVAULT_BIN if it is
// set, else vault or bao from PATH, else Vault built from source into the
// user's cache directory, once.
//
// The build takes about ten minutes, which is also `go test`'s default timeout:
// run internal/testvault/cmd/build beforehand. What happens meanwhile is
// written to progress.
func Binary(ctx context.Context, progress io.Writer) (string, error) {
	return vaultProgram.find(ctx, progress)
}

// KubernetesBinaries returns the paths of a Kubernetes API server and of the etcd
// that it keeps its objects in: TESTVAULT_KUBE_APISERVER and TESTVAULT_ETCD where
// they are set, else built from source as Vault is, in about seven minutes.
func KubernetesBinaries(ctx context.Context, progress io.Writer) (apiServer, storage string, err error) {
	if apiServer, err = apiServerProgram.find(ctx, progress); err != nil {
		return "", "", err
	}
	storage, err = etcdProgram.find(ctx, progress)
	return apiServer, storage, err
}

// find returns the path of the program: the one that is named, or installed, or
// built for this purpose.
func (p program) find(ctx context.Context, progress io.Writer) (string, error) {
	if bin := os.Getenv(p.env); bin != "" {
		path, err := exec.LookPath(bin)
		if err != nil {
			return "", fmt.Errorf("%s names no program that can run: %w", p.env, err)
		}
		return filepath.Abs(path)
	}
	for _, name := range p.onPath {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return p.cached(ctx, progress)
}
