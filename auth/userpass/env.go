package userpass

import (
	"cmp"
	"errors"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// FromEnv is for leasehold.ConfigFromEnv: VAULT_AUTH_METHOD=userpass, with the user's name in
// VAULT_USERNAME, the password in VAULT_PASSWORD or the file VAULT_PASSWORD_FILE, and the
// mount in VAULT_AUTH_MOUNT.
var FromEnv = auth.FromEnv{
	Name: "userpass",
	New: func(env *auth.Environment) (auth.Method, error) {
		name, mount := env.Get("VAULT_USERNAME"), cmp.Or(env.Get("VAULT_AUTH_MOUNT"), "userpass")
		password, err := env.Required("VAULT_PASSWORD")
		if name == "" {
			err = errors.Join(errors.New("VAULT_USERNAME is not set"), err)
		}
		if err != nil {
			return nil, err
		}
		return New(name, password, Mount(mount)), nil
	},
}
