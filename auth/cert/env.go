package cert

import (
	"cmp"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// FromEnv is for leasehold.ConfigFromEnv: VAULT_AUTH_METHOD=cert, with the name of the
// role in VAULT_ROLE, which may be missing, and the mount in VAULT_AUTH_MOUNT. The
// certificate is that of VAULT_CLIENT_CERT and VAULT_CLIENT_KEY.
var FromEnv = auth.FromEnv{
	Name: "cert",
	New: func(env *auth.Environment) (auth.Method, error) {
		return New(env.Get("VAULT_ROLE"), Mount(cmp.Or(env.Get("VAULT_AUTH_MOUNT"), "cert"))), nil
	},
}
