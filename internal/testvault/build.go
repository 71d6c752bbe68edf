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

// thisModule is where the modules that pin the servers lie.
const thisModule = "github.com/seed-f5e1ac40/leasehold/internal/testvault"

// cached returns the program in the user's cache directory, which it is built
// into if it is not there.
func (p program) cached(ctx context.Context, progress io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place to keep a built %s: %w", p.name, err)
	}
	dir := filepath.Join(cache, "leasehold", p.cache)
	bin := filepath.Join(dir, p.name)
	if isFile(bin) {
		return bin, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Join(dir, "lock"), p.name, progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if isFile(bin) { // built by whoever held the lock
		return bin, nil
	}
	if err := p.build(ctx, bin, progress); err != nil {
		return "", fmt.Errorf("build %s of %s: %w", p.name, p.cache, err)
	}
	return bin, nil
}

// build compiles the program next to bin and renames it into place, so that bin is
// either absent or whole. The caller holds the lock.
func (p program) build(ctx context.Context, bin string, progress io.Writer) error {
	source, err := p.sourceDir(ctx)
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
	out := filepath.Join(tmp, p.name)

	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", p.ldflags, "-o", out, p.pkg)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if !p.cgo {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	// The compilers are children of go build: cancelling must reach them too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	sayf(progress, "building %s of %s from source: %s the first time, then never again", p.name, p.cache, p.takes)
	stop := elapsed(progress, "building "+p.name)
	output, err := cmd.CombinedOutput()
	took := stop()
	if err != nil {
		return fmt.Errorf("go build after %v: %w\n%s", took, err, output)
	}
	sayf(progress, "built %s in %v: %s", p.name, took, bin)
	return os.Rename(out, bin)
}

// sourceDir finds the folder of the module that pins the program: beside this
// file, or where the module lies when the paths were trimmed from the binary.
func (p program) sourceDir(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok {
		if dir := filepath.Join(filepath.Dir(file), p.module); isFile(filepath.Join(dir, "go.mod")) {
			return dir, nil
		}
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", thisModule).Output()
	if err != nil {
		return "", fmt.Errorf("cannot find its source folder: go list -m %s: %w", thisModule, err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), p.module), nil
}

// lock takes an exclusive lock on path for this process, so that two test
// binaries do not spend ten minutes each on the same file. The kernel releases
// it with the process, however that ends.
func lock(ctx context.Context, path, name string, progress io.Writer) (unlock func(), err error) {
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
			sayf(progress, "another process is building %s: waiting for it", name)
			stop = elapsed(progress, "waiting for "+name+" to be built")
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
