package testvault

import (
	"slices"
	"testing"
)

// ClusterAudit is the audit logs of all nodes as one, those of killed ones
// included. Only a leader writes entries: a request that a standby forwards
// appears once, in the leader's log.
type ClusterAudit struct {
	tb    testing.TB
	nodes []*Node
}

// Audit returns the cluster's audit log. That of one node is its own Audit.
func (c *VaultCluster) Audit() *ClusterAudit {
	return &ClusterAudit{tb: c.tb, nodes: c.nodes}
}

// AuditRaw returns the whole logs, one after the other.
func (c *VaultCluster) AuditRaw() []byte {
	c.tb.Helper()
	var raw []byte
	for _, log := range c.Audit().logs() {
		raw = append(raw, log.raw()...)
	}
	return raw
}

func (a *ClusterAudit) logs() []*Audit {
	var logs []*Audit
	for _, n := range a.nodes {
		logs = append(logs, n.logs...)
	}
	return logs
}

// Reset makes all counting begin now.
func (a *ClusterAudit) Reset() {
	a.tb.Helper()
	for _, log := range a.logs() {
		log.Reset()
	}
}

// Count is Audit.Count over all nodes.
func (a *ClusterAudit) Count(op, pathPrefix string) int {
	a.tb.Helper()
	n := 0
	for _, log := range a.logs() {
		n += log.Count(op, pathPrefix)
	}
	return n
}

// Paths is Audit.Paths over all nodes.
func (a *ClusterAudit) Paths() map[string]int {
	a.tb.Helper()
	paths := map[string]int{}
	for _, log := range a.logs() {
		for path, n := range log.Paths() {
			paths[path] += n
		}
	}
	return paths
}

// Responses is Audit.Responses of all nodes, in the order of their time.
func (a *ClusterAudit) Responses() []Entry {
	a.tb.Helper()
	return a.merge((*Audit).Responses)
}

// Entries is Audit.Entries of all nodes, in the order of their time.
func (a *ClusterAudit) Entries() []Entry {
	a.tb.Helper()
	return a.merge((*Audit).Entries)
}

func (a *ClusterAudit) merge(entries func(*Audit) []Entry) []Entry {
	a.tb.Helper()
	var all []Entry
	for _, log := range a.logs() {
		all = append(all, entries(log)...)
	}
	slices.SortStableFunc(all, func(x, y Entry) int { return x.Time.Compare(y.Time) })
	return all
}
