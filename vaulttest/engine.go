package vaulttest

import (
	"cmp"
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

// validator is a finder that looks at a write's fields on the way, so that one of a wrong type is
// refused before the policies are asked.
type validator interface {
	validate(c *call, rest string) *reply
}

// clocked is an engine in which something happens at a time, such as a rotation.
type clocked interface {
	// pass does what is due at now, and returns when to come back; zero: nothing is coming.
	pass(s *Server, now time.Time) (next time.Time)
}

// engines makes the engine of each kind of mount. The kind is Vault's "type", with the version
// behind it for KV.
var engines = map[string]func() engine{
	"approle":   newAppRoleMethod,
	"aws":       newAWSMethod,
	"cubbyhole": func() engine { return cubbyholeEngine{} },
	"database": func() engine {
		return &databaseEngine{roles: map[string]*dynamicRole{}, static: map[string]*staticRole{}}
	},
	"jwt":        newJWTMethod,
	"kubernetes": newKubernetesMethod,
	"kv-v1":      func() engine { return &kv1Engine{secrets: map[string]map[string]any{}} },
	"kv-v2":      func() engine { return &kv2Engine{keys: map[string]*kvKey{}} },
	"pki":        func() engine { return &pkiEngine{roles: map[string]*PKIRoleSpec{}, certs: map[string]*pkiCert{}} },
	"token":      func() engine { return tokenMethod{} },
	"transit":    func() engine { return &transitEngine{keys: map[string]*transitKey{}} },
	"userpass":   newUserpassMethod,
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
	if strings.HasPrefix(m.path, "auth/") && m.kind != "token" {
		return map[string]string{}
	}
	return nil
}

// displayName is that of a token from this auth method: the mount's path, and who logged in.
func (m *mount) displayName(who string) string {
	path := strings.ReplaceAll(strings.TrimPrefix(m.path, "auth/"), "/", "-")
	return strings.TrimSuffix(path+who, "-")
}

// mount returns the engine at path, mounted if need be, or ends the test if one of another kind is
// there. The caller holds mu.
func (s *Server) mount(path, kind string) *mount {
	s.tb.Helper()
	if path = s.mountPath(path); path == "" {
		return nil
	}
	m := s.mounts[path]
	if m == nil {
		m = &mount{path: path, kind: kind, uuid: newUUID(), engine: engines[kind]()}
		m.accessor = m.typ() + "_" + randomHex(4)
		if strings.HasPrefix(path, "auth/") {
			m.accessor = "auth_" + m.accessor
		}
		s.mounts[path] = m
	}
	if m.kind != kind {
		s.tb.Fatalf("vaulttest: at %q there is %s already, which is no %s", path, m.kind, kind)
		return nil
	}
	return m
}

// authMount is mount for the auth method at a spec's Mount, which is below auth/; empty: where Vault
// mounts the kind by itself. The caller holds mu.
func (s *Server) authMount(path, kind string) *mount {
	s.tb.Helper()
	if path = s.mountPath(cmp.Or(path, kind)); path == "" {
		return nil
	}
	if below, found := strings.CutPrefix(path, "auth/"); found {
		s.tb.Fatalf("vaulttest: Mount is without auth/: %q", strings.TrimSuffix(below, "/"))
		return nil
	}
	return s.mount("auth/"+path, kind)
}

// mountPath is a mount's path as the test gives it, with a slash at its end alone; without anything
// in it, it ends the test and is empty.
func (s *Server) mountPath(path string) string {
	s.tb.Helper()
	if path = slashed(path); path == "/" {
		s.tb.Fatalf("vaulttest: the path of a mount is empty")
		return ""
	}
	return path
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
