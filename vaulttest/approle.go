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
	m := s.mount("auth/"+slashed(spec.Mount), "approle")
	if m == nil {
		s.tb.Fatalf("vaulttest: AppRole %q: something else is mounted at auth/%s", role, spec.Mount)
		return "", ""
	}
	var r *approle
	for _, known := range m.approles {
		if known.name == role {
			r = known
		}
	}
	if r == nil {
		r = &approle{name: role, id: newUUID(), entityID: newUUID()}
		m.approles[r.id] = r
	}
	r.spec = spec
	return r.id, s.addSecretID(m, r)
}

// NewSecretID returns a further secret ID for a role.
func (s *Server) NewSecretID(roleID string) string {
	s.tb.Helper()
	s.lock()
	defer s.unlock()
	for _, m := range s.mounts {
		if r := m.approles[roleID]; r != nil {
			return s.addSecretID(m, r)
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
		delete(m.secretIDs, secretID)
	}
}

func (s *Server) addSecretID(m *mount, r *approle) string {
	id := newUUID()
	secret := &appSecretID{role: r, uses: r.spec.SecretIDNumUses}
	if r.spec.SecretIDTTL > 0 {
		secret.expires = s.now().Add(r.spec.SecretIDTTL)
	}
	m.secretIDs[id] = secret
	return id
}

func (c *call) approleLogin(m *mount) reply {
	roleID, secretID := textField(c.params, "role_id"), textField(c.params, "secret_id")
	if roleID == "" {
		// What Vault says since it looks for the login's identity first.
		return fail(http.StatusInternalServerError, "failed to determine alias name from login request")
	}
	if !c.write {
		return unsupportedOperation()
	}
	invalid := fail(http.StatusBadRequest, "invalid role or secret ID")
	r := m.approles[roleID]
	if r == nil {
		return invalid
	}
	if secretID == "" {
		return fail(http.StatusBadRequest, "missing secret_id")
	}
	secret := m.secretIDs[secretID]
	if secret == nil || secret.role != r {
		return invalid
	}
	if !secret.expires.IsZero() && !c.now.Before(secret.expires) {
		delete(m.secretIDs, secretID)
		return invalid
	}
	if secret.uses > 0 {
		if secret.uses--; secret.uses == 0 {
			delete(m.secretIDs, secretID)
		}
	}
	t := &token{
		path: c.path, display: "approle", entityID: r.entityID, meta: map[string]string{"role_name": r.name},
		batch: r.spec.TokenType == "batch", renewable: true,
		policies: policySet(r.spec.Policies, r.spec.NoDefaultPolicy),
		ttl:      r.spec.TokenTTL, maxTTL: r.spec.TokenMaxTTL, period: r.spec.TokenPeriod, uses: r.spec.TokenNumUses,
	}
	if t.batch {
		t.uses = 0 // there is nowhere to count them
	}
	warnings := c.s.addToken(t)
	return answer(http.StatusOK, envelope{Warnings: warnings, Auth: t.auth(t.creationTTL)})
}
