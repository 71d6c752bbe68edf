package vaulttest

import (
	"net/http"
	"strings"
	"time"
)

// kv1Engine is a KV version 1 engine: secrets by path, as they were written.
type kv1Engine struct{ secrets map[string]map[string]any }

// lacks implements finder.
func (e *kv1Engine) lacks(_ *call, rest string) bool { return e.secrets[rest] == nil }

// serve implements engine.
func (e *kv1Engine) serve(c *call, _ *mount, rest string) reply {
	switch {
	case c.method == http.MethodGet:
		return e.read(rest)
	case c.method == "LIST":
		folder := strings.TrimSuffix(rest, "/") + "/"
		return kvList(e.secrets, strings.TrimPrefix(folder, "/"), nil, fields{})
	case c.method == http.MethodDelete:
		delete(e.secrets, rest)
		return noContent()
	case !c.write:
		return unsupportedOperation()
	case rest == "":
		return fail(http.StatusBadRequest, "missing path")
	case len(c.params) == 0:
		return fail(http.StatusBadRequest, "missing data fields")
	}
	e.secrets[rest] = c.params
	return noContent()
}

// read answers with a lease_duration, though there is no lease: it tells when to look again.
func (e *kv1Engine) read(path string) reply {
	data := e.secrets[path]
	if data == nil {
		return fail(http.StatusNotFound)
	}
	return answer(http.StatusOK, envelope{Data: data, LeaseDuration: int64(kvTTL(data).Seconds()), MountType: "kv"})
}

// kvTTL is the duration that a KV version 1 secret states in its own data.
func kvTTL(data map[string]any) time.Duration {
	for _, name := range []string{"ttl", "lease"} {
		if value, found := data[name]; found {
			if ttl, err := convertSeconds(value); err == nil {
				return ttl
			}
			break
		}
	}
	return systemTTL
}
