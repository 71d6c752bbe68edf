package vaulttest

import (
	"maps"
	"net/http"
)

var kvDataFields = schema{"path": inPath, "version": asInt, "options": asObject, "data": asObject}

// serveData answers data/PATH.
func (e *kv2Engine) serveData(c *call, path string) reply {
	f, bad := c.fields(kvDataFields)
	if bad != nil {
		return *bad
	}
	switch c.method {
	case http.MethodGet:
		return e.read(c, path, f, "data", func(v *kvVersion) any { return v.data })
	case http.MethodDelete:
		if k := e.keys[path]; k != nil {
			if v := k.versions[k.current]; v != nil && v.readable(c.now) {
				k.updatedBy = kvActorOf(c.token, "delete")
				k.delete(k.current, c.now, k.updatedBy)
			}
		}
		return noContent()
	case http.MethodPatch:
		return e.patch(c, path, f)
	}
	return e.write(c, path, f)
}

// read answers with one version: what show makes of it, under a name, and its metadata. Of one that
// is deleted or destroyed there is still the metadata, with a 404.
func (e *kv2Engine) read(c *call, path string, f fields, name string, show func(*kvVersion) any) reply {
	k := e.keys[path]
	if k == nil {
		return fail(http.StatusNotFound)
	}
	n := f.int("version")
	if n <= 0 {
		n = k.current
	}
	v := k.versions[n]
	if v == nil {
		return fail(http.StatusNotFound)
	}
	data := map[string]any{name: nil, "metadata": k.describe(n)}
	if !v.readable(c.now) {
		return answer(http.StatusNotFound, envelope{Data: data})
	}
	data[name] = show(v)
	return f.ok("kv", data)
}

// describe is a version as reads and writes tell of it.
func (k *kvKey) describe(n int) map[string]any {
	v := k.versions[n]
	return map[string]any{
		"version": n, "created_time": timeText(v.created), "deletion_time": timeOrEmpty(v.deleted),
		"destroyed": v.destroyed, "custom_metadata": k.custom,
	}
}

func (e *kv2Engine) write(c *call, path string, f fields) reply {
	if !f.has("data") {
		return fail(http.StatusBadRequest, "no data provided")
	}
	if bad := e.checkAndSet(f, e.keys[path]); bad != nil {
		return *bad
	}
	k := e.put(path, f.object("data"), c.now, c.token)
	return f.ok("kv", k.describe(k.current))
}

// checkAndSet refuses a write whose author does not know the current version. k is nil for a secret
// that is not there.
func (e *kv2Engine) checkAndSet(f fields, k *kvKey) *reply {
	if k == nil {
		k = &kvKey{}
	}
	problem := ""
	if cas, given := f.object("options")["cas"]; given {
		if n, err := convert(cas, asInt); err != nil {
			problem = "error parsing check-and-set parameter"
		} else if n != k.current {
			problem = "check-and-set parameter did not match the current version"
		}
	} else if e.config.casRequired || k.casRequired {
		problem = "check-and-set parameter required for this call"
	}
	if problem == "" {
		return nil
	}
	r := fail(http.StatusBadRequest, problem)
	return &r
}

// patch writes a new version from the current one.
func (e *kv2Engine) patch(c *call, path string, f fields) reply {
	if !f.has("data") {
		return fail(http.StatusBadRequest, "no data provided")
	}
	k := e.keys[path]
	if k == nil {
		return reply{status: http.StatusNotFound}
	}
	if bad := e.checkAndSet(f, k); bad != nil {
		return *bad
	}
	v := k.versions[k.current]
	switch {
	case v == nil:
		return reply{status: http.StatusNotFound}
	case !v.readable(c.now):
		return answer(http.StatusNotFound, envelope{Data: k.describe(k.current)})
	case v.data == nil:
		return failList(http.StatusInternalServerError, "resource does not exist")
	}
	data := f.object("data")
	if data != nil {
		data = mergePatch(v.data, data)
	}
	e.add(k, data, c.now, kvActorOf(c.token, "patch"))
	return f.ok("kv", k.describe(k.current))
}

// mergePatch applies a JSON merge patch (RFC 7396): null removes. What it returns shares nothing
// that is ever changed.
func mergePatch(doc, patch map[string]any) map[string]any {
	out := maps.Clone(doc)
	for name, value := range patch {
		old, oldIsObject := out[name].(map[string]any)
		object, isObject := value.(map[string]any)
		switch {
		case value == nil:
			delete(out, name)
		case oldIsObject && isObject:
			out[name] = mergePatch(old, object)
		case oldIsObject:
			out[name] = value // not pruned, unlike Vault's other cases
		default:
			out[name] = pruned(value)
		}
	}
	return out
}

// pruned is a value without the nulls in its objects.
func pruned(value any) any {
	switch value := value.(type) {
	case map[string]any:
		return mergePatch(map[string]any{}, value)
	case []any:
		out := make([]any, len(value))
		for i, e := range value {
			out[i] = pruned(e)
		}
		return out
	}
	return value
}

// serveSubkeys answers subkeys/PATH: the names in a secret without their values.
func (e *kv2Engine) serveSubkeys(c *call, path string) reply {
	if c.method != http.MethodGet {
		return unsupportedOperation()
	}
	f, bad := c.fields(schema{"path": inPath, "version": asInt, "depth": asInt})
	if bad != nil {
		return *bad
	}
	return e.read(c, path, f, "subkeys", func(v *kvVersion) any { return subkeys(v.data, f.int("depth"), 1) })
}

// subkeys takes the values out of an object. Objects at the greatest depth, of which zero means
// none, are values like others, and so are empty ones.
func subkeys(object map[string]any, greatest, depth int) map[string]any {
	if object == nil {
		return nil
	}
	out := map[string]any{}
	for name, value := range object {
		out[name] = nil
		if inner, isObject := value.(map[string]any); isObject && len(inner) > 0 && (greatest == 0 || depth < greatest) {
			out[name] = subkeys(inner, greatest, depth+1)
		}
	}
	return out
}
