package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/api"
)

// LookupSelf asks what the client's token is and returns the answer in the form of a
// login's. It is for methods that are given a token rather than making one: what is left
// of it is not what it was created with (failure code A4).
func LookupSelf(ctx context.Context, client *api.Client) (*api.Secret, error) {
	s, err := client.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("lookup-self: %w", err)
	}
	if s == nil || s.Data == nil {
		return nil, errors.New("lookup-self: Vault's answer is empty")
	}
	number, ok := s.Data["ttl"].(json.Number)
	if !ok {
		return nil, fmt.Errorf("lookup-self: ttl: want a number, got %T", s.Data["ttl"])
	}
	ttl, err := number.Int64()
	if err != nil {
		return nil, fmt.Errorf("lookup-self: ttl: %w", err)
	}
	renewable, _ := s.Data["renewable"].(bool)
	accessor, _ := s.Data["accessor"].(string)
	s.Auth = &api.SecretAuth{
		ClientToken:   client.Token(),
		Accessor:      accessor,
		Policies:      policies(s.Data),
		LeaseDuration: int(ttl),
		Renewable:     renewable,
	}
	return s, nil
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
