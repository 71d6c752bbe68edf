package kv_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// as returns a client whose token has the rules; without any it is the root token. wrap may
// look at the requests that it makes.
func as(t *testing.T, server *vaulttest.Server, wrap func(http.RoundTripper) http.RoundTripper, rules ...vaulttest.Rule) *leasehold.Client {
	t.Helper()
	id := server.RootToken()
	if len(rules) > 0 {
		server.Policy("test", rules...)
		id = server.CreateToken(vaulttest.TokenSpec{Policies: []string{"test"}})
	}
	hc := server.Client()
	if wrap != nil {
		hc.Transport = wrap(hc.Transport)
	}
	c, err := leasehold.New(t.Context(), leasehold.Config{Address: "http://vault.test", Auth: token.New(id), HTTPClient: hc})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close(context.Background())) })
	return c
}

// spy is a transport that looks at the requests on their way.
type spy struct {
	next http.RoundTripper
	look func(*http.Request)
}

func (s spy) RoundTrip(r *http.Request) (*http.Response, error) {
	s.look(r)
	return s.next.RoundTrip(r)
}

type account struct {
	User     string                  `json:"user"`
	Password secret.String           `json:"password"`
	Key      secret.Bytes            `json:"key"`
	Tokens   map[string]secret.Bytes `json:"tokens"`
	Port     int                     `json:"port,omitempty"`
}

// TestLaw20AStructWithSecretsRoundTrips: what Get has read can be changed and put back.
// Mutation: encoder.value writes what a secret shows of itself.
func TestLaw20AStructWithSecretsRoundTrips(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	store := as(t, server, nil).KV("secret")
	first := account{"app", secret.NewString(`hun"ter2`), secret.NewBytes([]byte{0, 255}), map[string]secret.Bytes{"a": secret.NewBytes([]byte("x"))}, 0}
	meta, err := store.Put(t.Context(), "app/db", first)
	require.NoError(t, err)
	require.Equal(t, 1, meta.Version)
	require.WithinDuration(t, server.Now(), meta.Created, time.Minute)
	data, _ := server.KV("secret", "app/db")
	require.Equal(t, map[string]any{"user": "app", "password": `hun"ter2`, "key": "AP8=", "tokens": map[string]any{"a": "eA=="}}, data)

	read, err := kv.Get[account](t.Context(), store, "app/db")
	require.NoError(t, err)
	require.Equal(t, first, read.Value)
	read.Value.Password, read.Value.Port = secret.NewString("next"), 5432
	meta, err = store.Put(t.Context(), "app/db", read.Value, kv.CAS(read.Metadata.Version))
	require.NoError(t, err)
	require.Equal(t, 2, meta.Version)
	again, err := kv.Get[account](t.Context(), store, "app/db")
	require.NoError(t, err)
	require.Equal(t, read.Value, again.Value)
	require.Equal(t, meta, again.Metadata)
}

// TestLaw20WhatCannotBeWrittenIsNotSent, not even the question for the mount's version
// where the value itself is at fault.
func TestLaw20WhatCannotBeWrittenIsNotSent(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	store := as(t, server, nil).KV("secret")
	asked := len(server.Requests())
	for _, value := range []any{nil, "text", 12, []string{"a"}, map[string]any(nil), (*account)(nil), struct{ F func() }{}} {
		var refused *kv.EncodeError
		_, err := store.Put(t.Context(), "app/db", value)
		require.ErrorAs(t, err, &refused)
		_, err = store.Patch(t.Context(), "app/db", value)
		require.ErrorAs(t, err, &refused)
	}
	assert.Len(t, server.Requests(), asked)
	_, err := store.Put(t.Context(), "app/db", struct{ N int64 }{1<<53 + 1})
	require.ErrorContains(t, err, "leasehold: encode secret/app/db#N: int64: KV version 2 gives numbers back as 64-bit floats")
	_, err = store.Patch(t.Context(), "app/db", struct{ N int64 }{1<<53 + 1})
	require.ErrorContains(t, err, "64-bit floats")
	assert.Zero(t, server.Count("POST", "secret/")+server.Count("PATCH", "secret/"))
}

// TestLaw21NoWriteGoesAstray: a path or an argument that cannot be meant is refused before
// anything is sent.
// Mutation: Store.check takes any path.
func TestLaw21NoWriteGoesAstray(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	c := as(t, server, nil)
	calls := func(store *kv.Store, path string) map[string]error {
		_, put := store.Put(t.Context(), path, account{})
		_, patch := store.Patch(t.Context(), path, account{})
		_, rmw := store.Patch(t.Context(), path, account{}, kv.ReadModifyWrite())
		_, meta := store.Metadata(t.Context(), path)
		_, versions := store.Versions(t.Context(), path)
		return map[string]error{
			"Put": put, "Patch": patch, "ReadModifyWrite": rmw, "Metadata": meta, "Versions": versions,
			"Delete": store.Delete(t.Context(), path), "DeleteVersions": store.DeleteVersions(t.Context(), path, 1),
			"Undelete": store.Undelete(t.Context(), path, 1), "Destroy": store.Destroy(t.Context(), path, 1),
			"PutMetadata": store.PutMetadata(t.Context(), path, kv.MaxVersions(1)), "PatchMetadata": store.PatchMetadata(t.Context(), path, kv.MaxVersions(1)),
			"DeleteMetadata": store.DeleteMetadata(t.Context(), path),
		}
	}
	asked := len(server.Requests())
	for _, path := range []string{"", "..", "../../sys/mounts/x", "a/../../sys", "a/./b", "/a", "a/", "a//b", "a\nb"} {
		for name, err := range calls(c.KV("secret"), path) {
			require.Error(t, err, "%s %q", name, path)
		}
		if path == "" || path == "a/" {
			continue // the whole mount, and a folder
		}
		_, err := c.KV("secret").List(t.Context(), path)
		require.Error(t, err, "List %q", path)
		for _, err := range c.KV("secret").Walk(t.Context(), path) {
			require.Error(t, err, "Walk %q", path)
		}
	}
	for name, err := range calls(c.KV("../sys"), "a") {
		require.Error(t, err, name)
	}
	store := c.KV("secret")
	put := func(opts ...kv.WriteOption) error {
		_, err := store.Put(t.Context(), "a", account{}, opts...)
		return err
	}
	for want, err := range map[string]error{
		"CAS(-1): a version is 0 or more":                   put(kv.CAS(-1)),
		"ReadModifyWrite is for Patch":                      put(kv.ReadModifyWrite()),
		"delete versions of secret/a: name at least one":    store.DeleteVersions(t.Context(), "a"),
		"undelete versions of secret/a: name at least one":  store.Undelete(t.Context(), "a"),
		"destroy versions of secret/a: name at least one":   store.Destroy(t.Context(), "a"),
		"there is no version 0":                             store.Destroy(t.Context(), "a", 1, 0),
		"there is no version -2":                            store.DeleteVersions(t.Context(), "a", -2),
		"write the metadata of secret/a: no option says":    store.PutMetadata(t.Context(), "a"),
		"patch the metadata of secret/a: no option says":    store.PatchMetadata(t.Context(), "a"),
		"MaxVersions(-1) is out of range":                   store.PutMetadata(t.Context(), "a", kv.MaxVersions(-1)),
		"DeleteVersionAfter(1.5s): Vault counts whole":      store.PutMetadata(t.Context(), "a", kv.DeleteVersionAfter(1500*time.Millisecond)),
		"DeleteVersionAfter(-1s): Vault counts whole":       store.PatchMetadata(t.Context(), "a", kv.DeleteVersionAfter(-time.Second)),
		"DropCustomMetadata is for PatchMetadata: PutMetad": store.PutMetadata(t.Context(), "a", kv.DropCustomMetadata("x")),
	} {
		require.ErrorContains(t, err, want)
		require.True(t, strings.HasPrefix(err.Error(), "leasehold: "), err)
	}
	assert.Len(t, server.Requests(), asked, "nothing was sent")
}

// TestACASMismatchChangesNothing and says which version there is, where the token may read.
// Mutation: versioned leaves the version out.
func TestACASMismatchChangesNothing(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	store := as(t, server, nil).KV("secret")
	put := func(store *kv.Store, path string, cas int) (kv.Metadata, error) {
		return store.Put(t.Context(), path, map[string]int{"n": cas}, kv.CAS(cas))
	}
	mismatch := func(err error, want kv.CASError) {
		t.Helper()
		var mismatch *kv.CASError
		require.ErrorIs(t, err, kv.ErrCASMismatch)
		require.ErrorAs(t, err, &mismatch)
		require.Equal(t, want, *mismatch)
	}
	_, err := put(store, "a", 3)
	mismatch(err, kv.CASError{Path: "secret/a", Want: 3, Current: 0})
	meta, err := put(store, "a", 0)
	require.NoError(t, err)
	require.Equal(t, 1, meta.Version)
	_, err = put(store, "a", 0)
	mismatch(err, kv.CASError{Path: "secret/a", Want: 0, Current: 1})
	_, err = put(store, "a", 1)
	require.NoError(t, err)
	_, err = store.Patch(t.Context(), "a", map[string]int{"m": 1}, kv.CAS(1))
	mismatch(err, kv.CASError{Path: "secret/a", Want: 1, Current: 2})
	server.DeleteKV("secret", "a")
	_, err = put(store, "a", 0)
	mismatch(err, kv.CASError{Path: "secret/a", Want: 0, Current: 2})
	data, version := server.KV("secret", "a")
	require.Nil(t, data)
	require.Equal(t, 2, version)

	blind := as(t, server, nil, vaulttest.Rule{Path: "secret/data/*", Capabilities: []string{"create", "update"}}).KV("secret")
	logins := server.Count("", "auth/token/lookup-self")
	_, err = put(blind, "a", 7)
	mismatch(err, kv.CASError{Path: "secret/a", Want: 7, Current: -1})
	require.Equal(t, logins, server.Count("", "auth/token/lookup-self"), "what is nice to know has no consequences")

	require.NoError(t, store.PutMetadata(t.Context(), "strict", kv.CASRequired(true)))
	_, err = store.Put(t.Context(), "strict", map[string]int{"n": 1})
	require.ErrorContains(t, err, "check-and-set parameter required for this call (give kv.CAS the version that was read, or 0 for a new secret)")
	_, err = put(store, "strict", 0)
	require.NoError(t, err)
}

// TestLaw07AWriteIsSentOnce where it may have happened: a second one would not know of what
// others wrote in between.
// Mutation: mayWriteAgain takes what Vault failed at for not done.
func TestLaw07AWriteIsSentOnce(t *testing.T) {
	for name, fault := range map[string]vaulttest.Fault{
		"lost":                   {DropAfter: true},
		"cut off":                {DropBefore: true},
		"failed":                 {Status: 500, Body: `{"errors": ["leadership lost while committing log"]}`, After: true},
		"failed by a proxy":      {Status: 502, Body: "<html>", After: true},
		"given up by a proxy":    {Status: 504, After: true},
		"hanging until the end":  {Hang: true, After: true},
		"answered with nonsense": {Status: 500, Body: "<html>", After: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				store := as(t, server, nil).KV("secret")
				fault.Path, fault.Count = "secret/data/", 1
				server.Fail(fault)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				_, err := store.Put(ctx, "a", map[string]int{"n": 1})
				require.ErrorContains(t, err, "it may have happened: read before writing again")
				var failed *leasehold.Error
				require.ErrorAs(t, err, &failed)
				require.Equal(t, 1, server.Count("", "secret/"))
				_, err = store.Put(t.Context(), "a", map[string]int{"n": 1}, kv.CAS(0))
				if fault.DropBefore {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, kv.ErrCASMismatch, "it had happened")
				}
			})
		})
	}
}

// TestLaw07AWriteThatDidNothingIsRepeated within ctx, and without the application noticing.
// Mutation: Session.Write returns each failure.
func TestLaw07AWriteThatDidNothingIsRepeated(t *testing.T) {
	for name, fault := range map[string]vaulttest.Fault{
		"nobody there":        {Refuse: true},
		"sealed":              {Status: 503, Body: `{"errors": ["Vault is sealed"]}`},
		"too many":            {Status: 429, Header: http.Header{"Retry-After": {"7"}}},
		"lagging behind":      {Status: 412},
		"standby on its own":  {Status: 500, Body: `{"errors": ["local node not active but active cluster node not found"]}`},
		"nobody for too long": {Refuse: true, Count: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				store := as(t, server, nil).KV("secret")
				fault.Path = "secret/"
				if fault.Count == 0 {
					fault.Count = 3
				}
				server.Fail(fault)
				before := time.Now()
				meta, err := store.Put(t.Context(), "a", map[string]int{"n": 1})
				if fault.Count == 1000 {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.InDelta(t, time.Minute, time.Since(before), float64(5*time.Second))
					return
				}
				require.NoError(t, err)
				require.Equal(t, 1, meta.Version)
				require.Equal(t, 4, server.Count("POST", "secret/data/a"))
				require.Less(t, time.Since(before), 25*time.Second)
			})
		})
	}
}

// TestLaw14NobodyReadsWhatWasThereBeforeAWrite, from memory or by joining a request that
// began before.
// Mutation: Store.send leaves the cache alone.
func TestLaw14NobodyReadsWhatWasThereBeforeAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		store := as(t, server, nil).KV("secret")
		get := func() int {
			s, err := kv.Get[struct{ N int }](t.Context(), store, "a", kv.MaxAge(time.Hour))
			switch {
			case errors.Is(err, kv.ErrDeleted):
				return -1
			case errors.Is(err, kv.ErrNotFound):
				return -2
			}
			require.NoError(t, err)
			return s.Value.N
		}
		cas := 0
		put := func(n int) {
			meta, err := store.Put(t.Context(), "a", map[string]int{"N": n}, kv.CAS(cas))
			require.NoError(t, err)
			cas = meta.Version
		}
		require.Equal(t, -2, get())
		put(1)
		require.Equal(t, 1, get())

		end := server.Fail(vaulttest.Fault{Method: "GET", Path: "secret/data/a", Hang: true, After: true, Count: 1})
		old := make(chan int)
		go func() {
			s, err := kv.Get[struct{ N int }](t.Context(), store, "a")
			assert.NoError(t, err)
			old <- s.Value.N
		}()
		synctest.Wait()
		put(2)
		require.Equal(t, 2, get(), "it joined a request that began before the write")
		end()
		require.Equal(t, 1, <-old)
		require.Equal(t, 2, get(), "that request's answer was kept")

		_, err := store.Patch(t.Context(), "a", map[string]int{"N": 3})
		require.NoError(t, err)
		require.Equal(t, 3, get())
		require.NoError(t, store.Delete(t.Context(), "a"))
		require.Equal(t, -1, get())
		require.NoError(t, store.Undelete(t.Context(), "a", 3))
		require.Equal(t, 3, get())
		require.NoError(t, store.DeleteVersions(t.Context(), "a", 3))
		require.Equal(t, -1, get())
		require.NoError(t, store.DeleteMetadata(t.Context(), "a"))
		require.Equal(t, -2, get())
		cas = 0
		put(4)
		require.Equal(t, 4, get())
		server.Fail(vaulttest.Fault{Method: "POST", Path: "secret/data/a", DropAfter: true, Count: 1})
		_, err = store.Put(t.Context(), "a", map[string]int{"N": 5})
		require.Error(t, err)
		require.Equal(t, 5, get(), "an answer that was lost")
	})
}

// TestF16ARefusedWriteNamesThePolicy that would have allowed it, for each operation.
// Mutation: Store.refusal names what its method suggests.
func TestF16ARefusedWriteNamesThePolicy(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	store := as(t, server, nil, vaulttest.Rule{Path: "secret/else", Capabilities: []string{"read"}}).KV("secret")
	_, put := store.Put(t.Context(), "a/b", account{})
	_, patch := store.Patch(t.Context(), "a/b", account{})
	_, metadata := store.Metadata(t.Context(), "a/b")
	_, list := store.List(t.Context(), "a")
	_, all := store.List(t.Context(), "")
	for want, err := range map[string]error{
		`"secret/data/a/b" { capabilities = ["create", "update"] }`:     put,
		`"secret/data/a/b" { capabilities = ["patch"] }`:                patch,
		`"secret/data/a/b" { capabilities = ["delete"] }`:               store.Delete(t.Context(), "a/b"),
		`"secret/delete/a/b" { capabilities = ["update"] }`:             store.DeleteVersions(t.Context(), "a/b", 1),
		`"secret/undelete/a/b" { capabilities = ["update"] }`:           store.Undelete(t.Context(), "a/b", 1),
		`"secret/destroy/a/b" { capabilities = ["update"] }`:            store.Destroy(t.Context(), "a/b", 1),
		`"secret/metadata/a/b" { capabilities = ["read"] }`:             metadata,
		`"secret/metadata/a/b" { capabilities = ["create", "update"] }`: store.PutMetadata(t.Context(), "a/b", kv.MaxVersions(1)),
		`"secret/metadata/a/b" { capabilities = ["patch"] }`:            store.PatchMetadata(t.Context(), "a/b", kv.MaxVersions(1)),
		`"secret/metadata/a/b" { capabilities = ["delete"] }`:           store.DeleteMetadata(t.Context(), "a/b"),
		`"secret/metadata/a/" { capabilities = ["list"] }`:              list,
		`"secret/metadata/" { capabilities = ["list"] }`:                all,
	} {
		var failed *leasehold.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, http.StatusForbidden, failed.Status)
		require.Contains(t, failed.Hint, "grant it by policy: path "+want)
		require.Contains(t, err.Error(), want)
	}
	// And what the hints say does it.
	path := func(area, rest string, may ...string) vaulttest.Rule {
		return vaulttest.Rule{Path: "secret/" + area + "/" + rest, Capabilities: may}
	}
	store = as(t, server, nil, path("data", "a/b", "create", "update", "patch", "delete"), path("delete", "a/b", "update"), path("undelete", "a/b", "update"),
		path("destroy", "a/b", "update"), path("metadata", "a/b", "read", "create", "update", "patch", "delete"), path("metadata", "a/", "list"), path("metadata", "", "list")).KV("secret")
	_, put = store.Put(t.Context(), "a/b", account{})
	_, patch = store.Patch(t.Context(), "a/b", account{})
	_, metadata = store.Metadata(t.Context(), "a/b")
	_, list = store.List(t.Context(), "a")
	_, all = store.List(t.Context(), "")
	for i, err := range []error{
		put, patch, metadata, list, all, store.Delete(t.Context(), "a/b"), store.DeleteVersions(t.Context(), "a/b", 1), store.Undelete(t.Context(), "a/b", 1),
		store.Destroy(t.Context(), "a/b", 1), store.PutMetadata(t.Context(), "a/b", kv.MaxVersions(1)), store.PatchMetadata(t.Context(), "a/b", kv.MaxVersions(1)),
		store.DeleteMetadata(t.Context(), "a/b"),
	} {
		require.NoError(t, err, i)
	}
}

// TestF16AWriteToAnotherEngineSaysSo: no mount, a mount of another kind, and the two versions
// of KV taken for each other.
func TestF16AWriteToAnotherEngineSaysSo(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	server.MountKV1("old")
	c := as(t, server, nil)
	_, err := c.KV("nowhere").Put(t.Context(), "a", account{})
	require.ErrorIs(t, err, kv.ErrNoMount)
	require.ErrorContains(t, err, `leasehold: write nowhere/a: no KV secrets engine is mounted there (is "nowhere" the whole name of the mount?`)
	_, err = c.KV("nowhere").List(t.Context(), "a")
	require.ErrorIs(t, err, kv.ErrNoMount)
	_, err = c.KV("nowhere").List(t.Context(), "")
	require.ErrorIs(t, err, kv.ErrNoMount)
	_, err = c.KV("secret", kv.Version1()).Put(t.Context(), "a", account{})
	require.EqualError(t, err, `leasehold: write secret/a: the engine at "secret" is KV version 2: leave out kv.Version1`)
	_, err = c.KV("old", kv.Version2()).Put(t.Context(), "a", account{})
	require.ErrorContains(t, err, `is the engine at "old" KV version 1? Then this was written to "old/data/a"`)
	server.Fail(vaulttest.Fault{Status: 404, Body: "<html>", Path: "secret/"})
	_, err = c.KV("secret").Put(t.Context(), "a", account{})
	require.ErrorContains(t, err, "this is no answer of Vault's KV engine")
	require.NotErrorIs(t, err, kv.ErrNotFound)
}

// TestC5WritingToVersion1: what it has works with the same calls, and the rest says that it
// is not there, and asks for nothing.
// Mutation: Store.send sends what version 1 does not have.
func TestC5WritingToVersion1(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	server.MountKV1("old")
	store := as(t, server, nil).KV("old")
	meta, err := store.Put(t.Context(), "app/db", struct {
		N uint64        `json:"n"`
		S secret.String `json:"s"`
	}{1 << 63, secret.NewString("x")})
	require.NoError(t, err, "version 1 keeps numbers exactly")
	require.Zero(t, meta)
	data, _ := server.KV("old", "app/db")
	require.Equal(t, "9223372036854775808", fmt.Sprint(data["n"]))
	require.Equal(t, "x", data["s"])
	_, err = store.Put(t.Context(), "data/x", map[string]int{"a": 1})
	require.NoError(t, err)
	names, err := store.List(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, []string{"app/", "data/"}, names)
	var all []string
	for path, err := range store.Walk(t.Context(), "") {
		require.NoError(t, err)
		all = append(all, path)
	}
	require.Equal(t, []string{"app/db", "data/x"}, all)
	require.NoError(t, store.Delete(t.Context(), "data/x"))
	_, err = store.List(t.Context(), "data")
	require.ErrorIs(t, err, kv.ErrNotFound)

	asked := len(server.Requests())
	_, cas := store.Put(t.Context(), "app/db", account{}, kv.CAS(1))
	_, none := store.Put(t.Context(), "app/db", struct{}{})
	_, patch := store.Patch(t.Context(), "app/db", account{})
	_, rmw := store.Patch(t.Context(), "app/db", account{}, kv.ReadModifyWrite())
	_, metadata := store.Metadata(t.Context(), "app/db")
	_, versions := store.Versions(t.Context(), "app/db")
	is1 := `the engine at "old" is KV version 1, which `
	for i, tt := range []struct {
		err  error
		want string
	}{
		{cas, is1 + "has no check-and-set: leave out kv.CAS"},
		{none, "stores no secret without a field"},
		{patch, is1 + "has no patch"},
		{rmw, is1 + "has no patch"},
		{metadata, is1 + "has no metadata"},
		{versions, is1 + "has no metadata"},
		{store.DeleteVersions(t.Context(), "app/db", 1), is1 + "keeps no versions"},
		{store.Undelete(t.Context(), "app/db", 1), is1 + "keeps no versions"},
		{store.Destroy(t.Context(), "app/db", 1), is1 + "keeps no versions"},
		{store.PutMetadata(t.Context(), "app/db", kv.MaxVersions(1)), is1 + "has no metadata"},
		{store.PatchMetadata(t.Context(), "app/db", kv.MaxVersions(1)), is1 + "has no metadata"},
		{store.DeleteMetadata(t.Context(), "app/db"), is1 + "has no metadata: Delete removes a secret for good"},
	} {
		require.ErrorContains(t, tt.err, tt.want, i)
	}
	require.Len(t, server.Requests(), asked)
}

// TestWritesEndWithTheirContextAndTheirClient, whatever they wait for.
func TestWritesEndWithTheirContextAndTheirClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		c := as(t, server, nil)
		store := c.KV("secret")
		over, end := context.WithCancel(t.Context())
		end()
		for range 20 {
			_, err := c.KV("secret", kv.Version2()).Put(over, "a", account{})
			require.ErrorIs(t, err, context.Canceled)
			require.NotContains(t, err.Error(), "may have happened")
		}
		server.Fail(vaulttest.Fault{Path: "secret/", Status: 503})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		before := time.Now()
		_, err := store.Put(ctx, "a", account{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "503")
		require.LessOrEqual(t, time.Since(before), 3*time.Second)
		go func() {
			time.Sleep(time.Second)
			assert.NoError(t, c.Close(context.Background()))
		}()
		_, err = store.Put(t.Context(), "a", account{})
		require.ErrorIs(t, err, leasehold.ErrClosed)
		for _, err := range store.Walk(t.Context(), "") {
			require.ErrorIs(t, err, leasehold.ErrClosed)
		}
	})
}

// TestC5NothingIsWrittenOnAGuess: to version 1 what is meant for version 2 is a secret of another name, and
// it says that all is well. Mutation: Store.do asks for no more than a read does.
func TestC5NothingIsWrittenOnAGuess(t *testing.T) {
	for name, fault := range map[string]vaulttest.Fault{
		"sealed": {Status: 503}, "too many": {Status: 429}, "nobody": {Refuse: true}, "silence": {Hang: true}, "a page": {Status: 502, Body: "<html>"},
		"a dead token": {Status: 403, Body: `{"errors": ["permission denied", "invalid token"]}`}, "a filter": {Status: 403}, "another": {Status: 404, Body: "<html>"},
		"a portal": {Status: 200, Body: "<html>"}, "something else": {Status: 200, Body: "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				server.MountKV1("old")
				server.PutKV("old", "x", map[string]any{"n": 1})
				c := app(t, server, vaulttest.Rule{Path: "old/*", Capabilities: []string{"create", "read", "update", "patch", "delete", "list"}})
				fault.Path, fault.Count = uiMounts, 2
				server.Fail(fault)
				err := c.KV("old").Delete(t.Context(), "x")
				data, _ := server.KV("old", "x")
				require.Equal(t, err == nil, data == nil, "%v", err)
				for range 2 {
					err = c.KV("old").Delete(t.Context(), "x")
				}
				require.NoError(t, err)
			})
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				server.MountKV1("old")
				c := app(t, server, vaulttest.Rule{Path: "old/*", Capabilities: []string{"create", "read", "update", "patch", "delete", "list"}})
				fault.Path, fault.Count = uiMounts, 0
				server.Fail(fault)
				store := c.KV("old")
				for range 3 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					_, err := store.Put(ctx, "x", map[string]int{"n": 1})
					cancel()
					require.ErrorContains(t, err, "say so with kv.Version1 or kv.Version2")
					require.ErrorContains(t, store.Undelete(t.Context(), "x", 1), "kv.Version1")
					require.ErrorContains(t, store.DeleteMetadata(t.Context(), "x"), "kv.Version1")
				}
				require.Zero(t, server.Count("", "old/"))
				_, err := c.KV("old", kv.Version1()).Put(t.Context(), "x", map[string]int{"n": 1})
				require.NoError(t, err)
			})
		})
	}
}

// TestF16NothingIsWrittenToAnotherEngine, which might take it: a part of version 1, or a cubbyhole. Mutation: Store.certain
// looks for a version and nothing else.
func TestF16NothingIsWrittenToAnotherEngine(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	server.MountKV1("old")
	server.PutKV("old", "team/x", map[string]any{"n": 1})
	c := as(t, server, nil)
	for mount, says := range map[string]string{
		"old/team": `no KV secrets engine is mounted there (the mount is "old": team belongs to the path)`, "cubbyhole": `the engine at "cubbyhole" is of type "cubbyhole"`,
	} {
		_, put := c.KV(mount).Put(t.Context(), "x", map[string]int{"n": 2})
		for _, err := range []error{put, c.KV(mount).Delete(t.Context(), "x"), c.KV(mount).Destroy(t.Context(), "x", 1)} {
			require.ErrorIs(t, err, kv.ErrNoMount)
			require.ErrorContains(t, err, says)
		}
		require.Zero(t, server.Count("", mount+"/"))
	}
	server.MountKV2("old/team")
	_, err := c.KV("old/team").Put(t.Context(), "x", map[string]int{"n": 2})
	require.NoError(t, err, "as soon as there is one")
}

// TestE3AnEngineThatIsBeingUpgradedIsWaitedFor: which Vault tells by a 400, also for a moment after it was mounted. Mutation:
// its words are not known.
func TestE3AnEngineThatIsBeingUpgradedIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		store := as(t, server, nil).KV("secret")
		upgrading := func() {
			server.Fail(vaulttest.Fault{Path: "secret/", Count: 3, Status: 400, Body: `{"errors": ["Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly."]}`})
		}
		upgrading()
		_, err := store.Put(t.Context(), "a", map[string]int{"n": 1})
		require.NoError(t, err)
		upgrading()
		_, err = kv.Get[map[string]int](t.Context(), store, "a")
		require.NoError(t, err)
		upgrading()
		_, err = store.List(t.Context(), "")
		require.NoError(t, err)
	})
}

// TestE6ASecretThatIsTooLargeWasNotWritten: Vault tells by a 500, before it does anything. Mutation: that may have happened
// like any other.
func TestE6ASecretThatIsTooLargeWasNotWritten(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	store := as(t, server, nil).KV("secret")
	for _, what := range []string{"string value exceeds allowed length", "object exceeds allowed entry count", "input exceeds allowed nesting depth"} {
		server.Fail(vaulttest.Fault{Path: "secret/", Count: 1, Status: 500, Body: `{"errors": ["JSON ` + what + `"]}`})
		_, err := store.Put(t.Context(), "a", map[string]int{"n": 1})
		require.ErrorContains(t, err, "JSON "+what+" (nothing was written: it is more than Vault's listener is configured to take)")
		var le *lease.Error
		require.ErrorAs(t, err, &le)
		require.Equal(t, lease.Permanent, le.Class)
	}
	require.Equal(t, 3, server.Count("POST", "secret/"))
}

// TestC5AWriteAndAReadAreInNobodysWay where both want to know the version: a write does not give up since a read did,
// and a read does not wait for as long as a write would. Mutation: a write makes do with what a read was told.
func TestC5AWriteAndAReadAreInNobodysWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.MountKV1("old")
		var first atomic.Bool
		c := between(t, server, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if strings.Contains(r.URL.Path, uiMounts) && !first.Swap(true) {
				time.Sleep(time.Second)
				return reply(r, http.StatusServiceUnavailable, "<html>wait</html>")
			}
			return next.RoundTrip(r)
		})
		go func() { _, _ = kv.Get[map[string]int](t.Context(), c.KV("old"), "x") }()
		time.Sleep(time.Second / 2)
		_, err := c.KV("old").Put(t.Context(), "x", map[string]int{"n": 1})
		require.NoError(t, err)
		got, err := kv.Get[map[string]int](t.Context(), c.KV("old"), "x")
		require.NoError(t, err)
		require.Equal(t, 1, got.Value["n"])
	})
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.PutKV("secret", "x", map[string]any{"n": 1})
		c := as(t, server, nil)
		server.Fail(vaulttest.Fault{Path: uiMounts, Status: http.StatusServiceUnavailable})
		go func() {
			_, err := c.KV("secret").Put(t.Context(), "x", map[string]int{"n": 2})
			assert.ErrorContains(t, err, "say so with kv.Version1 or kv.Version2")
		}()
		time.Sleep(time.Second / 2)
		began := time.Now()
		_, err := kv.Get[map[string]int](t.Context(), c.KV("secret"), "x")
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(began), 6*time.Second)
		time.Sleep(time.Minute)
	})
}

// TestA12NothingIsWrittenOnAGuessWithAnotherToken: the one of before might do nothing below the mount, so that Vault did
// not tell the version, and the write's refusal brings one that may. Mutation: what a read was told is enough for a write.
func TestA12NothingIsWrittenOnAGuessWithAnotherToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.MountKV1("old")
		server.Policy("more", vaulttest.Rule{Path: "old/*", Capabilities: []string{"create", "read", "update"}})
		var role atomic.Value
		add := func(policies ...string) {
			roleID, secretID := server.AppRole(fmt.Sprint("app", len(policies)), vaulttest.AppRoleSpec{Policies: policies, TokenTTL: 24 * time.Hour})
			role.Store(approle.New(roleID, approle.SecretIDString(secretID)))
		}
		add("default")
		c, err := leasehold.New(t.Context(), leasehold.Config{
			Address: "http://vault.test", HTTPClient: server.Client(),
			Auth: auth.Fresh(func(context.Context) (auth.Method, error) { return role.Load().(auth.Method), nil }),
		})
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close(context.Background())) }()
		time.Sleep(time.Hour)
		add("default", "more")
		_, err = c.KV("old").Put(t.Context(), "x", map[string]int{"n": 1})
		require.NoError(t, err)
		data, _ := server.KV("old", "x")
		require.NotNil(t, data)
		require.Zero(t, server.Count("", "old/data/"))
	})
}
