package approle

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/internal/wrapping"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// SecretID is where the secret-id comes from. Its zero value yields none, and each login
// says so; for a role that needs none there is [NoSecretID].
type SecretID struct {
	source    auth.Source
	unwrapped *wrapping.Once // nil: the source yields the secret-id itself
	none      bool
}

// SecretIDString is a secret-id given as text; a wrapping token is none.
func SecretIDString(s string) SecretID { return SecretIDFrom(auth.String(s)) }

// SecretIDFile is a secret-id in a file, read afresh for each login.
func SecretIDFile(path string) SecretID { return SecretIDFrom(auth.File(path)) }

// SecretIDEnv is a secret-id in an environment variable.
func SecretIDEnv(name string) SecretID { return SecretIDFrom(auth.Env(name)) }

// SecretIDFrom is a secret-id from a function, called for each login.
func SecretIDFrom(s auth.Source) SecretID { return SecretID{source: s} }

// NoSecretID is for a role with bind_secret_id=false: its role-id alone logs in, from where its
// CIDR bounds allow.
func NoSecretID() SecretID { return SecretID{none: true} }

// Wrapped is a secret-id in a wrapping token, which the source yields as text or in the JSON that
// vault write -wrap-ttl=5m -format=json prints.
//
// Before it is unwrapped Vault is asked where it was made: that must be the endpoint for secret-ids of
// the method's mount, or else somebody has put another token in its place. It is unwrapped
// once, and later logins use the secret-id that was in it, also after the source has gone. A
// wrapping token that is new in the source is unwrapped at the next login, which may be as long
// away as a token lives: it must last until then.
//
// One that has expired or was unwrapped by others, which means that they have the secret-id, is an
// error of every login until the source changes. So is one whose answer was lost on the way: it
// is spent. A program that restarts needs a new one.
func Wrapped(source auth.Source) SecretID {
	return SecretID{source: source, unwrapped: wrapping.New()}
}

// login returns the secret-id for a login.
func (s SecretID) login(ctx context.Context, client *api.Client, mount string) (string, error) {
	if s.unwrapped == nil {
		return s.source.Read(ctx)
	}
	token, kept, err := s.wrapped(ctx)
	if err != nil {
		return "", err
	}
	if kept == nil {
		if kept, err = s.unwrapped.Open(ctx, client, token, kind(mount)); err != nil {
			return "", err
		}
	}
	return kept.Value.Reveal(), nil
}

// fingerprint changes when login would return something else.
func (s SecretID) fingerprint(ctx context.Context) (string, error) {
	if s.none {
		return "", nil
	}
	if s.unwrapped == nil {
		return s.source.Read(ctx)
	}
	token, kept, err := s.wrapped(ctx)
	if err != nil {
		return "", err
	}
	if kept != nil {
		return kept.Of, nil
	}
	return auth.Hash(token.Token), nil
}

// wrapped reads the wrapping token. Where there is none any more it is what was kept: who
// hands out wrapping tokens takes spent ones away.
func (s SecretID) wrapped(ctx context.Context) (wrapping.Text, *wrapping.Kept, error) {
	text, err := s.source.Read(ctx)
	if err == nil {
		var token wrapping.Text
		if token, err = wrapping.Parse(text); err == nil {
			return token, nil, nil
		}
	}
	if kept := s.unwrapped.Kept(); kept != nil {
		return wrapping.Text{}, kept, nil
	}
	return wrapping.Text{}, nil, err
}

func (s SecretID) limited() bool {
	if s.unwrapped == nil {
		return false
	}
	kept := s.unwrapped.Kept()
	return kept != nil && kept.Limited
}

// kind is a secret-id of the mount's. Of which role does not matter: another's secret-id
// is refused by the login.
func kind(mount string) wrapping.Kind {
	return wrapping.Kind{
		Name: "a secret-id of this mount",
		Made: func(path string) bool {
			role, ok := strings.CutPrefix(path, "auth/"+mount+"/role/")
			role, end, _ := strings.Cut(role, "/")
			return ok && role != "" && (end == "secret-id" || end == "custom-secret-id")
		},
		Take: func(answer *api.Secret) wrapping.Kept {
			id, _ := answer.Data["secret_id"].(string)
			return wrapping.Kept{
				Value:   secret.NewString(id),
				Limited: positive(answer.Data["secret_id_num_uses"]) || positive(answer.Data["secret_id_ttl"]),
			}
		},
	}
}

func positive(v any) bool {
	n, _ := v.(json.Number)
	i, err := n.Int64()
	return err == nil && i > 0
}
