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
// ends what has expired, so that what a test sees is exact at every instant; the test's own functions
// (RoleSpec.Revoke, StaticSpec.Rotate) are called then, too. Leases, Tokens, Alive and KV inspect; Now
// and Requests do not. Ends go on while the server is sealed or closed.
//
// A bubble must be left empty: close the client under test in it. One that was forgotten shows as
// "blocked goroutines remain".
//
// # Faults
//
// Fail adds one, by path, method, count and every so many, and returns what ends it; ClearFaults ends
// all. Seal and Unseal, Close and Restart. Requests that a fault stops are in Requests.
//
// # Modelled
//
// After Vault 1.21, with its statuses, error texts, warnings and arithmetic of TTLs. The same
// requests are played against both, and the answers compared.
//   - Tokens: service and batch, TTL, maximum, explicit maximum, period, number of uses, children and
//     orphans; auth/token/ create, create-orphan, lookup, renew, revoke, their -self and -accessor
//     forms, revoke-orphan, accessors.
//   - Policies: globs, "+", precedence, deny, sudo; sys/policies/acl and sys/policy, with text in HCL
//     or JSON; sys/capabilities, capabilities-self, capabilities-accessor.
//   - AppRole: login, with secret IDs limited by uses and TTL, with metadata, chosen by the caller and
//     wrapped; reading, listing and deleting roles; role-id; secret-id, custom-secret-id, lookup and
//     destroy, also by accessor.
//   - Userpass: login, reading, listing and deleting users, changing a password. User lockout of both:
//     five failed logins are followed by a quarter of an hour of 403, as with Vault's defaults.
//   - Renewals of login tokens go by the role or user as it is then.
//   - JWT: login with keys that the test registers (RS, PS, ES and EdDSA), times with Vault's leeways,
//     issuer, subject, audiences, bound claims with globs and JSON pointers, claim mappings, default
//     role. SignJWT makes tokens.
//   - Kubernetes: login with service account tokens, which ServiceAccountToken makes and
//     DeleteServiceAccount takes back; audiences, bound names and namespaces with globs.
//   - AWS: login of the type iam with a signed GetCallerIdentity request, by POST or as a link. The
//     signature is checked against access keys that the test registers, for region, age and what it
//     covers; the server ID header; ARNs with "*" at the end.
//   - Of these three also reading, listing and deleting roles.
//   - KV version 2: config, data with PATCH and check-and-set, subkeys, delete, undelete, destroy,
//     metadata with PATCH, custom metadata and its limits, max_versions, delete_version_after, lists,
//     and who made each change.
//   - KV version 1: read, write, list, delete, and the lease_duration that a secret's ttl sets.
//   - Database: MOUNT/creds/ROLE, with leases that die with the token they were made with;
//     MOUNT/static-creds/ROLE and MOUNT/rotate-role/ROLE, with rotations by period; lists of roles and
//     static-roles.
//   - PKI: MOUNT/issue/ROLE and MOUNT/sign/ROLE with Vault's rules for names, TTLs and formats, under
//     leases if the role says so; ca, ca_chain, cert/SERIAL, certs, revoke, crl. Certificates are valid
//     by the server's clock; PKICA gives the authority for a pool.
//   - Transit: encrypt, decrypt, rewrap, datakey, sign, verify, hmac, random, hash, export, with
//     batches; keys/NAME with rotate and config; keys of AES-GCM, ed25519, ECDSA, RSA and hmac, derived
//     and convergent ones too.
//   - Leases: sys/leases/ renew, lookup, list by prefix, revoke, revoke-prefix, revoke-force, count,
//     tidy, and the older sys/renew, sys/revoke, sys/revoke-prefix, sys/revoke-force; also the leases
//     of tokens, by their IDs in lists.
//   - Response wrapping of every answer; sys/wrapping/ wrap, lookup, unwrap, rewrap. Cubbyholes.
//   - sys/health with all its codes, sys/seal-status, sys/seal, sys/unseal, sys/leader, sys/init;
//     reading sys/mounts, sys/auth and their tune; sys/internal/ui/mounts.
//   - Requests: Vault's redirects to clean paths, its limits of JSON bodies, forms, LIST by list=true.
//
// # Modelled in part
//
//   - Namespaces are ignored, as by Vault's community edition; Requests shows the header.
//   - There is one server, active and without high availability; a standby's answers are staged with
//     Fail. The seal has one key, so there is never progress; Restart leaves the server as open as it
//     was.
//   - Addresses are not looked at: no role, user, secret ID or token is bound to any.
//   - The default and maximum TTL of all mounts are 32 days. The root token comes from
//     initialisation, as auth/token/root.
//   - A policy may say the capabilities of paths; anything else in its text answers 501. There are no
//     identity policies. The texts that tell what is wrong with the syntax of a policy are vaulttest's
//     own. The default policy is shown without its comments.
//   - The texts about malformed JSON are in places those of Go's decoder.
//   - A login to AppRole or userpass with a field of the wrong type answers 501, where Vault drops the
//     connection.
//   - A secret ID dies at its TTL; Vault's may live up to a minute longer, until it is tidied away.
//   - KV version 2 keeps numbers as they were written; Vault's makes floats of them. That changes
//     those beyond 2^53, and would hide what a client itself does to them.
//   - Revocation is done before the answer, where Vault's may take seconds, and always succeeds: there
//     are no irrevocable leases.
//   - A lease under a batch token that is itself a child ends with the parent, as in Vault.
//   - Static roles rotate the moment they are due; Vault looks every five seconds.
//   - PKI has one authority a mount, which signs itself with an ECDSA key; roles are made in Go,
//     without templates, user IDs, serial numbers or key usages of their own, and their keys are ECDSA
//     unless they say otherwise, where Vault's are RSA.
//   - Transit keys do not rotate by the clock, and cannot be imported, backed up or trimmed.
//   - JWT: keys are given, where Vault may fetch them from a JWKS or OIDC discovery URL, and the errors
//     are those of given keys. There are no groups.
//   - Kubernetes: all methods of a server ask one cluster, as with a token_reviewer_jwt and without
//     pem_keys: a bad signature is found after the names, and issuers are not compared. There are no
//     namespace selectors.
//   - AWS: what STS itself answers is after AWS's documentation. Principals are compared by ARN, as with
//     resolve_aws_unique_ids=false, and the path of an assumed role is taken for "/". A role's metadata
//     and alias are the default ones.
//
// # Not modelled
//
// Everything else answers 501 with a sentence that says so: other auth methods and engines;
// administration through the API (enabling and tuning mounts, writing roles, users and connections,
// rotate-root, sys/locked-users); token roles and wrapping tokens in the form of a JWT; parameter
// constraints and templates of policies; leases of KV version 1 (leased_passthrough) and turning a KV
// mount of version 1 into one of version 2; rotation schedules; PKI's other issuers, ACME, OCSP, delta
// lists and tidying, and names beyond ASCII; transit's chacha20-poly1305 and the key types of Vault
// Enterprise. A path where nothing is mounted gives Vault's own 404 or 403.
package vaulttest
