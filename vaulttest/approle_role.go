package vaulttest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// serve implements engine.
func (e *approleMethod) serve(c *call, m *mount, rest string) reply {
	if rest == "login" {
		return e.login(c)
	}
	// Vault puts a slash behind the path of a list, and takes others with one in places.
	path := strings.TrimSuffix(rest, "/")
	slash := path != rest || c.method == "LIST"
	if path == "role" {
		if c.method != "LIST" {
			return unsupportedOperation()
		}
		return listOf("approle", sortedKeys(e.roles))
	}
	below, found := strings.CutPrefix(path, "role/")
	name, below, _ := strings.Cut(below, "/")
	if !found || !isName(name) {
		if path == "tidy/secret-id" {
			return unmodelled(m.path + path)
		}
		return unsupportedPath()
	}
	r := e.roles[strings.ToLower(name)]
	switch below {
	case "", "role-id", "custom-secret-id":
		if slash {
			return unsupportedPath()
		}
	case "secret-id":
		if c.method == "LIST" {
			return r.listSecretIDs(c, name)
		}
	}
	if _, aboutSecretIDs := secretIDFields[below]; aboutSecretIDs {
		return r.secretIDRoute(c, name, below)
	}
	switch below {
	case "", "role-id":
		return e.roleRoute(c, r, below)
	case "policies", "bound-cidr-list", "secret-id-bound-cidrs", "token-bound-cidrs", "bind-secret-id", "local-secret-ids",
		"secret-id-num-uses", "secret-id-ttl", "period", "token-num-uses", "token-ttl", "token-max-ttl":
		return unmodelled(m.path + path)
	}
	return unsupportedPath()
}

// roleRoute answers role/NAME and role/NAME/role-id.
func (e *approleMethod) roleRoute(c *call, r *approle, below string) reply {
	switch {
	case c.write:
		return unmodelled("writing an AppRole through the API; see Server.AppRole")
	case c.method == http.MethodDelete && below == "":
		if r != nil {
			delete(e.roles, r.name)
		}
		return noContent()
	case c.method != http.MethodGet:
		return unsupportedOperation()
	case r == nil:
		return fail(http.StatusNotFound)
	case below == "role-id":
		return ok("approle", map[string]any{"role_id": r.id})
	}
	data := r.spec.params().data()
	data["bind_secret_id"], data["local_secret_ids"] = !r.spec.NoBindSecretID, false
	data["secret_id_num_uses"], data["secret_id_ttl"] = r.spec.SecretIDNumUses, seconds(r.spec.SecretIDTTL)
	data["secret_id_bound_cidrs"] = nil
	return ok("approle", data)
}

// listSecretIDs lists the accessors of a role's secret IDs.
func (r *approle) listSecretIDs(c *call, name string) reply {
	if r == nil {
		return fail(http.StatusBadRequest, fmt.Sprintf("role %q does not exist", name))
	}
	r.tidy(c.now)
	var accessors []string
	for _, secret := range r.secrets {
		accessors = append(accessors, secret.accessor)
	}
	slices.Sort(accessors)
	return listOf("approle", accessors)
}

// isName tells whether Vault takes a text as the name of a role or a user in a path: letters,
// digits and underscores, with dots and dashes between them.
func isName(text string) bool {
	inner := strings.Trim(text, ".-")
	return inner != "" && inner == text && strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune(textAlphabet+"_.-", r)
	}) < 0
}
