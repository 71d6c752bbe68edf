package vaulttest

import (
	"strings"
	"time"
)

// engine answers the requests below one mount. It runs with the server's lock held and keeps its
// state in its own fields; the test's own code it calls by Server.outside.
type engine interface {
	// serve answers a request that the token's policies allow. rest is the path below the mount.
	serve(c *call, m *mount, rest string) reply
}

// opener is an engine that answers some paths without a token, such as a login.
type opener interface {
	// opens tells whether rest is such a path. A token that is sent along is ignored, be it dead.
	opens(rest string) bool
}

// finder is an engine that can tell a creation from an update, as policies do.
type finder interface {
	// lacks tells whether a write to rest would create something.
	lacks(c *call, rest string) bool
}

// clocked is an engine in which something happens at a time, such as a rotation.
type clocked interface {
	// pass does what is due at now, and returns when to come back; zero: nothing is coming.
	pass(s *Server, now time.Time) (next time.Time)
}

// engines makes the engine of each kind of mount. The kind is Vault's "type", with the version
// behind it for KV.
var engines = map[string]func() engine{
	"approle":  func() engine { return &approleMethod{roles: map[string]*approle{}, secrets: map[string]*appSecretID{}} },
	"database": func() engine { return &databaseEngine{roles: map[string]*RoleSpec{}} },
	"kv-v2":    func() engine { return &kv2Engine{keys: map[string]*kvKey{}} },
	"token":    func() engine { return tokenMethod{} },
}

// mount is one secrets engine or auth method.
type mount struct {
	path, kind     string // the path has a trailing slash; those of auth methods begin with "auth/"
	accessor, uuid string
	engine         engine
}

// typ is the mount's type as Vault tells it.
func (m *mount) typ() string {
	typ, _, _ := strings.Cut(m.kind, "-v")
	return typ
}

// options are the mount's options as Vault tells them; nil if it has none.
func (m *mount) options() any {
	if typ, version, found := strings.Cut(m.kind, "-v"); found && typ == "kv" {
		return map[string]string{"version": version}
	}
	return nil
}

// mount returns the engine at path, mounted if need be, or ends the test if one of another kind is
// there. The caller holds mu.
func (s *Server) mount(path, kind string) *mount {
	path = slashed(path)
	m := s.mounts[path]
	if m == nil {
		typ, _, _ := strings.Cut(kind, "-v")
		m = &mount{path: path, kind: kind, accessor: typ + "_" + randomHex(4), uuid: newUUID(), engine: engines[kind]()}
		s.mounts[path] = m
	}
	if m.kind != kind {
		s.tb.Fatalf("vaulttest: at %q there is %s already, which is no %s", path, m.kind, kind)
		return nil
	}
	return m
}

// mountOf returns the mount that serves path, the longest that fits, or nil.
func (s *Server) mountOf(path string) *mount {
	var best *mount
	for p, m := range s.mounts {
		if strings.HasPrefix(path+"/", p) && (best == nil || len(p) > len(best.path)) {
			best = m
		}
	}
	return best
}

func slashed(path string) string { return strings.Trim(path, "/") + "/" }
