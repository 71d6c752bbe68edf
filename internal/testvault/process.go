package testvault

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// supervisor is the shell script under which every server runs. It exists for
// the ends that t.Cleanup does not see: a panic in another goroutine, a test
// timeout, SIGKILL.
//
// Its standard input is a pipe whose other end only the test process holds, and
// into which nothing is ever written. When the test process is gone, for
// whatever reason, the kernel closes that end and `read` returns. A normal stop
// closes it too, so that there is one way to stop and every test exercises it.
//
// Some lines have a reason that does not show:
//   - The signals are ignored only after the children have been started, because
//     ignored signals are inherited. PIPE is among them: once the test is gone,
//     reporting the exit status must not kill the supervisor before it cleans up.
//   - The watcher is killed as soon as the server has exited by itself. Left
//     alone it would much later signal a process number that may be another's.
//   - `kill 0` reaches this process group alone: it sweeps what the server left
//     behind, such as an initdb that was still running.
//
// It must work with dash.
const supervisor = `
dir=$1 signals=$2 grace=$3
shift 3
exec 3<&0
"$@" </dev/null 3<&- >"$dir/output" 2>&1 &
server=$!
{
	read -r _ <&3
	for s in $signals CONT; do kill -s "$s" "$server"; done
	sleep "$grace"
	kill -s KILL "$server"
} >/dev/null 2>&1 &
watcher=$!
trap '' HUP INT QUIT TERM PIPE
echo "$server"
wait "$server"
echo "$?"
kill -s KILL "$watcher"
read -r _ <&3
kill -s TERM 0
rm -rf "$dir" || { sleep 1; rm -rf "$dir"; }
`

// command says what to run. The zero stop is TERM, the zero grace 5 s.
type command struct {
	dir   string   // the working directory: belongs to the process, removed with it
	args  []string // args[0] is the program
	env   []string // nil: this process's own
	stop  string   // names of the signals that ask it to end
	grace int      // seconds between those and SIGKILL

	cred *syscall.Credential // whom to run as; nil: as this process
}

// process is a running server and the supervisor that will outlive the test
// just long enough to end it.
type process struct {
	dir        string
	pid        int // the server's
	supervisor *exec.Cmd
	lifeline   io.Closer     // closing it ends the server
	exited     chan struct{} // closed when the server has exited
	status     string        // its exit status, valid after exited is closed
	reported   chan struct{} // closed when the supervisor has nothing more to say
	grace      time.Duration
	once       sync.Once
}

// start runs c. The caller must stop it, and sees an early end in exited.
func start(c command) (*process, error) {
	if c.stop == "" {
		c.stop = "TERM"
	}
	if c.grace == 0 {
		c.grace = 5
	}
	args := []string{"-c", supervisor, "testvault", c.dir, c.stop, strconv.Itoa(c.grace)}
	cmd := exec.Command("/bin/sh", append(args, c.args...)...)
	cmd.Dir, cmd.Env = c.dir, c.env
	// A group of its own: a Ctrl-C in the terminal ends the test, and the
	// supervisor ends the server, in that order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.cred}
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	reports, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, lifeline.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{
		dir: c.dir, supervisor: cmd, lifeline: lifeline,
		exited: make(chan struct{}), reported: make(chan struct{}),
		grace: time.Duration(c.grace) * time.Second,
	}
	lines := bufio.NewScanner(reports)
	if !lines.Scan() {
		close(p.exited)
		close(p.reported)
		p.end()
		return nil, fmt.Errorf("the supervisor of %s did not start", c.args[0])
	}
	p.pid, _ = strconv.Atoi(lines.Text())
	go func() {
		defer close(p.reported)
		if lines.Scan() {
			p.status = lines.Text()
		}
		close(p.exited)
		for lines.Scan() { // until the supervisor ends
		}
	}()
	return p, nil
}

// end stops the server and waits until it is gone and its directory with it. It
// is idempotent and bounded.
func (p *process) end() {
	p.once.Do(func() {
		_ = p.lifeline.Close()
		// The supervisor has not been waited for yet, so that its process
		// number, which is also the group's, cannot be another's.
		last := time.AfterFunc(p.grace+10*time.Second, func() {
			_ = syscall.Kill(-p.supervisor.Process.Pid, syscall.SIGKILL)
		})
		<-p.reported
		_ = p.supervisor.Wait()
		last.Stop()
		_ = os.RemoveAll(p.dir)
	})
}

// signal sends sig to the server, if it is still there.
func (p *process) signal(sig syscall.Signal) error {
	select {
	case <-p.exited:
		return os.ErrProcessDone
	default:
		return syscall.Kill(p.pid, sig)
	}
}

// stopped reports whether each of the server's threads has been stopped by a signal, as far as
// the system tells.
func (p *process) stopped() bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pid))
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if _, state, named := strings.Cut(string(stat), ") "); err == nil && named && !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// outputFile is where, in its directory, the supervisor puts what a server prints.
const outputFile = "output"

// tailLines is what a reader needs of a server that failed to start.
const tailLines = 15

// tail returns the last lines that the server printed, but for a dev server's
// unseal key: tail ends up in the test's output.
func (p *process) tail() string {
	output, err := os.ReadFile(filepath.Join(p.dir, outputFile))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, unsealKeyLine) })
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
