package testvault

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// canary is where the tests keep what must survive.
const canary = "secret/data/canary"

func plant(s *Server, value string) {
	s.tb.Helper()
	s.Write(canary, map[string]any{"data": map[string]any{"canary": value}})
}

func planted(s *Server) string {
	s.tb.Helper()
	return s.field(s.Read(canary), "data", "data", "canary")
}

func TestClusterReplacesAKilledLeaderWhichComesBackAsAVoter(t *testing.T) {
	c := Cluster(t)
	require.ElementsMatch(t, []string{"node-0", "node-1", "node-2"}, c.Voters())
	plant(c.Server, "before")
	token := c.field(c.Write("auth/token/create", map[string]any{"ttl": "1h"}), "auth", "client_token")
	app := c.As(token)
	c.Audit().Reset()
	request(t, c.Server, token, http.MethodGet, canary, "")

	dead := c.Leader()
	dead.Kill()
	_, _, err := dead.TryRead("sys/health")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	leader := c.AwaitLeader()
	require.NotEqual(t, dead.Name(), leader.Name())
	require.Equal(t, leader.Addr(), app.Addr(), "the cluster's views should follow the leader")
	assert.Equal(t, "before", planted(c.Server))
	assert.True(t, c.Alive(token))
	plant(c.Server, "after")
	request(t, leader.Server, token, http.MethodGet, canary, "")

	audit := c.Audit()
	assert.Equal(t, 2, audit.Count("read", canary), "one in the dead node's log, one in the new leader's")
	assert.Equal(t, map[string]int{canary: 2}, audit.Paths())
	responses := audit.Responses()
	require.Len(t, responses, 2)
	assert.True(t, responses[0].Time.Before(responses[1].Time))
	assert.Equal(t, responses[0].Accessor, responses[1].Accessor, "an HMAC should be the same on all nodes")
	assert.Equal(t, 1, dead.logs[0].Count("read", canary))
	assert.Equal(t, 1, leader.Audit().Count("read", canary))
	assert.NotContains(t, string(c.AuditRaw()), token)

	addr := dead.Addr()
	dead.Restart()
	require.Equal(t, leader.Name(), c.AwaitLeader().Name())
	assert.Equal(t, addr, dead.Addr())
	assert.Equal(t, "after", planted(dead.Server))
	assert.Equal(t, 2, audit.Count("read", canary), "the log of its former life should still count")

	// Without the other standby a write needs the one that came back.
	for _, n := range c.Standbys() {
		if n != dead {
			n.Kill()
		}
	}
	plant(c.Server, "by two")
	assert.Equal(t, "by two", planted(c.Server))
}

func TestClusterKeepsTheFreePortsOfADeadNode(t *testing.T) {
	port, err := freePort(t.Context())
	require.NoError(t, err)
	kept, err := reserve(port)
	require.NoError(t, err)
	defer kept.release()
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}

	_, err = net.DialTCP("tcp", nil, addr)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = other.Close() }()
	_, err = net.DialTCP("tcp", addr, other.Addr().(*net.TCPAddr))
	require.ErrorIs(t, err, syscall.EADDRINUSE, "nobody should connect from the port")

	kept.release()
	l, err := net.ListenTCP("tcp", addr)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

// A standby forwards what it is asked to the leader, on a connection of its own,
// and hands back the answer: the client sees no redirect. With the header
// X-Vault-No-Request-Forwarding it answers 307 with the leader's api_addr and
// no body. The same two ways are the HTTP API's for every method.
func TestClusterStandbyForwardsUnlessItIsToldNotTo(t *testing.T) {
	c := Cluster(t)
	plant(c.Server, "planted-value")
	leader, standby := c.Leader(), c.Standbys()[0]
	client := &http.Client{
		Transport:     httpClient.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ask := func(n *Node, method, header string) (status int, location string, body []byte) {
		req, err := http.NewRequestWithContext(t.Context(), method, n.Addr()+"/v1/"+canary, http.NoBody)
		require.NoError(t, err)
		req.Header.Set("X-Vault-Token", c.RootToken())
		if header != "" {
			req.Header.Set("X-Vault-No-Request-Forwarding", header)
		}
		resp, err := client.Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		body, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, resp.Header.Get("Location"), body
	}

	c.Audit().Reset()
	status, location, body := ask(standby, http.MethodGet, "")
	assert.Equal(t, http.StatusOK, status)
	assert.Empty(t, location)
	assert.Contains(t, string(body), "planted-value")
	assert.Equal(t, 1, leader.Audit().Count("read", canary), "the leader should have answered")
	assert.Empty(t, standby.Audit().Entries(), "a standby writes no audit entries")

	c.Audit().Reset()
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		status, location, body = ask(standby, method, "true")
		assert.Equal(t, http.StatusTemporaryRedirect, status, method)
		assert.Equal(t, leader.Addr()+"/v1/"+canary, location, method)
		assert.Empty(t, body, method)
	}
	assert.Empty(t, c.Audit().Responses(), "nobody should have acted")

	status, _, body = ask(leader, http.MethodGet, "true")
	assert.Equal(t, http.StatusOK, status, "the header should mean nothing to the leader")
	assert.Contains(t, string(body), "planted-value")
}

func TestClusterLeaderThatStepsDownBecomesAStandby(t *testing.T) {
	c := Cluster(t)
	plant(c.Server, "planted-value")
	c.Audit().Reset()
	request(t, c.Server, c.RootToken(), http.MethodGet, canary, "")
	old := c.Leader()
	leader := c.StepDown()
	assert.NotEqual(t, old.Name(), leader.Name())
	assert.Equal(t, leader.Name(), c.Leader().Name())
	assert.Equal(t, leader.Addr(), c.Addr())
	assert.True(t, slices.Contains(c.Standbys(), old))
	assert.Equal(t, "planted-value", planted(old.Server), "it should forward now")
	request(t, old.Server, c.RootToken(), http.MethodGet, canary, "")
	assert.Equal(t, 2, c.Audit().Count("read", canary))
	assert.Equal(t, 1, old.Audit().Count("read", canary))
}

func TestClusterNodesCanBeSealedAndUnsealed(t *testing.T) {
	c := Cluster(t)
	plant(c.Server, "planted-value")
	leader, standby := c.Leader(), c.Standbys()[0]

	status, body, err := standby.TryWrite("sys/seal", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusInternalServerError, status)
	require.Contains(t, fmt.Sprint(body["errors"]), "cannot seal when in standby mode")

	for _, n := range []*Node{standby, leader} {
		n.Seal()
		status, _, err := n.TryRead(canary)
		require.NoError(t, err)
		assert.Equal(t, http.StatusServiceUnavailable, status)
		other := c.AwaitLeader()
		assert.NotEqual(t, n.Name(), other.Name())
		assert.Equal(t, "planted-value", planted(c.Server))

		n.Unseal()
		assert.Equal(t, other.Name(), c.AwaitLeader().Name(), "it should come back as a standby")
		assert.Equal(t, "planted-value", planted(n.Server))
	}
	assert.Len(t, c.Voters(), clusterSize)
}

// A frozen leader is the failure that no closed connection tells of.
func TestClusterReplacesAPausedLeader(t *testing.T) {
	c := Cluster(t)
	plant(c.Server, "planted-value")
	old := c.Leader()
	old.Pause()
	leader := c.AwaitLeader()
	assert.NotEqual(t, old.Name(), leader.Name())
	assert.Equal(t, "planted-value", planted(c.Server))
	old.Resume()
	assert.Equal(t, leader.Name(), c.AwaitLeader().Name())
	assert.Equal(t, "planted-value", planted(old.Server))
}

func TestClusterWithoutALeaderSaysSo(t *testing.T) {
	r := &recorder{TB: t}
	c := &VaultCluster{Server: &Server{tb: r, instance: &instance{}}}
	assert.Panics(t, func() { c.Leader() })
	assert.Contains(t, r.failed, "there is no leader")
}

func TestTakenClusterPortIsSeen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	bin, o := prepare(t, nil)
	c := &VaultCluster{Server: &Server{tb: t, instance: &instance{}}}
	err = c.form(bin, o, func(context.Context) (int, error) {
		return taken.Addr().(*net.TCPAddr).Port, nil
	})
	assert.ErrorIs(t, err, errPortTaken)
}

const clusterHolderEnv = "TESTVAULT_TEST_CLUSTER_HOLDER"

// TestClusterHolder is to a cluster what TestHolder is to single servers. One
// node has been killed, and one killed and restarted.
func TestClusterHolder(t *testing.T) {
	end := os.Getenv(clusterHolderEnv)
	if end == "" {
		return
	}
	c := Cluster(t)
	var h holder
	note := func(n *Node) {
		h.Processes = append(h.Processes, n.process.pid, n.process.supervisor.Process.Pid)
		h.Dirs = append(h.Dirs, n.process.dir)
		h.Addresses = append(h.Addresses, strings.TrimPrefix(n.Addr(), "http://"))
	}
	for _, n := range c.Nodes() {
		note(n)
	}
	standbys := c.Standbys()
	standbys[0].Kill()
	standbys[0].Restart()
	note(standbys[0])
	standbys[1].Kill()
	require.NoError(t, json.NewEncoder(os.Stdout).Encode(h))
	if end == "panic" {
		go panic("a goroutine of the test panics")
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestAClusterIsGoneWhateverEndsTheTest(t *testing.T) {
	for _, end := range []string{"panic", "kill"} {
		t.Run(end, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestClusterHolder$")
			cmd.Env = append(os.Environ(), clusterHolderEnv+"="+end)
			_, err := cmd.StdinPipe() // held open: TestClusterHolder waits for its end
			require.NoError(t, err)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			line, err := bufio.NewReader(stdout).ReadBytes('\n')
			require.NoError(t, err)
			var h holder
			require.NoError(t, json.Unmarshal(line, &h), "%s", line)
			if end == "kill" {
				require.NotEmpty(t, h.remains())
				require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
			}
			_ = cmd.Wait()
			Poll(t, 10*time.Second, func() bool { return len(h.remains()) == 0 }, "the end of the orphaned cluster")
		})
	}
}
