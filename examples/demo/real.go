//go:build unix

package main

import (
	"database/sql/driver"
	"slices"
	"testing" //nolint:depguard // The servers belong to a test; host stands in for it.
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// onReal is the stage of real servers. They end with the program, whichever way
// that ends.
type onReal struct {
	vault *testvault.Server
	pg    *testvault.PG
}

// asTest is a host in the form that the servers expect. The host's methods are
// nearer than the interface's, which is there for the rest of its method set.
type asTest struct {
	*host
	rest
}

type rest struct{ testing.TB }

const policy = `
path "secret/data/payments/*" { capabilities = ["read"] }
path "` + credsPath + `" { capabilities = ["read"] }
`

func newReal(h *host) stage {
	tb := asTest{host: h}
	vault, pg := testvault.Vault(tb), testvault.Postgres(tb)
	pg.Exec("CREATE TABLE payments (id int)")
	pg.Exec("INSERT INTO payments VALUES (1), (2), (3)")
	vault.Database(pg, "database")
	vault.DatabaseRole("database", role, map[string]any{"default_ttl": leaseTTL.String(), "max_ttl": leaseMax.String()})
	vault.Policy("payments", policy)
	return &onReal{vault: vault, pg: pg}
}

func (r *onReal) Name() string { return "a real Vault and a real PostgreSQL" }

func (r *onReal) Connect(cfg *leasehold.Config) { cfg.Address = r.vault.Addr() }

func (r *onReal) AppRole() (roleID, secretID string) {
	return r.vault.AppRole("approle", "payments", map[string]any{
		"token_policies": "payments", "token_ttl": tokenTTL.String(), "token_max_ttl": tokenMax.String(),
	})
}

func (r *onReal) PutSecret(path string, data map[string]any) {
	r.vault.Write("secret/data/"+path, map[string]any{"data": data})
}

func (r *onReal) Open(up dynamic.UserPass) (driver.Connector, error) {
	cfg, err := pgx.ParseConfig(r.pg.DSN(up.Username, up.Password.Reveal()))
	if err != nil {
		return nil, err
	}
	return stdlib.GetConnector(*cfg), nil
}

// Users are PostgreSQL's roles. Vault drops one when its lease has ended.
func (r *onReal) Users() []string        { return r.pg.Roles() }
func (r *onReal) Alive(user string) bool { return slices.Contains(r.pg.Roles(), user) }

// StopVault freezes the server: unlike one that is gone it still takes connections,
// and answers none.
func (r *onReal) StopVault()                  { r.vault.Pause() }
func (r *onReal) StartVault()                 { r.vault.Resume() }
func (r *onReal) RevokeToken(accessor string) { r.vault.RevokeAccessor(accessor) }

func (r *onReal) Logins() int  { return r.succeeded("update", loginPath) }
func (r *onReal) Created() int { return r.succeeded("read", credsPath) }

// succeeded counts requests in Vault's audit log.
func (r *onReal) succeeded(op, path string) int {
	n := 0
	for _, e := range r.vault.Audit().Responses() {
		if e.Operation == op && e.Path == path && e.Error == "" {
			n++
		}
	}
	return n
}

// Left implements stage. Vault revokes in its own time, which is given to it.
func (r *onReal) Left() left {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		l := left{leases: len(r.vault.Leases(credsPath)), tokens: r.tokens(), users: len(r.pg.Roles())}
		if l.count() == 0 || time.Now().After(deadline) {
			return l
		}
	}
}

// tokens counts the living tokens that were obtained by login.
func (r *onReal) tokens() int {
	n := 0
	for _, accessor := range r.vault.List("auth/token/accessors") {
		status, body, err := r.vault.TryWrite("auth/token/lookup-accessor", map[string]any{"accessor": accessor})
		data, _ := body["data"].(map[string]any)
		if err == nil && status < 300 && data["path"] == loginPath {
			n++
		}
	}
	return n
}
