package vaulttest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

var jwtLoginFields = schema{"role": asText, "jwt": asText, "distributed_claim_access_token": asText}

func (e *jwtMethod) login(c *call, m *mount) reply {
	f, bad := c.loginFields(jwtLoginFields)
	if bad != nil {
		return *bad
	}
	refuse := func(format string, args ...any) reply {
		return fail(http.StatusBadRequest, fmt.Sprintf(format, args...))
	}
	if e.config == nil {
		return refuse("could not load configuration")
	}
	name := cmp.Or(strings.ToLower(f.text("role")), e.config.DefaultRole)
	role := e.roles[name]
	switch {
	case name == "":
		return refuse("missing role")
	case role == nil:
		return refuse("role %q could not be found", name)
	case f.text("jwt") == "":
		return refuse("missing token")
	case strings.HasPrefix(strings.TrimSpace(f.text("jwt")), "{"):
		return unmodelled("JWTs in the form of JSON")
	}
	claims, err := e.verify(f.text("jwt"), role, c.now)
	if err != nil {
		return refuse("error validating token: %v", err)
	}
	if list, _ := claims["aud"].([]any); len(role.BoundAudiences) == 0 && (len(list) > 0 || textField(claims, "aud") != "") {
		return refuse("audience claim found in JWT but no audiences bound to the role")
	}
	user, metadata, err := role.identify(claims)
	if err != nil {
		return refuse("%v", err)
	}
	if err := boundClaims(role.BoundClaims, claims, role.BoundClaimsType == "glob"); err != nil {
		return refuse("error validating claims: %v", err)
	}
	metadata["role"] = name
	t := role.params().token()
	t.display, t.entityID, t.meta = m.displayName(user), e.entities.of(user), metadata
	t.refresh = func(t *token) error {
		now := e.roles[name]
		if now == nil {
			return fmt.Errorf("role %s does not exist during renewal", name)
		}
		now.params().renew(t)
		return nil
	}
	return c.logIn(t, f.warnings...)
}

// verify returns the claims of a JWT that the method's keys and the role vouch for.
func (e *jwtMethod) verify(text string, role *JWTRoleSpec, now time.Time) (map[string]any, error) {
	token, err := parseJWT(text)
	if err != nil {
		return nil, fmt.Errorf("error verifying token signature: %w", err)
	}
	claims, err := token.claims()
	if err != nil || !token.verified(e.config.Keys) {
		return nil, errors.New("error verifying token signature: no known key successfully validated the token signature")
	}
	return claims, expectedClaims{
		issuer: e.config.BoundIssuer, subject: role.BoundSubject, audiences: role.BoundAudiences,
		expirationLeeway: role.ExpirationLeeway, notBeforeLeeway: role.NotBeforeLeeway, clockSkewLeeway: role.ClockSkewLeeway,
	}.check(claims, now)
}

// identify tells who a JWT is about, and the metadata that the role makes of its claims.
func (spec *JWTRoleSpec) identify(claims map[string]any) (user string, metadata map[string]string, err error) {
	claim := claims[spec.userClaim()]
	user, isText := claim.(string)
	switch {
	case claim == nil:
		return "", nil, fmt.Errorf("claim %q not found in token", spec.userClaim())
	case !isText:
		return "", nil, fmt.Errorf("claim %q could not be converted to string", spec.userClaim())
	}
	metadata = map[string]string{}
	for _, name := range sortedKeys(spec.ClaimMappings) {
		claim := claimAt(claims, name)
		text, isText := claim.(string)
		switch {
		case isText:
			metadata[spec.ClaimMappings[name]] = text
		case claim != nil:
			return "", nil, fmt.Errorf("error converting claim '%s' to string", name)
		}
	}
	return user, metadata, nil
}
