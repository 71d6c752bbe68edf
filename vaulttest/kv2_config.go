package vaulttest

import (
	"net/http"
	"time"
)

// serveConfig answers config, the engine's own settings.
func (e *kv2Engine) serveConfig(c *call) reply {
	if c.method != http.MethodGet && !c.write {
		return unsupportedOperation()
	}
	f, bad := c.fields(schema{"max_versions": asInt, "cas_required": asBool, "delete_version_after": asSignedSeconds})
	if bad != nil {
		return *bad
	}
	if c.write {
		e.config.set(f)
		e.config.deleteAfter = max(e.config.deleteAfter, -time.Second) // as which Vault keeps "never"
		return noContent()
	}
	return f.ok("kv", map[string]any{
		"max_versions": e.config.maxVersions, "cas_required": e.config.casRequired,
		"delete_version_after": e.config.deleteAfter.String(),
	})
}

// set takes over what a request sets.
func (s *kvSettings) set(f fields) {
	if f.has("max_versions") {
		s.maxVersions = uint32(f.int("max_versions")) //nolint:gosec // Vault, too, lets it wrap around.
	}
	if f.has("cas_required") {
		s.casRequired = f.bool("cas_required")
	}
	if f.has("delete_version_after") {
		s.deleteAfter = f.seconds("delete_version_after")
	}
}
