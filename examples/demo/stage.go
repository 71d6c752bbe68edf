package main

import (
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
)

// stage is the world around the service: a Vault and a database that lets in whom
// Vault made.
type stage interface {
	Name() string
	administrator
	oracle

	Connect(cfg *leasehold.Config) // has the service find Vault
	Open(up dynamic.UserPass) (driver.Connector, error)
}

// administrator is who sets things up, and what happens to them.
type administrator interface {
	AppRole() (roleID, secretID string) // of a role that may do what the service does
	PutSecret(path string, data map[string]any)
	RevokeToken(accessor string)
	StopVault()
	StartVault() // with all that it held before
}

// oracle tells what the servers know, which is held against what the library did.
type oracle interface {
	Users() []string        // whom Vault made and the database lets in now
	Alive(user string) bool // whether the user is one of them
	Logins() int            // that succeeded
	Created() int           // credentials
	Left() left             // of the service; waits for what is on its way out
}

// left is what the service has left behind.
type left struct{ leases, tokens, users int }

func (l left) count() int { return l.leases + l.tokens + l.users }

func (l left) String() string {
	if l.count() == 0 {
		return "nothing left"
	}
	return fmt.Sprintf("%d leases, %d tokens, %d database users left", l.leases, l.tokens, l.users)
}

// What both stages give the service. The lives are short, so that all happens
// while somebody is watching: production has hours here, and the same code.
const (
	role     = "payments-rw"
	leaseTTL = 5 * time.Second
	leaseMax = 8 * time.Second
	tokenTTL = 10 * time.Second
	tokenMax = time.Minute
)

const (
	credsPath = "database/creds/" + role
	loginPath = "auth/approle/login"
)
