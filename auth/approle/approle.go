// Package approle logs in with Vault's AppRole method.
//
//	vault auth enable approle
//	vault write auth/approle/role/app token_policies=app token_ttl=1h token_max_ttl=24h
//	vault read -field=role_id auth/approle/role/app/role-id
//	vault write -f -field=secret_id auth/approle/role/app/secret-id
//
// and in Go
//
//	approle.New(roleID, approle.SecretIDFile("/run/secrets/secret-id"))
//
// The role-id and the secret-id are read afresh for each login, so a secret-id
// file that somebody replaces is picked up (failure code A8). A secret-id that is
// refused is reported and tried again slowly, or at once when its source has changed.
//
// Who hands secret-ids out had better wrap them, so that one that somebody has seen on its way is
// found out:
//
//	vault write -f -wrap-ttl=5m -field=wrapping_token auth/approle/role/app/secret-id
//
// and in Go
//
//	approle.New(roleID, approle.Wrapped(auth.File("/run/secrets/wrapping-token")))
//
// A secret-id that is good for a few logins only (secret_id_num_uses) wants [LimitedUses].
package approle

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"
	helper "github.com/hashicorp/vault/api/auth/approle"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// Method is AppRole, as an [auth.Method]. It is safe for concurrent use.
type Method struct {
	roleID   auth.Source
	secretID SecretID
	mount    string
	limited  bool
}

var (
	_ auth.Method        = (*Method)(nil)
	_ auth.Limiter       = (*Method)(nil)
	_ auth.Fingerprinter = (*Method)(nil)
)

// Option adjusts a Method.
type Option func(*Method)

// Mount sets the path that the method is mounted at. Default "approle".
func Mount(path string) Option {
	return func(m *Method) { m.mount = strings.Trim(path, "/") }
}

// LimitedUses says that the secret-id is good for a few logins only, or for a short time
// (secret_id_num_uses, secret_id_ttl): the client then renews its token for as long as it can,
// rather than logging in whenever that seems of use. An unwrapped secret-id tells so itself.
// For leasehold.ConfigFromEnv it is VAULT_SECRET_ID_LIMITED=true.
func LimitedUses() Option {
	return func(m *Method) { m.limited = true }
}

// New returns the method for a role. Nothing is read or checked before the first
// login.
func New(roleID string, secretID SecretID, opts ...Option) *Method {
	return NewFrom(auth.String(roleID), secretID, opts...)
}

// NewFrom is New with a role-id from a file, the environment or a function, which is read
// afresh for each login as well.
func NewFrom(roleID auth.Source, secretID SecretID, opts ...Option) *Method {
	m := &Method{roleID: roleID, secretID: secretID, mount: "approle"}
	for _, opt := range opts {
		opt(m)
	}
	return m
}

// Login implements [auth.Method].
func (m *Method) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	if err := auth.CheckMount(m.mount); err != nil {
		return nil, fmt.Errorf("approle: %w", err)
	}
	roleID, err := m.roleID.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("approle: role-id: %w", err)
	}
	if m.secretID.none { // which the helper cannot do
		return client.Logical().WriteWithContext(ctx, "auth/"+m.mount+"/login", map[string]any{"role_id": roleID})
	}
	secretID, err := m.secretID.login(ctx, client, m.mount)
	if err != nil {
		return nil, fmt.Errorf("approle: secret-id: %w", err)
	}
	// Built anew each time, with what was read here: the helper keeps what it was given,
	// cuts files at 1000 bytes, leaves a carriage return in, and unwraps once only.
	login, err := helper.NewAppRoleAuth(roleID, &helper.SecretID{FromString: secretID}, helper.WithMountPath(m.mount))
	if err != nil {
		return nil, fmt.Errorf("approle: %w", err)
	}
	return login.Login(ctx, client)
}

// Limited implements [auth.Limiter].
func (m *Method) Limited() bool { return m.limited || m.secretID.limited() }

// Fingerprint implements [auth.Fingerprinter].
func (m *Method) Fingerprint(ctx context.Context) (string, error) {
	roleID, err := m.roleID.Read(ctx)
	if err != nil {
		return "", fmt.Errorf("approle: role-id: %w", err)
	}
	secretID, err := m.secretID.fingerprint(ctx)
	if err != nil {
		return "", fmt.Errorf("approle: secret-id: %w", err)
	}
	return auth.Hash(roleID, secretID), nil
}
