package suite

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// root is a client with the root token, which it does not revoke.
func (w world) root(t *testing.T) *leasehold.Client {
	t.Helper()
	c, err := leasehold.New(t.Context(), leasehold.Config{Address: w.v.Addr(), Auth: token.New(w.v.RootToken())})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// TestC3WhatIsNotThere (F16, F17): the same slips, made by root and by an application. To the one Vault
// tells what is wrong, by four kinds of 404 and a warning; to the other it may say only 403. Each is an
// error that says what to do, and none is nil with nothing in it.
func TestC3WhatIsNotThere(t *testing.T) {
	w := world{v: testvault.Vault(t)}
	w.v.Mount("old", "kv", map[string]string{"version": "1"})
	w.v.Mount("crypt", "transit", nil)
	for _, path := range []string{"x", "deleted", "deleted", "destroyed", "both", "gone", "expiring"} {
		w.v.Write("secret/data/"+path, map[string]any{"data": map[string]any{"n": 1}})
	}
	w.v.Write("old/x", map[string]any{"n": 1})
	w.v.Delete("secret/data/deleted")
	w.v.Delete("secret/data/both")
	w.v.Write("secret/destroy/both", map[string]any{"versions": []int{1}})
	w.v.Write("secret/destroy/destroyed", map[string]any{"versions": []int{1}})
	w.v.Delete("secret/metadata/gone")
	w.v.Write("secret/metadata/expiring", map[string]any{"delete_version_after": "1h"})
	w.v.Write("secret/data/expiring", map[string]any{"data": map[string]any{"n": 2}})
	w.v.Policy("app", `
		path "secret/data/deleted"  { capabilities = ["read"] }
		path "secret/data/data/x"   { capabilities = ["read"] }
		path "old/y"                { capabilities = ["read"] }`)
	root, service := w.root(t), w.start(t, "approle-c3", map[string]any{"token_ttl": "1h"})

	for _, tt := range []struct {
		name, mount, path string
		opts              []kv.StoreOption
		get               []kv.GetOption
		is                error // to root; nil: none of the kinds
		says              string
		app               error // to the application; nil: a 403 that says hint
		hint              string
	}{
		{name: "missing", mount: "secret", path: "no/such", is: kv.ErrNotFound, says: "secret/no/such: no secret", hint: `path "secret/data/no/such" { capabilities = ["read"] }`},
		{name: "missing version", mount: "secret", path: "x", get: []kv.GetOption{kv.AtVersion(9)}, is: kv.ErrNotFound, says: "version 9", hint: `path "secret/data/x"`},
		{name: "all of it removed", mount: "secret", path: "gone", is: kv.ErrNotFound, hint: `path "secret/data/gone"`},
		{name: "deleted", mount: "secret", path: "deleted", is: kv.ErrDeleted, says: "the version was deleted (version 2, at 2", app: kv.ErrDeleted},
		{name: "destroyed", mount: "secret", path: "destroyed", is: kv.ErrDestroyed, says: "(version 1)", hint: `path "secret/data/destroyed"`},
		{name: "deleted, then destroyed", mount: "secret", path: "both", is: kv.ErrDestroyed, says: "(version 1)", hint: `path "secret/data/both"`},
		{name: "no mount", mount: "nothing", path: "x", is: kv.ErrNoMount, says: "nothing/x", hint: `path "nothing/data/x"`},
		{name: "with data/", mount: "secret", path: "data/x", is: kv.ErrNotFound, says: `is "x" meant?`, app: kv.ErrNotFound},
		{name: "with data/, not allowed", mount: "secret", path: "data/y", is: kv.ErrNotFound, says: `is "y" meant?`, hint: `is "y" meant?`},
		{name: "missing in version 1", mount: "old", path: "y", is: kv.ErrNotFound, says: "old/y: no secret", app: kv.ErrNotFound},
		{name: "not allowed in version 1", mount: "old", path: "x/y", is: kv.ErrNotFound, hint: `path "old/x/y" { capabilities = ["read"] }`},
		{name: "with data/ in version 1", mount: "old", path: "data/x", is: kv.ErrNotFound, says: `KV version 1 has no "data/"`, hint: `KV version 1 has no "data/"`},
		{name: "version 1 taken for 2", mount: "old", path: "x", opts: []kv.StoreOption{kv.Version2()}, is: kv.ErrNotFound, says: "leave out kv.Version2", hint: "leave out kv.Version2"},
		{name: "version 2 taken for 1", mount: "secret", path: "x", opts: []kv.StoreOption{kv.Version1()}, says: "leave out kv.Version1", hint: "leave out kv.Version1"},
		{name: "a part of the path for the mount", mount: "secret/team", path: "x", is: kv.ErrNoMount, says: `the mount is "secret"`, hint: `the mount is "secret"`},
		{name: "another engine", mount: "crypt", path: "x", is: kv.ErrNoMount, says: `of type "transit"`, hint: `path "crypt/data/x"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := kv.Get[map[string]any](t.Context(), root.KV(tt.mount, tt.opts...), tt.path, tt.get...)
			require.ErrorContains(t, err, tt.says)
			for _, kind := range []error{kv.ErrNotFound, kv.ErrDeleted, kv.ErrDestroyed, kv.ErrNoMount} {
				assert.Equal(t, kind == tt.is, errors.Is(err, kind), "root: %v", err) //nolint:errorlint // the sentinels themselves
			}
			_, err = kv.Get[map[string]any](t.Context(), service.KV(tt.mount, tt.opts...), tt.path, tt.get...)
			if tt.app != nil {
				require.ErrorIs(t, err, tt.app)
				return
			}
			var refused *leasehold.Error
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, http.StatusForbidden, refused.Status)
			assert.ErrorContains(t, err, tt.hint)
		})
	}
	assert.LessOrEqual(t, w.v.Audit().Count("", "auth/approle-c3/login"), 2, "logins: a 403 is a reason for one, to see if the policies have changed")

	var deleted *kv.DeletedError
	_, err := kv.Get[map[string]any](t.Context(), root.KV("secret"), "deleted")
	require.ErrorAs(t, err, &deleted)
	assert.Equal(t, 2, deleted.Version)
	assert.WithinDuration(t, time.Now(), deleted.At, time.Minute)
	old, err := kv.Get[map[string]any](t.Context(), service.KV("secret"), "deleted", kv.AtVersion(1))
	require.NoError(t, err, "the version before is there")
	assert.Equal(t, 1, old.Metadata.Version)
	assert.Zero(t, old.Metadata.Deleted)
	expiring, err := kv.Get[map[string]any](t.Context(), root.KV("secret"), "expiring")
	require.NoError(t, err, "it will be deleted, and is not yet")
	assert.WithinDuration(t, time.Now().Add(time.Hour), expiring.Metadata.Deleted, time.Minute)
	assert.False(t, expiring.Metadata.Destroyed)
}
