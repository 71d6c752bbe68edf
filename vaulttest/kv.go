package vaulttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxVersions is how many versions of a secret Vault keeps by default.
const maxVersions = 10

// kv2Engine is a KV version 2 engine.
type kv2Engine struct{ keys map[string]*kvKey }

type kvKey struct {
	versions         map[int]*kvVersion
	current, oldest  int
	created, updated time.Time
}

type kvVersion struct {
	data             map[string]any
	created, deleted time.Time // deleted is zero while it is not
	destroyed        bool
}

// PutKV writes a secret and returns its new version. Numbers keep their exact value: the data goes
// through JSON as a client's would.
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
	m := s.mounts[slashed(mount)]
	if m == nil || m.kind != "kv-v2" {
		s.tb.Fatalf("vaulttest: PutKV: no KV engine at %q", mount)
		return 0
	}
	return m.engine.(*kv2Engine).put(strings.Trim(path, "/"), kept, s.now())
}

func (e *kv2Engine) put(path string, data map[string]any, now time.Time) int {
	k := e.keys[path]
	if k == nil {
		k = &kvKey{versions: map[int]*kvVersion{}, created: now}
		e.keys[path] = k
	}
	k.current++
	k.updated = now
	k.versions[k.current] = &kvVersion{data: data, created: now}
	if old := k.current - maxVersions; old > 0 {
		delete(k.versions, old)
		k.oldest = old + 1
	}
	return k.current
}

// lacks implements finder.
func (e *kv2Engine) lacks(_ *call, rest string) bool {
	for _, area := range []string{"data/", "metadata/"} {
		if key, found := strings.CutPrefix(rest, area); found && e.keys[key] == nil {
			return true
		}
	}
	return false
}

// serve implements engine.
func (e *kv2Engine) serve(c *call, m *mount, rest string) reply {
	area, path, _ := strings.Cut(rest, "/")
	switch area {
	case "data", "metadata", "delete", "undelete", "destroy":
	case "config", "subkeys":
		return unmodelled(m.path + area)
	default:
		return c.invalidKVPath()
	}
	if path == "" && area == "data" && c.write {
		path = "/" // refused below as any folder
	}
	if path == "" && (area != "metadata" || c.method != "LIST") {
		return c.invalidKVPath()
	}
	switch {
	case strings.HasSuffix(path, "/") && area == "data" && c.write:
		return fail(http.StatusBadRequest, "cannot write to a path ending in '/'")
	case strings.HasSuffix(path, "/") && area == "data":
		return c.invalidKVPath()
	case c.method == http.MethodPatch:
		return unmodelled("PATCH of KV secrets")
	case area == "data" && (c.method == http.MethodGet || c.method == http.MethodHead):
		return e.read(c, path)
	case area == "data" && c.write:
		return e.write(c, path)
	case area == "data" && c.method == http.MethodDelete:
		if k := e.keys[path]; k != nil {
			k.setDeleted(k.current, c.now)
		}
		return noContent()
	case area == "data" && c.method == "LIST":
		return c.invalidKVPath()
	case area == "metadata" && c.method == http.MethodGet:
		return e.readMetadata(c, path)
	case area == "metadata" && c.method == "LIST":
		return e.list(c, path)
	case area == "metadata" && c.method == http.MethodDelete:
		delete(e.keys, path)
		return noContent()
	case area == "metadata" && c.write:
		return unmodelled("writing a KV secret's metadata")
	case area != "data" && area != "metadata" && c.write:
		return e.changeVersions(c, area, path)
	}
	return unsupportedOperation()
}

// invalidKVPath is the answer to a path without data/ and the like: a 404 that carries a warning
// instead of errors.
func (c *call) invalidKVPath() reply {
	verb := "get"
	switch {
	case c.write:
		verb = "put"
	case c.method == "LIST":
		verb = "list"
	case c.method == http.MethodDelete:
		verb = "delete"
	}
	return answer(http.StatusNotFound, envelope{Warnings: []string{
		"Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv " + verb + "' for this operation.",
	}})
}

func (e *kv2Engine) read(c *call, path string) reply {
	k := e.keys[path]
	n := 0
	if text := c.query.Get("version"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			return fail(http.StatusBadRequest, fmt.Sprintf("Field validation failed: error converting input for field \"version\": cannot parse '' as int: strconv.ParseInt: parsing %q: invalid syntax", text))
		}
	}
	if k == nil {
		return fail(http.StatusNotFound)
	}
	if n <= 0 {
		n = k.current
	}
	v := k.versions[n]
	if v == nil {
		return fail(http.StatusNotFound)
	}
	data := map[string]any{"data": nil, "metadata": v.metadata(n)}
	if v.destroyed || !v.deleted.IsZero() {
		return answer(http.StatusNotFound, envelope{Data: data})
	}
	if v.data != nil {
		data["data"] = v.data
	}
	return ok("kv", data)
}

func (v *kvVersion) metadata(n int) map[string]any {
	return map[string]any{
		"version": n, "created_time": timeText(v.created), "deletion_time": v.deletionTime(),
		"destroyed": v.destroyed, "custom_metadata": nil,
	}
}

func (v *kvVersion) deletionTime() string {
	if v.deleted.IsZero() {
		return ""
	}
	return timeText(v.deleted)
}

func (e *kv2Engine) write(c *call, path string) reply {
	raw, given := c.params["data"]
	if !given {
		return fail(http.StatusBadRequest, "no data provided")
	}
	data, isMap := raw.(map[string]any)
	if !isMap && raw != nil {
		return fail(http.StatusBadRequest, fmt.Sprintf("error converting input for field \"data\": '' expected a map, got '%s'", jsonKind(raw)))
	}
	if data == nil {
		data = map[string]any{}
	}
	current := 0
	if k := e.keys[path]; k != nil {
		current = k.current
	}
	if options, hasOptions := c.params["options"].(map[string]any); hasOptions {
		if cas, hasCAS := options["cas"]; hasCAS {
			n, err := strconv.Atoi(fmt.Sprint(cas))
			if err != nil {
				return fail(http.StatusBadRequest, "error parsing check-and-set parameter")
			}
			if n != current {
				return fail(http.StatusBadRequest, "check-and-set parameter did not match the current version")
			}
		}
	}
	n := e.put(path, data, c.now)
	return ok("kv", e.keys[path].versions[n].metadata(n))
}

func (k *kvKey) setDeleted(n int, now time.Time) {
	if v := k.versions[n]; v != nil && !v.destroyed && v.deleted.IsZero() {
		v.deleted = now
	}
}

// changeVersions answers delete, undelete and destroy.
func (e *kv2Engine) changeVersions(c *call, area, path string) reply {
	versions, bad := versionsField(c.params)
	if bad != nil {
		return *bad
	}
	if len(versions) == 0 {
		if area == "destroy" {
			return fail(http.StatusBadRequest, "no version number provided")
		}
		return fail(http.StatusBadRequest, "No version number provided")
	}
	k := e.keys[path]
	if k == nil {
		return noContent()
	}
	for _, n := range versions {
		v := k.versions[n]
		switch {
		case v == nil || v.destroyed:
		case area == "delete":
			k.setDeleted(n, c.now)
		case area == "undelete":
			v.deleted = time.Time{}
		default:
			v.destroyed, v.data = true, nil
		}
	}
	return noContent()
}

func (e *kv2Engine) readMetadata(c *call, path string) reply {
	k := e.keys[path]
	if k == nil {
		return fail(http.StatusNotFound)
	}
	versions := map[string]any{}
	for n, v := range k.versions {
		versions[strconv.Itoa(n)] = map[string]any{
			"created_time": timeText(v.created), "deletion_time": v.deletionTime(), "destroyed": v.destroyed,
			"created_by": nil, "deleted_by": nil,
		}
	}
	return ok("kv", map[string]any{
		"versions": versions, "current_version": k.current, "oldest_version": k.oldest,
		"created_time": timeText(k.created), "updated_time": timeText(k.updated), "max_versions": 0,
		"cas_required": false, "delete_version_after": "0s", "custom_metadata": nil, "last_updated_by": nil,
	})
}

// list lists what is below a folder: names, and folders with their slash.
func (e *kv2Engine) list(c *call, folder string) reply {
	if folder = strings.TrimSuffix(folder, "/"); folder != "" {
		folder += "/"
	}
	var keys []string
	for path := range e.keys {
		rest, below := strings.CutPrefix(path, folder)
		if !below || rest == "" {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		if deeper {
			name += "/"
		}
		keys = append(keys, name)
	}
	if len(keys) == 0 {
		return fail(http.StatusNotFound)
	}
	slices.Sort(keys)
	return ok("kv", map[string]any{"keys": slices.Compact(keys)})
}
