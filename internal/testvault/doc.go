// Package testvault starts the real servers that the integration suite runs
// against: HashiCorp Vault (or OpenBao) in dev mode, a cluster of three Vaults with
// integrated storage (Cluster), PostgreSQL, and a Kubernetes API server that judges the
// tokens of service accounts (kubernetes.go). Between the library and a Vault a Proxy
// can stand, which does what networks do (proxy.go). The vault program as a client of
// any server, its agent too, is in client.go.
//
// Every server listens on a free loopback port, keeps its files in a temporary
// directory of its own, and is gone when the test ends, whichever way it ends:
// by returning, by a panic in any goroutine, by a timeout or by SIGKILL. See
// process.go for how.
//
// The package is also the suite's oracle. What the library did is read from
// Vault's audit log, its lease table and PostgreSQL's roles, never from the
// library itself:
//
//	pg := testvault.Postgres(t)
//	vault := testvault.Vault(t)
//	vault.Database(pg, "database")
//	vault.DatabaseRole("database", "app", nil)
//	roleID, secretID := vault.AppRole("approle", "app", map[string]any{"token_ttl": "8s"})
//	...
//	vault.Audit().Count("update", "auth/approle/login")
//
// Where a server cannot be had, a test is skipped on a developer's machine and
// fails when CI is set (require.go). The package needs a Unix: it relies on
// process groups, flock and a POSIX shell.
package testvault
