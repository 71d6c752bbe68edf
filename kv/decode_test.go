package kv_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loud is a type whose own decoder quotes what it got.
type loud struct{}

func (*loud) UnmarshalJSON(b []byte) error { return fmt.Errorf("cannot read %s", b) }

// louder puts what it got where encoding/json puts the kind and the place.
type louder struct{}

func (*louder) UnmarshalJSON(b []byte) error {
	return &json.UnmarshalTypeError{Value: string(b), Field: string(b)}
}

// own has a field that its own decoder reads in a way of its own.
type own struct {
	Inner int `json:"inner"`
}

func (*own) UnmarshalJSON(b []byte) error { return fmt.Errorf("cannot read %s", b) }

// text is a type whose own decoder takes text, and quotes it.
type text string

func (*text) UnmarshalText(b []byte) error { return fmt.Errorf("cannot read %s", b) }

type settings struct {
	APIKey  secret.String `json:"api_key"`
	Blob    secret.Bytes  `json:"blob"`
	Port    int           `json:"port"`
	Small   int8          `json:"small"`
	Enabled bool          `json:"enabled"`
	Name    string        `json:"name"`
	Quoted  int           `json:"quoted,string"`
	When    time.Time     `json:"when"`
	Loud    loud          `json:"loud"`
	Louder  louder        `json:"louder"`
	Text    text          `json:"text"`
	Own     own           `json:"own"`
	DB      struct {
		Hosts []string       `json:"hosts"`
		Ports map[string]int `json:"ports"`
	} `json:"db"`
	Keys    map[string]secret.String `json:"keys"`
	ByText  map[text]int             `json:"by_text"`
	ByInt   map[int]int              `json:"by_int"`
	Pair    [2]*secret.Bytes         `json:"pair"`
	Numbers []map[string][]int8      `json:"numbers"`
	Any     fmt.Stringer             `json:"any"`
	inner
	*Outer
}

type inner struct {
	Inside int `json:"inside"`
}

// Outer is embedded by a pointer.
type Outer struct {
	Outside secret.String `json:"outside"`
	Nodes   *node         `json:"nodes"`
}

type node struct {
	Port int   `json:"port"`
	Next *node `json:"next"`
}

const hunter = "8675309"

// TestLaw20ADecodeErrorNamesTheFieldAndNeverTheValue is C4. Mutation: keep all
// that encoding/json says about the value.
func TestLaw20ADecodeErrorNamesTheFieldAndNeverTheValue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, data, field string
		want              kv.DecodeError
	}{
		{"a number for a string", `{"name": 8675309}`, "", kv.DecodeError{Field: "name", Want: "string", Got: "number"}},
		{"a number for a secret", `{"api_key": 8675309}`, "", kv.DecodeError{Field: "api_key", Want: "secret.String", Got: "number"}},
		{"not base64", `{"blob": "8675309!"}`, "", kv.DecodeError{Field: "blob", Want: "secret.Bytes", Got: "string"}},
		{"a string for a number", `{"port": "8675309"}`, "", kv.DecodeError{Field: "port", Want: "int", Got: "string"}},
		{"a fraction for an int", `{"port": 8675309.5}`, "", kv.DecodeError{Field: "port", Want: "int", Got: "number"}},
		{"a number that does not fit", `{"small": 8675309}`, "", kv.DecodeError{Field: "small", Want: "int8", Got: "number"}},
		{"an object for a bool", `{"enabled": {"8675309": 1}}`, "", kv.DecodeError{Field: "enabled", Want: "bool", Got: "object"}},
		{"a string in a nested list", `{"db": {"hosts": ["a", 8675309]}}`, "", kv.DecodeError{Field: "db.hosts[1]", Want: "string", Got: "number"}},
		{"a string in a nested map", `{"db": {"ports": {"8675309": "8675309"}}}`, "", kv.DecodeError{Field: "db.ports[*]", Want: "int", Got: "string"}},
		{"a secret in a map", `{"keys": {"a": "b", "8675309": ["8675309"]}}`, "", kv.DecodeError{Field: "keys[*]", Want: "secret.String", Got: "array"}},
		{"a secret in an array of pointers", `{"pair": [null, "8675309!"]}`, "", kv.DecodeError{Field: "pair[1]", Want: "secret.Bytes", Got: "string"}},
		{"deep inside", `{"numbers": [{}, {"a": [1, 8675309]}]}`, "", kv.DecodeError{Field: "numbers[1][*][1]", Want: "int8", Got: "number"}},
		{"a key that is no number", `{"by_int": {"x8675309": 1}}`, "", kv.DecodeError{Field: "by_int", Want: "map[int]int", Got: "object"}},
		{"a key whose decoder quotes", `{"by_text": {"8675309": 1}}`, "", kv.DecodeError{Field: "by_text", Want: "map[kv_test.text]int"}},
		{"not a quoted number", `{"quoted": "x8675309"}`, "", kv.DecodeError{Field: "quoted", Want: "int"}},
		{"a number for a quoted one", `{"quoted": 8675309}`, "", kv.DecodeError{Field: "quoted", Want: "int", Got: "number"}},
		{"not a time", `{"when": "8675309"}`, "", kv.DecodeError{Field: "when", Want: "time.Time"}},
		{"a decoder that quotes", `{"loud": "8675309"}`, "", kv.DecodeError{Field: "loud", Want: "kv_test.loud"}},
		{"a decoder that quotes in the kind", `{"louder": "8675309"}`, "", kv.DecodeError{Field: "louder", Want: "kv_test.louder", Got: "string"}},
		{"inside of a type with its own decoder", `{"own": {"inner": "8675309"}}`, "", kv.DecodeError{Field: "own", Want: "kv_test.own"}},
		{"a text decoder that quotes", `{"text": "8675309"}`, "", kv.DecodeError{Field: "text", Want: "kv_test.text"}},
		{"no text for a text decoder", `{"text": 8675309}`, "", kv.DecodeError{Field: "text", Want: "kv_test.text", Got: "number"}},
		{"an interface with methods", `{"any": "8675309"}`, "", kv.DecodeError{Field: "any", Want: "fmt.Stringer", Got: "string"}},
		{"in an embedded struct", `{"inside": "8675309"}`, "", kv.DecodeError{Field: "inside", Want: "int", Got: "string"}},
		{"in a struct embedded by pointer", `{"OUTSIDE": 8675309}`, "", kv.DecodeError{Field: "outside", Want: "secret.String", Got: "number"}},
		{"in what refers to itself", `{"nodes": {"next": {"next": {"port": "8675309"}}}}`, "", kv.DecodeError{Field: "nodes.next.next.port", Want: "int", Got: "string"}},
		{"a huge number", `{"port": 8675309e99999}`, "", kv.DecodeError{Field: "port", Want: "int", Got: "number"}},
		{"the later of two", `{"port": 1, "port": "8675309"}`, "", kv.DecodeError{Field: "port", Want: "int", Got: "string"}},
		{"nested too deep", `{"keys": ` + strings.Repeat(`{"8675309":`, 10001) + `1` + strings.Repeat(`}`, 10002), "", kv.DecodeError{}},
		{"not an object", `["8675309"]`, "", kv.DecodeError{Want: "kv_test.settings", Got: "array"}},
		{"not JSON", `{"name": 8675309x}`, "", kv.DecodeError{}},
		{"cut off", `{"name": "8675309`, "", kv.DecodeError{}},
		{"more after it", `{} 8675309`, "", kv.DecodeError{}},
		{"nothing", ``, "", kv.DecodeError{}},
		{"one field of no object", `"8675309"`, "db", kv.DecodeError{Want: "JSON object"}},
		{"inside of one field", `{"a": {"name": 8675309}}`, "a", kv.DecodeError{Field: "a.name", Want: "string", Got: "number"}},
		{"one field itself", `{"a": 8675309}`, "a", kv.DecodeError{Field: "a", Want: "kv_test.settings", Got: "number"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.want.Path = "secret/app"
			var into settings
			err := kv.Unmarshal("secret/app", []byte(tt.data), tt.field, &into)
			var got *kv.DecodeError
			require.ErrorAs(t, err, &got)
			assert.Equal(t, tt.want, *got)
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", *got)} {
				assert.NotContains(t, text, hunter)
			}
			assert.Contains(t, err.Error(), "secret/app")
			assert.NoError(t, errors.Unwrap(err), "a cause would tell")
		})
	}
}

func TestADecodeErrorSaysWhatToFix(t *testing.T) {
	t.Parallel()
	require.EqualError(t, &kv.DecodeError{Path: "m/p", Field: "db.port", Want: "int", Got: "string"},
		"leasehold: decode m/p#db.port: want int, the secret holds a JSON string")
	require.EqualError(t, &kv.DecodeError{Path: "m/p", Want: "JSON object"},
		"leasehold: decode m/p: the value does not make a JSON object")
	require.EqualError(t, &kv.DecodeError{Path: "m/p", Field: "port", Want: "int", Got: "nothing"},
		"leasehold: decode m/p#port: want int, the secret holds nothing")
	assert.ErrorContains(t, &kv.DecodeError{Path: "m/p"}, "not the JSON that was expected")
}

func TestASecretIsDecoded(t *testing.T) {
	t.Parallel()
	var got settings
	require.NoError(t, kv.Unmarshal("p", []byte(`{"api_key": "k", "blob": "AAH/", "port": 5432, "db": {"hosts": ["a"], "ports": {"a": 1}}, "more": 1, "name": null}`), "", &got))
	assert.Equal(t, "k", got.APIKey.Reveal())
	assert.Equal(t, []byte{0, 1, 255}, got.Blob.Reveal())
	assert.Equal(t, 5432, got.Port)
	assert.Equal(t, []string{"a"}, got.DB.Hosts)

	var port int
	require.NoError(t, kv.Unmarshal("p", []byte(`{"port": 5432}`), "port", &port))
	assert.Equal(t, 5432, port)
	var dots string
	require.NoError(t, kv.Unmarshal("p", []byte(`{"a.b": "x"}`), "a.b", &dots))
	assert.Equal(t, "x", dots)
}

func TestAFieldThatDoesNotExistIsNotFound(t *testing.T) {
	t.Parallel()
	var s string
	for _, data := range []string{`{"a": 1}`, `{}`, `null`, `{"B": "case matters"}`} {
		err := kv.Unmarshal("m/p", []byte(data), "b", &s)
		require.ErrorIs(t, err, kv.ErrNotFound)
		assert.Contains(t, err.Error(), `m/p: no field "b"`)
	}
}

func TestNumbersAreKeptExactly(t *testing.T) {
	t.Parallel()
	const data = `{"n": 9007199254740993, "f": 0.1000000000000000055, "list": [18446744073709551615]}`
	var m map[string]any
	require.NoError(t, kv.Unmarshal("p", []byte(data), "", &m))
	assert.Equal(t, json.Number("9007199254740993"), m["n"])
	assert.Equal(t, json.Number("0.1000000000000000055"), m["f"])
	assert.Equal(t, []any{json.Number("18446744073709551615")}, m["list"])

	var deep struct {
		List []struct{ V map[string]*any } `json:"list"`
	}
	require.NoError(t, kv.Unmarshal("p", []byte(`{"list": [{"V": {"a": 9007199254740993}}]}`), "", &deep))
	assert.Equal(t, json.Number("9007199254740993"), *deep.List[0].V["a"])

	var n struct{ N int64 }
	require.NoError(t, kv.Unmarshal("p", []byte(data), "", &n))
	assert.EqualValues(t, 9007199254740993, n.N)

	var one any
	require.NoError(t, kv.Unmarshal("p", []byte(data), "n", &one))
	assert.Equal(t, json.Number("9007199254740993"), one)
	require.Error(t, kv.Unmarshal("p", []byte(`{} {}`), "", &m), "more after it")
}

func TestTypesThatReferToThemselvesAreDecoded(t *testing.T) {
	t.Parallel()
	type tree struct {
		Name string
		Next *tree
		All  map[string][]tree
	}
	var n tree
	require.NoError(t, kv.Unmarshal("p", []byte(`{"Name": "a", "Next": {"Name": "b", "All": {"x": [{"Name": "c"}]}}}`), "", &n))
	assert.Equal(t, "c", n.Next.All["x"][0].Name)
}

func TestWhatCannotBeDecodedIntoIsAnError(t *testing.T) {
	t.Parallel()
	for _, into := range []any{nil, 1, settings{}, (*settings)(nil), new(chan int), new(func())} {
		require.ErrorContains(t, kv.Unmarshal("p", []byte(`{"a": 1}`), "", into), "p")
		require.Error(t, kv.Unmarshal("p", []byte(`{"a": 1}`), "a", into))
	}
}

// TestSecretsAreDecodedWhereverTheyAre: in lists, maps, behind pointers, embedded, and as keys.
func TestSecretsAreDecodedWhereverTheyAre(t *testing.T) {
	t.Parallel()
	type deep struct {
		List   []secret.String                   `json:"list"`
		Map    map[string]*secret.Bytes          `json:"map"`
		Keys   map[secret.String][]secret.String `json:"keys"`
		Nested []map[string]struct {
			P **secret.String `json:"p"`
		} `json:"nested"`
		*Outer
	}
	var got deep
	require.NoError(t, kv.Unmarshal("p", []byte(`{"list": ["a", null, "b"], "map": {"m": "AAH/", "n": null}, "keys": {"k": ["v"]}, "nested": [{"x": {"p": "q"}}], "outside": "o"}`), "", &got))
	assert.Equal(t, []secret.String{secret.NewString("a"), {}, secret.NewString("b")}, got.List)
	assert.Equal(t, []byte{0, 1, 255}, got.Map["m"].Reveal())
	assert.Nil(t, got.Map["n"])
	assert.Equal(t, "v", got.Keys[secret.NewString("k")][0].Reveal())
	assert.Equal(t, "q", (*got.Nested[0]["x"].P).Reveal())
	assert.Equal(t, "o", got.Outside.Reveal())
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", got, got, got), "AAH")
}

func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{`{"name": "x"}`, `{"port": 1e400}`, `{"db": {"hosts": [null, {}]}}`, `[`, `null`, `"x"`, `{"api_key": {"a": [1]}}`, `{"loud": 1, "name": 1}`, "{\"name\": \"\x00\xff\"}"} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), "name")
	}
	f.Fuzz(func(t *testing.T, data []byte, field string) {
		// The canary takes the place of all that could be a value: strings that are no
		// keys, and numbers.
		data = bytes.ReplaceAll(data, []byte("x"), []byte(hunter))
		if strings.Contains(field, hunter) {
			return // the caller's own text
		}
		var typed settings
		var m map[string]any
		var tree any
		var list []map[string]settings
		for _, into := range []any{&typed, &m, &tree, &list} {
			if err := kv.Unmarshal("secret/app", data, field, into); err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), hunter) {
				t.Errorf("%q into %T: %v", data, into, err)
			}
		}
	})
}
