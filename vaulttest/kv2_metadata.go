package vaulttest

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"unicode"
)

var kvMetadataFields = schema{
	"path": inPath, "exclude_deleted": asBool, "cas_required": asBool, "max_versions": asInt,
	"delete_version_after": asSeconds, "custom_metadata": asObject,
}

// serveMetadata answers metadata/PATH.
func (e *kv2Engine) serveMetadata(c *call, path string) reply {
	f, bad := c.fields(kvMetadataFields)
	if bad != nil {
		return *bad
	}
	switch c.method {
	case http.MethodGet:
		return e.readMetadata(path, f)
	case "LIST":
		return kvList(e.keys, path, func(k *kvKey) bool {
			// One that is to be deleted later counts as deleted here.
			v := k.versions[k.current]
			return f.bool("exclude_deleted") && v != nil && !v.deleted.IsZero()
		}, f)
	case http.MethodDelete:
		delete(e.keys, path)
		return noContent()
	case http.MethodPatch:
		return e.patchMetadata(path, f)
	}
	return e.writeMetadata(c, path, f)
}

func (e *kv2Engine) readMetadata(path string, f fields) reply {
	k := e.keys[path]
	if k == nil {
		return fail(http.StatusNotFound)
	}
	versions := map[string]any{}
	for n, v := range k.versions {
		versions[strconv.Itoa(n)] = map[string]any{
			"created_time": timeText(v.created), "deletion_time": timeOrEmpty(v.deleted), "destroyed": v.destroyed,
			"created_by": v.createdBy, "deleted_by": v.deletedBy,
		}
	}
	return f.ok("kv", map[string]any{
		"versions": versions, "current_version": k.current, "oldest_version": k.oldest,
		"created_time": timeText(k.created), "updated_time": timeText(k.updated), "max_versions": k.maxVersions,
		"cas_required": k.casRequired, "delete_version_after": k.deleteAfter.String(),
		"custom_metadata": k.custom, "last_updated_by": k.updatedBy,
	})
}

// writeMetadata sets what the request names, also of a secret that has no version yet.
func (e *kv2Engine) writeMetadata(c *call, path string, f fields) reply {
	if !f.has("max_versions") && !f.has("cas_required") && !f.has("delete_version_after") && !f.has("custom_metadata") {
		return noContent()
	}
	custom, bad := customMetadata(f.object("custom_metadata"), false)
	if bad != nil {
		return *bad
	}
	k := e.keys[path]
	if k == nil {
		k = &kvKey{versions: map[int]*kvVersion{}, created: c.now, updated: c.now}
		e.keys[path] = k
	}
	k.set(f)
	if f.has("custom_metadata") {
		k.custom = custom
	}
	return e.metadataWritten(f)
}

// metadataWritten warns of a setting that has no effect.
func (e *kv2Engine) metadataWritten(f fields) reply {
	if e.config.casRequired && f.has("cas_required") && !f.bool("cas_required") {
		f.warnings = append([]string{`"cas_required" set to false, but is mandated by backend config. This value will be ignored.`}, f.warnings...)
		return f.ok("kv", nil)
	}
	return noContent()
}

// patchMetadata changes a secret's settings, and of its custom metadata what the request names.
func (e *kv2Engine) patchMetadata(path string, f fields) reply {
	if _, bad := customMetadata(f.object("custom_metadata"), true); bad != nil {
		return *bad
	}
	k := e.keys[path]
	if k == nil {
		return reply{status: http.StatusNotFound}
	}
	custom := mergePatch(map[string]any{}, k.custom)
	if patch := f.object("custom_metadata"); patch != nil {
		custom = mergePatch(custom, patch)
	} else if f.has("custom_metadata") {
		custom = nil
	}
	// A patch goes through JSON in Vault, where only the exact types will do.
	const misfit = "json: cannot unmarshal %s into Go struct field KeyMetadata.%s"
	for _, value := range custom {
		switch value.(type) {
		case json.Number:
			return failList(http.StatusInternalServerError, fmt.Sprintf(misfit, "number", "custom_metadata of type string"))
		case bool:
			return failList(http.StatusInternalServerError, fmt.Sprintf(misfit, "bool", "custom_metadata of type string"))
		}
	}
	if n := f.int("max_versions"); n < 0 || int64(n) > math.MaxUint32 {
		return failList(http.StatusInternalServerError, fmt.Sprintf(misfit, fmt.Sprintf("number %d", n), "max_versions of type uint32"))
	}
	k.set(f)
	if k.custom = custom; len(custom) == 0 {
		k.custom = nil
	}
	return e.metadataWritten(f)
}

// customMetadata turns a request's custom metadata into texts, within Vault's limits. In a patch
// null removes, and so has no text.
func customMetadata(raw map[string]any, isPatch bool) (map[string]any, *reply) {
	const prefix = "custom_metadata validation failed: "
	texts := map[string]any{}
	for name, value := range raw {
		if isPatch && value == nil {
			continue
		}
		text, err := convert(value, asText)
		if err != nil {
			r := fail(http.StatusBadRequest, prefix+err.Error())
			return nil, &r
		}
		texts[name] = text
	}
	var problems []string
	note := func(format string, args ...any) { problems = append(problems, prefix+fmt.Sprintf(format, args...)) }
	if len(texts) > 64 {
		note("payload must contain at most 64 keys, provided %d", len(texts))
		texts = nil
	}
	for _, name := range sortedKeys(texts) {
		text, _ := texts[name].(string)
		if n := len(name); n == 0 || n > 128 {
			note("length of key %q is %d but must be 0 < len(key) <= 128", name, n)
		}
		if n := len(text); n == 0 || n > 512 {
			note("length of value for key %q is %d but must be 0 < len(value) <= 512", name, n)
		}
		if !printable(name) {
			note("key %q (%s) contains unprintable characters", name, name)
		}
		if !printable(text) {
			note("value for key %q contains unprintable characters", name)
		}
	}
	if problems != nil {
		r := failList(http.StatusBadRequest, problems...)
		return nil, &r
	}
	if len(texts) == 0 {
		return nil, nil
	}
	return texts, nil
}

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
