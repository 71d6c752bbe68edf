package kv_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestF17TheVersionsOfASecret are told one by one, and are deleted, undeleted and destroyed.
func TestF17TheVersionsOfASecret(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	store := as(t, server, nil).KV("secret")
	_, err := store.Versions(t.Context(), "a")
	require.ErrorIs(t, err, kv.ErrNotFound)
	for n := range 3 {
		_, err := store.Put(t.Context(), "a", map[string]int{"n": n})
		require.NoError(t, err)
	}
	require.NoError(t, store.PutMetadata(t.Context(), "a", kv.CustomMetadata(map[string]string{"owner": "x"})))
	require.NoError(t, store.Delete(t.Context(), "a"))
	require.NoError(t, store.DeleteVersions(t.Context(), "a", 1, 77))
	require.NoError(t, store.Destroy(t.Context(), "a", 2, 77))
	versions, err := store.Versions(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, versions, 3)
	for i, v := range versions {
		require.Equal(t, i+1, v.Version)
		require.WithinDuration(t, server.Now(), v.Created, time.Minute)
		require.Equal(t, i != 1, !v.Deleted.IsZero())
		require.Equal(t, i == 1, v.Destroyed)
		require.Equal(t, map[string]string{"owner": "x"}, v.Custom)
	}
	for n, want := range []error{kv.ErrDeleted, kv.ErrDestroyed, kv.ErrDeleted} {
		_, err := kv.Get[map[string]int](t.Context(), store, "a", kv.AtVersion(n+1))
		require.ErrorIs(t, err, want)
	}
	require.NoError(t, store.Undelete(t.Context(), "a", 1, 2, 3))
	for n, want := range []error{nil, kv.ErrDestroyed, nil} {
		s, err := kv.Get[map[string]int](t.Context(), store, "a", kv.AtVersion(n+1))
		require.ErrorIs(t, err, want)
		if want == nil {
			require.Equal(t, n, s.Value["n"])
		}
	}
	require.NoError(t, store.Delete(t.Context(), "none"), "nothing is to be deleted")
	require.NoError(t, store.DeleteMetadata(t.Context(), "a"))
	_, err = store.Metadata(t.Context(), "a")
	require.ErrorIs(t, err, kv.ErrNotFound)
	require.NoError(t, store.DeleteMetadata(t.Context(), "a"))
}

// TestMetadataIsWrittenByName: what no option names stays as it is.
func TestMetadataIsWrittenByName(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	store := as(t, server, nil).KV("secret")
	settings := func() kv.SecretMetadata {
		t.Helper()
		m, err := store.Metadata(t.Context(), "a")
		require.NoError(t, err)
		require.False(t, m.Created.IsZero())
		require.False(t, m.Updated.IsZero())
		m.Created, m.Updated = time.Time{}, time.Time{}
		return m
	}
	require.ErrorIs(t, store.PatchMetadata(t.Context(), "a", kv.MaxVersions(3)), kv.ErrNotFound)
	require.NoError(t, store.PutMetadata(t.Context(), "a", kv.MaxVersions(3), kv.DeleteVersionAfter(90*time.Minute), kv.CASRequired(true),
		kv.CustomMetadata(map[string]string{"owner": "x", "team": "y"})))
	want := kv.SecretMetadata{MaxVersions: 3, CASRequired: true, DeleteVersionAfter: 90 * time.Minute, Custom: map[string]string{"owner": "x", "team": "y"}}
	require.Equal(t, want, settings(), "a secret without a version")

	require.NoError(t, store.PutMetadata(t.Context(), "a", kv.CASRequired(false)))
	want.CASRequired = false
	require.Equal(t, want, settings())
	require.NoError(t, store.PatchMetadata(t.Context(), "a", kv.DeleteVersionAfter(0), kv.CustomMetadata(map[string]string{"team": "z", "more": "m"}), kv.DropCustomMetadata("owner", "never")))
	want.DeleteVersionAfter, want.Custom = 0, map[string]string{"team": "z", "more": "m"}
	require.Equal(t, want, settings())
	require.NoError(t, store.PutMetadata(t.Context(), "a", kv.MaxVersions(0), kv.CustomMetadata(map[string]string{"only": "this"})))
	want.MaxVersions, want.Custom = 0, map[string]string{"only": "this"}
	require.Equal(t, want, settings())
	require.NoError(t, store.PutMetadata(t.Context(), "a", kv.CustomMetadata(nil)))
	want.Custom = nil
	require.Equal(t, want, settings())

	require.NoError(t, store.PutMetadata(t.Context(), "a", kv.MaxVersions(2), kv.DeleteVersionAfter(time.Hour)))
	for n := range 4 {
		_, err := store.Put(t.Context(), "a", map[string]int{"n": n})
		require.NoError(t, err)
	}
	m := settings()
	require.Equal(t, 4, m.Current)
	require.Equal(t, 3, m.Oldest)
	require.Len(t, m.Versions, 2)
	require.Equal(t, time.Hour, m.Versions[1].Deleted.Sub(m.Versions[1].Created), "it will be deleted")
	s, err := kv.Get[map[string]int](t.Context(), store, "a")
	require.NoError(t, err, "but is not yet")
	require.Equal(t, m.Versions[1].Deleted, s.Metadata.Deleted)

	err = store.PutMetadata(t.Context(), "a", kv.CustomMetadata(map[string]string{"": "x"}))
	require.ErrorContains(t, err, "custom_metadata validation failed")
}

// TestMetadataThatMakesNoSenseIsAnError and no zero value.
func TestMetadataThatMakesNoSenseIsAnError(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t)
	store := as(t, server, nil).KV("secret")
	for _, body := range []string{
		``, `null`, `{}`, `{"data": {}}`, `[]`, `{"data": []}`, `{"data": {"created_time": "2026-01-02T03:04:05Z", "delete_version_after": "soon"}}`,
		`{"data": {"created_time": "2026-01-02T03:04:05Z", "versions": {"one": {}}}}`, `{"data": {"current_version": "1"}}`,
		`{"data": {"created_time": "2026-01-02T03:04:05Z", "versions": {"1": {"deletion_time": "yesterday"}}}}`,
	} {
		server.Fail(vaulttest.Fault{Status: 200, Body: body + " ", Path: "secret/metadata", Count: 1})
		_, err := store.Metadata(t.Context(), "a")
		require.ErrorContains(t, err, "leasehold: read the metadata of secret/a: ", body)
	}
}
