package kv_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// wood returns a server with some secrets.
func wood(t *testing.T) *vaulttest.Server {
	t.Helper()
	server := vaulttest.New(t)
	for _, path := range []string{"top", "a", "a/x", "a/y/z", "a/y/z/deep", "b/x", "c/d/e"} {
		server.PutKV("secret", path, map[string]any{"n": 1})
	}
	return server
}

func TestAFolderIsListed(t *testing.T) {
	t.Parallel()
	server := wood(t)
	store := as(t, server, nil).KV("secret")
	for folder, want := range map[string][]string{
		"": {"a", "a/", "b/", "c/", "top"}, "a": {"x", "y/"}, "a/": {"x", "y/"}, "a/y/z": {"deep"},
	} {
		names, err := store.List(t.Context(), folder)
		require.NoError(t, err)
		require.Equal(t, want, names)
	}
	_, err := store.List(t.Context(), "nix")
	require.ErrorIs(t, err, kv.ErrNotFound)
	require.EqualError(t, err, "leasehold: list secret/nix: no secret at this path")
	_, err = store.List(t.Context(), "top")
	require.ErrorIs(t, err, kv.ErrNotFound, "a secret is no folder")
	server.Fail(vaulttest.Fault{Status: 200, Body: `{"data": {}}`, Path: "secret/metadata", Count: 1})
	_, err = store.List(t.Context(), "a")
	require.EqualError(t, err, "leasehold: list secret/a: not the answer that was expected")
	server.MountKV2("empty")
	names, err := as(t, server, nil).KV("empty").List(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, names)
	require.NotNil(t, names)
}

type step struct {
	path string
	err  error
}

func walk(ctx context.Context, store *kv.Store, folder string, until func(string) bool) (steps []step) {
	for path, err := range store.Walk(ctx, folder) {
		steps = append(steps, step{path, err})
		if until != nil && until(path) {
			break
		}
	}
	return steps
}

// TestLaw23AWalkAsksForNoMoreThanTheLoopTakes: one request for each folder when its turn
// comes, and none after a break.
// Mutation: Store.walk goes on after a break.
func TestLaw23AWalkAsksForNoMoreThanTheLoopTakes(t *testing.T) {
	t.Parallel()
	server := wood(t)
	store := as(t, server, nil).KV("secret")
	all := []step{{"a", nil}, {"a/x", nil}, {"a/y/z", nil}, {"a/y/z/deep", nil}, {"b/x", nil}, {"c/d/e", nil}, {"top", nil}}
	require.Equal(t, all, walk(t.Context(), store, "", nil))
	require.Equal(t, 7, server.Count("LIST", "secret/metadata"))
	require.Equal(t, all[1:4], walk(t.Context(), store, "a", nil))
	require.Equal(t, all[1:4], walk(t.Context(), store, "a/", nil))
	for path, err := range store.Walk(t.Context(), "a") {
		require.NoError(t, err)
		_, err = kv.Get[map[string]int](t.Context(), store, path)
		require.NoError(t, err, "a path is what Get takes")
	}
	before := server.Count("LIST", "secret/metadata")
	require.Equal(t, all[:2], walk(t.Context(), store, "", func(path string) bool { return path == "a/x" }))
	require.Equal(t, before+2, server.Count("LIST", "secret/metadata"))
	seq := store.Walk(t.Context(), "")
	require.Equal(t, before+2, server.Count("LIST", "secret/metadata"), "nothing is asked before the loop")
	for range 2 {
		n := 0
		for _, err := range seq {
			require.NoError(t, err)
			n++
		}
		require.Equal(t, len(all), n, "it can be walked again")
	}
}

// TestAWalkGoesAroundWhatItMayNotSee, and ends at what concerns all of it.
func TestAWalkGoesAroundWhatItMayNotSee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := wood(t)
		store := as(t, server, nil, vaulttest.Rule{Path: "secret/metadata/*", Capabilities: []string{"list"}},
			vaulttest.Rule{Path: "secret/metadata/a", Capabilities: []string{"deny"}}).KV("secret")
		steps := walk(t.Context(), store, "", nil)
		require.Len(t, steps, 5)
		require.Equal(t, "a/", steps[1].path)
		var failed *leasehold.Error
		require.ErrorAs(t, steps[1].err, &failed)
		require.Contains(t, failed.Hint, `"secret/metadata/a/" { capabilities = ["list"] }`)
		require.Equal(t, []step{{"a", nil}, {"b/x", nil}, {"c/d/e", nil}, {"top", nil}}, append(steps[:1:1], steps[2:]...))
		require.Len(t, walk(t.Context(), store, "", func(path string) bool { return path == "a/" }), 2)

		steps = walk(t.Context(), store, "nix", nil)
		require.Len(t, steps, 1)
		require.ErrorIs(t, steps[0].err, kv.ErrNotFound)
		steps = walk(t.Context(), store, "a", nil)
		require.Len(t, steps, 1)
		require.Equal(t, "a", steps[0].path)

		store = as(t, server, nil).KV("secret")
		for path, err := range store.Walk(t.Context(), "") {
			require.NoError(t, err)
			require.NotEqual(t, "b/x", path)
			if path == "a" {
				server.DestroyKV("secret", "b/x") // and so its folder goes, which was listed
			}
		}
		server.Fail(vaulttest.Fault{Path: "secret/metadata/c", Status: 503})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		steps = walk(ctx, store, "", nil)
		last := steps[len(steps)-1]
		require.Equal(t, "c/", last.path, "the outage ends it")
		require.ErrorIs(t, last.err, context.DeadlineExceeded)
		require.ErrorContains(t, last.err, "503")
	})
}

// TestAListIsAskedForAsTheOfficialClientDoes: a LIST is not let through by all proxies.
func TestAListIsAskedForAsTheOfficialClientDoes(t *testing.T) {
	t.Parallel()
	var asked []string
	store := as(t, wood(t), func(next http.RoundTripper) http.RoundTripper {
		return spy{next, func(r *http.Request) { asked = append(asked, r.Method+" "+r.URL.RequestURI()) }}
	}).KV("secret", kv.Version2())
	_, err := store.List(t.Context(), "a/y")
	require.NoError(t, err)
	require.Contains(t, asked, "GET /v1/secret/metadata/a/y?list=true")
}
