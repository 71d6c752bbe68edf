// Package vaulttest is an in-memory Vault for tests of programs that use Vault. It needs the
// standard library only and starts in well under a millisecond.
//
//	s := vaulttest.New(t)
//	s.Policy("app", vaulttest.Rule{Path: "secret/data/app/*", Capabilities: []string{"read"}})
//	s.PutKV("secret", "app/db", map[string]any{"password": "x"})
//	roleID, secretID := s.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"app"}, TokenTTL: time.Hour})
//
// Point a client at URL for real HTTP, or give it Client, which stays inside the process and works in
// testing/synctest bubbles, cancellation included.
//
// # Time
//
// The server reads time.Now, which in a bubble is the bubble's clock, and Advance moves its clock
// ahead of that. Nothing runs in the background: before each request and each inspection the server
// ends what has expired, so that what a test sees is exact at every instant. Ends go on while the
// server is sealed or closed.
//
// # Faults
//
// Fail, ClearFaults, Seal and Unseal, Close and Restart. Requests that a fault stops are in Requests.
//
// # Modelled
//
// After Vault 1.21, with its statuses, error texts and arithmetic of TTLs:
//   - Tokens: service and batch, TTL, maximum, explicit maximum, period, number of uses, children and
//     orphans; auth/token/ create, create-orphan, lookup, lookup-self, lookup-accessor, renew,
//     renew-self, renew-accessor, revoke, revoke-self, revoke-accessor.
//   - Policies: globs, "+", precedence, deny; the default policy; sys/capabilities-self.
//   - AppRole: auth/MOUNT/login, with limited secret IDs.
//   - KV version 2: data, delete, undelete, destroy, metadata read, list and delete, check-and-set.
//   - Database roles: MOUNT/creds/ROLE, with leases that die with the token they were made with.
//   - Leases: sys/leases/ renew, lookup, revoke, and the older sys/renew and sys/revoke.
//   - sys/health, sys/seal-status, sys/internal/ui/mounts/PATH.
//
// # Modelled in part
//
//   - Revocation is done before the answer; Vault's may take seconds.
//   - Namespaces are ignored, as by Vault's community edition; Requests shows the header.
//   - Each policy is a list of Rules; there are no parameter constraints, no templates, no identity
//     policies. The sudo capability opens nothing.
//   - KV keeps ten versions of a secret, without custom metadata and without who changed it.
//   - The default and maximum TTL of all mounts are 32 days.
//   - A lease under a batch token that is itself a child ends with the parent, as in Vault.
//
// # Not modelled
//
// Everything else answers 501 with a sentence that says so: response wrapping, other auth methods and
// engines, PATCH, writing metadata, listing and revoking by prefix, administration through the API.
// A path where nothing is mounted gives Vault's own 404 or 403.
package vaulttest
