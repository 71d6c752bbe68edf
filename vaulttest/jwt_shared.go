package vaulttest

import (
	"net/http"
	"strings"
)

// What the JWT, Kubernetes and AWS methods have in common.

// entities are the identities that the logins of a method have made, by alias.
type entities map[string]string

func (e entities) of(alias string) string {
	if e[alias] == "" {
		e[alias] = newUUID()
	}
	return e[alias]
}

// loginFields reads the fields of a login that is neither GET nor the like.
func (c *call) loginFields(of schema) (fields, *reply) {
	switch {
	case c.method == "LIST":
		return fields{}, refused(http.StatusForbidden, "permission denied") // the path of a list is login/, which is not open
	case !c.write:
		return fields{}, refused(http.StatusMethodNotAllowed, "unsupported operation")
	}
	return c.fields(of)
}

// serveRoles answers LIST role, and GET and DELETE role/NAME.
func serveRoles[R interface{ data() map[string]any }](c *call, m *mount, roles map[string]R, rest, write string) reply {
	path := strings.TrimSuffix(rest, "/")
	if path == "role" {
		if c.method != "LIST" {
			return unsupportedOperation()
		}
		return listOf(m.kind, sortedKeys(roles))
	}
	name, found := strings.CutPrefix(rest, "role/")
	if !found || !isName(name) || c.method == "LIST" {
		return unsupportedPath()
	}
	name = strings.ToLower(name)
	role, exists := roles[name]
	switch {
	case c.write:
		return unmodelled(write)
	case c.method == http.MethodDelete:
		delete(roles, name)
		return noContent()
	case c.method != http.MethodGet:
		return unsupportedOperation()
	case !exists:
		return fail(http.StatusNotFound)
	}
	return ok(m.kind, role.data())
}
