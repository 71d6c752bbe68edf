package testvault

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Server is a Vault in dev mode: in memory, unsealed, with a KV v2 engine at
// "secret". Its methods act with a token, at first the root token, and fail the
// test that they were made for when Vault refuses.
type Server struct {
	tb    testing.TB
	token string
	*instance
}

// instance is what all views of one running Vault share.
type instance struct {
	addr      string
	root      string
	unsealKey string // empty: what the dev server printed (sealed.go)
	auditFile string
	auditFrom atomic.Int64 // where Audit begins to count
	process   *process
}

// Option changes how Vault is started.
type Option func(*options)

type options struct {
	args []string
	env  []string
}

// Args adds arguments to the server's command line.
func Args(args ...string) Option {
	return func(o *options) { o.args = append(o.args, args...) }
}

// Env sets a variable ("NAME=value") in the server's environment.
func Env(variable string) Option {
	return func(o *options) { o.env = append(o.env, variable) }
}

// Vault starts a Vault that lives as long as the test. It has a file audit
// device, and a root token that nobody can guess: a test that works with the
// usual "root" by accident does not pass here.
func Vault(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	bin, o := prepare(tb, opts)
	in := &instance{root: "root-" + rand.Text()}
	s := &Server{tb: tb, token: in.root, instance: in}
	var port int
	var err error
	in.process, port, err = launch(tb.Context(), "vault",
		func(dir string, port int) (command, error) {
			return devServer(bin, dir, port, in.root, o), nil
		},
		func(ctx context.Context, port int) error {
			in.addr = fmt.Sprintf("http://127.0.0.1:%d", port)
			return s.ready(ctx)
		})
	if err != nil {
		tb.Fatalf("testvault: %s", s.redact(err.Error()))
	}
	tb.Cleanup(in.process.end)
	in.addr = fmt.Sprintf("http://127.0.0.1:%d", port)
	s.enableAudit()
	return s
}

// prepare finds the program to run, or ends the test, and gathers opts.
func prepare(tb testing.TB, opts []Option) (string, options) {
	tb.Helper()
	bin, err := Binary(tb.Context(), os.Stderr)
	if err != nil {
		missing(tb, fmt.Sprintf("there is no Vault to test against: %v", err))
	}
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	return bin, o
}

func devServer(bin, dir string, port int, root string, o options) command {
	args := []string{
		bin, "server", "-dev", "-dev-no-store-token",
		fmt.Sprintf("-dev-listen-address=127.0.0.1:%d", port),
	}
	env := append(scrubbed(os.Environ()),
		"HOME="+dir,
		// In the environment and not in an argument: every user of the machine
		// can list the arguments of every process.
		"VAULT_DEV_ROOT_TOKEN_ID="+root,
		"BAO_DEV_ROOT_TOKEN_ID="+root,
	)
	return command{dir: dir, args: append(args, o.args...), env: append(env, o.env...)}
}

// scrubbed removes what would turn the developer's own Vault settings into this
// server's, or send its requests through a proxy.
func scrubbed(env []string) []string {
	var kept []string
	for _, kv := range env {
		name, _, _ := strings.Cut(strings.ToUpper(kv), "=")
		switch {
		case strings.HasPrefix(name, "VAULT_"), strings.HasPrefix(name, "BAO_"):
		case name == "HOME", strings.HasSuffix(name, "_PROXY"):
		default:
			kept = append(kept, kv)
		}
	}
	return kept
}

// ready asks for health and then who we are: only the server that was started
// here knows this root token.
func (s *Server) ready(ctx context.Context) error {
	for _, path := range []string{"sys/health", "auth/token/lookup-self"} {
		status, _, err := s.do(ctx, http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("%s answers %d", path, status)
		}
	}
	return nil
}

// auditLog is relative to the server's working directory. In a cluster the audit
// device is replicated, path and all, and each node must write a log of its own.
const auditLog = "audit.log"

func (s *Server) enableAudit() {
	s.tb.Helper()
	s.auditFile = filepath.Join(s.process.dir, auditLog)
	// First the header, so that the log knows our own requests from the first
	// entry on.
	s.Write("sys/config/auditing/request-headers/"+helperHeader, map[string]any{"hmac": false})
	s.Write("sys/audit/file", map[string]any{
		"type":    "file",
		"options": map[string]string{"file_path": auditLog},
	})
}

// Addr is the server's address, as in VAULT_ADDR.
func (s *Server) Addr() string { return s.addr }

// RootToken is the server's root token.
func (s *Server) RootToken() string { return s.root }

// As returns a view of the server that acts with token.
func (s *Server) As(token string) *Server {
	return &Server{tb: s.tb, token: token, instance: s.instance}
}

// For returns a view of the server that reports to tb: for subtests that share
// one server.
func (s *Server) For(tb testing.TB) *Server {
	tb.Helper()
	return &Server{tb: tb, token: s.token, instance: s.instance}
}

// Stop ends the server before the test does. What it held is lost.
func (s *Server) Stop() { s.process.end() }

// Pause freezes the server: connections are accepted by the kernel and answered
// by nobody. Resume lets it go on, with all that it held.
func (s *Server) Pause() {
	s.tb.Helper()
	s.signal(syscall.SIGSTOP)
	// A thread that runs at the time stops a moment later, and may answer a request until then.
	if !holds(pauseWithin, s.process.stopped) {
		s.tb.Fatalf("testvault: vault did not stop within %v", pauseWithin)
	}
}

const pauseWithin = 10 * time.Second

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	if err := s.process.signal(sig); err != nil {
		s.tb.Fatalf("testvault: %v to vault: %v", sig, err)
	}
}
