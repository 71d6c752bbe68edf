// Package approle logs in with Vault's AppRole method.
//
// The role-id and the secret-id are read afresh for each login, so a secret-id
// file that somebody replaces is picked up (failure code A8). A secret-id that is
// refused is reported and tried again slowly: it may be replaced.
//
// A wrapping token is no secret-id, and nothing here unwraps one. A program that
// is given one unwraps it in a function for [SecretIDFrom], and keeps the result
// for later logins: a wrapping token is good for one use.
//
//	var secretID string
//	source := approle.SecretIDFrom(func(ctx context.Context) (string, error) {
//		if secretID == "" {
//			secret, err := vault.Logical().UnwrapWithContext(ctx, wrappingToken)
//			if err != nil {
//				return "", err
//			}
//			secretID, _ = secret.Data["secret_id"].(string)
//		}
//		return secretID, nil
//	})
//
// Here vault is an *api.Client of the program's own, without a token. A method
// logs in once at a time, so the function needs no lock. Vault answers 400 if the
// wrapping token has expired or was used: perhaps by somebody who should not have
// the secret-id.
package approle

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"
	helper "github.com/hashicorp/vault/api/auth/approle"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// Method is AppRole, as an [auth.Method].
type Method struct {
	roleID   auth.Source
	secretID auth.Source
	mount    string
}

var _ auth.Method = (*Method)(nil)

// Option adjusts a Method.
type Option func(*Method)

// Mount sets the path that the method is mounted at. Default "approle".
func Mount(path string) Option {
	return func(m *Method) { m.mount = strings.Trim(path, "/") }
}

// SecretID is where the secret-id comes from: see SecretIDString, SecretIDFile
// and SecretIDFrom.
type SecretID auth.Source

// SecretIDString is a secret-id given as text; a wrapping token is none.
func SecretIDString(s string) SecretID { return SecretID(auth.String(s)) }

// SecretIDFile is a secret-id in a file, read afresh for each login.
func SecretIDFile(path string) SecretID { return SecretID(auth.File(path)) }

// SecretIDFrom is a secret-id from a function, called for each login.
func SecretIDFrom(s auth.Source) SecretID { return SecretID(s) }

// New returns the method for a role. Nothing is read or checked before the first
// login.
func New(roleID string, secretID SecretID, opts ...Option) *Method {
	m := &Method{roleID: auth.String(roleID), secretID: auth.Source(secretID), mount: "approle"}
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
	secretID, err := m.secretID.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("approle: secret-id: %w", err)
	}
	// Built anew each time: the helper keeps what it was given.
	login, err := helper.NewAppRoleAuth(roleID, &helper.SecretID{FromString: secretID}, helper.WithMountPath(m.mount))
	if err != nil {
		return nil, fmt.Errorf("approle: %w", err)
	}
	return login.Login(ctx, client)
}
