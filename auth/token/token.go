// Package token uses a token that somebody else made: one that is given ([New], [Env]), or one
// that somebody keeps in a file, such as Vault Agent ([File]).
//
//	token.New(os.Getenv("VAULT_TOKEN"))  // on a developer's machine
//	token.File("/run/vault/token")       // beside a Vault Agent
//
// A given token is looked up at the start, since what remains of it is not what
// it was created with (failure code A4); its policies must allow auth/token/lookup-self, as
// Vault's default policy does. It is renewed while it is renewable and
// never revoked. When it ends there is nothing to replace it with: an event says so,
// Ready fails, and credentials return their expiry.
package token

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/internal/wrapping"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// Method is a given token, as an [auth.Method]. It is safe for concurrent use.
type Method struct {
	source auth.Source
	file   *wrapping.Once // what was unwrapped of a file; nil: the token is no file's
}

var (
	_ auth.Method        = (*Method)(nil)
	_ auth.Owner         = (*Method)(nil)
	_ auth.Holder        = (*Method)(nil)
	_ auth.Fingerprinter = (*Method)(nil)
)

// New returns the method for the token with this value.
func New(value string) *Method { return &Method{source: auth.String(value)} }

// Env returns the method for the token in an environment variable, such as VAULT_TOKEN.
func Env(name string) *Method { return &Method{source: auth.Env(name)} }

// File returns the method for a token that somebody else writes into a file and keeps alive, as
// Vault Agent does in a sink. It is never renewed. The file is looked at about every 10 s, twice
// a second near the token's end and when it is dead, and whenever Vault refuses the token: another
// token in it is used at once (failure code A11). While the file is empty, cut short or gone the last token serves on; at the start there is
// none, and leasehold.New fails: start the Agent before, and let it write the file.
//
// The file holds the token's text, or the JSON of an answer with a token in it, as
// vault login -format=json prints it, or the JSON of a wrapping token: that of an Agent's sink with
// wrap_ttl. Of a wrapping token Vault is asked where it was made: where tokens are, or at
// sys/wrapping/wrap; and where the file says. It is unwrapped once. One that was unwrapped by
// somebody else is an error; so is one that a program finds when it restarts, since Agent
// writes a new one only with a new token: a wrapped sink fits programs that start with
// their Agent. With wrap_ttl in Agent's method rather than in the sink, Agent does not have the
// token and cannot renew it: such a token is used to its end, after which only another in the file
// helps. A sink that is encrypted (dh_type) is refused.
//
// Whoever can read the file has the token: see that it has the mode 0600 or 0640.
func File(path string) *Method { return &Method{source: auth.File(path), file: wrapping.New()} }

// Owned reports false: the token is not ours to revoke.
func (m *Method) Owned() bool { return false }

// Held reports whether somebody else keeps the token alive: so with [File].
func (m *Method) Held() bool { return m != nil && m.file != nil }

// Login implements [auth.Method]: it asks Vault what the token is.
func (m *Method) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	t, err := m.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	value := t.Token
	if t.Wrapped {
		kept, err := m.file.Open(ctx, client, t, kind)
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		value = kept.Value.Reveal()
	}
	client.SetToken(value)
	s, err := auth.LookupSelf(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return s, nil
}

// Fingerprint implements [auth.Fingerprinter]. While the file makes no sense, such as while it is
// written, there is none.
func (m *Method) Fingerprint(ctx context.Context) (string, error) {
	t, err := m.read(ctx)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return auth.Hash(t.Token), nil
}

func (m *Method) read(ctx context.Context) (wrapping.Text, error) {
	text, err := m.source.Read(ctx)
	switch {
	case err != nil:
		return wrapping.Text{}, err
	case m.file == nil:
		return wrapping.Text{Token: text}, wrapping.Check(text)
	}
	t, err := wrapping.Parse(text)
	if err != nil {
		return wrapping.Text{}, fmt.Errorf("the file: %w", err)
	}
	return t, nil
}

// kind is a token: one that a login or auth/token/create answered with, wrapped, or one that its
// holder put away.
var kind = wrapping.Kind{
	Name: "a token",
	Made: func(path string) bool {
		if path == "sys/wrapping/wrap" {
			return true
		}
		rest, ok := strings.CutPrefix(path, "auth/")
		return ok && (strings.HasPrefix(rest, "token/create") || strings.Contains(rest+"/", "/login/"))
	},
	Take: func(answer *api.Secret) wrapping.Kept {
		value, _ := answer.Data["token"].(string)
		if answer.Auth != nil {
			value = answer.Auth.ClientToken
		}
		return wrapping.Kept{Value: secret.NewString(value)}
	},
}
