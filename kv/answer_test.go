package kv_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// requests are one of each kind that a Store sends.
var requests = map[string]func(context.Context, *kv.Store) error{
	"get":           func(ctx context.Context, s *kv.Store) error { _, err := kv.Get[flags](ctx, s, "a"); return err },
	"list":          func(ctx context.Context, s *kv.Store) error { _, err := s.List(ctx, ""); return err },
	"list a folder": func(ctx context.Context, s *kv.Store) error { _, err := s.List(ctx, "a"); return err },
	"walk":          firstError,
	"metadata":      func(ctx context.Context, s *kv.Store) error { _, err := s.Metadata(ctx, "a"); return err },
	"versions":      func(ctx context.Context, s *kv.Store) error { _, err := s.Versions(ctx, "a"); return err },
	"put":           func(ctx context.Context, s *kv.Store) error { _, err := s.Put(ctx, "a", flags{}); return err },
	"put with CAS": func(ctx context.Context, s *kv.Store) error {
		_, err := s.Put(ctx, "a", flags{}, kv.CAS(1))
		return err
	},
	"patch":           func(ctx context.Context, s *kv.Store) error { _, err := s.Patch(ctx, "a", flags{}); return err },
	"delete":          func(ctx context.Context, s *kv.Store) error { return s.Delete(ctx, "a") },
	"delete versions": func(ctx context.Context, s *kv.Store) error { return s.DeleteVersions(ctx, "a", 1) },
	"undelete":        func(ctx context.Context, s *kv.Store) error { return s.Undelete(ctx, "a", 1) },
	"destroy":         func(ctx context.Context, s *kv.Store) error { return s.Destroy(ctx, "a", 1) },
	"put metadata":    func(ctx context.Context, s *kv.Store) error { return s.PutMetadata(ctx, "a", kv.MaxVersions(3)) },
	"patch metadata":  func(ctx context.Context, s *kv.Store) error { return s.PatchMetadata(ctx, "a", kv.MaxVersions(3)) },
	"delete metadata": func(ctx context.Context, s *kv.Store) error { return s.DeleteMetadata(ctx, "a") },
	"read and replace": func(ctx context.Context, s *kv.Store) error {
		_, err := s.Patch(ctx, "a", flags{}, kv.ReadModifyWrite())
		return err
	},
}

// firstError is that of the first step of a walk through all that there is.
func firstError(ctx context.Context, s *kv.Store) error {
	for _, err := range s.Walk(ctx, "") {
		return err
	}
	return nil
}

// notThere are what a Store may say of a path that Vault was asked for.
var notThere = []error{kv.ErrNotFound, kv.ErrDeleted, kv.ErrDestroyed, kv.ErrNoMount, kv.ErrCASMismatch}

// TestC3TheLoginsFailureIsNoAnswerOfTheKVEngine: Vault was not asked for the secret then. Mutation: what a login
// was answered counts as the answer to the request.
func TestC3TheLoginsFailureIsNoAnswerOfTheKVEngine(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusNotFound, http.StatusForbidden} {
		for name, request := range requests {
			t.Run(http.StatusText(status)+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := vaulttest.New(t)
					server.PutKV("secret", "a", map[string]any{"banner": "one"})
					c := app(t, server, vaulttest.Rule{Path: "secret/*", Capabilities: []string{"create", "read", "update", "patch", "delete", "list"}})
					store := c.KV("secret", kv.Version2())
					require.True(t, server.RevokeToken(c.Status().Token.Accessor))
					server.Fail(vaulttest.Fault{Path: "auth/approle/login", Status: status})
					for range 2 {
						ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						err := request(ctx, store)
						cancel()
						require.ErrorContains(t, err, "no valid token")
						require.NotContains(t, err.Error(), "may have happened")
						require.NotContains(t, err.Error(), "leave out")
						for _, kind := range notThere {
							require.NotErrorIs(t, err, kind)
						}
						var failed *leasehold.Error
						require.ErrorAs(t, err, &failed)
						require.Equal(t, status, failed.Status)
						if status >= http.StatusInternalServerError {
							require.ErrorIs(t, err, context.DeadlineExceeded)
						}
					}
				})
			})
		}
	}
}

// foreign are bodies of a 404 that is not Vault's.
var foreign = map[string]string{
	"a page": "<html>default backend - 404</html>", "nothing": "", "other JSON": `{"message": "no route"}`, "null": "null", "a list": "[]",
	"other errors": `{"errors": [{"code": 1000}]}`, "half an answer": `{"data": {"metadata": {"version": "2"}}}`,
	"no time": `{"data": {"metadata": {"version": 2, "deletion_time": "8675309"}}}`, "no time of a patch": `{"data": {"version": 2, "deletion_time": "8675309"}}`,
}

// TestC3A404ThatIsNotVaultsIsNoMissingSecretToAnybody: who is told that a mount is empty may delete what he has of it
// elsewhere. Mutation: whatever is a 404 counts as a missing secret.
func TestC3A404ThatIsNotVaultsIsNoMissingSecretToAnybody(t *testing.T) {
	for what, body := range foreign {
		for name, request := range requests {
			if body == "" && (name == "patch" || name == "patch metadata") {
				continue // Vault's own answer to a patch of nothing
			}
			t.Run(what+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := vaulttest.New(t)
					server.PutKV("secret", "a", map[string]any{"banner": "one"})
					c := between(t, server, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
						if strings.HasPrefix(r.URL.Path, "/v1/secret/") {
							return reply(r, http.StatusNotFound, body)
						}
						return next.RoundTrip(r)
					})
					err := request(t.Context(), c.KV("secret"))
					require.ErrorContains(t, err, "this is no answer of Vault's KV engine")
					require.NotContains(t, err.Error(), hunter)
					for _, kind := range notThere {
						require.NotErrorIs(t, err, kind)
					}
				})
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		c := between(t, wood(t), func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if r.URL.Path == "/v1/secret/metadata/a/y" {
				return reply(r, http.StatusNotFound, "")
			}
			return next.RoundTrip(r)
		})
		steps := walk(t.Context(), c.KV("secret"), "", nil)
		require.Len(t, steps, 6)
		require.Equal(t, "a/y/", steps[2].path)
		require.ErrorContains(t, steps[2].err, "this is no answer of Vault's KV engine", "a folder is not left out")
	})
}

// TestC3AMountOfAVersionThatIsNotKnownIsNotEmpty: a list of KV version 1 is elsewhere. Mutation: no secret at
// the place of version 2 means that there is none.
func TestC3AMountOfAVersionThatIsNotKnownIsNotEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.MountKV1("old")
		server.MountKV2("empty")
		server.PutKV("old", "x", map[string]any{"banner": "old"})
		c := as(t, server, nil)
		server.Fail(vaulttest.Fault{Path: uiMounts + "*", Status: http.StatusForbidden})
		_, err := c.KV("old").List(t.Context(), "")
		require.ErrorIs(t, err, kv.ErrNotFound)
		require.ErrorContains(t, err, "say so with kv.Version1")
		steps := walk(t.Context(), c.KV("old"), "", nil)
		require.Len(t, steps, 1)
		require.ErrorIs(t, steps[0].err, kv.ErrNotFound)
		names, err := c.KV("old", kv.Version1()).List(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, []string{"x"}, names)
		names, err = c.KV("empty", kv.Version2()).List(t.Context(), "")
		require.NoError(t, err)
		require.Empty(t, names)
	})
}

// TestC3A200ThatIsNotVaultsIsNoWrite: what stands in between need not have sent it on. Mutation: whatever is a 200 counts
// as done.
func TestC3A200ThatIsNotVaultsIsNoWrite(t *testing.T) {
	between := func(t *testing.T, status int, body string) *leasehold.Client {
		t.Helper()
		server := vaulttest.New(t)
		server.MountKV1("old")
		server.PutKV("secret", "a", map[string]any{"banner": "one"})
		return between(t, server, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if r.Method != http.MethodGet && !strings.HasPrefix(r.URL.Path, "/v1/auth/") {
				return reply(r, status, body)
			}
			return next.RoundTrip(r)
		})
	}
	fails := func(t *testing.T, err error) {
		t.Helper()
		require.ErrorContains(t, err, "this is no answer of Vault's KV engine; it may have happened: read before writing again")
		require.NotContains(t, err.Error(), hunter)
		var failed *leasehold.Error
		require.ErrorAs(t, err, &failed)
	}
	for what, body := range map[string]string{"a page": "<html>8675309</html>", "nothing": "", "other JSON": `{"message": "8675309"}`, "null": "null", "a list": "[]"} {
		for name, request := range requests {
			if reads := map[string]bool{"get": true, "list": true, "list a folder": true, "walk": true, "metadata": true, "versions": true}; reads[name] {
				continue
			}
			t.Run(what+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fails(t, request(t.Context(), between(t, http.StatusOK, body).KV("secret")))
				})
			})
		}
		t.Run(what+"/version 1", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := between(t, http.StatusAccepted, body).KV("old")
				_, err := store.Put(t.Context(), "a", flags{})
				fails(t, err)
				fails(t, store.Delete(t.Context(), "a"))
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		warned := between(t, http.StatusOK, `{"request_id": "7", "data": null, "warnings": ["8675309"]}`).KV("secret")
		require.NoError(t, warned.PutMetadata(t.Context(), "a", kv.MaxVersions(3)), "Vault's own")
	})
}

// TestAWalkEndsWithItsToken: a login that is refused is told once, and not for each folder that is left. Mutation:
// a walk goes on without a token.
func TestAWalkEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := wood(t)
		c := app(t, server, vaulttest.Rule{Path: "secret/*", Capabilities: []string{"list"}})
		steps := walk(t.Context(), c.KV("secret"), "", func(path string) bool {
			if path == "a" {
				server.Fail(vaulttest.Fault{Path: "auth/approle/login", Status: http.StatusForbidden})
				require.True(t, server.RevokeToken(c.Status().Token.Accessor))
			}
			return false
		})
		require.Len(t, steps, 2)
		require.Equal(t, "a/", steps[1].path)
		require.ErrorContains(t, steps[1].err, "no valid token")
	})
}

// TestC3WhatIsNoKVAnswerIsNotReadAgain: a page that came once would be told for as long as a reader allows. A secret
// that does not fit one reader is kept for the others. Mutation: what is no answer is kept.
func TestC3WhatIsNoKVAnswerIsNotReadAgain(t *testing.T) {
	for what, body := range map[string]string{
		"a page": "<html>8675309</html>", "other JSON": `{"message": "8675309"}`, "null": `{"data": null}`,
		"no metadata": `{"data": {"data": {"banner": "x"}}}`, "no time": `{"data": {"data": {"banner": "x"}, "metadata": {"version": 1, "deletion_time": "x"}}}`,
	} {
		for _, at := range []string{"secret", "old"} {
			if at == "old" && strings.HasPrefix(what, "no ") {
				continue // as good as any other in version 1
			}
			t.Run(what+"/"+at, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := vaulttest.New(t)
					server.MountKV1("old")
					server.PutKV("secret", "x", map[string]any{"banner": "one"})
					server.PutKV("old", "x", map[string]any{"banner": "one"})
					asked := 0
					c := between(t, server, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
						if strings.HasPrefix(r.URL.Path, "/v1/"+at) {
							if asked++; asked == 1 {
								return reply(r, http.StatusOK, body)
							}
						}
						return next.RoundTrip(r)
					})
					get := func() error { _, err := kv.Get[flags](t.Context(), c.KV(at), "x", kv.MaxAge(time.Hour)); return err }
					var misfit *kv.DecodeError
					require.ErrorAs(t, get(), &misfit)
					require.NoError(t, get())
					_, err := kv.Get[map[string]int](t.Context(), c.KV(at), "x", kv.MaxAge(time.Hour))
					require.ErrorAs(t, err, &misfit)
					require.NoError(t, get())
					require.Equal(t, 2, asked)
				})
			})
		}
	}
}
