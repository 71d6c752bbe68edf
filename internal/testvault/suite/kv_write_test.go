package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

type ledger struct {
	User     string                  `json:"user"`
	Password secret.String           `json:"password"`
	Key      secret.Bytes            `json:"key"`
	Tokens   map[string]secret.Bytes `json:"tokens,omitempty"`
	Next     *ledger                 `json:"next,omitempty"`
	Shares   float64                 `json:"shares"`
	Account  int64                   `json:"account,string"`
}

// TestF17EverythingThatIsWritten is written by one client to one Vault and read with the
// official client, which knows nothing of ours. Each subtest has secrets of its own.
func TestF17EverythingThatIsWritten(t *testing.T) {
	t.Parallel()
	w := world{v: testvault.Vault(t)}
	w.v.Mount("old", "kv", map[string]string{"version": "1"})
	w.v.Mount("a/b", "kv", map[string]string{"version": "2"})
	w.v.Policy("app", `
		path "secret/*" { capabilities = ["create", "read", "update", "patch", "delete", "list"] }
		path "old/*"    { capabilities = ["create", "read", "update", "delete", "list"] }
		path "a/b/*"    { capabilities = ["create", "read", "update", "patch", "delete", "list"] }`)
	a := w.start(t, "approle-kvw", map[string]any{"token_ttl": "1h"})
	cfg := api.DefaultConfig()
	cfg.Address = w.v.Addr()
	official, err := api.NewClient(cfg)
	require.NoError(t, err)
	official.SetToken(w.v.RootToken())
	t.Cleanup(official.CloneConfig().HttpClient.CloseIdleConnections)

	t.Cleanup(func() { assert.NotContains(t, a.said.String(), canaryValue) })
	for name, run := range map[string]func(*testing.T, kvScene){
		"a struct with secrets round-trips": kvRoundTrip,
		"check-and-set":                     kvCAS,
		"patch":                             kvPatch,
		"versions and metadata":             kvVersions,
		"list and walk":                     kvWalk,
		"version 1":                         kvVersion1,
		"many writers lose nothing":         kvManyWriters,
		"an answer that is lost":            kvLostAnswer,
		"what the hints say is enough":      kvPolicies,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, kvScene{w.in(t), a, official})
		})
	}
}

// kvScene is what the subtests share.
type kvScene struct {
	world

	a        *app
	official *api.Client
}

func kvRoundTrip(t *testing.T, w kvScene) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(20, 6))
	text := func() string {
		return []string{"", canaryValue, "päss \"w\"\n<&>", "日本\u2028", `\ud800 {}`, "null"}[rnd.IntN(6)]
	}
	var random func(depth int) ledger
	random = func(depth int) ledger {
		l := ledger{text(), secret.NewString(text()), secret.NewBytes([]byte(text() + "\x00\xff")), nil, nil, rnd.NormFloat64(), rnd.Int64()}
		for range rnd.IntN(3) {
			if l.Tokens == nil {
				l.Tokens = map[string]secret.Bytes{}
			}
			l.Tokens["k"+text()] = secret.NewBytes([]byte(text()))
		}
		if depth > 0 && rnd.IntN(2) == 0 {
			next := random(depth - 1)
			l.Next = &next
		}
		return l
	}
	for i := range 40 {
		mount := []string{"secret", "a/b", "old"}[i%3]
		store, path, want := w.a.KV(mount), fmt.Sprintf("round/%d", i), random(3)
		_, err := store.Put(t.Context(), path, want)
		require.NoError(t, err)
		got, err := kv.Get[ledger](t.Context(), store, path)
		require.NoError(t, err)
		require.Equal(t, want, got.Value)
		var data map[string]any
		if mount == "old" {
			s, err := w.official.KVv1(mount).Get(t.Context(), path)
			require.NoError(t, err)
			data = s.Data
		} else {
			s, err := w.official.KVv2(mount).Get(t.Context(), path)
			require.NoError(t, err)
			data = s.Data
		}
		require.Equal(t, want.Password.Reveal(), data["password"], "what others read")
		raw, err := json.Marshal(want.Key.Reveal())
		require.NoError(t, err)
		require.Equal(t, strings.Trim(string(raw), `"`), data["key"])
	}
	_, err := w.a.KV("secret").Put(t.Context(), "round/big", map[string]any{"n": int64(1)<<53 + 1})
	require.ErrorContains(t, err, "64-bit floats")
	_, err = w.a.KV("old").Put(t.Context(), "round/big", map[string]any{"n": int64(1)<<53 + 1})
	require.NoError(t, err)
	big, err := kv.Get[struct{ N int64 }](t.Context(), w.a.KV("old"), "round/big")
	require.NoError(t, err)
	require.EqualValues(t, 1<<53+1, big.Value.N)
}

func kvCAS(t *testing.T, w kvScene) {
	t.Helper()
	store := w.a.KV("secret")
	put := func(cas int) error {
		_, err := store.Put(t.Context(), "cas", map[string]int{"n": 1}, kv.CAS(cas))
		return err
	}
	mismatch := func(err error, want, current int) {
		t.Helper()
		var mismatch *kv.CASError
		require.ErrorAs(t, err, &mismatch)
		require.Equal(t, kv.CASError{Path: "secret/cas", Want: want, Current: current}, *mismatch)
	}
	mismatch(put(3), 3, 0)
	require.NoError(t, put(0))
	mismatch(put(0), 0, 1)
	require.NoError(t, put(1))
	require.NoError(t, store.Delete(t.Context(), "cas"))
	mismatch(put(1), 1, 2)
	require.NoError(t, put(2))
	require.NoError(t, store.PutMetadata(t.Context(), "cas", kv.CASRequired(true)))
	_, err := store.Put(t.Context(), "cas", map[string]int{"n": 1})
	require.ErrorContains(t, err, "give kv.CAS")
	_, err = store.Patch(t.Context(), "cas", map[string]int{"n": 1})
	require.ErrorContains(t, err, "give kv.CAS")
	_, err = store.Patch(t.Context(), "cas", map[string]int{"n": 1}, kv.ReadModifyWrite())
	require.NoError(t, err, "which always gives it")
}

func kvPatch(t *testing.T, w kvScene) {
	t.Helper()
	store := w.a.KV("secret")
	for i, opts := range [][]kv.WriteOption{nil, {kv.ReadModifyWrite()}} {
		path := fmt.Sprintf("patch/%d", i)
		patch := func(change any) error {
			_, err := store.Patch(t.Context(), path, change, opts...)
			return err
		}
		require.ErrorIs(t, patch(map[string]int{"x": 1}), kv.ErrNotFound)
		_, err := store.Put(t.Context(), path, map[string]any{"keep": 1.5, "gone": "g", "deep": map[string]any{"x": "1", "y": "2"}})
		require.NoError(t, err)
		require.NoError(t, patch(map[string]any{"gone": nil, "new": secret.NewString(canaryValue), "deep": map[string]any{"x": nil, "z": []any{1}}}))
		s, err := w.official.KVv2("secret").Get(t.Context(), path)
		require.NoError(t, err)
		require.Equal(t, map[string]any{
			"keep": json.Number("1.5"), "new": canaryValue, "deep": map[string]any{"y": "2", "z": []any{json.Number("1")}},
		}, s.Data)
		require.NoError(t, store.Delete(t.Context(), path))
		var deleted *kv.DeletedError
		require.ErrorAs(t, patch(map[string]int{"x": 1}), &deleted)
		require.Equal(t, 2, deleted.Version)
		require.WithinDuration(t, time.Now(), deleted.At, time.Minute)
		require.NoError(t, store.Destroy(t.Context(), path, 2))
		require.ErrorIs(t, patch(map[string]int{"x": 1}), kv.ErrDestroyed)
	}
}

func kvVersions(t *testing.T, w kvScene) {
	t.Helper()
	store := w.a.KV("secret")
	_, err := store.Metadata(t.Context(), "v")
	require.ErrorIs(t, err, kv.ErrNotFound)
	require.ErrorIs(t, store.PatchMetadata(t.Context(), "v", kv.MaxVersions(3)), kv.ErrNotFound)
	for n := range 4 {
		_, err := store.Put(t.Context(), "v", map[string]int{"n": n})
		require.NoError(t, err)
	}
	require.NoError(t, store.Delete(t.Context(), "v"))
	require.NoError(t, store.DeleteVersions(t.Context(), "v", 1, 77))
	require.NoError(t, store.Destroy(t.Context(), "v", 2))
	require.NoError(t, store.PutMetadata(t.Context(), "v", kv.MaxVersions(5), kv.DeleteVersionAfter(90*time.Minute), kv.CASRequired(true),
		kv.CustomMetadata(map[string]string{"owner": "x", "team": "y"})))
	require.NoError(t, store.PatchMetadata(t.Context(), "v", kv.CASRequired(false), kv.CustomMetadata(map[string]string{"more": "m"}), kv.DropCustomMetadata("owner")))
	m, err := store.Metadata(t.Context(), "v")
	require.NoError(t, err)
	theirs, err := w.official.KVv2("secret").GetMetadata(t.Context(), "v")
	require.NoError(t, err)
	require.Equal(t, theirs.MaxVersions, m.MaxVersions)
	require.Equal(t, theirs.CASRequired, m.CASRequired)
	require.Equal(t, theirs.DeleteVersionAfter, m.DeleteVersionAfter)
	require.Equal(t, theirs.CurrentVersion, m.Current)
	require.True(t, theirs.CreatedTime.Equal(m.Created) && theirs.UpdatedTime.Equal(m.Updated))
	require.Equal(t, map[string]string{"team": "y", "more": "m"}, m.Custom)
	versions, err := store.Versions(t.Context(), "v")
	require.NoError(t, err)
	require.Len(t, versions, 4)
	for i, v := range versions {
		other := theirs.Versions[strconv.Itoa(i+1)]
		require.Equal(t, i+1, v.Version)
		require.True(t, other.CreatedTime.Equal(v.Created) && other.DeletionTime.Equal(v.Deleted))
		require.Equal(t, other.Destroyed, v.Destroyed)
	}
	require.NoError(t, store.Undelete(t.Context(), "v", 1, 2, 4))
	for n, want := range []error{nil, kv.ErrDestroyed, nil, nil} {
		_, err := kv.Get[map[string]int](t.Context(), store, "v", kv.AtVersion(n+1))
		require.ErrorIs(t, err, want)
	}
	require.NoError(t, store.DeleteMetadata(t.Context(), "v"))
	_, err = store.Versions(t.Context(), "v")
	require.ErrorIs(t, err, kv.ErrNotFound)
	meta, err := store.Put(t.Context(), "v", map[string]int{"n": 1}, kv.CAS(0))
	require.NoError(t, err)
	require.Equal(t, 1, meta.Version, "versions begin again")
}

func kvWalk(t *testing.T, w kvScene) {
	t.Helper()
	store := w.a.KV("a/b")
	_, err := store.List(t.Context(), "wood")
	require.ErrorIs(t, err, kv.ErrNotFound)
	var want []string
	for _, path := range []string{"a", "a/x", "a/y/z", "a/y/z/deep", "b c/ü", "data/metadata"} {
		_, err := store.Put(t.Context(), "wood/"+path, map[string]int{"n": 1})
		require.NoError(t, err)
		want = append(want, "wood/"+path)
	}
	names, err := store.List(t.Context(), "wood")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "a/", "b c/", "data/"}, names)
	for _, folder := range []string{"wood", "wood/"} {
		var got []string
		for path, err := range store.Walk(t.Context(), folder) {
			require.NoError(t, err)
			_, err = kv.Get[map[string]int](t.Context(), store, path)
			require.NoError(t, err, path)
			got = append(got, path)
		}
		slices.Sort(got)
		require.Equal(t, want, got)
	}
	listed := w.v.Audit().Count("list", "a/b/metadata/wood")
	for _, err := range store.Walk(t.Context(), "wood") {
		require.NoError(t, err)
		break
	}
	require.Equal(t, listed+1, w.v.Audit().Count("list", "a/b/metadata/wood"), "a break ends the requests")
}

func kvVersion1(t *testing.T, w kvScene) {
	t.Helper()
	store := w.a.KV("old")
	_, err := store.List(t.Context(), "v1")
	require.ErrorIs(t, err, kv.ErrNotFound)
	meta, err := store.Put(t.Context(), "v1/data/x", map[string]any{"s": secret.NewString(canaryValue), "n": int64(1)<<53 + 1})
	require.NoError(t, err)
	require.Zero(t, meta)
	s, err := w.official.KVv1("old").Get(t.Context(), "v1/data/x")
	require.NoError(t, err)
	require.Equal(t, map[string]any{"s": canaryValue, "n": json.Number("9007199254740993")}, s.Data)
	names, err := store.List(t.Context(), "v1/data/")
	require.NoError(t, err)
	require.Equal(t, []string{"x"}, names)
	for path, err := range store.Walk(t.Context(), "v1") {
		require.NoError(t, err)
		require.Equal(t, "v1/data/x", path)
	}
	require.ErrorContains(t, store.Undelete(t.Context(), "v1/data/x", 1), "KV version 1, which keeps no versions")
	require.NoError(t, store.Delete(t.Context(), "v1/data/x"))
	_, err = w.official.KVv1("old").Get(t.Context(), "v1/data/x")
	require.ErrorIs(t, err, api.ErrSecretNotFound)
	_, err = w.a.KV("secret", kv.Version1()).Put(t.Context(), "x", map[string]int{"n": 1})
	require.ErrorContains(t, err, "leave out kv.Version1")
}

// kvManyWriters has each of them add a field of its own, and count in one for all.
func kvManyWriters(t *testing.T, w kvScene) {
	t.Helper()
	const writers, rounds = 4, 5
	store := w.a.KV("secret")
	_, err := store.Put(t.Context(), "many", map[string]int{"count": 0})
	require.NoError(t, err)
	failed := make(chan error, 2*writers*rounds)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := range rounds {
				_, err := store.Patch(t.Context(), "many", map[string]any{fmt.Sprintf("f%d-%d", i, n): secret.NewString("x")})
				failed <- err
				for {
					now, err := kv.Get[struct{ Count int }](t.Context(), store, "many")
					if err == nil {
						_, err = store.Patch(t.Context(), "many", map[string]int{"count": now.Value.Count + 1}, kv.CAS(now.Metadata.Version))
					}
					if !errors.Is(err, kv.ErrCASMismatch) {
						failed <- err
						break
					}
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		require.NoError(t, err)
	}
	now, err := kv.Get[map[string]any](t.Context(), store, "many")
	require.NoError(t, err)
	require.Len(t, now.Value, 1+writers*rounds)
	require.Equal(t, json.Number(strconv.Itoa(writers*rounds)), now.Value["count"])
	require.Equal(t, 1+2*writers*rounds, now.Metadata.Version, "one version for each write that was told of, and none besides")
}

// kvLostAnswer cuts the connection after Vault has answered: the audit log has one write.
func kvLostAnswer(t *testing.T, w kvScene) {
	t.Helper()
	p := testvault.NewProxy(t, w.v.Addr())
	a := w.start(t, "approle-kvl", map[string]any{"token_ttl": "1h"}, via(p))
	store := a.KV("secret")
	_, err := store.Put(t.Context(), "lost", map[string]int{"n": 1}, kv.CAS(0))
	require.NoError(t, err)
	written := w.v.Audit().Count("update", "secret/data/lost") + w.v.Audit().Count("create", "secret/data/lost")
	p.Fault(testvault.Rule{Path: "secret/data/lost", DropAfter: true, Times: 1})
	_, err = store.Put(t.Context(), "lost", map[string]int{"n": 2}, kv.CAS(1))
	require.ErrorContains(t, err, "it may have happened")
	require.Equal(t, written+1, w.v.Audit().Count("update", "secret/data/lost")+w.v.Audit().Count("create", "secret/data/lost"))
	_, err = store.Put(t.Context(), "lost", map[string]int{"n": 2}, kv.CAS(1))
	var mismatch *kv.CASError
	require.ErrorAs(t, err, &mismatch, "it had happened")
	require.Equal(t, 2, mismatch.Current)
	p.Refuse()
	go func() {
		<-time.After(time.Second)
		p.Accept()
	}()
	_, err = store.Put(t.Context(), "lost", map[string]int{"n": 3}, kv.CAS(2))
	require.NoError(t, err, "what did not get there is repeated")
}

// kvPolicies does each operation without a policy, grants what the error's hint says, to the
// letter, and does it again.
func kvPolicies(t *testing.T, w kvScene) {
	t.Helper()
	root := w.start(t, "approle-kvr", map[string]any{"token_ttl": "1h"})
	for i, op := range []func(s *kv.Store) error{
		func(s *kv.Store) error { _, err := s.Put(t.Context(), "p/x", map[string]int{"n": 1}); return err },
		func(s *kv.Store) error { _, err := s.Put(t.Context(), "p/new", map[string]int{"n": 1}); return err },
		func(s *kv.Store) error { _, err := s.Patch(t.Context(), "p/x", map[string]int{"n": 1}); return err },
		func(s *kv.Store) error { return s.Delete(t.Context(), "p/x") },
		func(s *kv.Store) error { return s.DeleteVersions(t.Context(), "p/x", 1) },
		func(s *kv.Store) error { return s.Undelete(t.Context(), "p/x", 1) },
		func(s *kv.Store) error { return s.Destroy(t.Context(), "p/x", 1) },
		func(s *kv.Store) error { _, err := s.Metadata(t.Context(), "p/x"); return err },
		func(s *kv.Store) error { return s.PutMetadata(t.Context(), "p/x", kv.MaxVersions(2)) },
		func(s *kv.Store) error { return s.PutMetadata(t.Context(), "p/none", kv.MaxVersions(2)) },
		func(s *kv.Store) error { return s.PatchMetadata(t.Context(), "p/x", kv.MaxVersions(2)) },
		func(s *kv.Store) error { return s.DeleteMetadata(t.Context(), "p/x") },
		func(s *kv.Store) error { _, err := s.List(t.Context(), "p"); return err },
		func(s *kv.Store) error { _, err := s.List(t.Context(), ""); return err },
	} {
		_, err := root.KV("secret").Put(t.Context(), "p/x", map[string]int{"n": 0})
		require.NoError(t, err)
		policy := fmt.Sprintf("kvp%d", i)
		w.v.Policy(policy, `path "secret/data/else" { capabilities = ["read"] }`)
		a := w.startWith(t, fmt.Sprintf("approle-kvp%d", i), policy)
		var failed *leasehold.Error
		require.ErrorAs(t, op(a.KV("secret")), &failed, i)
		require.Equal(t, http.StatusForbidden, failed.Status)
		rule, _, _ := strings.Cut(strings.TrimPrefix(failed.Hint, "grant it by policy: "), ", or is the mount")
		w.v.Policy(policy, rule)
		require.NoError(t, op(a.KV("secret")), "%d: %s", i, rule)
		require.NoError(t, a.Close(context.Background()))
	}
}

// startWith is a client with a policy of its own.
func (w world) startWith(t *testing.T, mount, policy string) *leasehold.Client {
	t.Helper()
	roleID, secretID := w.v.AppRole(mount, "app", map[string]any{"token_policies": policy, "token_ttl": "1h"})
	c, err := leasehold.New(t.Context(), leasehold.Config{
		Address: w.v.Addr(), Auth: approle.New(roleID, approle.SecretIDString(secretID), approle.Mount(mount)),
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}
