package main

import (
	"database/sql/driver"
	"net/http"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// fake is the stage that needs nothing but Go. Its Vault listens on a loopback
// port like any other; the library does not know the difference.
type fake struct {
	vault *vaulttest.Server
	db    *database
}

func newFake(tb vaulttest.TB) *fake {
	vault := vaulttest.New(tb)
	vault.Policy("payments",
		vaulttest.Rule{Path: "secret/data/payments/*", Capabilities: []string{"read"}},
		vaulttest.Rule{Path: credsPath, Capabilities: []string{"read"}},
	)
	vault.DynamicRole("database", role, vaulttest.RoleSpec{DefaultTTL: leaseTTL, MaxTTL: leaseMax})
	return &fake{vault: vault, db: &database{vault: vault}}
}

func (f *fake) Name() string { return "an in-memory Vault and database" }

func (f *fake) Connect(cfg *leasehold.Config) { cfg.Address = f.vault.URL() }

func (f *fake) AppRole() (roleID, secretID string) {
	return f.vault.AppRole("payments", vaulttest.AppRoleSpec{
		Policies: []string{"payments"}, TokenTTL: tokenTTL, TokenMaxTTL: tokenMax,
	})
}

func (f *fake) PutSecret(path string, data map[string]any) { f.vault.PutKV("secret", path, data) }

func (f *fake) Open(up dynamic.UserPass) (driver.Connector, error) {
	return &connector{db: f.db, up: up}, nil
}

func (f *fake) Alive(user string) bool { return f.vault.Alive(user) }

func (f *fake) Users() []string {
	var users []string
	for _, l := range f.vault.Leases() {
		if name, ok := l.Data["username"].(string); ok {
			users = append(users, name)
		}
	}
	return users
}

func (f *fake) StopVault()                  { f.vault.Close() }
func (f *fake) StartVault()                 { f.vault.Restart() }
func (f *fake) RevokeToken(accessor string) { f.vault.RevokeToken(accessor) }

func (f *fake) Logins() int  { return f.succeeded(loginPath) }
func (f *fake) Created() int { return f.succeeded(credsPath) }

func (f *fake) succeeded(path string) int {
	n := 0
	for _, r := range f.vault.Requests() {
		if r.Path == path && r.Status == http.StatusOK {
			n++
		}
	}
	return n
}

// Left implements stage. This Vault revokes before it answers: there is nothing to
// wait for.
func (f *fake) Left() left {
	return left{leases: len(f.vault.Leases()), tokens: len(f.vault.Tokens()), users: len(f.Users())}
}
