package testvault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// VaultVersion is the Vault that is built when none is installed. It must be
// the one that vaultbin/go.mod requires: it names the folder in the cache.
const VaultVersion = "1.21.0"

// vaultSource is the module that pins it.
const vaultSource = "github.com/seed-f5e1ac40/leasehold/internal/testvault"

// Binary returns the path of the server to test against: TESTVAULT_BIN if it is
// set, else vault or bao from PATH, else Vault built from source into the
// user's cache directory, once.
//
// The build takes about ten minutes, which is also `go test`'s default timeout:
// run internal/testvault/cmd/vaultbuild beforehand. What happens meanwhile is
// written to progress.
func Binary(ctx context.Context, progress io.Writer) (string, error) {
	if bin := os.Getenv("TESTVAULT_BIN"); bin != "" {
		path, err := exec.LookPath(bin)
		if err != nil {
			return "", fmt.Errorf("TESTVAULT_BIN names no program that can run: %w", err)
		}
		return filepath.Abs(path)
	}
	for _, name := range []string{"vault", "bao"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return cachedBinary(ctx, progress)
}

func cachedBinary(ctx context.Context, progress io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place to keep a built Vault: %w", err)
	}
	dir := filepath.Join(cache, "leasehold", "vault-"+VaultVersion)
	bin := filepath.Join(dir, "vault")
	if isFile(bin) {
		return bin, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Join(dir, "lock"), progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if isFile(bin) { // built by whoever held the lock
		return bin, nil
	}
	if err := build(ctx, bin, progress); err != nil {
		return "", fmt.Errorf("build Vault %s: %w", VaultVersion, err)
	}
	return bin, nil
}

// build compiles Vault next to bin and renames it into place, so that bin is
// either absent or whole. The caller holds the lock.
func build(ctx context.Context, bin string, progress io.Writer) error {
	source, err := sourceDir(ctx)
	if err != nil {
		return err
	}
	// Left by a build that was killed.
	stale, _ := filepath.Glob(filepath.Join(filepath.Dir(bin), "build-*"))
	for _, dir := range stale {
		_ = os.RemoveAll(dir)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(bin), "build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	out := filepath.Join(tmp, "vault")

	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "github.com/hashicorp/vault")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off")
	// The compilers are children of go build: cancelling must reach them too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	sayf(progress, "building Vault %s from source: about ten minutes the first time, then never again", VaultVersion)
	stop := elapsed(progress, "building Vault")
	output, err := cmd.CombinedOutput()
	took := stop()
	if err != nil {
		return fmt.Errorf("go build after %v: %w\n%s", took, err, output)
	}
	sayf(progress, "built Vault in %v: %s", took, bin)
	return os.Rename(out, bin)
}

// sourceDir finds the vaultbin folder: beside this file, or where the module
// lies when the paths were trimmed from the binary.
func sourceDir(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok {
		if dir := filepath.Join(filepath.Dir(file), "vaultbin"); isFile(filepath.Join(dir, "go.mod")) {
			return dir, nil
		}
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", vaultSource).Output()
	if err != nil {
		return "", fmt.Errorf("cannot find its source folder: go list -m %s: %w", vaultSource, err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "vaultbin"), nil
}

// lock takes an exclusive lock on path for this process, so that two test
// binaries do not spend ten minutes each on the same file. The kernel releases
// it with the process, however that ends.
func lock(ctx context.Context, path string, progress io.Writer) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	stop := func() time.Duration { return 0 }
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for waiting := false; ; waiting = true {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			break
		}
		if !waiting {
			sayf(progress, "another process is building Vault: waiting for it")
			stop = elapsed(progress, "waiting for Vault to be built")
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
			err = ctx.Err()
		}
		break
	}
	stop()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// elapsed says every 30 s that work goes on, until stop, which returns how long
// it took. Silence for ten minutes looks like a hang.
func elapsed(progress io.Writer, what string) (stop func() time.Duration) {
	began := time.Now()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(30 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				sayf(progress, "%s: %v so far", what, time.Since(began).Round(time.Second))
			case <-done:
				return
			}
		}
	}()
	return func() time.Duration {
		close(done)
		<-ended
		return time.Since(began).Round(time.Second)
	}
}

func sayf(progress io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(progress, "testvault: "+format+"\n", args...)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
