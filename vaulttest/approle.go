package vaulttest

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

// AppRoleSpec describes an AppRole. Its zero value gives renewable service tokens for 32 days with
// the default policy, and secret IDs without an end.
type AppRoleSpec struct {
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
	// SecretIDNumUses and SecretIDTTL limit each secret ID; zero: not.
	SecretIDNumUses int
	SecretIDTTL     time.Duration
	// NoBindSecretID lets the role ID alone log in. Such a role has no secret IDs.
	NoBindSecretID bool
	// RoleID is chosen; empty: made up, or that which the role has.
	RoleID string
	// Mount is the path of the AppRole method below auth/; empty: "approle". It is mounted if need
	// be.
	Mount string
}

func (spec AppRoleSpec) params() tokenParams {
	return tokenParams{
		policies: spec.Policies, noDefaultPolicy: spec.NoDefaultPolicy, kind: spec.TokenType, numUses: spec.TokenNumUses,
		ttl: spec.TokenTTL, maxTTL: spec.TokenMaxTTL, explicitMaxTTL: spec.TokenExplicitMaxTTL, period: spec.TokenPeriod,
	}
}

func (spec AppRoleSpec) refusal() string {
	if spec.SecretIDNumUses < 0 {
		return "secret_id_num_uses cannot be negative"
	}
	if why := unfit(term{"SecretIDTTL", spec.SecretIDTTL}); why != "" {
		return why
	}
	return spec.params().refusal()
}

// AppRole defines a role, or changes one, and returns its role ID with a new secret ID. Earlier
// secret IDs of the role stay good. As in Vault names of roles are told apart without regard to case.
func (s *Server) AppRole(role string, spec AppRoleSpec) (roleID, secretID string) {
	s.tb.Helper()
	role = strings.ToLower(role)
	if !isName(role) {
		s.tb.Fatalf("vaulttest: AppRole: Vault takes no name like %q", role)
		return "", ""
	}
	if why := spec.refusal(); why != "" {
		s.tb.Fatalf("vaulttest: AppRole %q: %s", role, why)
		return "", ""
	}
	s.lock()
	defer s.unlock()
	m := s.authMount(spec.Mount, "approle")
	if m == nil {
		return "", ""
	}
	e, _ := m.engine.(*approleMethod)
	r := e.roles[role]
	if r == nil {
		r = &approle{mount: m, name: role, secrets: map[string]*appSecretID{}}
	}
	id := spec.RoleID
	switch other := e.byID(id); {
	case id == "" && r.id == "":
		id = newUUID()
	case id == "":
		id = r.id
	case other != nil && other != r:
		s.tb.Fatalf("vaulttest: AppRole %q: role_id already in use", role)
		return "", ""
	}
	e.roles[role] = r
	r.id, r.spec = id, spec
	if spec.NoBindSecretID {
		return r.id, ""
	}
	return r.id, r.newSecretID(s.now()).id
}

// NewSecretID returns a further secret ID for a role.
func (s *Server) NewSecretID(roleID string) string {
	s.tb.Helper()
	s.lock()
	defer s.unlock()
	r := s.boundRole("NewSecretID", roleID)
	if r == nil {
		return ""
	}
	return r.newSecretID(s.now()).id
}

// WrappedSecretID makes a further secret ID for a role and returns a wrapping token for it, as a
// trusted deployment hands it to a program: sys/wrapping/unwrap gives the secret ID once, within ttl.
// It is no secret ID itself: approle.Wrapped of package auth/approle unwraps it and logs in.
func (s *Server) WrappedSecretID(roleID string, ttl time.Duration) string {
	s.tb.Helper()
	if why := unfitWrapping(ttl); why != "" {
		s.tb.Fatalf("vaulttest: WrappedSecretID: %s", why)
		return ""
	}
	s.lock()
	defer s.unlock()
	r := s.boundRole("WrappedSecretID", roleID)
	if r == nil {
		return ""
	}
	made := ok("approle", r.newSecretID(s.now()).handedOut())
	return s.wrap(made, r.mount.path+"role/"+r.name+"/secret-id", ttl).id
}

// DestroySecretID makes a secret ID worthless. Tokens obtained with it live on.
func (s *Server) DestroySecretID(secretID string) {
	s.lock()
	defer s.unlock()
	for _, m := range s.mounts {
		if e, isAppRole := m.engine.(*approleMethod); isAppRole {
			for _, r := range e.roles {
				delete(r.secrets, secretID)
			}
		}
	}
}

// boundRole returns the role with that ID for the method of that name, or ends the test if there is
// none or it has no secret IDs.
func (s *Server) boundRole(method, roleID string) *approle {
	s.tb.Helper()
	for _, m := range s.mounts {
		if e, isAppRole := m.engine.(*approleMethod); isAppRole {
			if r := e.byID(roleID); r != nil && !r.spec.NoBindSecretID {
				return r
			} else if r != nil {
				s.tb.Fatalf("vaulttest: %s: bind_secret_id is not set on the role", method)
				return nil
			}
		}
	}
	s.tb.Fatalf("vaulttest: %s: no role has this role ID (the one that AppRole returned, not the role's name)", method)
	return nil
}

// approleMethod is an AppRole auth method.
type approleMethod struct {
	roles    map[string]*approle // by name
	entities entities            // by role ID, as failed
	failed   lockout
}

func newAppRoleMethod() engine {
	return &approleMethod{roles: map[string]*approle{}, entities: entities{}, failed: lockout{}}
}

type approle struct {
	mount    *mount
	name, id string
	spec     AppRoleSpec
	secrets  map[string]*appSecretID // by secret ID
}

// byID returns the role with that role ID, or nil.
func (e *approleMethod) byID(roleID string) *approle {
	for _, r := range e.roles {
		if r.id == roleID {
			return r
		}
	}
	return nil
}

// opens implements opener.
func (*approleMethod) opens(rest string) bool { return rest == "login" }

var approleLoginFields = schema{"role_id": asText, "secret_id": asText}

func (e *approleMethod) login(c *call) reply {
	if c.method == "LIST" {
		return fail(http.StatusForbidden, "permission denied") // the path of a list is login/, which is not open
	}
	f, bad := c.fields(approleLoginFields)
	if bad != nil {
		return brokenLogin()
	}
	roleID, secretID := strings.TrimSpace(f.text("role_id")), strings.TrimSpace(f.text("secret_id"))
	if bad := e.failed.refuse(c, roleID); bad != nil {
		return *bad
	}
	invalid := fail(http.StatusBadRequest, "invalid role or secret ID")
	r := e.byID(roleID)
	if r == nil {
		return invalid
	}
	meta := map[string]string{}
	if !r.spec.NoBindSecretID {
		if secretID == "" {
			return fail(http.StatusBadRequest, "missing secret_id")
		}
		secret := r.secret(secretID, c.now)
		if secret == nil {
			e.failed.note(roleID, c.now)
			return invalid
		}
		secret.use(c.now)
		maps.Copy(meta, secret.metadata)
	}
	meta["role_name"] = r.name
	t := r.spec.params().token()
	t.display, t.entityID, t.meta = r.mount.displayName(""), e.entities.of(roleID), meta
	t.refresh = func(t *token) error {
		now := e.roles[r.name]
		if now == nil {
			return fmt.Errorf("role %q does not exist during renewal", r.name)
		}
		now.spec.params().renew(t)
		return nil
	}
	answer := c.logIn(t, f.warnings...)
	if answer.status == http.StatusOK {
		delete(e.failed, roleID)
	}
	return answer
}
