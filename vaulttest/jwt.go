package vaulttest

import (
	"cmp"
	"crypto"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// JWTSpec configures a JWT method, as auth/MOUNT/config does. Without it all logins are refused with
// "could not load configuration".
type JWTSpec struct {
	// Keys verify the signatures: *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey. RS256, RS384,
	// RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA are known.
	Keys []crypto.PublicKey
	// BoundIssuer is what iss must be; empty: anything.
	BoundIssuer string
	// DefaultRole is that of logins that name none.
	DefaultRole string
	// Mount is the path of the JWT method below auth/; empty: "jwt". It is mounted if need be.
	Mount string
}

// JWTRoleSpec describes a role of the JWT method. At least one of BoundAudiences, BoundSubject and
// BoundClaims is needed. As in Vault a token with an audience is refused by a role without, and exp
// and nbf count with a minute's leeway.
type JWTRoleSpec struct {
	// BoundAudiences are those of which aud must have one.
	BoundAudiences []string
	// BoundSubject is what sub must be; empty: anything.
	BoundSubject string
	// BoundClaims are what further claims must be: a value or a list of them, one of which must fit. A
	// name that begins with a slash is a JSON pointer. With BoundClaimsType "glob" the values are
	// texts in which "*" stands for anything.
	BoundClaims     map[string]any
	BoundClaimsType string
	// ClaimMappings are the claims, texts all, that become metadata of the token, and their names
	// there.
	ClaimMappings map[string]string
	// UserClaim tells who logs in; empty: "sub".
	UserClaim string
	// ExpirationLeeway counts from iat or nbf if there is no exp, and NotBeforeLeeway back from exp if
	// there are no others; ClockSkewLeeway is for all. Zero is Vault's default: 150 seconds, 150
	// seconds and a minute. Negative is none.
	ExpirationLeeway, NotBeforeLeeway, ClockSkewLeeway time.Duration

	// Policies of the tokens; "default" comes with them unless NoDefaultPolicy.
	Policies        []string
	NoDefaultPolicy bool
	// TokenTTL, TokenMaxTTL, TokenExplicitMaxTTL and TokenPeriod are as in TokenSpec. A renewal goes
	// by those that the role has by then, but for the explicit maximum, which a token keeps.
	TokenTTL, TokenMaxTTL, TokenExplicitMaxTTL, TokenPeriod time.Duration
	// TokenNumUses is the number of requests that each token is good for; zero: without limit.
	TokenNumUses int
	// TokenType is "service", the default, or "batch".
	TokenType string
	// Mount is the path of the JWT method below auth/; empty: "jwt". It is mounted if need be.
	Mount string
}

func (spec JWTRoleSpec) params() tokenParams {
	return tokenParams{
		policies: spec.Policies, noDefaultPolicy: spec.NoDefaultPolicy, kind: spec.TokenType, numUses: spec.TokenNumUses,
		ttl: spec.TokenTTL, maxTTL: spec.TokenMaxTTL, explicitMaxTTL: spec.TokenExplicitMaxTTL, period: spec.TokenPeriod,
	}
}

// refusal is what Vault says to such a role; empty: nothing.
func (spec JWTRoleSpec) refusal() string {
	mapped := slices.Sorted(maps.Values(spec.ClaimMappings))
	switch {
	case spec.BoundClaimsType != "" && spec.BoundClaimsType != "string" && spec.BoundClaimsType != "glob":
		return "invalid 'bound_claims_type': " + spec.BoundClaimsType
	case slices.Contains(mapped, "role"):
		return `metadata key "role" is reserved and may not be a mapping destination`
	case len(slices.Compact(mapped)) < len(spec.ClaimMappings):
		return "multiple claims are mapped to one metadata key"
	case len(spec.BoundAudiences) == 0 && spec.BoundSubject == "" && len(spec.BoundClaims) == 0:
		return "must have at least one bound constraint when creating/updating a role"
	}
	if spec.BoundClaimsType == "glob" {
		for _, v := range spec.BoundClaims {
			list, _ := listOfClaims(v)
			if list == nil || slices.ContainsFunc(list, func(e any) bool { _, isText := e.(string); return !isText }) {
				return "a bound claim is not a string or list of them"
			}
		}
	}
	// Negative ones are none.
	if why := unfit(term{"ExpirationLeeway", max(spec.ExpirationLeeway, 0)}, term{"NotBeforeLeeway", max(spec.NotBeforeLeeway, 0)}, term{"ClockSkewLeeway", max(spec.ClockSkewLeeway, 0)}); why != "" {
		return why
	}
	return spec.params().refusal()
}

// JWT configures a JWT method, instead of what it had before.
func (s *Server) JWT(spec JWTSpec) {
	s.tb.Helper()
	for _, key := range spec.Keys {
		if why := unusableKey(key); why != "" {
			s.tb.Fatalf("vaulttest: JWT: %s", why)
			return
		}
	}
	if len(spec.Keys) == 0 {
		s.tb.Fatalf("vaulttest: JWT: without a key nobody can log in")
		return
	}
	s.lock()
	defer s.unlock()
	if m := s.authMount(spec.Mount, "jwt"); m != nil {
		e, _ := m.engine.(*jwtMethod)
		e.config = &spec
	}
}

// JWTRole defines a role of the JWT method, or changes one. As in Vault names of roles are told apart
// without regard to case.
func (s *Server) JWTRole(role string, spec JWTRoleSpec) {
	s.tb.Helper()
	role = strings.ToLower(role)
	// The claims are kept as Vault stores them, so that a number is equal to one in a token.
	text, err := json.Marshal(spec.BoundClaims)
	if err == nil && spec.BoundClaims != nil {
		spec.BoundClaims, err = decodeObject(text)
	}
	why := spec.refusal()
	switch {
	case !isName(role):
		s.tb.Fatalf("vaulttest: JWTRole: Vault takes no name like %q", role)
		return
	case err != nil:
		s.tb.Fatalf("vaulttest: JWTRole %q: the bound claims are no JSON: %v", role, err)
		return
	case why != "":
		s.tb.Fatalf("vaulttest: JWTRole %q: %s", role, why)
		return
	}
	s.lock()
	defer s.unlock()
	if m := s.authMount(spec.Mount, "jwt"); m != nil {
		e, _ := m.engine.(*jwtMethod)
		e.roles[role] = &spec
	}
}

// jwtMethod is a JWT auth method.
type jwtMethod struct {
	config   *JWTSpec
	roles    map[string]*JWTRoleSpec
	entities entities
}

func newJWTMethod() engine {
	return &jwtMethod{roles: map[string]*JWTRoleSpec{}, entities: entities{}}
}

// opens implements opener.
func (*jwtMethod) opens(rest string) bool {
	return rest == "login" || rest == "oidc/auth_url" || rest == "oidc/callback"
}

// serve implements engine.
func (e *jwtMethod) serve(c *call, m *mount, rest string) reply {
	switch {
	case rest == "login":
		return e.login(c, m)
	case rest == "config", strings.HasPrefix(rest, "oidc/"):
		return unmodelled(m.path + rest)
	}
	return serveRoles(c, m, e.roles, rest, "writing JWT roles through the API; see Server.JWTRole")
}

// data shows a role as the API does.
func (spec *JWTRoleSpec) data() map[string]any {
	data := spec.params().data()
	maps.Copy(data, map[string]any{
		"role_type": "jwt", "expiration_leeway": seconds(spec.ExpirationLeeway), "not_before_leeway": seconds(spec.NotBeforeLeeway),
		"clock_skew_leeway": seconds(spec.ClockSkewLeeway), "bound_audiences": spec.BoundAudiences, "bound_subject": spec.BoundSubject,
		"bound_claims_type": cmp.Or(spec.BoundClaimsType, "string"), "bound_claims": spec.BoundClaims,
		"claim_mappings": spec.ClaimMappings, "user_claim": spec.userClaim(), "user_claim_json_pointer": false, "groups_claim": "",
		"allowed_redirect_uris": nil, "oidc_scopes": nil, "verbose_oidc_logging": false, "max_age": 0,
	})
	return data
}

func (spec *JWTRoleSpec) userClaim() string { return cmp.Or(spec.UserClaim, "sub") }
