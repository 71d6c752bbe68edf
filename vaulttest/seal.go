package vaulttest

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Seal makes the server answer 503 to everything but sys/health, sys/seal-status and their like,
// until Unseal. Time goes on for tokens and leases.
func (s *Server) Seal() { s.setSealed(true) }

// Unseal ends what Seal began. Tokens, leases and secrets are those of before.
func (s *Server) Unseal() { s.setSealed(false) }

func (s *Server) setSealed(sealed bool) {
	s.lock()
	defer s.unlock()
	if s.sealed && !sealed {
		s.opens()
	}
	s.sealed = sealed
}

// opens notes that the server works again: what came due meanwhile is due now.
func (s *Server) opens() { s.opened, s.next = s.now(), time.Time{} }

// UnsealKey returns the only key of the seal, which sys/unseal takes.
func (s *Server) UnsealKey() string { return s.unsealKey }

// sealRoutes are the paths that Vault answers in any state. All but sys/seal need no token.
var sealRoutes = map[string]struct {
	methods []string
	serve   func(*call) reply
}{
	"sys/health":      {[]string{http.MethodGet, http.MethodHead}, (*call).health},
	"sys/init":        {[]string{http.MethodGet}, (*call).initStatus},
	"sys/leader":      {[]string{http.MethodGet}, (*call).leader},
	"sys/seal":        {[]string{http.MethodPost, http.MethodPut}, (*call).seal},
	"sys/seal-status": {[]string{http.MethodGet}, (*call).sealStatus},
	"sys/unseal":      {[]string{http.MethodPost, http.MethodPut}, (*call).unseal},
}

// sealRoute answers one of sealRoutes; bad is what is wrong with the request's form, if anything.
func (c *call) sealRoute(bad *reply) reply {
	route := sealRoutes[c.path]
	switch {
	case !slices.Contains(route.methods, c.method):
		return fail(http.StatusMethodNotAllowed)
	case c.path == "sys/seal" && bad != nil:
		return *bad
	}
	return route.serve(c)
}

// healthCodes are the statuses that the caller of a health check may choose.
var healthCodes = []string{
	"activecode", "drsecondarycode", "haunhealthycode", "performancestandbycode", "removedcode", "sealedcode", "standbycode", "uninitcode",
}

func (c *call) health() reply {
	bad := fail(http.StatusBadRequest)
	if c.method == http.MethodHead {
		bad.header = http.Header{"Content-Type": nil}
	}
	for _, name := range []string{"standbyok", "perfstandbyok"} {
		if texts, found := c.query[name]; found && texts[0] != "" {
			if _, err := strconv.ParseBool(texts[0]); err != nil {
				return bad
			}
		}
	}
	chosen := map[string]int{"activecode": http.StatusOK, "sealedcode": http.StatusServiceUnavailable}
	for _, name := range healthCodes {
		if texts, found := c.query[name]; found {
			code, err := strconv.Atoi(texts[0])
			if err != nil || code < 200 || code > 599 { // beyond these HTTP has none
				return bad
			}
			chosen[name] = code
		}
	}
	status, mode := chosen["activecode"], "disabled"
	if c.s.sealed {
		status, mode = chosen["sealedcode"], "unknown"
	}
	return jsonReply(status, c.withCluster(map[string]any{
		"initialized": true, "sealed": c.s.sealed, "standby": c.s.sealed, "performance_standby": false,
		"replication_performance_mode": mode, "replication_dr_mode": mode,
		"server_time_utc": c.now.UTC().Unix(), "version": modelledVersion, "enterprise": false,
		"echo_duration_ms": 0, "clock_skew_ms": 0, "replication_primary_canary_age_ms": 0,
	}))
}

// withCluster adds the cluster's name, which a sealed server does not know.
func (c *call) withCluster(body map[string]any) map[string]any {
	if !c.s.sealed {
		body["cluster_name"], body["cluster_id"] = "vaulttest", "00000000-0000-0000-0000-000000000000"
	}
	return body
}

func (c *call) sealStatus() reply {
	return jsonReply(http.StatusOK, c.withCluster(map[string]any{
		"type": "shamir", "initialized": true, "sealed": c.s.sealed, "t": 1, "n": 1, "progress": 0, "nonce": "",
		"version": modelledVersion, "build_date": "2025-09-24T13:22:38Z", "migration": false, "recovery_seal": false, "storage_type": "inmem",
	}))
}

func (c *call) initStatus() reply {
	return jsonReply(http.StatusOK, map[string]any{"initialized": true})
}

func (c *call) leader() reply {
	return jsonReply(http.StatusOK, map[string]any{
		"ha_enabled": false, "is_self": false, "active_time": "0001-01-01T00:00:00Z", "leader_address": "",
		"leader_cluster_address": "", "performance_standby": false, "performance_standby_last_remote_wal": 0,
	})
}

// seal answers sys/seal, which needs the capability sudo. A sealed server has nothing left to ask.
func (c *call) seal() reply {
	if c.s.sealed {
		return noContent()
	}
	c.token = c.s.tokens[c.tokenID]
	switch {
	case c.token == nil || c.token.spent:
		return fail(http.StatusForbidden, "permission denied")
	case !c.s.allowed(c.token, "update", c.path) || c.lacksSudo():
		return deniedByPolicy()
	}
	c.s.sealed = true
	return noContent()
}

// unseal answers sys/unseal. There is one key, so that each attempt ends in an open server or in
// an error.
func (c *call) unseal() reply {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return fail(http.StatusBadRequest, "EOF")
	}
	var asked struct {
		Key     string `json:"Key"` // in any case, as Vault reads it
		Reset   bool   `json:"Reset"`
		Migrate bool   `json:"Migrate"`
	}
	if err := json.Unmarshal(c.body, &asked); err != nil {
		return fail(http.StatusBadRequest, "failed to parse JSON input: "+strings.ReplaceAll(err.Error(), "struct field .", "struct field UnsealRequest."))
	}
	switch {
	case asked.Reset && !c.s.sealed:
		return fail(http.StatusBadRequest, "vault is unsealed")
	case asked.Reset:
		return c.sealStatus()
	case asked.Key == "":
		return fail(http.StatusBadRequest, "'key' must be specified in request body as JSON, or 'reset' set to true")
	}
	// Vault takes hexadecimal for base64 where the length would not do.
	key, err := hex.DecodeString(asked.Key)
	if err != nil || len(key) < 16 || len(key) > 33 {
		if key, err = base64.StdEncoding.DecodeString(asked.Key); err != nil {
			return fail(http.StatusBadRequest, "'key' must be a valid hex or base64 string")
		}
	}
	right, _ := hex.DecodeString(c.s.unsealKey)
	switch {
	case asked.Migrate:
		return fail(http.StatusInternalServerError, "can't perform a seal migration, no migration seal found")
	case len(key) < 16:
		return fail(http.StatusBadRequest, "invalid key: key is shorter than minimum 16 bytes")
	case len(key) > 33:
		return fail(http.StatusBadRequest, "invalid key: key is longer than maximum 33 bytes")
	case !c.s.sealed:
	case len(key) != 16 && len(key) != 24 && len(key) != 32:
		return fail(http.StatusBadRequest, fmt.Sprintf("invalid key: failed to setup unseal key: crypto/aes: invalid key size %d", len(key)))
	case subtle.ConstantTimeCompare(key, right) == 0:
		return fail(http.StatusBadRequest, "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: error decrypting seal wrapped value\nerror decrypting using seal shamir: cipher: message authentication failed")
	default:
		c.s.sealed = false
		c.s.opens()
	}
	return c.sealStatus()
}
