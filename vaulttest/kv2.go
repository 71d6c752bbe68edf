package vaulttest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxVersions is how many versions of a secret Vault keeps by default.
const maxVersions = 10

// kv2Engine is a KV version 2 engine.
type kv2Engine struct {
	keys   map[string]*kvKey
	config kvSettings
}

// kvSettings are what an engine and each of its secrets can set.
type kvSettings struct {
	maxVersions uint32 // zero: not set
	casRequired bool
	deleteAfter time.Duration // zero: never; negative, for the engine only: never, whatever secrets say
}

// kvKey is a secret with its versions.
type kvKey struct {
	kvSettings

	versions         map[int]*kvVersion
	current, oldest  int
	created, updated time.Time
	updatedBy        *kvActor
	custom           map[string]any // texts by name; nil: none
}

type kvVersion struct {
	data                 map[string]any
	created, deleted     time.Time // deleted is zero while it is not, and may lie ahead
	createdBy, deletedBy *kvActor
	destroyed            bool
}

// kvActor is who changed a secret, as its metadata tells.
type kvActor struct {
	Actor     string `json:"actor,omitempty"`
	Operation string `json:"operation,omitempty"`
	EntityID  string `json:"entity_id,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
}

// kvActorOf makes the client ID as Vault does: for a token without an entity it comes from the
// policies, so that tokens with the same ones are the same client.
func kvActorOf(t *token, operation string) *kvActor {
	a := &kvActor{Actor: t.display, Operation: operation, EntityID: t.entityID, ClientID: t.entityID}
	if a.ClientID == "" {
		policies := slices.Sorted(slices.Values(t.policies))
		sum := sha256.Sum256([]byte(strings.Join(policies, "\x7f") + "\x00root"))
		a.ClientID = base64.StdEncoding.EncodeToString(sum[:])
	}
	return a
}

// put adds a version to a secret.
func (e *kv2Engine) put(path string, data map[string]any, now time.Time, by *token) *kvKey {
	k, operation := e.keys[path], "update"
	if k == nil {
		k, operation = &kvKey{versions: map[int]*kvVersion{}, created: now}, "create"
		e.keys[path] = k
	}
	e.add(k, data, now, kvActorOf(by, operation))
	return k
}

// add adds a version and forgets those that are too old. Of the two limits, the secret's and the
// engine's, the greater one counts.
func (e *kv2Engine) add(k *kvKey, data map[string]any, now time.Time, by *kvActor) {
	k.current++
	k.updated, k.updatedBy = now, by
	k.versions[k.current] = &kvVersion{data: data, created: now, createdBy: by, deleted: e.deletion(k, now)}
	limit := int64(max(k.maxVersions, e.config.maxVersions))
	if limit == 0 {
		limit = maxVersions
	}
	for ; int64(k.current-k.oldest) >= limit; k.oldest++ {
		delete(k.versions, k.oldest)
	}
}

// deletion is when a version that is there from now on will be deleted; zero: never. The shorter
// of the two durations counts.
func (e *kv2Engine) deletion(k *kvKey, now time.Time) time.Time {
	after := k.deleteAfter
	if own := e.config.deleteAfter; own != 0 && (own < after || after == 0) {
		after = own
	}
	if after <= 0 {
		return time.Time{}
	}
	return now.Add(after)
}

// gone tells whether the version is deleted, by a request or by its age.
func (v *kvVersion) gone(now time.Time) bool { return !v.deleted.IsZero() && !now.Before(v.deleted) }

func (v *kvVersion) readable(now time.Time) bool { return !v.destroyed && !v.gone(now) }

// delete marks a version as deleted. One that is gone already keeps its time.
func (k *kvKey) delete(n int, now time.Time, by *kvActor) {
	if v := k.versions[n]; v != nil && v.readable(now) {
		v.deleted, v.deletedBy = now, by
	}
}

func (v *kvVersion) destroy() { v.destroyed, v.data = true, nil }

// lacks implements finder.
func (e *kv2Engine) lacks(_ *call, rest string) bool {
	area, path, _ := strings.Cut(rest, "/")
	return (area == "data" || area == "metadata") && path != "" && e.keys[path] == nil
}

// validate implements validator.
func (e *kv2Engine) validate(c *call, rest string) *reply {
	area, _, _ := strings.Cut(rest, "/")
	switch area {
	case "data":
		return c.validate(kvDataFields)
	case "metadata":
		return c.validate(kvMetadataFields)
	}
	return nil
}

// serve implements engine.
func (e *kv2Engine) serve(c *call, _ *mount, rest string) reply {
	if c.method == "LIST" && rest != "" {
		rest = slashed(rest) // a list is always of a folder
	}
	area, path, deeper := strings.Cut(rest, "/")
	switch {
	case rest == "config":
		return e.serveConfig(c)
	case !deeper:
	case area == "data" && path != "" && !strings.HasSuffix(path, "/"):
		return e.serveData(c, path)
	case area == "metadata":
		return e.serveMetadata(c, path)
	case area == "subkeys":
		return e.serveSubkeys(c, path)
	case area == "delete" || area == "undelete" || area == "destroy":
		return e.serveVersions(c, area, path)
	}
	return c.invalidKVPath(rest)
}

// invalidKVPath is the answer to a path without data/ and the like: a 404 that carries a warning
// instead of errors.
func (c *call) invalidKVPath(rest string) reply {
	verb := ""
	switch c.method {
	case http.MethodPost, http.MethodPut:
		verb = "put"
	case http.MethodPatch:
		verb = "patch"
	case http.MethodGet:
		verb = "get"
	case "LIST":
		verb = "list"
	case http.MethodDelete:
		verb = "delete"
	}
	warning := "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv " + verb + "' for this operation."
	switch rest {
	case "metadata", "data", "delete", "undelete", "destroy":
		warning = "Non-listing operations on the root of a K/V v2 mount are not supported."
	}
	return answer(http.StatusNotFound, envelope{Warnings: []string{warning}})
}
