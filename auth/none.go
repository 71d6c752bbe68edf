package auth

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/api"
)

// None is for a Vault Proxy that authenticates for us (api_proxy with
// use_auto_auth_token): requests carry no token, and the proxy puts in its own. One that has
// just been started listens before it has logged in: leasehold.New waits ten seconds for that.
//
// That token is looked up at the start and near its end, as one that others hold, so its
// policies must allow auth/token/lookup-self, as Vault's default policy does, and
// sys/leases/lookup if the proxy caches. Nothing is ever revoked: neither the token nor
// leases, which such a proxy may have handed to others as well.
func None() Method { return none{} }

// IsNone reports whether m is [None].
func IsNone(m Method) bool {
	_, ok := m.(none)
	return ok
}

type none struct{}

var (
	_ Method = none{}
	_ Owner  = none{}
	_ Holder = none{}
)

// Login implements [Method].
func (none) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	s, err := LookupSelf(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("without a token: %w", err)
	}
	return s, nil
}

// Owned implements [Owner].
func (none) Owned() bool { return false }

// Held implements [Holder].
func (none) Held() bool { return true }
