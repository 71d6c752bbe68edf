package testvault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// commandWithin bounds one command line. Where it strikes, something hangs.
const commandWithin = 20 * time.Second

// CLI is the vault program as a client. It has a home directory of its own, in
// which "vault login" leaves its token, and knows nothing of the developer's own
// Vault.
type CLI struct {
	tb        testing.TB
	bin, home string
	addr      string
}

// NewCLI returns the program as a client of the server at addr, be it one of
// this package's or any other.
func NewCLI(tb testing.TB, addr string) *CLI {
	tb.Helper()
	bin, _ := prepare(tb, nil)
	return &CLI{tb: tb, bin: bin, home: tb.TempDir(), addr: addr}
}

// Run runs one command line to its end and returns what it printed, errors too,
// and its exit status. token may be empty: the program then uses that of its
// last login.
func (c *CLI) Run(ctx context.Context, token, stdin string, args ...string) (output string, status int) {
	ctx, cancel := context.WithTimeout(ctx, commandWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.bin, args...)
	// Left alone by a dead test, a command ends by itself: its requests have an end.
	cmd.Dir, cmd.Env = c.home, append(c.env(), "VAULT_MAX_RETRIES=0", "VAULT_CLIENT_TIMEOUT=15s")
	if token != "" {
		cmd.Env = append(cmd.Env, "VAULT_TOKEN="+token)
	}
	cmd.Stdin = strings.NewReader(stdin)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		return fmt.Sprintf("%s(vault %s: %v, %v)", text, args[0], err, ctx.Err()), -1
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func (c *CLI) env() []string {
	return append(scrubbed(os.Environ()), "HOME="+c.home, "VAULT_ADDR="+c.addr)
}

// Program is a run of the vault program that goes on, such as an agent. It ends
// with the test, whichever way that ends.
type Program struct{ process *process }

// Start starts such a run.
func (c *CLI) Start(args ...string) *Program {
	c.tb.Helper()
	dir, err := os.MkdirTemp("", "testvault-")
	if err != nil {
		c.tb.Fatalf("testvault: %v", err)
	}
	p, err := start(command{dir: dir, args: append([]string{c.bin}, args...), env: c.env()})
	if err != nil {
		c.tb.Fatalf("testvault: start vault %s: %v", args[0], errors.Join(err, os.RemoveAll(dir)))
	}
	c.tb.Cleanup(p.end)
	return &Program{p}
}

// End asks the program to end, waits until it is gone and returns its exit
// status.
func (p *Program) End() string {
	p.process.end()
	return p.process.status
}

// Running tells whether the program's process is there.
func (p *Program) Running() bool { return syscall.Kill(p.process.pid, 0) == nil }

// Output returns what the program has printed, until it ends.
func (p *Program) Output() string {
	text, _ := os.ReadFile(filepath.Join(p.process.dir, outputFile))
	return string(text)
}
