package vaulttest

import (
	"net/http"
	"strings"
)

// capabilitiesRoute answers sys/capabilities, sys/capabilities-self and sys/capabilities-accessor.
func (c *call) capabilitiesRoute(route string) reply {
	switch {
	case c.method == "LIST":
		return unsupportedPath()
	case !c.write:
		return unsupportedOperation()
	}
	known := schema{"path": asTexts, "paths": asTexts, "token": asIs}
	if route == "capabilities-accessor" {
		known = schema{"path": asTexts, "paths": asTexts, "accessor": asText}
	}
	f, bad := c.fields(known)
	if bad != nil {
		return *bad
	}
	t := c.token
	switch route {
	case "capabilities-accessor":
		if f.text("accessor") == "" {
			return fail(http.StatusBadRequest, "missing accessor")
		}
		if t = c.s.byAccessor(f.text("accessor")); t == nil {
			return failList(http.StatusBadRequest, "invalid accessor")
		}
	case "capabilities":
		if f.text("token") == "" {
			return failList(http.StatusInternalServerError, "no token found")
		}
		t = c.s.tokens[f.text("token")]
	}
	paths := f.texts("paths")
	if len(paths) == 0 {
		paths = f.texts("path")
	}
	if len(paths) == 0 {
		return fail(http.StatusBadRequest, "paths must be supplied")
	}
	data := map[string]any{}
	for _, p := range paths {
		if p == "" {
			return failList(http.StatusBadRequest, "missing path")
		}
		if t == nil {
			return failList(http.StatusBadRequest, "invalid token")
		}
		// As of a list, which has the most paths to be allowed by.
		data[p] = c.s.capabilities(t, "list", strings.TrimLeft(p, "/"))
	}
	if len(paths) == 1 {
		data["capabilities"] = data[paths[0]]
	}
	return injected(data, f.warnings...)
}
