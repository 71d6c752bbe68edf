package testvault

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
)

// Mount enables a secrets engine of type typ at path.
func (s *Server) Mount(path, typ string, options map[string]string) {
	s.tb.Helper()
	s.Write("sys/mounts/"+path, map[string]any{"type": typ, "options": options})
}

// Policy writes an ACL policy.
func (s *Server) Policy(name, hcl string) {
	s.tb.Helper()
	s.Write("sys/policies/acl/"+name, map[string]any{"policy": hcl})
}

// AppRole writes a role of the AppRole method at auth/mount, which it enables
// if need be, and returns what is needed to log in. params are the role's, such
// as token_ttl and token_policies.
func (s *Server) AppRole(mount, role string, params map[string]any) (roleID, secretID string) {
	s.tb.Helper()
	methods, _ := s.Read("sys/auth")["data"].(map[string]any)
	if _, enabled := methods[mount+"/"]; !enabled {
		s.Write("sys/auth/"+mount, map[string]any{"type": "approle"})
	}
	path := "auth/" + mount + "/role/" + role
	if params == nil {
		params = map[string]any{}
	}
	s.Write(path, params)
	roleID = s.field(s.Read(path+"/role-id"), "data", "role_id")
	secretID = s.field(s.Write(path+"/secret-id", map[string]any{}), "data", "secret_id")
	return roleID, secretID
}

// connection is the name of the database connection that Database writes.
const connection = "app"

// Database mounts the database engine and connects it to pg. Every role may use
// the connection.
func (s *Server) Database(pg *PG, mount string) {
	s.tb.Helper()
	s.Mount(mount, "database", nil)
	s.Write(mount+"/config/"+connection, map[string]any{
		"plugin_name":   "postgresql-database-plugin",
		"allowed_roles": "*",
		"connection_url": fmt.Sprintf(
			"postgresql://{{username}}:{{password}}@127.0.0.1:%d/%s?sslmode=disable", pg.port, pgDatabase),
		"username": vaultRole,
		"password": pg.vaultPassword,
	})
}

// creationStatements make a login that may read. Its revocation is left to
// Vault's default: that is what most installations run.
var creationStatements = []string{
	`CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`,
	`GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";`,
}

// DatabaseRole writes a dynamic role on the connection that Database made.
// params override the defaults, and add such things as default_ttl.
func (s *Server) DatabaseRole(mount, name string, params map[string]any) {
	s.tb.Helper()
	body := map[string]any{"db_name": connection, "creation_statements": creationStatements}
	maps.Copy(body, params)
	s.Write(mount+"/roles/"+name, body)
}

// RevokeLease revokes one lease and waits until that is done.
func (s *Server) RevokeLease(leaseID string) {
	s.tb.Helper()
	s.Write("sys/leases/revoke", map[string]any{"lease_id": leaseID, "sync": true})
}

// RevokeLeases revokes all leases under prefix and waits until that is done.
func (s *Server) RevokeLeases(prefix string) {
	s.tb.Helper()
	s.Write("sys/leases/revoke-prefix/"+strings.TrimSuffix(prefix, "/"), map[string]any{"sync": true})
}

// RevokeAccessor revokes a token by its accessor. Its leases follow, in Vault's
// own time.
func (s *Server) RevokeAccessor(accessor string) {
	s.tb.Helper()
	s.Write("auth/token/revoke-accessor", map[string]any{"accessor": accessor})
}

// Leases returns the IDs of all leases under prefix, such as "database/creds".
// An expired lease stays listed until Vault has revoked it.
func (s *Server) Leases(prefix string) []string {
	s.tb.Helper()
	prefix = strings.Trim(prefix, "/") + "/"
	if prefix == "/" {
		prefix = ""
	}
	var leases []string
	for _, key := range s.List("sys/leases/lookup/" + prefix) {
		if strings.HasSuffix(key, "/") {
			leases = append(leases, s.Leases(prefix+key)...)
		} else {
			leases = append(leases, prefix+key)
		}
	}
	return leases
}

// Alive tells whether Vault accepts token.
func (s *Server) Alive(token string) bool {
	s.tb.Helper()
	status, _, err := s.As(token).TryRead("auth/token/lookup-self")
	if err != nil {
		s.tb.Fatalf("testvault: look up a token: %s", s.As(token).redact(err.Error()))
	}
	return status == http.StatusOK
}

// field returns a string deep in an answer.
func (s *Server) field(answer map[string]any, keys ...string) string {
	s.tb.Helper()
	var value any = answer
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	text, ok := value.(string)
	if !ok {
		s.tb.Fatalf("testvault: Vault's answer has no %s", strings.Join(keys, "."))
	}
	return text
}
