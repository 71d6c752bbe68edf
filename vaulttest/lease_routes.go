package vaulttest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"
)

var errLeaseNotFound = errors.New("lease not found")

// leaseFields are what the paths below sys/leases/ take in a request's body.
var leaseFields = map[string]schema{
	"lookup":        {"lease_id": asText},
	"renew":         {"lease_id": asText, "url_lease_id": inPath, "increment": asSeconds},
	"revoke":        {"lease_id": asText, "url_lease_id": inPath, "sync": asBool},
	"revoke-prefix": {"prefix": inPath, "sync": asBool},
	"revoke-force":  {"prefix": inPath},
}

// leaseRoute answers sys/leases/REST and the older sys/renew, sys/revoke and their like.
func (c *call) leaseRoute(rest string) reply {
	action, below, _ := strings.Cut(rest, "/")
	takes, known := leaseFields[action]
	prefix := action == "revoke-prefix" || action == "revoke-force"
	switch {
	case !known:
		return c.leaseChores(rest)
	case action == "lookup" && (below != "" || c.method == "LIST"):
		if c.method != "LIST" {
			return unsupportedOperation()
		}
		return c.listLeases(below)
	case prefix && below == "", c.method == "LIST":
		return unsupportedPath()
	case !c.write:
		return unsupportedOperation()
	}
	f, bad := c.fields(takes)
	if bad != nil {
		return *bad
	}
	if prefix {
		for _, id := range c.s.leasesBelow(below) {
			c.s.revokeAny(id)
		}
		return noContent()
	}
	id := f.text("lease_id")
	if id == "" {
		id = below
	}
	if id == "" {
		return fail(http.StatusBadRequest, "lease_id must be specified")
	}
	switch action {
	case "renew":
		return c.renewLease(id, f)
	case "revoke":
		c.s.revokeAny(id)
		return noContent()
	}
	return c.lookupLease(id)
}

// leaseChores answers what administrators ask of the leases as a whole. Here each lease can be
// revoked, and there is nothing to tidy.
func (c *call) leaseChores(rest string) reply {
	empty := map[string]any{"lease_count": 0, "leases": []string{}}
	switch {
	case rest == "tidy" && c.write:
		return answer(http.StatusAccepted, envelope{Warnings: []string{
			"Tidy operation successfully started. Any information from the operation will be printed to Vault's server logs.",
		}})
	case rest == "count":
		empty = map[string]any{"lease_count": 0, "counts": map[string]int{}}
	case rest != "" && rest != "tidy", c.method == "LIST":
		return unsupportedPath()
	}
	switch {
	case c.method != http.MethodGet || rest == "tidy":
		return unsupportedOperation()
	case !strings.EqualFold(textField(c.params, "type"), "irrevocable"):
		return fail(http.StatusNotFound)
	}
	return ok("system", empty)
}

func (c *call) lookupLease(id string) reply {
	data := map[string]any{"id": id, "last_renewal": nil}
	if l := c.s.leases[id]; l != nil {
		data["issue_time"], data["expire_time"], data["last_renewal"] = timeText(l.issued), timeText(l.expires), timeOrNull(l.renewed)
		data["renewable"], data["ttl"] = l.renewable, remaining(c.now, l.expires)
	} else if t := c.s.tokenOfLease(id); t != nil {
		data["issue_time"], data["expire_time"], data["last_renewal"] = timeText(t.issued), timeOrNull(t.expires), timeOrNull(t.renewed)
		data["renewable"], data["ttl"] = t.renewable, remaining(c.now, t.expires)
	} else {
		return fail(http.StatusBadRequest, "invalid lease")
	}
	return ok("system", data)
}

func (c *call) renewLease(id string, f fields) reply {
	l := c.s.leases[id]
	if t := c.s.tokenOfLease(id); t != nil && t.renewable {
		return fail(http.StatusBadRequest, "tokens cannot be renewed through this endpoint")
	} else if l == nil && t == nil {
		return fail(http.StatusBadRequest, errLeaseNotFound.Error())
	}
	if l == nil || !l.renewable && !l.via.batch {
		return fail(http.StatusBadRequest, "lease is not renewable")
	}
	granted, warnings, err := c.renew(l, f.seconds("increment"))
	if err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	return answer(http.StatusOK, envelope{
		LeaseID: l.id, Renewable: l.renewable, LeaseDuration: int64(granted / time.Second), Warnings: append(f.warnings, warnings...),
		MountType: "system",
	})
}

// listLeases answers with what is directly below a prefix.
func (c *call) listLeases(prefix string) reply {
	if prefix != "" {
		prefix = slashed(prefix)
	}
	keys := map[string]bool{}
	for _, id := range c.s.leaseIDs() {
		if below, found := strings.CutPrefix(id, prefix); found {
			if name, _, deeper := strings.Cut(below, "/"); deeper {
				below = name + "/"
			}
			keys[below] = true
		}
	}
	return keyList("system", sortedKeys(keys))
}

// keyList answers a list; to Vault there is none without keys.
func keyList(mountType string, keys []string) reply {
	if len(keys) == 0 {
		return fail(http.StatusNotFound)
	}
	return ok(mountType, map[string]any{"keys": keys})
}

// leaseIDs returns the IDs of all leases, those of tokens included.
func (s *Server) leaseIDs() []string {
	ids := sortedKeys(s.leases)
	for _, t := range byAge(s.tokens) {
		if !t.batch && t.id != s.rootID {
			ids = append(ids, t.leaseID())
		}
	}
	return ids
}

// leasesBelow returns the lease that prefix names to the letter, or else all below it as a path.
func (s *Server) leasesBelow(prefix string) []string {
	var below []string
	for _, id := range s.leaseIDs() {
		if id == prefix {
			return []string{id}
		}
		if strings.HasPrefix(id, slashed(prefix)) {
			below = append(below, id)
		}
	}
	return below
}

// leaseID is the ID of the lease that Vault keeps for a service token, which administrators see in
// lists: the token's path with a hash of the token.
func (t *token) leaseID() string {
	if t.hash == "" {
		hash := sha256.Sum256([]byte(t.id))
		t.hash = hex.EncodeToString(hash[:])
	}
	return t.path + "/h" + t.hash
}

// tokenOfLease returns the token whose own lease has this ID, or nil.
func (s *Server) tokenOfLease(id string) *token {
	if !strings.HasPrefix(id, "auth/") {
		return nil
	}
	for _, t := range s.tokens {
		if !t.batch && t.leaseID() == id {
			return t
		}
	}
	return nil
}

// revokeAny ends the lease or the token with this lease ID, if there is one.
func (s *Server) revokeAny(id string) {
	if l := s.leases[id]; l != nil {
		s.revokeLease(l)
	} else if t := s.tokenOfLease(id); t != nil {
		s.revokeToken(t)
	}
}
