package testvault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Node is one server of a cluster. Its methods as a Server talk to it alone,
// which, while it is a standby, asks the leader. Stop takes its disk along.
type Node struct {
	*Server
	name              string
	port, clusterPort int
	bin               string
	options           options
	freePort          portChooser
	logs              []*Audit // one of each process that the node has been
	reserved          []*reservation
}

type portChooser func(context.Context) (int, error)

func startNode(tb testing.TB, name, bin string, o options, freePort portChooser) (*Node, error) {
	tb.Helper()
	n := &Node{
		Server: &Server{tb: tb, instance: &instance{}},
		name:   name, bin: bin, options: o, freePort: freePort,
	}
	var dir string
	p, _, err := launch(tb.Context(), name,
		func(d string, port int) (command, error) {
			dir = d
			clusterPort, err := freePort(tb.Context())
			n.port, n.clusterPort = port, clusterPort
			return n.command(dir), errors.Join(err, n.writeFiles(dir))
		},
		func(context.Context, int) error { return started(dir) })
	if err != nil {
		return nil, err
	}
	n.runs(p)
	return n, nil
}

// The nodes' paths are relative to their process's directory, so that the storage
// can move to that of the next process.
const (
	configFile = "config.json"
	storageDir = "raft"
)

func (n *Node) command(dir string) command {
	return command{
		dir:  dir,
		args: append([]string{n.bin, "server", "-config=" + configFile}, n.options.args...),
		env: append(append(scrubbed(os.Environ()),
			"HOME="+dir,
			// Autopilot lets a new node vote after ten seconds at the earliest. It
			// has no part in an election.
			"VAULT_RAFT_AUTOPILOT_DISABLE=1",
		), n.options.env...),
		// A leader that is asked to end looks for a successor first, and in vain
		// where all end. What it holds is of no use to anybody.
		stop: "KILL",
	}
}

func (n *Node) writeFiles(dir string) error {
	config, err := json.Marshal(map[string]any{
		"disable_mlock": true,
		"api_addr":      fmt.Sprintf("http://127.0.0.1:%d", n.port),
		"cluster_addr":  fmt.Sprintf("https://127.0.0.1:%d", n.clusterPort),
		"listener": map[string]any{"tcp": map[string]any{
			"address":         fmt.Sprintf("127.0.0.1:%d", n.port),
			"cluster_address": fmt.Sprintf("127.0.0.1:%d", n.clusterPort),
			"tls_disable":     true,
		}},
		"storage": map[string]any{"raft": map[string]any{
			"path": storageDir, "node_id": n.name,
			// A second without the leader's heartbeat calls an election: the
			// fastest that Vault offers.
			"performance_multiplier": "1",
		}},
	})
	return errors.Join(err,
		os.WriteFile(filepath.Join(dir, configFile), config, 0o600),
		os.MkdirAll(filepath.Join(dir, storageDir), 0o700),
		// A node that never leads writes none.
		os.WriteFile(filepath.Join(dir, auditLog), nil, 0o600))
}

// started tells whether the server in dir has bound its listener. It asks no
// port: a Vault without a token cannot be told from a stranger's.
func started(dir string) error {
	if !printed(dir, "Vault server started!") {
		return errors.New("not listening yet")
	}
	return nil
}

func printed(dir, text string) bool {
	output, err := os.ReadFile(filepath.Join(dir, outputFile))
	return err == nil && strings.Contains(string(output), text)
}

// runs makes p the node's process.
func (n *Node) runs(p *process) {
	n.tb.Cleanup(p.end)
	n.process = p
	n.addr = fmt.Sprintf("http://127.0.0.1:%d", n.port)
	n.auditFile = filepath.Join(p.dir, auditLog)
	n.logs = append(n.logs, &Audit{tb: n.tb, file: n.auditFile, from: new(atomic.Int64)})
}

// Name is the node's name in the cluster.
func (n *Node) Name() string { return n.name }

// Kill ends the node with SIGKILL. Its disk and its place in the cluster remain.
func (n *Node) Kill() {
	n.tb.Helper()
	n.signal(syscall.SIGKILL)
	select {
	case <-n.process.exited:
	case <-time.After(startWithin):
		n.tb.Fatalf("testvault: %s outlives SIGKILL", n.name)
	}
	for _, port := range []int{n.port, n.clusterPort} {
		r, err := reserve(port)
		if err != nil {
			n.tb.Fatalf("testvault: keep %s's port: %v", n.name, err)
		}
		n.tb.Cleanup(r.release)
		n.reserved = append(n.reserved, r)
	}
}

// Restart starts a killed node again, with the same disk on the same ports, and
// unseals it. AwaitLeader waits until it knows the leader.
func (n *Node) Restart() {
	n.tb.Helper()
	n.revive()
	if err := n.open(); err != nil {
		n.tb.Fatalf("testvault: %s: %s", n.name, n.redact(err.Error()))
	}
}

// revive starts the node, which is sealed then. The storage moves to the new
// process's directory; the old one's, with its audit log, stays until the test
// ends.
func (n *Node) revive() {
	n.tb.Helper()
	old := n.process.dir
	var dir string
	p, _, err := launchOnce(n.tb.Context(),
		func(d string, _ int) (command, error) {
			dir = d
			err := errors.Join(
				os.Rename(filepath.Join(old, storageDir), filepath.Join(dir, storageDir)),
				n.writeFiles(dir))
			for _, r := range n.reserved {
				r.release()
			}
			n.reserved = nil
			return n.command(dir), err
		},
		func(context.Context, int) error { return started(dir) })
	if err != nil {
		n.tb.Fatalf("testvault: restart %s: %v", n.name, err)
	}
	n.runs(p)
}

// open unseals the node and waits until it serves the cluster.
func (n *Node) open() error {
	n.tb.Helper()
	n.Unseal()
	taken := false
	err := n.process.await(n.tb.Context(), func(context.Context) error {
		taken = printed(n.process.dir, "address already in use")
		if taken || printed(n.process.dir, "serving cluster requests") {
			return nil
		}
		return errors.New("its cluster port is not open")
	})
	if taken {
		return errPortTaken
	}
	return err
}

// Seal seals the node. Vault refuses that to a standby, and says "please restart
// instead", so that is what happens to one.
func (n *Node) Seal() {
	n.tb.Helper()
	status, answer, err := n.TryWrite("sys/seal", nil)
	if err == nil && status == http.StatusInternalServerError && strings.Contains(fmt.Sprint(answer["errors"]), "restart instead") {
		n.Kill()
		n.revive()
	} else {
		n.check(http.MethodPut, "sys/seal", status, answer, err)
	}
	n.awaitSealed(true)
}

// reservation keeps the port of a dead node: bound, so that nobody else is given
// it, and not listening, so that who connects is refused, as by a dead node. The
// other nodes connect to it all the time, and without it one of those attempts
// could be given the very port to connect from.
type reservation struct {
	fd   int
	once sync.Once
}

func reserve(port int) (*reservation, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, err
	}
	// The dead node's connections linger on the port.
	if err := errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte(net.IPv4(127, 0, 0, 1).To4())}),
	); err != nil {
		return nil, errors.Join(err, syscall.Close(fd))
	}
	return &reservation{fd: fd}, nil
}

func (r *reservation) release() {
	r.once.Do(func() { _ = syscall.Close(r.fd) })
}
