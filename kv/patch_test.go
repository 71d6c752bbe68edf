package kv_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestAPatchChangesWhatItNames, by Vault or here, with the same result: RFC 7396.
func TestAPatchChangesWhatItNames(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]kv.WriteOption{"patch": nil, "read, modify, write": {kv.ReadModifyWrite()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := vaulttest.New(t)
			server.PutKV("secret", "a", map[string]any{"keep": "k", "gone": 1, "n": 12.5, "deep": map[string]any{"x": "1", "y": "2"}, "list": []any{1, 2}})
			store := as(t, server, nil).KV("secret")
			meta, err := store.Patch(t.Context(), "a", map[string]any{
				"gone": nil, "never": nil, "new": secret.NewString("s"), "list": []string{"z"}, "deep": map[string]any{"x": nil, "z": map[string]any{"a": nil, "b": secret.NewBytes([]byte("b"))}},
			}, append(opts, kv.CAS(1))...)
			require.NoError(t, err)
			require.Equal(t, 2, meta.Version)
			require.False(t, meta.Created.IsZero())
			s, err := kv.Get[map[string]any](t.Context(), store, "a")
			require.NoError(t, err)
			n := s.Value["n"]
			delete(s.Value, "n")
			assert.EqualValues(t, "12.5", n)
			assert.Equal(t, map[string]any{
				"keep": "k", "new": "s", "list": []any{"z"}, "deep": map[string]any{"y": "2", "z": map[string]any{"b": "Yg=="}},
			}, s.Value)

			_, err = store.Patch(t.Context(), "a", map[string]any{"keep": map[string]any{"was": "text"}}, opts...)
			require.NoError(t, err)
			data, _ := server.KV("secret", "a")
			assert.Equal(t, map[string]any{"was": "text"}, data["keep"])

			_, err = store.Patch(t.Context(), "a", map[string]any{"x": 1}, append(opts, kv.CAS(2))...)
			var mismatch *kv.CASError
			require.ErrorAs(t, err, &mismatch)
			require.Equal(t, kv.CASError{Path: "secret/a", Want: 2, Current: 3}, *mismatch)
		})
	}
}

// TestAPatchRemovesWhatIsNilInAStruct: pointers, maps and slices alike, unless they are to be left out.
func TestAPatchRemovesWhatIsNilInAStruct(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	server.PutKV("secret", "a", map[string]any{"p": 1, "m": map[string]any{"x": 1}, "s": []any{1}, "omitted": []any{1}, "other": 1})
	_, err := as(t, server, nil).KV("secret").Patch(t.Context(), "a", struct {
		P       *int           `json:"p"`
		M       map[string]int `json:"m"`
		S       []int          `json:"s"`
		Omitted []int          `json:"omitted,omitempty"`
	}{})
	require.NoError(t, err)
	data, _ := server.KV("secret", "a")
	require.Len(t, data, 2)
	require.Contains(t, data, "omitted")
	require.Contains(t, data, "other")
}

// TestF17WhatIsNotThereIsNotPatched, and the error says in which way it is not there.
func TestF17WhatIsNotThereIsNotPatched(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]kv.WriteOption{"patch": nil, "read, modify, write": {kv.ReadModifyWrite()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := vaulttest.New(t)
			store := as(t, server, nil).KV("secret")
			patch := func() error {
				_, err := store.Patch(t.Context(), "a", map[string]int{"x": 1}, opts...)
				return err
			}
			require.ErrorIs(t, patch(), kv.ErrNotFound)
			server.PutKV("secret", "a", map[string]any{"x": 0})
			server.DeleteKV("secret", "a")
			var deleted *kv.DeletedError
			require.ErrorAs(t, patch(), &deleted)
			require.Equal(t, 1, deleted.Version)
			require.WithinDuration(t, server.Now(), deleted.At, time.Minute)
			server.DestroyKV("secret", "a", 1)
			require.ErrorIs(t, patch(), kv.ErrDestroyed)
			_, version := server.KV("secret", "a")
			require.Equal(t, 1, version)
		})
	}
}

// TestLaw07ReadModifyWriteLosesNothing: what somebody else writes in between is kept, or, if
// that goes on, the patch fails.
// Mutation: Store.readModifyWrite writes whatever the version is.
func TestLaw07ReadModifyWriteLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.PutKV("secret", "a", map[string]any{"mine": 0})
		others := 0
		interfere := func(next http.RoundTripper) http.RoundTripper {
			return spy{next, func(r *http.Request) {
				if r.Method != http.MethodPost && r.Method != http.MethodPut || others == 0 {
					return
				}
				others--
				data, _ := server.KV("secret", "a")
				data["theirs"] = others
				server.PutKV("secret", "a", data)
			}}
		}
		rules := []vaulttest.Rule{{Path: "secret/data/a", Capabilities: []string{"read", "update"}}}
		store := as(t, server, interfere, rules...).KV("secret")
		others = 3
		meta, err := store.Patch(t.Context(), "a", map[string]int{"mine": 1}, kv.ReadModifyWrite())
		require.NoError(t, err)
		require.Equal(t, 5, meta.Version)
		data, _ := server.KV("secret", "a")
		require.EqualValues(t, "1", data["mine"])
		require.EqualValues(t, "0", data["theirs"])
		require.Zero(t, server.Count("PATCH", ""), "it was asked to do without")

		others = 1000
		_, err = store.Patch(t.Context(), "a", map[string]int{"mine": 2}, kv.ReadModifyWrite())
		require.ErrorIs(t, err, kv.ErrCASMismatch)
		require.Equal(t, 995, others)

		others = 1
		_, version := server.KV("secret", "a")
		_, err = store.Patch(t.Context(), "a", map[string]int{"mine": 2}, kv.ReadModifyWrite(), kv.CAS(version))
		require.ErrorIs(t, err, kv.ErrCASMismatch, "the caller's version is not replaced")
		data, _ = server.KV("secret", "a")
		require.EqualValues(t, "1", data["mine"])

		others = 1000
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		_, err = store.Patch(ctx, "a", map[string]int{"mine": 2}, kv.ReadModifyWrite())
		require.ErrorIs(t, err, kv.ErrCASMismatch)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// TestLaw07APatchIsNotDoneInAnotherWay: a token that may not patch, or a server that cannot, is no reason to
// read, modify and write, which can lose a race and has to be asked for.
// Mutation: Patch goes on with readModifyWrite where it fails.
func TestLaw07APatchIsNotDoneInAnotherWay(t *testing.T) {
	t.Parallel()
	for status, hint := range map[int]string{
		http.StatusForbidden:        `grant it by policy: path "secret/data/a" { capabilities = ["patch"] }`,
		http.StatusMethodNotAllowed: "",
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			server := vaulttest.New(t)
			server.PutKV("secret", "a", map[string]any{"x": 0})
			may := vaulttest.Rule{Path: "secret/data/a", Capabilities: []string{"read", "update"}}
			if status != http.StatusForbidden {
				may.Capabilities = append(may.Capabilities, "patch")
				server.Fail(vaulttest.Fault{Method: http.MethodPatch, Status: status})
			}
			store := as(t, server, nil, may).KV("secret")
			_, err := store.Patch(t.Context(), "a", map[string]int{"x": 1})
			var failed *leasehold.Error
			require.ErrorAs(t, err, &failed)
			require.Equal(t, status, failed.Status)
			require.Contains(t, failed.Hint, hint)
			require.Equal(t, 1, server.Count(http.MethodPatch, "secret/data/a"))
			require.Equal(t, 1, server.Count("", "secret/data/a"), "and nothing else")
			_, version := server.KV("secret", "a")
			require.Equal(t, 1, version)

			_, err = store.Patch(t.Context(), "a", map[string]int{"x": 1}, kv.ReadModifyWrite())
			require.NoError(t, err)
		})
	}
}
