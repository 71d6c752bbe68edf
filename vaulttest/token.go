package vaulttest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// token is a living token: a dead one is not in Server.tokens.
type token struct {
	made

	id, accessor, entityID string
	hash                   string // of the ID, once it was asked for; see leaseID
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
	bornOrphan                  bool          // which renewals show, though it may have become one
	firstUses                   int           // which renewals show
	firstPeriod                 time.Duration // which lookups show, whatever the role's is by then

	// refresh sets the terms of a renewal, such as a role's that has changed since the login; nil:
	// they are as they were.
	refresh func(*token) error

	cubbyhole map[string]map[string]any // by path
	wrapped   *wrapped                  // of a wrapping token
}

// TokenSpec describes a token for CreateToken. Its zero value gives a service token with the
// default policy, renewable, for 32 days.
type TokenSpec struct {
	// Policies of the token; "default" comes with them unless NoDefaultPolicy.
	Policies        []string
	NoDefaultPolicy bool
	// TTL is what the token has at first and after a renewal that names no increment: at most 32
	// days, the mount's maximum. MaxTTL bounds all renewals together, as an auth method's role does;
	// ExplicitMaxTTL does so for periodic tokens too. With Period the token can be renewed for ever,
	// for a period at a time. Each is zero, for none, or a second and more.
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
	why := unfit(term{"TTL", spec.TTL}, term{"MaxTTL", spec.MaxTTL}, term{"ExplicitMaxTTL", spec.ExplicitMaxTTL}, term{"Period", spec.Period})
	if spec.NumUses < 0 {
		why = "NumUses is negative"
	}
	if why != "" {
		s.tb.Fatalf("vaulttest: CreateToken: %s", why)
		return ""
	}
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
	if t.batch && (t.explicitMax != 0 || t.uses != 0 || t.period != 0) {
		s.tb.Fatalf("vaulttest: CreateToken: a batch token can have no explicit maximum, no uses and no period")
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

// forever tells whether a new token would never expire, as only root tokens can.
func (t *token) forever() bool {
	return slices.Contains(t.policies, "root") && t.ttl == 0 && t.period == 0 && t.explicitMax == 0
}

// addToken gives a token its names and its time, and returns Vault's warnings. The caller holds mu.
func (s *Server) addToken(t *token) []string {
	t.issued = s.now()
	t.leases = map[string]*lease{}
	t.limited = t.uses > 0
	t.bornOrphan = t.parent == nil
	t.firstUses, t.firstPeriod = t.uses, t.period
	var warnings []string
	if t.forever() {
		t.renewable = false
	} else {
		var granted time.Duration
		if slices.Contains(t.policies, "root") && t.ttl == 0 && t.period == 0 {
			granted = t.explicitMax
		} else {
			granted, warnings, _ = grantTTL(t.issued, time.Time{}, 0, t.ttl, t.period, t.maxTTL, t.explicitMax)
		}
		t.creationTTL = granted
		if t.batch {
			// A batch token carries its creation time itself, in whole seconds.
			t.issued = t.issued.Truncate(time.Second)
		}
		t.expires = t.issued.Add(granted)
	}
	switch {
	case t.batch:
		t.id, t.renewable = "hvb."+randomText(90), false
	case t.id == "":
		t.id = "hvs." + randomText(90)
	}
	if !t.batch {
		t.accessor = randomText(24)
	}
	t.made = s.number()
	if t.parent != nil {
		t.parent.children = append(t.parent.children, t)
	}
	s.tokens[t.id] = t
	s.soon(t.expires)
	return warnings
}

// logIn answers a login with the token that it has earned. The warnings come before those about TTLs.
func (c *call) logIn(t *token, warnings ...string) reply {
	if slices.Contains(t.policies, "root") {
		return fail(http.StatusBadRequest, "auth methods cannot create root tokens")
	}
	t.path, t.renewable = c.path, true
	if t.batch {
		t.uses = 0 // there is nowhere to count them
	}
	warnings = append(warnings, c.s.addToken(t)...)
	return answer(http.StatusOK, envelope{Warnings: warnings, Auth: t.auth(t.creationTTL)})
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
	for _, l := range byAge(t.leases) {
		s.revokeLease(l)
	}
	for _, child := range slices.Clone(t.children) {
		s.revokeToken(child)
	}
	if t.parent != nil {
		t.parent.children = slices.DeleteFunc(t.parent.children, func(c *token) bool { return c == t })
	}
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
		EntityID: t.entityID, TokenType: t.kind(), Orphan: t.bornOrphan, NumUses: t.firstUses,
	}
}

// lookup is the token as lookups show it.
func (t *token) lookup(now time.Time, f fields, showID bool) reply {
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
	if t.firstPeriod > 0 {
		d["period"] = int64(t.firstPeriod.Seconds())
	}
	if !t.renewed.IsZero() {
		d["last_renewal"] = timeText(t.renewed)
		d["last_renewal_time"] = t.renewed.Unix()
	}
	return answer(http.StatusOK, envelope{Data: d, Warnings: f.warnings, MountType: "token"})
}
