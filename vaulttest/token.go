package vaulttest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// token is a living token: a dead one is not in Server.tokens.
type token struct {
	id, accessor, entityID string
	path, display          string // where it came from
	batch, renewable       bool
	spent                  bool // its last use is under way
	policies               []string
	meta                   map[string]string
	parent                 *token
	children               []*token
	leases                 map[string]*lease

	issued, renewed, expires    time.Time // expires is zero if never
	ttl, creationTTL            time.Duration
	maxTTL, explicitMax, period time.Duration
	uses                        int // left; 0: without limit, or spent
	limited                     bool
}

// TokenSpec describes a token for CreateToken. Its zero value gives a service token with the
// default policy, renewable, for 32 days.
type TokenSpec struct {
	// Policies of the token; "default" comes with them unless NoDefaultPolicy.
	Policies        []string
	NoDefaultPolicy bool
	// TTL is what the token has at first and after a renewal that names no increment. MaxTTL bounds
	// all renewals together, as an auth method's role does; ExplicitMaxTTL does so for periodic
	// tokens too. With Period the token can be renewed for ever, for a period at a time.
	TTL, MaxTTL, ExplicitMaxTTL, Period time.Duration
	// NumUses is the number of requests that the token is good for; zero: without limit.
	NumUses      int
	NotRenewable bool
	// Batch makes a batch token: no renewal, no revocation, no accessor.
	Batch bool
	// Parent is a token that this one dies with; empty: none.
	Parent string
	// Meta and DisplayName are shown by lookups.
	Meta        map[string]string
	DisplayName string
}

// CreateToken makes a token, as an administrator would, and returns it.
func (s *Server) CreateToken(spec TokenSpec) string {
	s.tb.Helper()
	s.lock()
	defer s.unlock()
	t := &token{
		path: "auth/token/create", display: spec.DisplayName, batch: spec.Batch,
		renewable: !spec.NotRenewable, policies: policySet(spec.Policies, spec.NoDefaultPolicy),
		meta: spec.Meta, ttl: spec.TTL, maxTTL: spec.MaxTTL, explicitMax: spec.ExplicitMaxTTL,
		period: spec.Period, uses: spec.NumUses,
	}
	if t.display == "" {
		t.display = "token"
	}
	if spec.Parent != "" {
		if t.parent = s.tokens[spec.Parent]; t.parent == nil {
			s.tb.Fatalf("vaulttest: CreateToken: the parent token is not alive")
			return ""
		}
	}
	if reason := t.notForBatch(); t.batch && reason != "" {
		s.tb.Fatalf("vaulttest: CreateToken: batch tokens cannot have %q set", reason)
		return ""
	}
	s.addToken(t)
	return t.id
}

// policySet sorts policies as Vault does and adds "default". Root stands alone.
func policySet(names []string, noDefault bool) []string {
	out := make([]string, 0, len(names)+1)
	for _, n := range names {
		if n = strings.ToLower(strings.TrimSpace(n)); n != "" {
			out = append(out, n)
		}
	}
	if slices.Contains(out, "root") {
		return []string{"root"}
	}
	if !noDefault {
		out = append(out, "default")
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// addToken gives a token its names and its time, and returns Vault's warnings. The caller holds mu.
func (s *Server) addToken(t *token) []string {
	t.issued = s.now()
	t.leases = map[string]*lease{}
	t.limited = t.uses > 0
	var warnings []string
	if slices.Contains(t.policies, "root") && t.ttl == 0 && t.period == 0 && t.explicitMax == 0 {
		t.renewable = false // and without an end
	} else {
		var granted time.Duration
		granted, warnings, _ = grantTTL(t.issued, time.Time{}, 0, t.ttl, t.period, t.maxTTL, t.explicitMax)
		t.creationTTL = granted
		if t.batch {
			// A batch token carries its creation time itself, in whole seconds.
			t.issued = t.issued.Truncate(time.Second)
		}
		t.expires = t.issued.Add(granted)
	}
	if t.batch {
		t.id, t.renewable = "hvb."+randomText(90), false
	} else {
		t.id, t.accessor = "hvs."+randomText(90), randomText(24)
	}
	if t.parent != nil {
		t.parent.children = append(t.parent.children, t)
	}
	s.tokens[t.id] = t
	s.soon(t.expires)
	return warnings
}

// logIn answers a login with the token that it has earned.
func (c *call) logIn(t *token) reply {
	t.path, t.renewable = c.path, true
	if t.batch {
		t.uses = 0 // there is nowhere to count them
	}
	warnings := c.s.addToken(t)
	return answer(http.StatusOK, envelope{Warnings: warnings, Auth: t.auth(t.creationTTL)})
}

// grantTTL is Vault's reckoning of how long a token or lease gets, with its rounding to whole
// seconds and its warnings. A zero start means now.
func grantTTL(now, start time.Time, increment, ttl, period, maxTTL, explicitMax time.Duration) (time.Duration, []string, error) {
	now = now.Truncate(time.Second)
	start = start.Truncate(time.Second)
	if start.IsZero() {
		start = now
	}
	limit := systemTTL
	for _, m := range []time.Duration{maxTTL, explicitMax} {
		if m > 0 && m < limit {
			limit = m
		}
	}
	var warnings []string
	var end time.Time
	grant := systemTTL
	if period > 0 {
		if period > limit {
			warnings = append(warnings, fmt.Sprintf("period of %q exceeded the effective max_ttl of %q; period value is capped accordingly", durationText(period), durationText(limit)))
			period = limit
		}
		grant = period
		if explicitMax > 0 {
			end = start.Add(explicitMax)
		}
	} else {
		if increment > 0 {
			grant = increment
		} else if ttl > 0 {
			grant = ttl
		}
		end = start.Add(limit)
	}
	if !end.IsZero() {
		left := end.Sub(now)
		if left <= 0 {
			return 0, nil, fmt.Errorf("past the max TTL, cannot renew")
		}
		if grant > left {
			warnings = append(warnings, fmt.Sprintf("TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", durationText(grant), durationText(left)))
			grant = left
		}
	}
	return grant, warnings, nil
}

// durationText prints a duration without the units that are zero, as in Vault's warnings.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if i := strings.Index(s, "h0m"); i > 0 {
		s = s[:i+1] + s[i+3:]
	}
	return s
}

func (t *token) expired(now time.Time) bool { return !t.expires.IsZero() && !now.Before(t.expires) }

// end is when the token dies as things stand: at its own end or at that of one it descends from.
func (t *token) end() time.Time {
	end := t.expires
	for p := t.parent; p != nil; p = p.parent {
		if !p.expires.IsZero() && (end.IsZero() || p.expires.Before(end)) {
			end = p.expires
		}
	}
	return end
}

// revokeToken ends a token with all that hangs on it: its leases, then its children. The caller
// holds mu.
func (s *Server) revokeToken(t *token) {
	if s.tokens[t.id] != t {
		return
	}
	delete(s.tokens, t.id)
	for _, id := range sortedKeys(t.leases) {
		s.revokeLease(t.leases[id])
	}
	for _, child := range slices.Clone(t.children) {
		s.revokeToken(child)
	}
	if t.parent != nil {
		t.parent.children = slices.DeleteFunc(t.parent.children, func(c *token) bool { return c == t })
	}
}

// renewToken extends a token as auth/token/renew and renew-self do.
func (c *call) renewToken(t *token, showID bool) reply {
	switch {
	case t == nil || t.spent:
		return fail(http.StatusBadRequest, "token not found")
	case t.batch:
		return fail(http.StatusBadRequest, "batch tokens cannot be renewed")
	case !t.renewable:
		return fail(http.StatusBadRequest, "lease is not renewable")
	}
	increment, bad := secondsField(c.params, "increment")
	if bad != nil {
		return *bad
	}
	granted, warnings, err := grantTTL(c.now, t.issued, increment, t.ttl, t.period, t.maxTTL, t.explicitMax)
	if err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	t.renewed, t.expires = c.now, c.now.Add(granted)
	c.s.soon(t.expires)
	auth := t.auth(granted)
	if !showID {
		auth.ClientToken = ""
	}
	return answer(http.StatusOK, envelope{Warnings: warnings, Auth: auth, MountType: "token"})
}

func (t *token) kind() string {
	if t.batch {
		return "batch"
	}
	return "service"
}

// auth is the token as logins, creations and renewals show it.
func (t *token) auth(granted time.Duration) *authInfo {
	return &authInfo{
		ClientToken: t.id, Accessor: t.accessor, Policies: t.policies, TokenPolicies: t.policies,
		Metadata: t.meta, LeaseDuration: int64(granted.Seconds()), Renewable: t.renewable,
		EntityID: t.entityID, TokenType: t.kind(), Orphan: t.parent == nil, NumUses: t.uses,
	}
}

// lookup is the token as lookups show it.
func (t *token) lookup(now time.Time, showID bool) reply {
	uses := t.uses
	if t.spent {
		uses = -1 // Vault's mark of a token that is revoked after this request
	}
	d := map[string]any{
		"accessor": t.accessor, "creation_time": t.issued.Unix(), "creation_ttl": int64(t.creationTTL.Seconds()),
		"display_name": t.display, "entity_id": t.entityID, "expire_time": timeOrNull(t.expires),
		"explicit_max_ttl": int64(t.explicitMax.Seconds()), "id": "", "issue_time": timeText(t.issued),
		"meta": t.meta, "num_uses": uses, "orphan": t.parent == nil, "path": t.path,
		"policies": t.policies, "renewable": t.renewable, "ttl": remaining(now, t.expires), "type": t.kind(),
	}
	if showID {
		d["id"] = t.id
	}
	if t.period > 0 {
		d["period"] = int64(t.period.Seconds())
	}
	if !t.renewed.IsZero() {
		d["last_renewal"] = timeText(t.renewed)
		d["last_renewal_time"] = t.renewed.Unix()
	}
	return ok("token", d)
}

// remaining is a time to live as Vault's lookups round it; zero without an end.
func remaining(now, end time.Time) int64 {
	if end.IsZero() {
		return 0
	}
	return int64(end.Sub(now.Round(time.Second)).Seconds())
}
