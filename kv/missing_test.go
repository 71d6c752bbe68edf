package kv_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestF16F17WhatIsNotThere: to root Vault tells what is wrong, to an application it may only say 403; the
// error says which it is, and what to do. Mutations: the version that was deleted is not told;
// destroyed counts as deleted; the warning of version 2 counts as a missing secret; another
// engine's 404 counts as a missing secret; so does one below a part of a mount; the hint of a 403 is the session's alone.
func TestF16F17WhatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.MountKV1("old")
		server.TransitKey("crypt", "k", vaulttest.TransitKeySpec{})
		server.PutKV("old", "x", map[string]any{"banner": "old"})
		for _, path := range []string{"x", "deleted", "destroyed"} {
			server.PutKV("secret", path, map[string]any{"banner": "one"})
		}
		server.PutKV("secret", "deleted", map[string]any{"banner": "two"})
		server.DeleteKV("secret", "deleted")
		server.DestroyKV("secret", "destroyed", 1)
		deleted := time.Now()
		admin := between(t, server, func(r *http.Request, next http.RoundTripper) (*http.Response, error) { return next.RoundTrip(r) })
		service := app(t, server, vaulttest.Rule{Path: "secret/data/deleted", Capabilities: []string{"read"}})
		any1, any2 := kv.Version1(), kv.Version2()
		for _, tt := range []struct {
			name, mount, path string
			opts              []kv.StoreOption
			get               []kv.GetOption
			is                error  // to root; nil: none of them
			says              string // to root
			hint              string // to who is not allowed
		}{
			{name: "missing", mount: "secret", path: "no/such", is: kv.ErrNotFound, says: `secret/no/such: no secret at this path (a path is given without the mount and without "data/")`, hint: `grant it by policy: path "secret/data/no/such" { capabilities = ["read"] }`},
			{name: "missing version", mount: "secret", path: "x", get: []kv.GetOption{kv.AtVersion(7)}, is: kv.ErrNotFound, says: "no secret at this path (version 7)", hint: `path "secret/data/x"`},
			{name: "deleted", mount: "secret", path: "deleted", is: kv.ErrDeleted, says: "secret/deleted: the version was deleted (version 2, at 2000-01-01T00:00:00Z): Store.Undelete brings it back"},
			{name: "destroyed", mount: "secret", path: "destroyed", is: kv.ErrDestroyed, says: "secret/destroyed: the version was destroyed (version 1)", hint: `path "secret/data/destroyed"`},
			{name: "no mount", mount: "nothing", path: "x", is: kv.ErrNoMount, says: `nothing/x: no KV secrets engine is mounted there (is "nothing" the whole name of the mount? "vault secrets list" shows them)`, hint: `path "nothing/data/x"`},
			{name: "with data/", mount: "secret", path: "data/x", is: kv.ErrNotFound, says: `"data/" is added to a path by itself: is "x" meant?`, hint: `"data/" is added to a path by itself: is "x" meant?`},
			{name: "with the mount", mount: "secret", path: "secret/x", is: kv.ErrNotFound, says: `the mount is added to a path by itself: is "x" meant?`, hint: `is "x" meant?`},
			{name: "missing in version 1", mount: "old", path: "y", is: kv.ErrNotFound, says: "old/y: no secret at this path (a path is given without the mount)", hint: `say so with kv.Version1`},
			{name: "with data/ in version 1", mount: "old", path: "data/x", is: kv.ErrNotFound, says: `KV version 1 has no "data/": is "x" meant?`, hint: `is "x" meant?`},
			{name: "version 1 taken for 2", mount: "old", path: "x", opts: []kv.StoreOption{any2}, is: kv.ErrNotFound, says: `if "old" is KV version 1, leave out kv.Version2`, hint: `if "old" is KV version 1, leave out kv.Version2`},
			{name: "version 2 taken for 1", mount: "secret", path: "x", opts: []kv.StoreOption{any1}, says: `secret/x: the engine at "secret" is KV version 2: leave out kv.Version1`, hint: `if "secret" is KV version 2, leave out kv.Version1`},
			{name: "a version of version 1", mount: "old", path: "x", opts: []kv.StoreOption{any1}, get: []kv.GetOption{kv.AtVersion(2)}, says: "old/x: the engine at \"old\" is KV version 1, which keeps no versions: leave out kv.AtVersion", hint: "keeps no versions"},
			{name: "a part of the path for the mount", mount: "secret/team", path: "x", is: kv.ErrNoMount, says: `the mount is "secret": team belongs to the path`, hint: `the mount is "secret": team belongs to the path`},
			{name: "a part of the path for the mount of version 1", mount: "old/team", path: "x", is: kv.ErrNoMount, says: `the mount is "old": team belongs to the path`},
			{name: "an engine that answers the same", mount: "cubbyhole", path: "x", is: kv.ErrNoMount, says: `the engine at "cubbyhole" is of type "cubbyhole"`},
			{name: "another engine", mount: "crypt", path: "x", is: kv.ErrNoMount, says: `the engine at "crypt" is of type "transit"`, hint: `path "crypt/data/x"`},
		} {
			_, err := kv.Get[flags](t.Context(), admin.KV(tt.mount, tt.opts...), tt.path, tt.get...)
			require.ErrorContains(t, err, tt.says, tt.name)
			for _, kind := range []error{kv.ErrNotFound, kv.ErrDeleted, kv.ErrDestroyed, kv.ErrNoMount, kv.ErrCASMismatch} {
				assert.Equal(t, kind == tt.is, errors.Is(err, kind), "%s: %v", tt.name, err) //nolint:errorlint // the sentinels themselves
			}
			if tt.hint == "" {
				continue
			}
			_, err = kv.Get[flags](t.Context(), service.KV(tt.mount, tt.opts...), tt.path, tt.get...)
			require.ErrorContains(t, err, tt.hint, tt.name)
			var refused *leasehold.Error
			if errors.As(err, &refused) {
				assert.Equal(t, http.StatusForbidden, refused.Status, tt.name)
				assert.Contains(t, refused.Hint, "grant it by policy", tt.name)
			}
		}
		_, err := kv.Get[flags](t.Context(), service.KV("secret"), "deleted", kv.AtVersion(1))
		require.NoError(t, err, "an earlier version is there")
		_, err = kv.Get[flags](t.Context(), service.KV("secret"), "deleted")
		var gone *kv.DeletedError
		require.ErrorAs(t, err, &gone)
		require.Equal(t, kv.DeletedError{Path: "secret/deleted", Version: 2, At: gone.At}, *gone)
		require.True(t, gone.At.Equal(deleted))
	})
}

// TestC3A404ThatIsNotVaultsIsNoMissingSecret: a proxy has it for whom it just now finds nobody behind it. To be
// told that there is no secret, an application would go on without.
// Mutation: whatever is a 404 counts as a missing secret.
func TestC3A404ThatIsNotVaultsIsNoMissingSecret(t *testing.T) {
	for name, body := range map[string]string{
		"a page": "<html>default backend - 404</html>", "nothing": "", "other JSON": `{"message": "no route"}`, "null": "null", "a list": "[]",
		"half an answer": `{"data": {"metadata": {"version": "2"}}}`, "no time": `{"data": {"metadata": {"version": 2, "deletion_time": "8675309"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				c := between(t, server, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
					if r.URL.Path == "/v1/"+path {
						return reply(r, http.StatusNotFound, body)
					}
					return next.RoundTrip(r)
				})
				_, err := kv.Get[flags](t.Context(), c.KV("secret"), "app/flags")
				require.ErrorContains(t, err, "this is no answer of Vault's KV engine")
				require.NotContains(t, err.Error(), hunter)
				for _, kind := range []error{kv.ErrNotFound, kv.ErrDeleted, kv.ErrDestroyed, kv.ErrNoMount} {
					require.NotErrorIs(t, err, kind)
				}
				var le *lease.Error
				require.ErrorAs(t, err, &le)
				require.Equal(t, lease.Unknown, le.Class, "who polls tries again sooner")
			})
		})
	}
}

// TestC3A200WithoutASecretIsAnError, and no zero value: Vault has a 404 for what is not there.
// Mutations: a zero value is taken as it is; a null is taken for JSON.
func TestC3A200WithoutASecretIsAnError(t *testing.T) {
	meta := `"metadata": {"version": 1, "created_time": "2026-01-01T00:00:00Z", "deletion_time": ""}`
	for name, body := range map[string]string{
		"no JSON": "<html>8675309</html>", "nothing": "", "an empty object": "{}", "null": "null", "no data": `{"data": null}`, "null in it": `{"data": {"data": null, ` + meta + `}}`,
		"no data in it": `{"data": {` + meta + `}}`, "no metadata": `{"data": {"data": {"banner": "8675309"}}}`, "version 1": `{"data": {"banner": "8675309"}}`,
		"a text": `{"data": {"data": "8675309", ` + meta + `}}`, "cut off": `{"data": {"data": {"banner": "8675309"`,
		"no time":      `{"data": {"data": {"banner": "x"}, "metadata": {"version": 1, "created_time": "8675309"}}}`,
		"no such time": `{"data": {"data": {"banner": "x"}, "metadata": {"version": 1, "deletion_time": "8675309"}}}`,
		"two answers":  `{"data": {"data": {"banner": "8675309"}, ` + meta + `}}{}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				c := between(t, server, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
					if r.URL.Path == "/v1/"+path {
						return reply(r, http.StatusOK, body)
					}
					return next.RoundTrip(r)
				})
				var misfit *kv.DecodeError
				_, err := kv.Get[flags](t.Context(), c.KV("secret", kv.Version2()), "app/flags")
				require.ErrorAs(t, err, &misfit)
				require.NotContains(t, err.Error(), hunter)
				_, err = kv.Get[*flags](t.Context(), c.KV("secret", kv.Version2()), "app/flags")
				require.ErrorAs(t, err, &misfit)
				_, err = kv.Get[map[string]any](t.Context(), c.KV("secret", kv.Version2()), "app/flags")
				require.ErrorAs(t, err, &misfit)
				if name != "a text" { // which is JSON as well
					_, err = kv.Get[json.RawMessage](t.Context(), c.KV("secret", kv.Version2()), "app/flags")
					require.ErrorAs(t, err, &misfit)
				}
			})
		})
	}
}

// TestASecretComesWithItsMetadata: one version with all that Vault says of it.
func TestASecretComesWithItsMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		_, err := c.Vault().Logical().WriteWithContext(t.Context(), "secret/metadata/app/flags", map[string]any{"custom_metadata": map[string]string{"owner": "team"}, "delete_version_after": "24h"})
		require.NoError(t, err)
		time.Sleep(time.Hour)
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		s, err := kv.Get[flags](t.Context(), c.KV("secret"), "app/flags")
		require.NoError(t, err)
		now := time.Now()
		require.True(t, s.Obtained.Equal(now))
		require.True(t, s.Metadata.Created.Equal(now))
		require.True(t, s.Metadata.Deleted.Equal(now.Add(24*time.Hour)), "when it will be")
		s.Metadata.Created, s.Metadata.Deleted = time.Time{}, time.Time{}
		require.Equal(t, kv.Metadata{Version: 2, Custom: map[string]string{"owner": "team"}}, s.Metadata)
		require.Zero(t, s.TTL)
	})
}

// TestC2ASecretOfVersion1SaysHowLongToKeepIt: by its ttl, as Vault understood it.
// Mutation: the duration is taken for nanoseconds.
func TestC2ASecretOfVersion1SaysHowLongToKeepIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		server.MountKV1("old")
		for ttl, want := range map[any]time.Duration{"90s": 90 * time.Second, 5: 5 * time.Second, "soon": 768 * time.Hour, "": 768 * time.Hour, -5: 0} {
			data := map[string]any{"banner": "old", "ttl": ttl}
			if ttl == "" {
				delete(data, "ttl")
			}
			server.PutKV("old", "x", data)
			s, err := kv.Get[flags](t.Context(), c.KV("old"), "x")
			require.NoError(t, err)
			require.Equal(t, "old", s.Value.Banner)
			require.Equal(t, want, s.TTL, ttl)
			require.Zero(t, s.Metadata)
		}
	})
}

// TestMissingAndUnknownFields are ignored, unless somebody wants to know.
// Mutations: null counts as a field that is there; unknown fields of nested structs are not looked for.
func TestMissingAndUnknownFields(t *testing.T) {
	type server struct {
		Host string `json:"host"`
		Port int    `json:"port,omitempty"`
	}
	type config struct {
		Name    string            `json:"name"`
		Zone    *string           `json:"zone"`
		Extra   any               `json:"extra,omitzero"`
		Servers []server          `json:"servers"`
		ByName  map[string]server `json:"by_name"`
		When    time.Time         `json:"when"`
		Hidden  string            `json:"-"`
		*leasehold.Event
	}
	const fits = `"when": "2026-01-01T00:00:00Z", `
	for _, tt := range []struct {
		name, data       string
		unknown, missing string // "": no error
	}{
		{"all", `{"name": "a", "servers": [{"host": "h"}], ` + fits + `"by_name": {}, "zone": null}`, "", ""},
		{"case", `{"NAME": "a", "Servers": [], ` + fits + `"by_name": {"a": {"host": "h", "PORT": 1}}}`, "", ""},
		{"twice", `{"NAME": "b", "name": "a", "Servers": [], "seRvers": [], ` + fits + `"by_name": {}}`, "NAME: want no such field, the secret holds a JSON string\nseRvers: want no such field, the secret holds a JSON array", ""},
		{"nothing", `{}`, "", "name: want string, the secret holds nothing\nservers: want []kv_test.server, the secret holds nothing\nby_name: want map[string]kv_test.server, the secret holds nothing\nwhen: want time.Time, the secret holds nothing"},
		{"null", `{"name": null, "servers": [], ` + fits + `"by_name": {}}`, "", "name: want string, the secret holds nothing"},
		{"nested", `{"name": "a", "servers": [{"host": "h"}, {"hots": "h"}], ` + fits + `"by_name": {"8675309": {}}}`, "servers[1].hots: want no such field, the secret holds a JSON string", "by_name[*].host: want string, the secret holds nothing\nservers[1].host: want string, the secret holds nothing"},
		{"unknown", `{"name": "a", "naem": 8675309, "Hidden": null, "8675309": [], "` + hunter + ` ü": {}, "servers": [], ` + fits + `"by_name": {}, "extra": {"a": {"b": 1}}}`, "[*]: want no such field, the secret holds a JSON array\n[*]: want no such field, the secret holds a JSON object\nHidden: want no such field, the secret holds a JSON null\nnaem: want no such field, the secret holds a JSON number", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := vaulttest.New(t)
				c := between(t, fake, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
					if r.URL.Path == "/v1/"+path {
						return reply(r, http.StatusOK, `{"data": {"data": `+tt.data+`, "metadata": {"version": 1}}}`)
					}
					return next.RoundTrip(r)
				})
				says := func(want string, opts ...kv.GetOption) {
					t.Helper()
					_, err := kv.Get[config](t.Context(), c.KV("secret"), "app/flags", opts...)
					if want == "" {
						require.NoError(t, err)
						return
					}
					var misfit *kv.DecodeError
					require.ErrorAs(t, err, &misfit)
					require.Equal(t, "leasehold: decode secret/app/flags#"+strings.ReplaceAll(want, "\n", "\nleasehold: decode secret/app/flags#"), err.Error())
				}
				says("")
				says(tt.unknown, kv.RefuseUnknown())
				says(tt.missing, kv.RequireAll())
			})
		})
	}
}

// TestU1WhatIsMissingNamesItsNamespace: it may be in another. Mutation: where it was looked for is not told.
func TestU1WhatIsMissingNamesItsNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		c, err := leasehold.New(t.Context(), leasehold.Config{Address: "http://vault.test", Namespace: "team", Auth: token.New(server.RootToken()), HTTPClient: server.Client()})
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close(context.Background())) }()
		_, err = kv.Get[flags](t.Context(), c.KV("secret"), "app/none")
		require.ErrorIs(t, err, kv.ErrNotFound)
		require.ErrorContains(t, err, "read secret/app/none (namespace team): no secret")
		_, err = kv.Get[flags](t.Context(), c.KV("nowhere"), "app/none")
		require.ErrorIs(t, err, kv.ErrNoMount)
		require.ErrorContains(t, err, "read nowhere/app/none (namespace team): no KV")

		store := c.KV("secret")
		_, err = store.Put(t.Context(), "app/x", flags{})
		require.NoError(t, err)
		_, err = store.Put(t.Context(), "app/x", flags{}, kv.CAS(7))
		require.ErrorIs(t, err, kv.ErrCASMismatch)
		require.ErrorContains(t, err, "write secret/app/x (namespace team): the write is for version 7, the secret is at version 1")
		require.NoError(t, store.Delete(t.Context(), "app/x"))
		_, err = kv.Get[flags](t.Context(), store, "app/x")
		require.ErrorIs(t, err, kv.ErrDeleted)
		require.ErrorContains(t, err, "read secret/app/x (namespace team): ")
	})
}
