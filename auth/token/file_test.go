package token_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// login logs in once, as a client does.
func login(t *testing.T, server *vaulttest.Server, m auth.Method) (*api.Secret, error) {
	t.Helper()
	conf := api.DefaultConfig()
	conf.Address, conf.HttpClient, conf.MaxRetries = "http://vault.test", server.Client(), 0
	client, err := api.NewClient(conf)
	require.NoError(t, err)
	client.ClearToken()
	return m.Login(t.Context(), client)
}

// write replaces a file as Vault Agent does.
func write(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
}

// sink is what Vault Agent writes with wrap_ttl.
func sink(t *testing.T, wrappingToken, path string) string {
	t.Helper()
	text, err := json.Marshal(api.SecretWrapInfo{Token: wrappingToken, Accessor: "x", TTL: 300, CreationTime: time.Now(), CreationPath: path})
	require.NoError(t, err)
	return string(text)
}

// TestA11TheFileIsReadAfreshForEachLogin, and is somebody else's to keep.
// Mutation: a file's token counts as ours to keep.
func TestA11TheFileIsReadAfreshForEachLogin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		method := token.File(file)
		require.False(t, method.Owned())
		require.True(t, method.Held())
		require.False(t, token.New("x").Held())
		require.False(t, token.Env("x").Held())
		prints := map[string]bool{}
		for range 3 {
			value := server.CreateToken(vaulttest.TokenSpec{TTL: time.Hour})
			write(t, file, value+"\r\n")
			s, err := login(t, server, method)
			require.NoError(t, err)
			require.Equal(t, value, s.Auth.ClientToken)
			mark, err := method.Fingerprint(t.Context())
			require.NoError(t, err)
			prints[mark] = true
		}
		require.Len(t, prints, 3)
	})
}

// TestA11WhatIsNoTokenIsRefusedUnasked: a file that is empty, half written or encrypted. Neither is
// there a fingerprint, so that nobody takes it for another token.
// Mutation: half a token is taken for one.
func TestA11WhatIsNoTokenIsRefusedUnasked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	for name, tc := range map[string]struct{ text, says string }{
		"empty":             {"\n", "is empty"},
		"cut short":         {"hvs.CAESIJ", "the token is cut short"},
		"nearly nothing":    {"hv", "the token is cut short"},
		"half of JSON":      {sink(t, "hvs.x", "sys/wrapping/wrap")[:30], "broken or cut short"},
		"other JSON":        {`{"greeting":"hello"}`, "neither a sink of Vault Agent nor Vault's answer to a login"},
		"JSON without one":  {`{"auth":{"client_token":""}}`, "it holds no token"},
		"JSON, cut inside":  {`{"auth":{"client_token":"hvs.short"}}`, "the token is cut short"},
		"encrypted":         {`{"curve25519_public_key":"MTIz","nonce":"MTIz","encrypted_payload":"MTIz"}`, "take dh_type out"},
		"two lines":         {"hvs.aaaaaaaaaaaaaaaaaaaaaaaaaaaa\nhvs.bbbbbbbbbbbbbbbbbbbbbbbbbbbb", "white space or unprintable characters"},
		"zeros":             {"\x00\x00\x00\x00", "white space or unprintable characters"},
		"a page of a proxy": {"<html> <body>", "white space or unprintable characters"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				write(t, file, tc.text)
				method := token.File(file)
				_, err := login(t, server, method)
				require.ErrorContains(t, err, tc.says)
				require.NotContains(t, err.Error(), "CAESIJ")
				require.Empty(t, server.Requests())
				_, err = method.Fingerprint(t.Context())
				require.ErrorContains(t, err, tc.says)
			})
		})
	}
}

// TestA11AWrappedSinkIsUnwrappedOnce: that of a sink, where Agent wraps a token that it has, that of a
// login, and that of auth/token/create.
// Mutation: what Vault's answer holds itself is not found.
func TestA11AWrappedSinkIsUnwrappedOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		method := token.File(file)
		roleID, secretID := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		for i, wrap := range []func() (string, string){
			func() (string, string) {
				inside := map[string]any{"token": server.CreateToken(vaulttest.TokenSpec{TTL: time.Hour})}
				return server.Wrap(inside, time.Minute), "sys/wrapping/wrap"
			},
			func() (string, string) {
				return wrapped(t, server, "auth/approle/login", map[string]any{"role_id": roleID, "secret_id": secretID}), "auth/approle/login"
			},
			func() (string, string) {
				return wrapped(t, server, "auth/token/create", map[string]any{"ttl": "1h"}), "auth/token/create"
			},
		} {
			text, path := wrap()
			write(t, file, sink(t, text, path))
			s, err := login(t, server, method)
			require.NoError(t, err, path)
			require.NotEqual(t, text, s.Auth.ClientToken)
			again, err := login(t, server, method)
			require.NoError(t, err, path)
			require.Equal(t, s.Auth.ClientToken, again.Auth.ClientToken)
			require.Equal(t, i+1, server.Count("PUT", "sys/wrapping/unwrap"))
			require.Equal(t, 2*(i+1), server.Count("GET", "auth/token/lookup-self"))
		}
		_, err := login(t, server, token.File(file))
		require.ErrorContains(t, err, "token: the wrapping token has expired, is none, or was unwrapped by somebody else")
	})
}

// TestA11AWrappedSinkFromElsewhereIsRefused, and one that was not made where the file says.
// Mutation: what the file says of the path is not compared.
func TestA11AWrappedSinkFromElsewhereIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{})
		inside := map[string]any{"token": server.CreateToken(vaulttest.TokenSpec{TTL: time.Hour})}
		for path, text := range map[string]string{
			"auth/approle/role/app/secret-id": sink(t, server.WrappedSecretID(roleID, time.Minute), "auth/approle/role/app/secret-id"),
			"sys/wrapping/wrap":               sink(t, server.Wrap(inside, time.Minute), "auth/approle/login"),
		} {
			write(t, file, text)
			_, err := login(t, server, token.File(file))
			require.ErrorContains(t, err, fmt.Sprintf("made at %q", path))
			require.ErrorContains(t, err, "find out who has put it there")
		}
		require.Zero(t, server.Count("", "sys/wrapping/unwrap"))

		write(t, file, sink(t, server.Wrap(map[string]any{"greeting": "hello"}, time.Minute), "sys/wrapping/wrap"))
		_, err := login(t, server, token.File(file))
		require.ErrorContains(t, err, "did not hold a token")
	})
}

// TestA11AnAgentThatIsLateIsFollowedAtOnce: it writes the new token when the old one has just ended,
// or is about to. Until then the file is watched closely.
// Mutation: the file is looked at as seldom as ever.
func TestA11AnAgentThatIsLateIsFollowedAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.PutKV("secret", "app", map[string]any{"a": "b"})
		server.Policy("app", vaulttest.Rule{Path: "secret/data/app", Capabilities: []string{"read"}})
		give := func() {
			write(t, file, server.CreateToken(vaulttest.TokenSpec{TTL: time.Minute, MaxTTL: time.Minute, Policies: []string{"app"}}))
		}
		give()
		c, err := leasehold.New(t.Context(), leasehold.Config{Address: "http://vault.test", Auth: token.File(file), HTTPClient: server.Client()})
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close(context.Background())) }()
		lates := []time.Duration{-time.Second, -time.Second / 2, time.Second, 5 * time.Second}
		for range 20 { // by chance it is looked at just then
			lates = append(lates, time.Minute)
		}
		for _, late := range lates {
			time.Sleep(time.Minute + late)
			give()
			time.Sleep(time.Second)
			_, err := c.Vault().Logical().ReadWithContext(t.Context(), "secret/data/app")
			require.NoError(t, err, "a second after the new token came, which was %v late", late)
		}
	})
}

// TestTheAnswerOfALoginIsUnderstood, as vault login -format=json prints it.
func TestTheAnswerOfALoginIsUnderstood(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		value := server.CreateToken(vaulttest.TokenSpec{TTL: time.Hour})
		write(t, file, `{"request_id":"x","wrap_info":null,"auth":{"client_token":"`+value+`","renewable":true}}`)
		s, err := login(t, server, token.File(file))
		require.NoError(t, err)
		require.Equal(t, value, s.Auth.ClientToken)
	})
}

func TestATokenFromTheEnvironment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		value := server.CreateToken(vaulttest.TokenSpec{TTL: time.Hour})
		t.Setenv("APP_TOKEN", value+"\n")
		s, err := login(t, server, token.Env("APP_TOKEN"))
		require.NoError(t, err)
		require.Equal(t, value, s.Auth.ClientToken)
		_, err = login(t, server, token.Env("APP_TOKEN_THAT_IS_NOT"))
		require.ErrorContains(t, err, "APP_TOKEN_THAT_IS_NOT is not set")
	})
}

// TestA11AHeldTokenIsFollowedAndNeverRenewed: an Agent replaces it every 20 minutes, once with a
// file that is half written for a while.
// Mutation: a file's token counts as ours to keep.
func TestA11AHeldTokenIsFollowedAndNeverRenewed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		give := func() string { return server.CreateToken(vaulttest.TokenSpec{TTL: time.Hour}) }
		write(t, file, give())
		c, err := leasehold.New(t.Context(), leasehold.Config{Address: "http://vault.test", Auth: token.File(file), HTTPClient: server.Client()})
		require.NoError(t, err)
		for i := range 6 {
			time.Sleep(20 * time.Minute)
			value := give()
			if i == 3 {
				write(t, file, value[:10])
				time.Sleep(time.Minute)
				require.NoError(t, c.Ready())
			}
			write(t, file, value)
			time.Sleep(11 * time.Second)
			require.NoError(t, c.Ready())
			tokens := server.Tokens()
			require.Equal(t, tokens[len(tokens)-1].Accessor, c.Status().Token.Accessor)
		}
		alive := len(server.Tokens())
		require.NoError(t, c.Close(t.Context()))
		require.Len(t, server.Tokens(), alive, "they are not ours to revoke")
		require.Zero(t, server.Count("", "auth/token/renew-self"))
		require.LessOrEqual(t, server.Count("", "auth/token/lookup-self"), 14)
	})
}

// TestNothingSecretIsPrinted of a method that holds what was unwrapped.
func TestNothingSecretIsPrinted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		value := server.CreateToken(vaulttest.TokenSpec{TTL: time.Hour})
		write(t, file, sink(t, server.Wrap(map[string]any{"token": value}, time.Minute), "sys/wrapping/wrap"))
		for _, method := range []*token.Method{token.File(file), token.New(value)} {
			_, err := login(t, server, method)
			require.NoError(t, err)
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
				require.NotContains(t, fmt.Sprintf(verb, method)+fmt.Sprintf(verb, *method), "hvs.")
			}
		}
	})
}

// wrapped writes to a path and returns the wrapping token of the answer.
func wrapped(t *testing.T, server *vaulttest.Server, path string, body map[string]any) string {
	t.Helper()
	conf := api.DefaultConfig()
	conf.Address, conf.HttpClient, conf.MaxRetries = "http://vault.test", server.Client(), 0
	client, err := api.NewClient(conf)
	require.NoError(t, err)
	client.SetToken(server.RootToken())
	client.SetWrappingLookupFunc(func(string, string) string { return "60s" })
	s, err := client.Logical().WriteWithContext(t.Context(), path, body)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(s.WrapInfo.Token, "hvs."))
	return s.WrapInfo.Token
}
