package vaulttest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// MountKV1 mounts a KV version 1 engine at path: without versions, with a lease_duration that the
// secret's own "ttl" sets. A mount that is there already stays.
func (s *Server) MountKV1(path string) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mount(path, "kv-v1")
}

// PutKV writes a secret, whatever check-and-set its engine asks for, and returns its new version; 0
// in KV version 1. Numbers keep their exact value: the data goes through JSON as a client's would. The
// path is as in "vault kv put", without data/, which would be a folder of that name.
func (s *Server) PutKV(mount, path string, data map[string]any) (version int) {
	s.tb.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		s.tb.Fatalf("vaulttest: PutKV %s: %v", path, err)
		return 0
	}
	kept, err := decodeObject(text)
	if err != nil {
		s.tb.Fatalf("vaulttest: PutKV %s: %v", path, err)
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if path = strings.Trim(path, "/"); path == "" {
		s.tb.Fatalf("vaulttest: PutKV: no path below %q", mount)
		return 0
	}
	switch e := s.kvEngine("PutKV", mount).(type) {
	case *kv1Engine:
		e.secrets[path] = kept
	case *kv2Engine:
		version = e.put(path, kept, s.now(), s.tokens[s.rootID]).current
	}
	return version
}

// KV returns what a read of the secret would give now, and its current version: what a program has
// written. The data is nil where there is nothing to read, be it deleted; the version is 0 where
// there is no secret and in KV version 1. Numbers are of type json.Number.
func (s *Server) KV(mount, path string) (data map[string]any, version int) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	path = strings.Trim(path, "/")
	switch e := s.kvEngine("KV", mount).(type) {
	case *kv1Engine:
		data = e.secrets[path]
	case *kv2Engine:
		if k := e.keys[path]; k != nil {
			version = k.current
			if v := k.versions[version]; v != nil && v.readable(s.now()) {
				data = v.data
			}
		}
	}
	return cloneMap(data), version
}

// DeleteKV deletes versions of a secret as an administrator would, the current one if none is
// named: a read then gives 404 until they are undeleted. In KV version 1 the secret is gone.
func (s *Server) DeleteKV(mount, path string, versions ...int) {
	s.tb.Helper()
	s.endKV("DeleteKV", mount, path, versions, func(_ *kv2Engine, k *kvKey) {
		if len(versions) == 0 {
			versions = []int{k.current}
		}
		root := s.tokens[s.rootID]
		for _, n := range versions {
			k.delete(n, s.now(), kvActorOf(root, "update"))
		}
	})
}

// DestroyKV removes the data of versions of a secret for good. Without versions the whole secret is
// gone, as if it had never been written.
func (s *Server) DestroyKV(mount, path string, versions ...int) {
	s.tb.Helper()
	s.endKV("DestroyKV", mount, path, versions, func(e *kv2Engine, k *kvKey) {
		if len(versions) == 0 {
			delete(e.keys, strings.Trim(path, "/"))
		}
		for _, n := range versions {
			k.versions[n].destroy()
		}
	})
}

// endKV ends a secret of KV version 1, or does what end does to one of version 2. A secret or
// version that is not there ends the test: it would be a slip of the pen.
func (s *Server) endKV(method, mount, path string, versions []int, end func(*kv2Engine, *kvKey)) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	path = strings.Trim(path, "/")
	missing := fmt.Sprintf("at %q there is no secret %q", mount, path)
	if len(versions) > 0 {
		missing += fmt.Sprintf(" with versions %v", versions)
	}
	switch e := s.kvEngine(method, mount).(type) {
	case *kv1Engine:
		if len(versions) > 0 || e.secrets[path] == nil {
			s.tb.Fatalf("vaulttest: %s: %s", method, missing)
			return
		}
		delete(e.secrets, path)
	case *kv2Engine:
		k := e.keys[path]
		if k == nil || slices.ContainsFunc(versions, func(n int) bool { return k.versions[n] == nil }) {
			s.tb.Fatalf("vaulttest: %s: %s", method, missing)
			return
		}
		end(e, k)
	}
}

// kvEngine returns the KV engine at mount, or ends the test. The caller holds mu.
func (s *Server) kvEngine(method, mount string) engine {
	s.tb.Helper()
	path := s.mountPath(mount)
	if path == "" {
		return nil
	}
	if m := s.mounts[path]; m != nil && m.typ() == "kv" {
		return m.engine
	}
	s.tb.Fatalf("vaulttest: %s: no KV engine at %q; MountKV2 or MountKV1 makes one", method, mount)
	return nil
}

// kvList answers a list of what is below a folder: names, and folders with their slash. Secrets that
// are hidden are left out; nil: none.
func kvList[V any](secrets map[string]V, folder string, hidden func(V) bool, f fields) reply {
	var keys []string
	for path, secret := range secrets {
		rest, below := strings.CutPrefix(path, folder)
		if !below {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		if deeper {
			name += "/"
		} else if hidden != nil && hidden(secret) {
			continue
		}
		keys = append(keys, name)
	}
	slices.Sort(keys)
	return f.list("kv", slices.Compact(keys))
}
