package vaulttest

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
)

// mountDescriptions are those of the mounts that a new server has.
var mountDescriptions = map[string]string{
	"auth/token/": "token based credentials",
	"cubbyhole/":  "per-token private secret storage",
	"identity/":   "identity store",
	"secret/":     "key/value secret storage",
	"sys/":        "system endpoints used for control, policy and debugging",
}

// pluginVersions are the versions of the plugins that are not Vault's own.
var pluginVersions = map[string]string{
	"jwt": "v0.25.0+builtin", "kubernetes": "v0.23.0+builtin", "kv": "v0.25.0+builtin",
}

// inherent are the mounts without which there is no Vault, so that it calls them no plugins. The
// headers are those that they see of each request.
var inherent = map[string]struct{ headers []string }{
	"cubbyhole": {}, "identity": {[]string{"Authorization"}}, "system": {[]string{"Accept"}}, "token": {},
}

// builtinMounts are the mounts of every Vault that have no engine here.
func builtinMounts() map[string]*mount {
	return map[string]*mount{
		"identity/": {path: "identity/", kind: "identity", accessor: "identity_" + randomHex(4), uuid: newUUID()},
		"sys/":      {path: "sys/", kind: "system", accessor: "system_" + randomHex(4), uuid: newUUID()},
	}
}

// info describes the mount. Vault's tables show zero for TTLs that are the server's own.
func (m *mount) info(table bool) map[string]any {
	typ := m.typ()
	info := map[string]any{
		"accessor": m.accessor, "description": mountDescriptions[m.path], "external_entropy_access": false,
		"local": typ == "cubbyhole", "options": m.options(), "plugin_version": "",
		"running_plugin_version": pluginVersions[typ], "running_sha256": "", "seal_wrap": typ == "system",
		"type": typ, "uuid": m.uuid,
	}
	if info["running_plugin_version"] == "" {
		info["running_plugin_version"] = "v" + modelledVersion + "+builtin.vault"
	}
	config := m.tuning()
	if table {
		config["default_lease_ttl"], config["max_lease_ttl"] = 0, 0
	}
	core, isCore := inherent[typ]
	if !isCore && typ != "database" { // whose plugins are those of the databases
		info["deprecation_status"] = "supported"
	}
	if core.headers != nil {
		config["passthrough_request_headers"] = core.headers
	}
	info["config"] = config
	return info
}

// tuning are the mount's settings, all of them Vault's defaults.
func (m *mount) tuning() map[string]any {
	ttl := int64(systemTTL.Seconds())
	config := map[string]any{"default_lease_ttl": ttl, "max_lease_ttl": ttl, "force_no_cache": false}
	if strings.HasPrefix(m.path, "auth/") {
		config["token_type"] = "default-service"
	}
	return config
}

// mountTables are the secrets engines and the auth methods by their paths.
func (s *Server) mountTables() (secret, auth map[string]*mount) {
	secret, auth = maps.Clone(s.builtin), map[string]*mount{}
	for _, m := range s.mounts {
		if path, isAuth := strings.CutPrefix(m.path, "auth/"); isAuth {
			auth[path] = m
		} else {
			secret[m.path] = m
		}
	}
	return secret, auth
}

// mountTable answers sys/mounts and sys/auth, and single mounts below them.
func (c *call) mountTable(kind, path string) reply {
	switch c.method {
	case http.MethodGet:
	case "LIST":
		return unsupportedPath()
	default:
		return unmodelled(c.method + " " + c.path)
	}
	secret, auth := c.s.mountTables()
	path = strings.Trim(path, "/")
	if below, isAuth := strings.CutPrefix(path, "auth/"); isAuth && kind == "mounts" {
		kind, path = "auth", below
	}
	table, unknown := secret, "No secret engine mount at "
	if kind == "auth" {
		table, unknown = auth, "No auth engine at "
	}
	if path == "" {
		data := map[string]any{}
		for name, m := range table {
			data[name] = m.info(true)
		}
		return injected(data)
	}
	path, tune := strings.CutSuffix(path, "/tune")
	m := table[path+"/"]
	switch {
	case m == nil && tune && kind == "auth":
		return fail(http.StatusBadRequest, fmt.Sprintf("cannot fetch sysview for path %q", "auth/"+path+"/"))
	case m == nil && tune:
		return fail(http.StatusBadRequest, fmt.Sprintf("cannot fetch sysview for path %q", path+"/"))
	case m == nil:
		return fail(http.StatusBadRequest, unknown+path+"/")
	case !tune:
		return injected(m.info(true))
	}
	tuning := m.tuning()
	tuning["description"] = mountDescriptions[m.path]
	if options := m.options(); options != nil {
		tuning["options"] = options
	}
	return injected(tuning)
}

// uiMounts answers sys/internal/ui/mounts, with or without a token, and one PATH below it. The
// vault program asks it for the version of a KV engine.
func (c *call) uiMounts(rest string) reply {
	switch {
	case rest == "/":
		return fail(http.StatusNotFound, "unsupported path")
	case c.method != http.MethodGet:
		return fail(http.StatusMethodNotAllowed, "unsupported operation")
	}
	if c.tokenID != "" {
		if c.token = c.s.tokens[c.tokenID]; c.token == nil || c.token.spent {
			return deadToken()
		}
	}
	if rest != "" {
		return c.mountInfo(strings.Trim(rest, "/"))
	}
	shown := func(table map[string]*mount) map[string]any {
		out := map[string]any{}
		for path, m := range table {
			if c.token != nil && c.s.reaches(c.token, m.path) {
				out[path] = m.info(false)
			}
		}
		return out
	}
	secret, auth := c.s.mountTables()
	return ok("", map[string]any{"secret": shown(secret), "auth": shown(auth)})
}

// mountInfo tells which engine serves a path, to tokens with some right below the mount.
func (c *call) mountInfo(path string) reply {
	if c.token == nil {
		return fail(http.StatusForbidden, "permission denied")
	}
	m := c.s.mountOf(path)
	if m == nil {
		head, _, _ := strings.Cut(path, "/")
		m = c.s.builtin[head+"/"]
	}
	if m == nil || !c.s.reaches(c.token, m.path) {
		return fail(http.StatusForbidden, `preflight capability check returned 403, please ensure client's policies grant access to path "`+slashed(path)+`"`)
	}
	info := m.info(false)
	info["path"] = strings.TrimPrefix(m.path, "auth/")
	return ok("", info)
}
