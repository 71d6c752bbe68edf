package vaulttest

import (
	"net/http"
	"slices"
	"strings"
)

// cubbyholeEngine is each token's own store, which dies with it.
type cubbyholeEngine struct{}

// lacks implements finder.
func (cubbyholeEngine) lacks(c *call, rest string) bool {
	return c.token.cubbyhole[rest] == nil
}

// serve implements engine.
func (cubbyholeEngine) serve(c *call, _ *mount, rest string) reply {
	held := c.token.cubbyhole
	switch {
	case c.token.batch: // it is stored nowhere, and so can store nothing
		return fail(http.StatusBadRequest, `cubbyhole operations are only supported by "service" type tokens`)
	case c.method == "LIST":
		keys := folder(held, rest)
		if len(keys) == 0 {
			return fail(http.StatusNotFound)
		}
		return ok("cubbyhole", map[string]any{"keys": keys})
	case c.method == http.MethodDelete:
		delete(held, rest)
		return noContent()
	case c.method == http.MethodPatch:
		return unsupportedOperation()
	case c.write && len(c.params) == 0:
		return failList(http.StatusInternalServerError, "missing data fields")
	case rest == "":
		return failList(http.StatusInternalServerError, "missing path")
	case c.write:
		if c.token.cubbyhole == nil {
			c.token.cubbyhole = map[string]map[string]any{}
		}
		c.token.cubbyhole[rest] = c.params
		return noContent()
	case held[rest] == nil:
		return fail(http.StatusNotFound)
	}
	e := envelope{Data: cloneMap(held[rest]), MountType: "cubbyhole"}
	if rest == "response" && slices.Equal(c.token.policies, []string{wrappingPolicy}) {
		e.Warnings = []string{"Reading from 'cubbyhole/response' is deprecated. Please use sys/wrapping/unwrap to unwrap responses, as it provides additional security checks and other benefits."}
	}
	return answer(http.StatusOK, e)
}

// folder lists what is below a folder: names, and folders with their slash, in order.
func folder[V any](held map[string]V, path string) []string {
	if path = strings.TrimSuffix(path, "/"); path != "" {
		path += "/"
	}
	var keys []string
	for name := range held {
		rest, below := strings.CutPrefix(name, path)
		if !below || rest == "" {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		if deeper {
			name += "/"
		}
		keys = append(keys, name)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
