package testvault

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func executable(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755))
	return path
}

func TestBinaryPrefersTheOneThatIsNamed(t *testing.T) {
	named, onPath := executable(t, "my-vault"), executable(t, "vault")
	t.Setenv("PATH", filepath.Dir(onPath))

	t.Setenv("TESTVAULT_BIN", named)
	got, err := Binary(t.Context(), io.Discard)
	require.NoError(t, err)
	assert.Equal(t, named, got)

	t.Setenv("TESTVAULT_BIN", "")
	got, err = Binary(t.Context(), io.Discard)
	require.NoError(t, err)
	assert.Equal(t, onPath, got)
}

func TestBinaryTakesOpenBao(t *testing.T) {
	bao := executable(t, "bao")
	t.Setenv("PATH", filepath.Dir(bao))
	t.Setenv("TESTVAULT_BIN", "")
	got, err := Binary(t.Context(), io.Discard)
	require.NoError(t, err)
	assert.Equal(t, bao, got)
}

func TestBinaryRefusesANameThatIsNoProgram(t *testing.T) {
	t.Setenv("TESTVAULT_BIN", filepath.Join(t.TempDir(), "none"))
	_, err := Binary(t.Context(), io.Discard)
	require.ErrorContains(t, err, "TESTVAULT_BIN")
}

// A stand-in for the go command, so that the way round the build is tested
// without ten minutes of compiling.
func fakeGo(t *testing.T, script string) (cache string) {
	t.Helper()
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\n"+script), 0o755))
	cache = t.TempDir()
	for _, p := range []program{vaultProgram, apiServerProgram, etcdProgram} {
		t.Setenv(p.env, "")
	}
	t.Setenv("HOME", cache)
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("PATH", bin)
	return cache
}

func TestBinaryIsBuiltOnce(t *testing.T) {
	// go build -trimpath -ldflags FLAGS -o FILE PACKAGE: the sixth is FILE.
	fakeGo(t, `echo built > "$6"; echo x >> "$XDG_CACHE_HOME/builds"`)
	var progress strings.Builder
	first, err := Binary(t.Context(), &progress)
	require.NoError(t, err)
	assert.FileExists(t, first)
	assert.Contains(t, progress.String(), "about ten minutes")

	second, err := Binary(t.Context(), &progress)
	require.NoError(t, err)
	assert.Equal(t, first, second)
	builds, err := os.ReadFile(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "builds"))
	require.NoError(t, err)
	assert.Equal(t, "x\n", string(builds))
}

func TestAFailedBuildLeavesNothingBehind(t *testing.T) {
	cache := fakeGo(t, `echo half > "$6"; echo no network >&2; exit 1`)
	_, err := Binary(t.Context(), io.Discard)
	require.ErrorContains(t, err, "no network")
	left, err := filepath.Glob(filepath.Join(cache, "leasehold", "vault-"+VaultVersion, "*"))
	require.NoError(t, err)
	require.Len(t, left, 1)
	assert.Equal(t, "lock", filepath.Base(left[0]))
}

func TestASecondBuilderWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path, "vault", io.Discard)
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var progress strings.Builder
	_, err = lock(ctx, path, "vault", &progress)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Contains(t, progress.String(), "waiting for it")

	unlock()
	unlock, err = lock(t.Context(), path, "vault", io.Discard)
	require.NoError(t, err)
	unlock()
}

func TestTheCacheIsNamedAfterTheVersionThatIsBuilt(t *testing.T) {
	for _, tc := range []struct {
		of       program
		requires string
	}{
		{vaultProgram, "github.com/hashicorp/vault v" + VaultVersion},
		{apiServerProgram, "k8s.io/kubernetes v" + KubernetesVersion},
	} {
		dir, err := tc.of.sourceDir(t.Context())
		require.NoError(t, err)
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		require.NoError(t, err)
		assert.Regexp(t, `(?m)^(require |\t)`+regexp.QuoteMeta(tc.requires)+"$", string(mod))
	}
}

func TestAnAPIServerAndItsStorageAreBuiltOnce(t *testing.T) {
	fakeGo(t, `echo "$7 $CGO_ENABLED" > "$6"; echo "$7" >> "$XDG_CACHE_HOME/builds"`)
	for range 2 {
		apiServer, storage, err := KubernetesBinaries(t.Context(), io.Discard)
		require.NoError(t, err)
		for path, pkg := range map[string]string{apiServer: apiServerProgram.pkg, storage: etcdProgram.pkg} {
			built, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, pkg+" 0\n", string(built))
		}
	}
	builds, err := os.ReadFile(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "builds"))
	require.NoError(t, err)
	assert.Equal(t, apiServerProgram.pkg+"\n"+etcdProgram.pkg+"\n", string(builds))
}

func TestAnAPIServerThatIsNamedIsNotBuilt(t *testing.T) {
	fakeGo(t, "exit 1")
	server, storage := executable(t, "my-server"), executable(t, "my-etcd")
	t.Setenv(apiServerProgram.env, server)
	t.Setenv(etcdProgram.env, storage)
	gotServer, gotStorage, err := KubernetesBinaries(t.Context(), io.Discard)
	require.NoError(t, err)
	assert.Equal(t, server, gotServer)
	assert.Equal(t, storage, gotStorage)
}
