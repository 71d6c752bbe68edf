package testvault

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// holder is what TestHolder, in a process of its own, tells its parent.
type holder struct {
	Processes []int
	Addresses []string
	Dirs      []string
}

const holderEnv = "TESTVAULT_TEST_HOLDER"

// TestHolder does nothing in an ordinary run. The tests below run it alone in
// another process, where it starts all servers and then comes to a bad end.
func TestHolder(t *testing.T) {
	end := os.Getenv(holderEnv)
	if end == "" {
		return
	}
	pg, vault, kube := Postgres(t), Vault(t), Kubernetes(t)
	var h holder
	for _, p := range []*process{pg.process, vault.process, kube.process, kube.etcd} {
		h.Processes = append(h.Processes, p.pid, p.supervisor.Process.Pid)
		h.Dirs = append(h.Dirs, p.dir)
	}
	h.Addresses = []string{
		fmt.Sprintf("127.0.0.1:%d", pg.Port()),
		strings.TrimPrefix(vault.Addr(), "http://"),
		strings.TrimPrefix(kube.Addr(), "https://"),
	}
	require.NoError(t, json.NewEncoder(os.Stdout).Encode(h))
	switch end {
	case "panic":
		go panic("a goroutine of the test panics")
	case "return":
		return
	}
	// For ever, unless the parent comes to a bad end too.
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestServersAreGoneWhateverEndsTheTest(t *testing.T) {
	for _, end := range []string{"return", "panic", "kill"} {
		t.Run(end, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHolder$")
			cmd.Env = append(os.Environ(), holderEnv+"="+end)
			_, err := cmd.StdinPipe() // held open: TestHolder waits for its end
			require.NoError(t, err)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())

			line, err := bufio.NewReader(stdout).ReadBytes('\n')
			require.NoError(t, err)
			var h holder
			require.NoError(t, json.Unmarshal(line, &h), "%s", line)
			if end == "kill" {
				for _, pid := range h.Processes {
					require.True(t, running(pid), "process %d should run", pid)
				}
				for _, address := range h.Addresses {
					require.True(t, listening(address), "%s should listen", address)
				}
				require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
			}
			_ = cmd.Wait()

			began := time.Now()
			Poll(t, 10*time.Second, func() bool { return len(h.remains()) == 0 }, "the end of the orphaned servers")
			t.Logf("%s: gone after %v", end, time.Since(began).Round(time.Millisecond))
		})
	}
}

func (h holder) remains() []string {
	var left []string
	for _, pid := range h.Processes {
		if running(pid) {
			left = append(left, fmt.Sprintf("process %d", pid))
		}
	}
	for _, address := range h.Addresses {
		if listening(address) {
			left = append(left, address)
		}
	}
	for _, dir := range h.Dirs {
		if _, err := os.Stat(dir); err == nil {
			left = append(left, dir)
		}
	}
	return left
}

func listening(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// running tells a process from none and, where /proc says so, from a zombie:
// in a container nobody may ever wait for an orphan.
func running(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !os.IsNotExist(err) || !isFile("/proc/self/stat")
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

// shell is a server made of a shell script.
func shell(t *testing.T, script string) *process {
	t.Helper()
	p, err := start(command{dir: t.TempDir(), args: []string{"/bin/sh", "-c", script}, grace: 1})
	require.NoError(t, err)
	t.Cleanup(p.end)
	return p
}

func TestEndStopsTheServerAndRemovesItsDirectory(t *testing.T) {
	p := shell(t, "echo hello; exec sleep 600")
	require.True(t, running(p.pid))
	p.end()
	p.end()
	assert.False(t, running(p.pid))
	assert.NoDirExists(t, p.dir)
	assert.ErrorIs(t, p.signal(syscall.SIGCONT), os.ErrProcessDone)
}

func TestEndKillsAServerThatIgnoresItsSignal(t *testing.T) {
	p := shell(t, "trap '' TERM; echo deaf; while :; do sleep 1; done")
	Poll(t, 10*time.Second, func() bool { return p.tail() == "deaf" }, "the server's trap")
	p.end()
	assert.False(t, running(p.pid))
	assert.Equal(t, "137", p.status)
}

func TestEndReachesAPausedServer(t *testing.T) {
	p := shell(t, "exec sleep 600")
	require.NoError(t, p.signal(syscall.SIGSTOP))
	p.end()
	assert.Equal(t, "143", p.status, "should have ended by TERM, without the kill")
}

func TestAServerThatDiesEarlyIsReportedWithItsLastWords(t *testing.T) {
	p := shell(t, "echo first; seq 100; echo no such setting >&2; exit 3")
	err := p.await(t.Context(), func(context.Context) error { return assert.AnError })
	require.ErrorContains(t, err, "status 3")
	require.ErrorContains(t, err, "no such setting")
	assert.NotContains(t, err.Error(), "first")
	assert.DirExists(t, p.dir, "its files stay until the test is done with them")
}

func TestATakenPortIsTriedAgainElsewhere(t *testing.T) {
	var ports []int
	p, port, err := launch(t.Context(), "a server",
		func(dir string, port int) (command, error) {
			ports = append(ports, port)
			script := "exec sleep 600"
			if len(ports) == 1 {
				script = "echo bind: Address already in use; exit 1"
			}
			return command{dir: dir, args: []string{"/bin/sh", "-c", script}}, nil
		},
		func(_ context.Context, _ int) error {
			if len(ports) == 1 {
				return assert.AnError
			}
			return nil
		})
	require.NoError(t, err)
	defer p.end()
	assert.Len(t, ports, 2)
	assert.Equal(t, ports[1], port)
}
