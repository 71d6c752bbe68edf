package vaulttest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// KubernetesRoleSpec describes a role of the Kubernetes method.
type KubernetesRoleSpec struct {
	// BoundServiceAccountNames and BoundServiceAccountNamespaces are those that may log in. "*" stands
	// for anything, alone or in a name. Neither may be empty.
	BoundServiceAccountNames, BoundServiceAccountNamespaces []string
	// Audience is one that the token must have; empty: any.
	Audience string
	// AliasNameSource is "serviceaccount_uid", the default, or "serviceaccount_name". It tells which
	// tokens belong to one entity.
	AliasNameSource string

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
	// Mount is the path of the Kubernetes method below auth/; empty: "kubernetes". It is mounted if
	// need be.
	Mount string
}

func (spec KubernetesRoleSpec) params() tokenParams {
	return tokenParams{
		policies: spec.Policies, noDefaultPolicy: spec.NoDefaultPolicy, kind: spec.TokenType, numUses: spec.TokenNumUses,
		ttl: spec.TokenTTL, maxTTL: spec.TokenMaxTTL, explicitMaxTTL: spec.TokenExplicitMaxTTL, period: spec.TokenPeriod,
	}
}

// refusal is what Vault says to such a role; empty: nothing.
func (spec KubernetesRoleSpec) refusal() string {
	names, namespaces := spec.BoundServiceAccountNames, spec.BoundServiceAccountNamespaces
	switch {
	case len(names) == 0:
		return `"bound_service_account_names" can not be empty`
	case len(namespaces) == 0:
		return `"bound_service_account_namespaces" can not be empty`
	case len(names) > 1 && slices.Contains(names, "*"), len(namespaces) > 1 && slices.Contains(namespaces, "*"):
		return `can not mix "*" with values`
	case spec.AliasNameSource != "" && spec.AliasNameSource != "serviceaccount_uid" && spec.AliasNameSource != "serviceaccount_name":
		return fmt.Sprintf("invalid alias_name_source %q", spec.AliasNameSource)
	}
	return spec.params().refusal()
}

// data shows a role as the API does.
func (spec *KubernetesRoleSpec) data() map[string]any {
	data := spec.params().data()
	maps.Copy(data, map[string]any{
		"bound_service_account_names": spec.BoundServiceAccountNames, "bound_service_account_namespaces": spec.BoundServiceAccountNamespaces,
		"bound_service_account_namespace_selector": "", "alias_name_source": cmp.Or(spec.AliasNameSource, "serviceaccount_uid"),
	})
	if spec.Audience != "" {
		data["audience"] = spec.Audience
	}
	return data
}

// KubernetesRole defines a role of the Kubernetes method, or changes one. ServiceAccountToken makes
// tokens to log in with. As in Vault names of roles are told apart without regard to case.
func (s *Server) KubernetesRole(role string, spec KubernetesRoleSpec) {
	s.tb.Helper()
	role = strings.ToLower(role)
	if !isName(role) {
		s.tb.Fatalf("vaulttest: KubernetesRole: Vault takes no name like %q", role)
		return
	}
	if why := spec.refusal(); why != "" {
		s.tb.Fatalf("vaulttest: KubernetesRole %q: %s", role, why)
		return
	}
	s.lock()
	defer s.unlock()
	if m := s.authMount(spec.Mount, "kubernetes"); m != nil {
		e, _ := m.engine.(*kubernetesMethod)
		e.roles[role] = &spec
	}
}

// kubernetesMethod is a Kubernetes auth method.
type kubernetesMethod struct {
	roles    map[string]*KubernetesRoleSpec
	entities entities
}

func newKubernetesMethod() engine {
	return &kubernetesMethod{roles: map[string]*KubernetesRoleSpec{}, entities: entities{}}
}

// opens implements opener.
func (*kubernetesMethod) opens(rest string) bool { return rest == "login" }

// serve implements engine.
func (e *kubernetesMethod) serve(c *call, m *mount, rest string) reply {
	switch rest {
	case "login":
		return e.login(c, m)
	case "config":
		return unmodelled(m.path + rest)
	}
	return serveRoles(c, m, e.roles, rest, "writing Kubernetes roles through the API; see Server.KubernetesRole")
}

var kubernetesLoginFields = schema{"role": asText, "jwt": asText}

func (e *kubernetesMethod) login(c *call, m *mount) reply {
	f, bad := c.loginFields(kubernetesLoginFields)
	if bad != nil {
		return *bad
	}
	for _, name := range []string{"role", "jwt"} {
		if f.text(name) == "" {
			return fail(http.StatusBadRequest, "missing "+name)
		}
	}
	name := f.text("role")
	role := e.roles[strings.ToLower(name)]
	if role == nil {
		return fail(http.StatusBadRequest, fmt.Sprintf("invalid role name %q", name))
	}
	jwt, err := parseJWT(f.text("jwt"))
	if err != nil || !kubernetesAlgorithms[jwt.alg] {
		return fail(http.StatusForbidden, "permission denied")
	}
	account, refusal := role.identify(jwt, c.now)
	if refusal != nil {
		return *refusal
	}
	alias := account.uid
	if role.AliasNameSource == "serviceaccount_name" {
		alias = account.namespace + "/" + account.name
	}
	if c.s.cluster.review(jwt, account, role.Audience, c.now) != nil {
		return fail(http.StatusForbidden, "permission denied") // why, Vault tells its log alone
	}
	t := role.params().token()
	t.display, t.entityID = m.displayName(account.namespace+"-"+account.name), e.entities.of(alias)
	t.meta = map[string]string{
		"role": name, "service_account_name": account.name, "service_account_namespace": account.namespace,
		"service_account_uid": account.uid, "service_account_secret_name": account.secretName,
	}
	t.refresh = func(t *token) error {
		now := e.roles[strings.ToLower(name)]
		if now == nil {
			return fmt.Errorf("role %s does not exist during renewal", name)
		}
		now.params().renew(t)
		return nil
	}
	return c.logIn(t, f.warnings...)
}

// kubernetesAlgorithms are those that Vault takes from a cluster.
var kubernetesAlgorithms = map[string]bool{
	"RS256": true, "RS384": true, "RS512": true, "PS256": true, "PS384": true, "PS512": true,
	"ES256": true, "ES384": true, "ES512": true,
}
