package testvault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// clusterSize is the smallest number of nodes that can lose one.
const clusterSize = 3

// VaultCluster is a highly available Vault: three servers with integrated
// storage, of which one, the leader, is active. Like a dev server it is unsealed
// and has a KV v2 engine at "secret".
//
// Its methods as a Server talk to the node that was the leader when AwaitLeader
// was last called, by whatever view. Nothing is repeated or sent elsewhere: after
// a failover, call AwaitLeader.
type VaultCluster struct {
	*Server
	nodes []*Node
}

// Cluster starts a cluster that lives as long as the test. opts apply to each
// node.
func Cluster(tb testing.TB, opts ...Option) *VaultCluster {
	tb.Helper()
	bin, o := prepare(tb, opts)
	const attempts = 5
	var err error
	for range attempts {
		c := &VaultCluster{Server: &Server{tb: tb, instance: &instance{}}}
		if err = c.form(bin, o, freePort); err == nil {
			c.furnish()
			return c
		}
		for _, n := range c.nodes {
			n.Stop()
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	tb.Fatalf("testvault: %s", err)
	return nil
}

// form starts the nodes and makes a cluster of them. Vault exits when it cannot
// bind the port of its API, which launch sees, but goes on without that of the
// cluster: then everything is tried again on other ports.
func (c *VaultCluster) form(bin string, o options, freePort portChooser) error {
	c.tb.Helper()
	for i := range clusterSize {
		n, err := startNode(c.tb, fmt.Sprintf("node-%d", i), bin, o, freePort)
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, n)
	}
	first := c.nodes[0]
	answer := first.Write("sys/init", map[string]any{"secret_shares": 1, "secret_threshold": 1})
	keys, _ := answer["keys_base64"].([]any)
	if len(keys) != 1 {
		return errors.New("sys/init: no key in the answer")
	}
	root, key := c.field(answer, "root_token"), fmt.Sprint(keys[0])
	for _, n := range c.nodes {
		n.token, n.root, n.unsealKey = root, root, key
		if n != first {
			n.Write("sys/storage/raft/join", map[string]any{"leader_api_addr": first.addr})
		}
		if err := n.open(); err != nil {
			return err
		}
		// The leader counts a node's vote before that node can give it, and gives
		// up when it hears from no majority for half a second: whoever joined in
		// that gap would be refused.
		c.AwaitLeader()
	}
	c.token, c.root, c.unsealKey = root, root, key
	return nil
}

// furnish makes the cluster what a dev server is from the start.
func (c *VaultCluster) furnish() {
	c.tb.Helper()
	Poll(c.tb, startWithin, func() bool { return len(c.Voters()) == clusterSize }, "three voters")
	c.enableAudit()
	c.Mount("secret", "kv", map[string]string{"version": "2"})
	Poll(c.tb, startWithin, func() bool {
		status, _, err := c.TryRead("secret/config")
		return err == nil && status == http.StatusOK
	}, "the KV engine's upgrade to version 2")
}

// Nodes returns all nodes, the dead ones too.
func (c *VaultCluster) Nodes() []*Node { return slices.Clone(c.nodes) }

// Voters returns the names of the nodes that vote, as the leader has it.
func (c *VaultCluster) Voters() []string {
	c.tb.Helper()
	config, _ := c.Read("sys/storage/raft/configuration")["data"].(map[string]any)
	config, _ = config["config"].(map[string]any)
	servers, _ := config["servers"].([]any)
	var voters []string
	for _, s := range servers {
		if server, _ := s.(map[string]any); server["voter"] == true {
			voters = append(voters, fmt.Sprint(server["node_id"]))
		}
	}
	return voters
}

// failoverWithin bounds the time from a leader's end to the next one's begin. On
// an idle machine that takes two seconds, or five when the cluster is young: Vault
// trebles its nodes' patience while they start.
const failoverWithin = 30 * time.Second

// AwaitLeader waits until one node is active and all others that can answer know
// it, and returns it. Requests to any of them reach it then.
//
// It returns the old leader when that one has not noticed yet that it is to be
// replaced: Kill and Seal have returned only when it has, and StepDown waits.
func (c *VaultCluster) AwaitLeader() *Node {
	c.tb.Helper()
	return c.awaitLeader(nil)
}

// awaitLeader is AwaitLeader for another leader than not.
func (c *VaultCluster) awaitLeader(not *Node) *Node {
	c.tb.Helper()
	var leader *Node
	var said string
	if !holds(failoverWithin, func() bool {
		leader, said = c.ask()
		return leader != nil && leader != not
	}) {
		c.tb.Fatalf("testvault: no new leader within %v; the nodes say:%s", failoverWithin, said)
	}
	c.follow(leader)
	return leader
}

// follow makes the cluster's own views talk to leader.
func (c *VaultCluster) follow(leader *Node) {
	if c.process == leader.process {
		return
	}
	c.addr, c.process, c.auditFile = leader.addr, leader.process, leader.auditFile
	c.auditFrom.Store(0) // counted in another file
}

// ask asks all nodes who leads. It returns nil while they disagree, and what
// each said.
func (c *VaultCluster) ask() (*Node, string) {
	var leader *Node
	var said strings.Builder
	agreed := map[any]bool{}
	for _, n := range c.nodes {
		ctx, cancel := context.WithTimeout(c.tb.Context(), time.Second) // it may be paused
		status, body, err := n.do(ctx, http.MethodGet, "sys/leader", nil)
		cancel()
		switch {
		case err != nil:
			fmt.Fprintf(&said, "\n%s: %s", n.name, n.redact(err.Error()))
		case status != http.StatusOK: // sealed
			fmt.Fprintf(&said, "\n%s: %d", n.name, status)
		default:
			fmt.Fprintf(&said, "\n%s: the leader is %q", n.name, body["leader_address"])
			agreed[body["leader_address"]] = true
			if body["is_self"] == true {
				leader = n
			}
		}
	}
	if leader == nil || len(agreed) != 1 {
		return nil, said.String()
	}
	return leader, said.String()
}

// agreedWithin bounds how long nodes may be of two minds, as one is that was late to hear
// from the leader.
const agreedWithin = 5 * time.Second

// Leader returns the leader. It fails the test if there is none, or if the nodes do
// not agree for longer than a moment.
func (c *VaultCluster) Leader() *Node {
	c.tb.Helper()
	var leader *Node
	var said string
	if !holds(agreedWithin, func() bool {
		leader, said = c.ask()
		return leader != nil
	}) {
		c.tb.Fatalf("testvault: there is no leader; the nodes say:%s", said)
	}
	c.follow(leader)
	return leader
}

// Standbys returns all nodes but the leader, the dead ones too.
func (c *VaultCluster) Standbys() []*Node {
	c.tb.Helper()
	leader := c.Leader()
	return slices.DeleteFunc(c.Nodes(), func(n *Node) bool { return n == leader })
}

// StepDown makes the leader give up, waits for another one and returns that. The
// old one does not try to lead again for ten seconds: that is Vault's own rule.
func (c *VaultCluster) StepDown() *Node {
	c.tb.Helper()
	old := c.Leader()
	old.Write("sys/step-down", nil)
	return c.awaitLeader(old)
}
