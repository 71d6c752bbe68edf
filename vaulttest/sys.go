package vaulttest

import (
	"net/http"
	"slices"
	"strings"
)

const modelledVersion = "1.21.0"

// sys answers sys/REST for a token whose policies allow it.
func (c *call) sys(rest string) reply {
	if c.method == http.MethodHead || c.method == http.MethodOptions {
		return unsupportedOperation()
	}
	head, below, _ := strings.Cut(rest, "/")
	switch head {
	case "capabilities", "capabilities-self", "capabilities-accessor":
		if below == "" {
			return c.capabilitiesRoute(head)
		}
	case "wrapping":
		return c.wrappingRoute(below)
	case "policy":
		return c.policyRoute(below, true)
	case "policies":
		if name, found := strings.CutPrefix(below+"/", "acl/"); found {
			return c.policyRoute(name, false)
		}
	case "leases":
		return c.leaseRoute(below)
	case "renew", "revoke", "revoke-prefix", "revoke-force":
		return c.leaseRoute(rest)
	case "mounts", "auth":
		return c.mountTable(head, below)
	}
	return unmodelled("sys/" + rest)
}

// sudoPaths, and all below those with a slash, need the capability sudo besides the one of their
// method.
var sudoPaths = []string{
	"sys/auth/", "sys/leases", "sys/leases/lookup/", "sys/leases/revoke-force/", "sys/leases/revoke-prefix/", "sys/revoke-force/", "sys/revoke-prefix/", "sys/seal",
	"auth/token/revoke-orphan", "auth/token/accessors/",
}

// lacksSudo tells whether the path needs more than the token has on it.
func (c *call) lacksSudo() bool {
	path := c.aclPath()
	needed := slices.ContainsFunc(sudoPaths, func(p string) bool {
		return path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p)
	})
	return needed && !c.s.hasSudo(c.token, path)
}

// injected is an answer with its data twice, as Vault gives it on its oldest paths.
func injected(data map[string]any, warnings ...string) reply {
	out := map[string]any{
		"request_id": newUUID(), "lease_id": "", "renewable": false, "lease_duration": 0, "data": data,
		"wrap_info": nil, "warnings": warnings, "auth": nil, "mount_type": "system",
	}
	for k, v := range data {
		if _, taken := out[k]; !taken {
			out[k] = v
		}
	}
	return jsonReply(http.StatusOK, out)
}
