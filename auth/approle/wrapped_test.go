package approle_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// unwraps counts what Vault was asked about wrapping tokens.
func unwraps(server *vaulttest.Server) (lookups, unwraps int) {
	return server.Count("GET", "sys/wrapping/lookup"), server.Count("PUT", "sys/wrapping/unwrap")
}

// TestA8AWrappedSecretIDIsUnwrappedOnceAndKept, also when the file with the wrapping token
// has gone. A program that has restarted comes too late.
// Mutation: what was unwrapped is not kept.
func TestA8AWrappedSecretIDIsUnwrappedOnceAndKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "wrapping-token")
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		write(t, file, server.WrappedSecretID(roleID, time.Minute)+"\n")
		method := approle.New(roleID, approle.Wrapped(auth.File(file)))
		require.NoError(t, start(t.Context(), server, method))
		time.Sleep(time.Hour)
		require.NoError(t, start(t.Context(), server, method))

		err := start(t.Context(), server, approle.New(roleID, approle.Wrapped(auth.File(file))))
		require.ErrorContains(t, err, "has expired, is none, or was unwrapped by somebody else")
		require.NoError(t, start(t.Context(), server, method))
		before, err := method.Fingerprint(t.Context())
		require.NoError(t, err)
		require.NoError(t, os.Remove(file))
		require.NoError(t, start(t.Context(), server, method))
		after, err := method.Fingerprint(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, after)
		lookups, unwraps := unwraps(server)
		require.Equal(t, 2, lookups)
		require.Equal(t, 1, unwraps)
	})
}

// TestA8AWrappingTokenMadeElsewhereIsNotUnwrapped: whoever took the right one could have put it there.
// Mutation: the path is not looked at.
func TestA8AWrappingTokenMadeElsewhereIsNotUnwrapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, secretID := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		otherRole, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour, Mount: "strange"})
		for path, token := range map[string]string{
			"sys/wrapping/wrap":               server.Wrap(map[string]any{"secret_id": secretID}, time.Hour),
			"auth/strange/role/app/secret-id": server.WrappedSecretID(otherRole, time.Hour),
		} {
			began := time.Now()
			err := start(t.Context(), server, approle.New(roleID, approle.Wrapped(auth.String(token))))
			require.ErrorContains(t, err, fmt.Sprintf("made at %q", path))
			require.Zero(t, time.Since(began), "it is not tried again")
		}
		_, unwraps := unwraps(server)
		require.Zero(t, unwraps)
		require.Zero(t, server.Count("", "auth/approle/login"))
	})
}

// TestA8ASpentWrappingTokenIsLoud: it says what it may mean, and is not tried again at once.
// Mutation: Vault's 400 passes for an error of the login.
func TestA8ASpentWrappingTokenIsLoud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		expired := server.WrappedSecretID(roleID, time.Minute)
		taken := server.WrappedSecretID(roleID, time.Hour)
		_, err := vault(t, server, taken).Logical().UnwrapWithContext(t.Context(), "")
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		for _, token := range []string{expired, taken, "hvs.this-was-never-a-token-of-anybody"} {
			began := time.Now()
			err := start(t.Context(), server, approle.New(roleID, approle.Wrapped(auth.String(token))))
			require.ErrorContains(t, err, "approle: secret-id: the wrapping token has expired, is none, or was unwrapped by somebody else")
			require.ErrorContains(t, err, "revoke it, find out who, and supply a new one")
			require.ErrorContains(t, err, "400: wrapping token is not valid or does not exist")
			require.NotContains(t, err.Error(), token)
			require.Zero(t, time.Since(began))
		}
	})
}

// TestA8ANewWrappingTokenIsUnwrappedThoughTheKeptSecretIDWorks, since whoever put it there means to
// take the old one away.
// Mutation: what is kept is used whatever the source says.
func TestA8ANewWrappingTokenIsUnwrappedThoughTheKeptSecretIDWorks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "wrapping-token")
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		method := approle.New(roleID, approle.Wrapped(auth.File(file)))
		prints := map[string]bool{}
		for range 3 {
			write(t, file, server.WrappedSecretID(roleID, time.Minute))
			require.NoError(t, start(t.Context(), server, method))
			require.NoError(t, start(t.Context(), server, method))
			mark, err := method.Fingerprint(t.Context())
			require.NoError(t, err)
			prints[mark] = true
		}
		_, unwraps := unwraps(server)
		require.Equal(t, 3, unwraps)
		require.Len(t, prints, 3)
	})
}

// TestA8AnAnswerThatWasLostOnTheWayIsSaidSo: it is no theft.
// Mutation: what was tried is forgotten.
func TestA8AnAnswerThatWasLostOnTheWayIsSaidSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		method := approle.New(roleID, approle.Wrapped(auth.String(server.WrappedSecretID(roleID, time.Hour))))
		server.Fail(vaulttest.Fault{Path: "sys/wrapping/lookup", Count: 1, DropAfter: true}) // which spends nothing
		server.Fail(vaulttest.Fault{Path: "sys/wrapping/unwrap", Count: 1, DropAfter: true})
		err := start(t.Context(), server, method)
		require.ErrorContains(t, err, "the wrapping token is spent: we have unwrapped it before")
		lookups, unwraps := unwraps(server)
		require.Equal(t, 3, lookups, "an outage is tried again, and what it came to is not")
		require.Equal(t, 1, unwraps)
	})
}

// TestA8AnUnwrappingThatDidNothingIsNoneOfOurs: who takes the token after it is a thief, and is called one.
// Mutation: what was only tried counts as unwrapped.
func TestA8AnUnwrappingThatDidNothingIsNoneOfOurs(t *testing.T) {
	for name, fault := range map[string]vaulttest.Fault{
		"429": {Status: 429}, "412": {Status: 412}, "503": {Status: 503}, "503 of a proxy": {Status: 503, Body: "<html>busy</html>"}, "nobody there": {Refuse: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
				token := server.WrappedSecretID(roleID, time.Hour)
				fault.Path, fault.Count = "sys/wrapping/unwrap", 1
				server.Fail(fault)
				stolen, thief := make(chan error, 1), vault(t, server, token)
				go func() {
					for server.Count("", "sys/wrapping/lookup") == 0 {
						time.Sleep(time.Millisecond)
					}
					time.Sleep(10 * time.Millisecond)
					_, err := thief.Logical().UnwrapWithContext(t.Context(), "")
					stolen <- err
				}()
				err := start(t.Context(), server, approle.New(roleID, approle.Wrapped(auth.String(token))))
				require.NoError(t, <-stolen)
				require.ErrorContains(t, err, "was unwrapped by somebody else")
			})
		})
	}
}

// TestA8WhatIsNoAnswerOfVaultsIsNoTheft: the port speaks https, what stands in between has a page of its own,
// or nothing is there. Nothing was unwrapped, and the text leads to the cause.
// Mutations: a page passes for Vault's word; what is not there was made at no path.
func TestA8WhatIsNoAnswerOfVaultsIsNoTheft(t *testing.T) {
	for name, tc := range map[string]struct {
		fault vaulttest.Fault
		says  string
	}{
		"https":        {vaulttest.Fault{Status: 400, Body: "Client sent an HTTP request to an HTTPS server.\n"}, "Address says http, but the server speaks https"},
		"a page":       {vaulttest.Fault{Status: 400, Body: "<html>Bad Request</html>"}, "400 Bad Request: <html>Bad Request</html>"},
		"no namespace": {vaulttest.Fault{Status: 404, Body: `{"errors":[]}`}, "is Address Vault's, and AuthNamespace one of its namespaces?"},
		"a 404's page": {vaulttest.Fault{Status: 404, Body: "<html>Not Found</html>"}, "404 Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
				method := approle.New(roleID, approle.Wrapped(auth.String(server.WrappedSecretID(roleID, time.Hour))))
				tc.fault.Path, tc.fault.Count = "sys/wrapping/lookup", 1
				server.Fail(tc.fault)
				err := start(t.Context(), server, method)
				require.ErrorContains(t, err, tc.says)
				for _, alarm := range []string{"somebody", "strange hands", "find out who", `made at ""`} {
					require.NotContains(t, err.Error(), alarm)
				}
				_, unwraps := unwraps(server)
				require.Zero(t, unwraps)
				require.NoError(t, start(t.Context(), server, method))
			})
		})
	}
}

// TestA8ManyClientsShareOneUnwrapping of one method, or of one SecretID: a second one would find the
// token spent.
// Mutation: unwrappings do not wait for each other.
func TestA8ManyClientsShareOneUnwrapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.Fail(vaulttest.Fault{Path: "sys/wrapping/", Delay: time.Second})
		roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		id := approle.Wrapped(auth.String(server.WrappedSecretID(roleID, time.Hour)))
		method := approle.New(roleID, id)
		const clients = 20
		failed := make(chan error, clients)
		for i := range clients {
			m := method
			if i%2 == 0 {
				m = approle.New(roleID, id)
			}
			go func() { failed <- start(t.Context(), server, m) }()
		}
		for range clients {
			require.NoError(t, <-failed)
		}
		_, unwraps := unwraps(server)
		require.Equal(t, 1, unwraps)

		other := approle.New(roleID, approle.Wrapped(auth.String(server.WrappedSecretID(roleID, time.Hour))))
		go func() { failed <- start(t.Context(), server, other) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := other.Login(ctx, vault(t, server, ""))
		require.ErrorIs(t, err, context.DeadlineExceeded, "nobody waits longer than his ctx")
		require.NoError(t, <-failed)
	})
}

// tripper answers requests by their path.
type tripper map[string]string

func (answers tripper) RoundTrip(req *http.Request) (*http.Response, error) {
	body := answers[req.URL.Path]
	status := http.StatusOK
	if body == "" {
		status = http.StatusNoContent
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

// TestAnEmptyAnswerIsAnError: the official helper panics.
func TestAnEmptyAnswerIsAnError(t *testing.T) {
	const lookup = "/v1/sys/wrapping/lookup"
	for says, answers := range map[string]tripper{
		"nothing is at sys/wrapping/lookup":      {},
		"did not hold a secret-id of this mount": {lookup: `{"data":{"creation_path":"auth/approle/role/app/secret-id"}}`},
	} {
		conf := api.DefaultConfig()
		conf.Address, conf.HttpClient = "http://vault.test", &http.Client{Transport: answers}
		client, err := api.NewClient(conf)
		require.NoError(t, err)
		_, err = approle.New("role", approle.Wrapped(auth.String("x"))).Login(t.Context(), client)
		require.ErrorContains(t, err, says)
	}
}

// TestA8UnwrappingSaysHowManyLoginsThereAre, by the uses and by the time that the secret-id has.
// Mutation: the uses are not read.
func TestA8UnwrappingSaysHowManyLoginsThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		for name, tc := range map[string]struct {
			spec    vaulttest.AppRoleSpec
			limited bool
		}{
			"free": {vaulttest.AppRoleSpec{}, false},
			"uses": {vaulttest.AppRoleSpec{SecretIDNumUses: 3}, true},
			"ttl":  {vaulttest.AppRoleSpec{SecretIDTTL: time.Hour}, true},
		} {
			roleID, _ := server.AppRole(name, tc.spec)
			method := approle.New(roleID, approle.Wrapped(auth.String(server.WrappedSecretID(roleID, time.Minute))))
			require.False(t, method.Limited(), name)
			require.NoError(t, start(t.Context(), server, method), name)
			require.Equal(t, tc.limited, method.Limited(), name)
		}
	})
}

// TestTheAnswerOfTheVaultCommandIsUnderstood, for a secret-id that was chosen, too.
func TestTheAnswerOfTheVaultCommandIsUnderstood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://vault.test/v1/auth/approle/role/app/custom-secret-id",
			strings.NewReader(`{"secret_id":"chosen-by-an-operator"}`))
		require.NoError(t, err)
		req.Header.Set("X-Vault-Token", server.RootToken())
		req.Header.Set("X-Vault-Wrap-Ttl", "60s")
		resp, err := server.Client().Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Contains(t, string(text), "wrap_info")
		require.NoError(t, start(t.Context(), server, approle.New(roleID, approle.Wrapped(auth.String(string(text))))))
	})
}

// TestTheClientKeepsNoWrappingToken: the official helper leaves it there, and a later request
// would go out with it.
func TestTheClientKeepsNoWrappingToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		client := vault(t, server, "")
		method := approle.New(roleID, approle.Wrapped(auth.String(server.WrappedSecretID(roleID, time.Hour))))
		_, err := method.Login(t.Context(), client)
		require.NoError(t, err)
		require.Empty(t, client.Token())
		_, err = approle.New(roleID, approle.Wrapped(auth.String("hvs.this-was-never-a-token-of-anybody"))).Login(t.Context(), client)
		require.Error(t, err)
		require.Empty(t, client.Token())
	})
}

// TestNothingSecretIsPrinted of a method that holds what was unwrapped.
func TestNothingSecretIsPrinted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		roleID, secretID := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		seen := ""
		wrapped := approle.Wrapped(func(context.Context) (string, error) {
			if seen == "" {
				seen = server.WrappedSecretID(roleID, time.Minute)
			}
			return seen, nil
		})
		given := approle.SecretIDString(secretID)
		for _, id := range []approle.SecretID{wrapped, given} {
			method := approle.New(roleID, id)
			require.NoError(t, start(t.Context(), server, method))
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
				for _, what := range []any{method, *method, id, &id} {
					said := fmt.Sprintf(verb, what)
					require.NotContains(t, said, secretID)
					require.NotContains(t, said, "hvs.")
					require.NotContains(t, said, roleID)
				}
			}
		}
	})
}

// vault is an official client.
func vault(t *testing.T, server *vaulttest.Server, token string) *api.Client {
	t.Helper()
	conf := api.DefaultConfig()
	conf.Address, conf.HttpClient, conf.MaxRetries = "http://vault.test", server.Client(), 0
	client, err := api.NewClient(conf)
	require.NoError(t, err)
	client.SetToken(token)
	return client
}
