// Package token uses a token that somebody else made.
//
// A given token is looked up at the start, since what remains of it is not what
// it was created with (failure code A4). It is renewed while it is renewable and
// never revoked. When it ends there is nothing to replace it with: an event says so,
// Ready fails, and credentials return their expiry.
package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// Method is a given token, as an [auth.Method].
type Method struct{ source auth.Source }

var (
	_ auth.Method = (*Method)(nil)
	_ auth.Owner  = (*Method)(nil)
)

// New returns the method for the token with this value.
func New(value string) *Method { return &Method{source: auth.String(value)} }

// Owned reports false: the token is not ours to revoke.
func (m *Method) Owned() bool { return false }

// Login implements [auth.Method]: it asks Vault what the token is.
func (m *Method) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	value, err := m.source.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	client.SetToken(value)
	s, err := client.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("token: lookup-self: %w", err)
	}
	if s == nil || s.Data == nil {
		return nil, errors.New("token: lookup-self: Vault's answer is empty")
	}
	ttl, err := seconds(s.Data["ttl"])
	if err != nil {
		return nil, fmt.Errorf("token: lookup-self: ttl: %w", err)
	}
	renewable, _ := s.Data["renewable"].(bool)
	accessor, _ := s.Data["accessor"].(string)
	s.Auth = &api.SecretAuth{
		ClientToken:   value,
		Accessor:      accessor,
		Policies:      policies(s.Data),
		LeaseDuration: ttl,
		Renewable:     renewable,
	}
	return s, nil
}

func seconds(v any) (int, error) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, fmt.Errorf("want a number, got %T", v)
	}
	i, err := n.Int64()
	return int(i), err
}

func policies(data map[string]any) []string {
	var all []string
	for _, key := range []string{"policies", "identity_policies"} {
		list, _ := data[key].([]any)
		for _, p := range list {
			if name, ok := p.(string); ok {
				all = append(all, name)
			}
		}
	}
	return all
}
