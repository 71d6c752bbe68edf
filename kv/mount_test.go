package kv_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

const uiMounts = "sys/internal/ui/mounts/"

// app returns a client that may do what rules say.
func app(t *testing.T, server *vaulttest.Server, rules ...vaulttest.Rule) *leasehold.Client {
	t.Helper()
	server.Policy("app", rules...)
	roleID, secretID := server.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"app"}, TokenTTL: 24 * time.Hour})
	c, err := leasehold.New(t.Context(), leasehold.Config{
		Address: "http://vault.test", Auth: approle.New(roleID, approle.SecretIDString(secretID)), HTTPClient: server.Client(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close(context.Background())) })
	return c
}

// between returns a client of the root token whose requests go through f.
func between(t *testing.T, server *vaulttest.Server, f func(r *http.Request, next http.RoundTripper) (*http.Response, error)) *leasehold.Client {
	t.Helper()
	c, err := leasehold.New(t.Context(), leasehold.Config{
		Address: "http://vault.test", Auth: token.New(server.RootToken()), HTTPClient: &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
			return f(r, server.Client().Transport)
		})},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close(context.Background())) })
	return c
}

type tripper func(r *http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(r *http.Request, status int, body string) (*http.Response, error) {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}, nil
}

// TestC5TheVersionIsAskedForOncePerMount: a hundred secrets at once, and a thousand reads after them,
// cost one question; one whose version is given costs none. Neither a mount of several
// segments, nor a path that begins with data, is taken for another.
// Mutations: the version of a mount is not kept; a given version is asked for all the same.
func TestC5TheVersionIsAskedForOncePerMount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.MountKV1("old")
		server.MountKV1("a/b")
		server.MountKV2("a/c")
		paths := []string{"x", "data/x", "dataface/x", "metadata/x", "a/b/x", "data"}
		for _, mount := range []string{"secret", "old", "a/b", "a/c"} {
			for _, path := range paths {
				server.PutKV(mount, path, map[string]any{"banner": mount + ":" + path})
			}
		}
		c := app(t, server, vaulttest.Rule{Path: "+/*", Capabilities: []string{"read"}}, vaulttest.Rule{Path: "secret/*", Capabilities: []string{"read"}},
			vaulttest.Rule{Path: "old/*", Capabilities: []string{"read"}}, vaulttest.Rule{Path: "a/*", Capabilities: []string{"read"}})
		var wg sync.WaitGroup
		for mount, version := range map[string]int{"secret": 1, "/secret/": 1, "old": 0, "a/b": 0, "a/c": 1} {
			for _, path := range paths {
				for range 10 {
					wg.Go(func() {
						s, err := kv.Get[flags](t.Context(), c.KV(mount), path)
						if assert.NoError(t, err) {
							assert.Equal(t, strings.Trim(mount, "/")+":"+path, s.Value.Banner)
							assert.Equal(t, version, s.Metadata.Version)
						}
					})
				}
			}
		}
		wg.Wait()
		for range 1000 {
			_, err := kv.Get[flags](t.Context(), c.KV("old"), "x")
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		for _, mount := range []string{"secret", "old", "a/b", "a/c"} {
			require.Equal(t, 1, server.Count("GET", uiMounts+mount), mount)
		}

		given := app(t, server, vaulttest.Rule{Path: "+/*", Capabilities: []string{"read"}})
		for mount, opt := range map[string]kv.StoreOption{"old": kv.Version1(), "secret": kv.Version2()} {
			_, err := kv.Get[flags](t.Context(), given.KV(mount, opt), "data/x")
			require.NoError(t, err)
			require.Equal(t, 1, server.Count("GET", uiMounts+mount), mount)
		}
	})
}

// TestC5AProbeThatFailsIsTolerated: whoever stands in its way, secrets of version 2 are read, and those
// of version 1 where it is given; it is not tried with each read, no token is doubted for it,
// and its end is seen. Mutations: a probe that failed is tried with each read; a probe that
// hangs has all the time that there is.
func TestC5AProbeThatFailsIsTolerated(t *testing.T) {
	for name, fault := range map[string]vaulttest.Fault{
		"forbidden": {Status: http.StatusForbidden}, "not found": {Status: http.StatusNotFound}, "an error": {Status: http.StatusInternalServerError},
		"too many": {Status: http.StatusTooManyRequests}, "silence": {Hang: true}, "nobody": {DropBefore: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				server.PutKV("secret", "app/flags", map[string]any{"banner": "one"})
				server.MountKV1("old")
				server.PutKV("old", "x", map[string]any{"banner": "old"})
				c := app(t, server, vaulttest.Rule{Path: "secret/data/*", Capabilities: []string{"read"}}, vaulttest.Rule{Path: "old/*", Capabilities: []string{"read"}})
				fault.Path = uiMounts + "*"
				server.Fail(fault)
				read := func(s *kv.Store, path string) error {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					_, err := kv.Get[flags](ctx, s, path)
					return err
				}
				for range 600 {
					require.NoError(t, read(c.KV("secret"), "app/flags"))
					require.NoError(t, read(c.KV("old", kv.Version1()), "x"))
					time.Sleep(time.Second)
				}
				require.LessOrEqual(t, server.Count("GET", uiMounts+"secret"), 11)
				require.Equal(t, 1, server.Count("PUT", "auth/approle/login"), "logins")

				// Who has the other version is told what to do.
				asked := server.Count("GET", uiMounts+"old")
				for range 600 {
					err := read(c.KV("old"), "x")
					require.ErrorIs(t, err, kv.ErrNotFound)
					require.ErrorContains(t, err, "kv.Version1")
					time.Sleep(time.Second)
				}
				require.LessOrEqual(t, server.Count("GET", uiMounts+"old")-asked, 22, "twice a minute")
				require.Equal(t, 1, server.Count("PUT", "auth/approle/login"), "logins")
				server.ClearFaults()
				time.Sleep(time.Minute)
				require.NoError(t, read(c.KV("old"), "x"))
			})
		})
	}
}

// TestC5AVersionThatTurnsOutWrongIsAskedForAgain at once, where an outage or a dead token was in the
// way of the first question, or the engine was upgraded. Mutations: a 404 casts no doubt on a
// version that was assumed; the warning of version 2 is not looked for; what another reader has found out
// meanwhile counts for nothing.
func TestC5AVersionThatTurnsOutWrongIsAskedForAgain(t *testing.T) {
	t.Run("an outage", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := vaulttest.New(t)
			server.MountKV1("old")
			for i := range 20 {
				server.PutKV("old", strconv.Itoa(i), map[string]any{"banner": "old"})
				server.Fail(vaulttest.Fault{Path: "old/data/" + strconv.Itoa(i), Delay: time.Duration(i+1) * time.Millisecond})
			}
			c := app(t, server, vaulttest.Rule{Path: "old/*", Capabilities: []string{"read"}})
			server.Fail(vaulttest.Fault{Path: uiMounts + "*", Status: http.StatusServiceUnavailable, Count: 1})
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					_, err := kv.Get[flags](t.Context(), c.KV("old"), strconv.Itoa(i%20))
					assert.NoError(t, err)
				})
			}
			wg.Wait()
			require.Equal(t, 2, server.Count("GET", uiMounts+"old"))
		})
	})
	t.Run("a dead token", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := vaulttest.New(t)
			server.MountKV1("old")
			server.PutKV("old", "x", map[string]any{"banner": "old"})
			c := app(t, server, vaulttest.Rule{Path: "old/x", Capabilities: []string{"read"}})
			require.True(t, server.RevokeToken(c.Status().Token.Accessor))
			_, err := kv.Get[flags](t.Context(), c.KV("old"), "x")
			require.NoError(t, err)
			require.Equal(t, 2, server.Count("PUT", "auth/approle/login"))
		})
	})
	t.Run("an upgrade", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := vaulttest.New(t)
			server.PutKV("secret", "x", map[string]any{"banner": "new"})
			asked := 0
			c := between(t, server, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				if strings.HasSuffix(r.URL.Path, uiMounts+"secret") {
					if asked++; asked == 1 {
						return reply(r, http.StatusOK, `{"data": {"type": "kv", "path": "secret/", "options": null}}`)
					}
				}
				return next.RoundTrip(r)
			})
			for range 10 {
				_, err := kv.Get[flags](t.Context(), c.KV("secret"), "x")
				require.NoError(t, err)
			}
			require.Equal(t, 2, asked)
		})
	})
}

// TestLaw14AReaderThatGoesAwayTakesNoVersionWithIt: who asks for the version may have less time than the rest.
// Mutation: a question that was given up counts as an answer.
func TestLaw14AReaderThatGoesAwayTakesNoVersionWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.MountKV1("old")
		server.PutKV("old", "x", map[string]any{"banner": "old"})
		c := app(t, server, vaulttest.Rule{Path: "old/*", Capabilities: []string{"read"}})
		server.Fail(vaulttest.Fault{Path: uiMounts + "*", Delay: time.Second})
		gone, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := kv.Get[flags](gone, c.KV("old"), "other")
			assert.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		wg.Go(func() {
			_, err := kv.Get[flags](t.Context(), c.KV("old"), "x")
			assert.NoError(t, err)
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		require.Zero(t, server.Count("GET", "old/data/x"), "nothing is assumed")
	})
}

// TestLaw21NoPathLeavesItsMount: what is no path is refused before anything is asked, the mount's version
// included. Mutation: fetch is called before the path is looked at.
func TestLaw21NoPathLeavesItsMount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		asked := len(server.Requests())
		for _, bad := range []string{"", "/", "a//b", "../x", "a/../../sys/raw", "./a", "a/.", "/a", "a/", "a\n", "a\x00b"} {
			_, err := kv.Get[flags](t.Context(), c.KV("secret"), bad)
			require.Error(t, err, bad)
			_, err = kv.Get[flags](t.Context(), c.KV("secret", kv.Version1()), bad)
			require.Error(t, err, bad)
			if strings.Trim(bad, "/") != "a" {
				_, err = kv.Get[flags](t.Context(), c.KV(bad), "x")
				require.ErrorContains(t, err, "mount", bad)
			}
		}
		require.Len(t, server.Requests(), asked)
	})
}

// FuzzPath: a mount and a path are refused, or asked for as they are.
func FuzzPath(f *testing.F) {
	for _, s := range [][2]string{
		{"secret", "app/flags"}, {"a/b", "data/x"}, {"secret", "../sys"}, {"secret/..", "x"}, {"/secret/", "a%2e%2e/b"}, {"s", "a?version=1#x"},
		{"s", "a b/ü/\xff"}, {"s", `a\..\b`}, {"s", "a;b=c/..;/d"}, {"", "x"}, {"s", "%"}, {"s", "a\u0085"}, {"s", "x:y@z"},
	} {
		f.Add(s[0], s[1], true)
		f.Add(s[0], s[1], false)
	}
	var asked string
	c, err := leasehold.New(context.Background(), leasehold.Config{
		Address: "http://vault.test", Auth: token.New("given"), HTTPClient: &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/v1/auth/token/") {
				return reply(r, http.StatusOK, `{"data": {"accessor": "a", "creation_ttl": 0, "expire_time": null, "num_uses": 0, "policies": ["root"], "renewable": false, "ttl": 0, "type": "service"}}`)
			}
			asked = r.URL.Path
			if r.URL.RawQuery != "" || r.URL.Fragment != "" || r.URL.Host != "vault.test" {
				asked = r.URL.String()
			}
			return reply(r, http.StatusOK, `{"data": {"data": {"banner": "x"}, "metadata": {"version": 1}, "version": 1, "keys": ["x"]}}`)
		})},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close(context.Background()) })
	f.Fuzz(func(t *testing.T, mount, path string, old bool) {
		store, data, list := c.KV(mount, kv.Version2()), "/data/", "/metadata/"
		if old {
			store, data, list = c.KV(mount, kv.Version1()), "/", "/"
		}
		for op, do := range map[string]func() error{
			"Get":    func() error { _, err := kv.Get[map[string]any](t.Context(), store, path); return err },
			"Put":    func() error { _, err := store.Put(t.Context(), path, map[string]int{"n": 1}); return err },
			"Delete": func() error { return store.Delete(t.Context(), path) },
			"List":   func() error { _, err := store.List(t.Context(), path); return err },
		} {
			asked = ""
			err := do()
			want := "/v1/" + strings.Trim(mount, "/") + data + path
			if op == "List" {
				folder := (&url.URL{Path: strings.TrimSuffix("/v1/"+strings.Trim(mount, "/")+list+strings.TrimSuffix(path, "/"), "/")}).EscapedPath()
				want = "http://vault.test" + folder + "?list=true"
			}
			if asked != "" && asked != want {
				t.Errorf("%s, mount %q, path %q: asked for %q", op, mount, path, asked)
			}
			if asked == "" && err == nil {
				t.Errorf("%s, mount %q, path %q: neither asked nor refused", op, mount, path)
			}
		}
	})
}
