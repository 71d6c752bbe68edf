package vaulttest

import (
	"net/http"
	"strings"
)

// databaseEngine hands out credentials by role: new ones for each request, or the current password
// of one account.
type databaseEngine struct {
	roles  map[string]*dynamicRole
	static map[string]*staticRole
}

// databaseEngineAt returns the database engine at mount, or ends the test. The caller holds mu.
func (s *Server) databaseEngineAt(mount string) *databaseEngine {
	m := s.mount(mount, "database")
	if m == nil {
		return nil
	}
	return m.engine.(*databaseEngine) //nolint:forcetypeassert // engines has it
}

// serve implements engine.
func (e *databaseEngine) serve(c *call, m *mount, rest string) reply {
	action, name, _ := strings.Cut(rest, "/")
	switch action {
	case "roles", "static-roles":
		return e.role(c, m, action, name)
	case "creds", "static-creds", "rotate-role":
	case "config", "reset", "reload", "rotate-root":
		return unmodelled(m.path + rest)
	default:
		return unsupportedPath()
	}
	f, _ := c.fields(schema{"name": inPath})
	switch {
	case !pathName.MatchString(name) || c.method == "LIST":
		return unsupportedPath()
	case action == "rotate-role" && !c.write, action != "rotate-role" && c.method != http.MethodGet:
		return unsupportedOperation()
	case action == "rotate-role":
		return e.rotateNow(c, name)
	case action == "static-creds":
		return e.staticCredentials(c, name, f)
	}
	return e.credentials(c, name, f)
}

// pluginError is an error of the test's own code in the form of Vault's database plugins.
type pluginError struct{ error }

func (e pluginError) Error() string { return "1 error occurred:\n\t* " + e.error.Error() + "\n\n" }

// role lists the roles. What a role is made of is the test's, in Go.
func (e *databaseEngine) role(c *call, m *mount, kind, name string) reply {
	names := sortedKeys(e.roles)
	known := e.roles[name] != nil
	if kind == "static-roles" {
		names, known = sortedKeys(e.static), e.static[name] != nil
	}
	switch {
	case name == "" && c.method == "LIST":
		return keyList("database", names)
	case name == "":
		return unsupportedOperation()
	case !pathName.MatchString(strings.TrimSuffix(name, "/")):
		return unsupportedPath()
	case c.method == "LIST":
		return unsupportedPath()
	case c.method == http.MethodGet && !known:
		return fail(http.StatusNotFound)
	}
	return unmodelled(c.method + " " + m.path + kind + "/ROLE")
}
