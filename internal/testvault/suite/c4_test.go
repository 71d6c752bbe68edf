package suite

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// TestC4ValuesOfEveryKindAreDecodedOrRefusedByName has real Vault store values of every JSON kind, and
// reads each into every Go type: it fits, or the error names the field and not the value. Numbers keep
// all digits that Vault keeps: KV version 1 all of them, version 2 those of a float64.
func TestC4ValuesOfEveryKindAreDecodedOrRefusedByName(t *testing.T) {
	t.Parallel()
	w := world{v: testvault.Vault(t)}
	w.v.Mount("old", "kv", map[string]string{"version": "1"})
	const big = 9007199254740993 // 2^53 + 1
	data := map[string]any{
		"n": json.Number("12"), "big": json.Number("9007199254740993"), "half": 0.5, "text": canaryValue, "number": "12", "yes": true, "null": nil,
		"list": []any{1, canaryValue}, "map": map[string]any{canaryValue: canaryValue}, "blob": "AAH/",
	}
	w.v.Write("old/all", data)
	w.v.Write("secret/data/all", map[string]any{"data": data})
	root := w.root(t)

	type all struct {
		N       int                             `json:"n"`
		Half    float64                         `json:"half"`
		Text    secret.String                   `json:"text"`
		Number  int                             `json:"number,string"`
		Yes     bool                            `json:"yes"`
		Null    *string                         `json:"null"`
		List    []any                           `json:"list"`
		Map     map[secret.String]secret.String `json:"map"`
		Blob    secret.Bytes                    `json:"blob"`
		Missing string                          `json:"missing"`
	}
	for mount, exact := range map[string]bool{"secret": false, "old": true} {
		s, err := kv.Get[all](t.Context(), root.KV(mount), "all")
		require.NoError(t, err)
		assert.Equal(t, 12, s.Value.N)
		assert.InDelta(t, 0.5, s.Value.Half, 0)
		assert.Equal(t, canaryValue, s.Value.Text.Reveal())
		assert.Equal(t, 12, s.Value.Number)
		assert.True(t, s.Value.Yes)
		assert.Nil(t, s.Value.Null)
		assert.Equal(t, []any{json.Number("1"), canaryValue}, s.Value.List)
		assert.Equal(t, canaryValue, s.Value.Map[secret.NewString(canaryValue)].Reveal())
		assert.Equal(t, []byte{0, 1, 255}, s.Value.Blob.Reveal())
		assert.Empty(t, s.Value.Missing)

		want := big
		if !exact {
			want = big - 1
		}
		n, err := kv.Get[struct {
			Big int64 `json:"big"`
		}](t.Context(), root.KV(mount), "all")
		require.NoError(t, err)
		assert.EqualValues(t, want, n.Value.Big, mount)
		tree, err := kv.Get[map[string]any](t.Context(), root.KV(mount), "all")
		require.NoError(t, err)
		assert.IsType(t, json.Number(""), tree.Value["big"])
		got, err := tree.Value["big"].(json.Number).Int64()
		require.NoError(t, err)
		assert.EqualValues(t, want, got, mount)

		_, err = kv.Get[all](t.Context(), root.KV(mount), "all", kv.RequireAll())
		require.ErrorContains(t, err, mount+"/all#missing: want string, the secret holds nothing")
		_, err = kv.Get[all](t.Context(), root.KV(mount), "all", kv.RefuseUnknown())
		require.ErrorContains(t, err, mount+"/all#big: want no such field, the secret holds a JSON number")

		refuses[struct {
			Text int `json:"text"`
		}](t, root.KV(mount), "text", "int", "string")
		refuses[struct {
			N secret.String `json:"n"`
		}](t, root.KV(mount), "n", "secret.String", "number")
		refuses[struct {
			Big int32 `json:"big"`
		}](t, root.KV(mount), "big", "int32", "number")
		refuses[struct {
			Half int `json:"half"`
		}](t, root.KV(mount), "half", "int", "number")
		refuses[struct {
			Yes string `json:"yes"`
		}](t, root.KV(mount), "yes", "string", "bool")
		refuses[struct {
			List []int `json:"list"`
		}](t, root.KV(mount), "list[1]", "int", "string")
		refuses[struct {
			Map map[string]bool `json:"map"`
		}](t, root.KV(mount), "map[*]", "bool", "string")
		refuses[struct {
			Text secret.Bytes `json:"text"`
		}](t, root.KV(mount), "text", "secret.Bytes", "string")
	}
}

// refuses asserts that the secret does not fit T, and that the error says where.
func refuses[T any](t *testing.T, s *kv.Store, field, want, got string) {
	t.Helper()
	_, err := kv.Get[T](t.Context(), s, "all")
	var misfit *kv.DecodeError
	require.ErrorAs(t, err, &misfit)
	assert.Equal(t, kv.DecodeError{Path: misfit.Path, Field: field, Want: want, Got: got}, *misfit)
	assert.True(t, strings.HasSuffix(misfit.Path, "/all"))
	assert.NotContains(t, err.Error(), canaryValue)
	assert.NoError(t, errors.Unwrap(err))
}
