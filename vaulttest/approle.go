package vaulttest

import (
	"net/http"
	"time"
)

// AppRoleSpec describes an AppRole. Its zero value gives renewable service tokens for 32 days with
// the default policy, and secret IDs without an end.
type AppRoleSpec struct {
	// Policies of the tokens; "default" comes with them unless NoDefaultPolicy.
	Policies        []string
	NoDefaultPolicy bool
	// TokenTTL, TokenMaxTTL and TokenPeriod are as in TokenSpec.
	TokenTTL, TokenMaxTTL, TokenPeriod time.Duration
	TokenNumUses                       int
	// TokenType is "service", the default, or "batch".
	TokenType string
	// SecretIDNumUses and SecretIDTTL limit each secret ID; zero: not.
	SecretIDNumUses int
	SecretIDTTL     time.Duration
	// Mount is the path of the AppRole method below auth/; empty: "approle". It is mounted if need
	// be.
	Mount string
}

// approleMethod is an AppRole auth method.
type approleMethod struct {
	roles   map[string]*approle // by role ID
	secrets map[string]*appSecretID
}

type approle struct {
	name, id, entityID string
	spec               AppRoleSpec
}

type appSecretID struct {
	role    *approle
	uses    int // left; 0: without limit
	expires time.Time
}

// AppRole defines a role, or changes one, and returns its role ID with a new secret ID. Earlier
// secret IDs of the role stay good.
func (s *Server) AppRole(role string, spec AppRoleSpec) (roleID, secretID string) {
	s.tb.Helper()
	if spec.TokenType != "" && spec.TokenType != "service" && spec.TokenType != "batch" {
		s.tb.Fatalf("vaulttest: AppRole %q: token type %q is neither service nor batch", role, spec.TokenType)
		return "", ""
	}
	if spec.Mount == "" {
		spec.Mount = "approle"
	}
	s.lock()
	defer s.unlock()
	m := s.mount("auth/"+spec.Mount, "approle")
	if m == nil {
		return "", ""
	}
	e := m.engine.(*approleMethod)
	var r *approle
	for _, known := range e.roles {
		if known.name == role {
			r = known
		}
	}
	if r == nil {
		r = &approle{name: role, id: newUUID(), entityID: newUUID()}
		e.roles[r.id] = r
	}
	r.spec = spec
	return r.id, e.addSecretID(r, s.now())
}

// NewSecretID returns a further secret ID for a role.
func (s *Server) NewSecretID(roleID string) string {
	s.tb.Helper()
	s.lock()
	defer s.unlock()
	for _, m := range s.mounts {
		if e, isAppRole := m.engine.(*approleMethod); isAppRole && e.roles[roleID] != nil {
			return e.addSecretID(e.roles[roleID], s.now())
		}
	}
	s.tb.Fatalf("vaulttest: NewSecretID: no role has this role ID")
	return ""
}

// DestroySecretID makes a secret ID worthless. Tokens obtained with it live on.
func (s *Server) DestroySecretID(secretID string) {
	s.lock()
	defer s.unlock()
	for _, m := range s.mounts {
		if e, isAppRole := m.engine.(*approleMethod); isAppRole {
			delete(e.secrets, secretID)
		}
	}
}

func (e *approleMethod) addSecretID(r *approle, now time.Time) string {
	id := newUUID()
	secret := &appSecretID{role: r, uses: r.spec.SecretIDNumUses}
	if r.spec.SecretIDTTL > 0 {
		secret.expires = now.Add(r.spec.SecretIDTTL)
	}
	e.secrets[id] = secret
	return id
}

// opens implements opener.
func (*approleMethod) opens(rest string) bool { return rest == "login" }

// serve implements engine.
func (e *approleMethod) serve(c *call, m *mount, rest string) reply {
	if rest != "login" {
		return unmodelled(m.path + rest)
	}
	return e.login(c)
}

func (e *approleMethod) login(c *call) reply {
	roleID, secretID := textField(c.params, "role_id"), textField(c.params, "secret_id")
	if roleID == "" {
		// What Vault says since it looks for the login's identity first.
		return fail(http.StatusInternalServerError, "failed to determine alias name from login request")
	}
	if !c.write {
		return unsupportedOperation()
	}
	invalid := fail(http.StatusBadRequest, "invalid role or secret ID")
	r := e.roles[roleID]
	if r == nil {
		return invalid
	}
	if secretID == "" {
		return fail(http.StatusBadRequest, "missing secret_id")
	}
	secret := e.secrets[secretID]
	if secret == nil || secret.role != r {
		return invalid
	}
	if !secret.expires.IsZero() && !c.now.Before(secret.expires) {
		delete(e.secrets, secretID)
		return invalid
	}
	if secret.uses > 0 {
		if secret.uses--; secret.uses == 0 {
			delete(e.secrets, secretID)
		}
	}
	return c.logIn(&token{
		display: "approle", entityID: r.entityID, meta: map[string]string{"role_name": r.name},
		batch: r.spec.TokenType == "batch", policies: policySet(r.spec.Policies, r.spec.NoDefaultPolicy),
		ttl: r.spec.TokenTTL, maxTTL: r.spec.TokenMaxTTL, period: r.spec.TokenPeriod, uses: r.spec.TokenNumUses,
	})
}
