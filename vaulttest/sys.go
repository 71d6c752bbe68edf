package vaulttest

import (
	"net/http"
	"strconv"
	"strings"
)

const modelledVersion = "1.21.0"

// sys answers sys/REST for a token whose policies allow it.
func (c *call) sys(rest string) reply {
	switch {
	case rest == "capabilities-self":
		return c.capabilitiesSelf()
	case strings.HasPrefix(rest, "leases/"):
		return c.leaseRoute(strings.TrimPrefix(rest, "leases/"))
	case rest == "renew" || strings.HasPrefix(rest, "renew/") || rest == "revoke" || strings.HasPrefix(rest, "revoke/"):
		return c.leaseRoute(rest)
	}
	return unmodelled("sys/" + rest)
}

func (c *call) health() reply {
	if c.method != http.MethodGet && c.method != http.MethodHead {
		return unsupportedOperation()
	}
	status, param, mode := http.StatusOK, "activecode", "disabled"
	if c.s.sealed {
		status, param, mode = http.StatusServiceUnavailable, "sealedcode", "unknown"
	}
	if text := c.query.Get(param); text != "" {
		code, err := strconv.Atoi(text)
		if err != nil || code < 200 || code > 999 {
			return reply{status: http.StatusBadRequest}
		}
		status = code
	}
	body := map[string]any{
		"initialized": true, "sealed": c.s.sealed, "standby": c.s.sealed, "performance_standby": false,
		"replication_performance_mode": mode, "replication_dr_mode": mode,
		"server_time_utc": c.now.UTC().Unix(), "version": modelledVersion, "enterprise": false,
		"echo_duration_ms": 0, "clock_skew_ms": 0, "replication_primary_canary_age_ms": 0,
	}
	if !c.s.sealed {
		body["cluster_name"], body["cluster_id"] = "vaulttest", "00000000-0000-0000-0000-000000000000"
	}
	return jsonReply(status, body)
}

func (c *call) sealStatus() reply {
	body := map[string]any{
		"type": "shamir", "initialized": true, "sealed": c.s.sealed, "t": 1, "n": 1, "progress": 0, "nonce": "",
		"version": modelledVersion, "build_date": "", "migration": false, "recovery_seal": false, "storage_type": "inmem",
	}
	if !c.s.sealed {
		body["cluster_name"], body["cluster_id"] = "vaulttest", "00000000-0000-0000-0000-000000000000"
	}
	return jsonReply(http.StatusOK, body)
}

// mountInfo tells which engine serves a path, to tokens with some right below the mount.
func (c *call) mountInfo(path string) reply {
	if c.method != http.MethodGet {
		return unsupportedOperation()
	}
	m := c.s.mountOf(strings.TrimSuffix(path, "/"))
	if m == nil || !c.s.reaches(c.token, m.path) {
		return fail(http.StatusForbidden, "preflight capability check returned 403, please ensure client's policies grant access to path "+strconv.Quote(slashed(path)))
	}
	return ok("", map[string]any{
		"accessor": m.accessor, "deprecation_status": "supported", "description": "",
		"config": map[string]any{
			"default_lease_ttl": int64(systemTTL.Seconds()), "force_no_cache": false, "max_lease_ttl": int64(systemTTL.Seconds()),
		},
		"external_entropy_access": false, "local": false, "options": m.options(),
		"path": strings.TrimPrefix(m.path, "auth/"), "plugin_version": "", "running_plugin_version": "v" + modelledVersion + "+builtin",
		"running_sha256": "", "seal_wrap": false, "type": m.typ(), "uuid": m.uuid,
	})
}
