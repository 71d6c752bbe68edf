package kv

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/secret"
)

// generator makes random types of what JSON knows and package secret hides, and beside each
// its twin, which has strings and []byte in their place, with the same random values.
type generator struct{ *rand.Rand }

type twin struct {
	ours, plain reflect.Type
	fill        func(ours, plain reflect.Value)
}

func (g generator) text() string {
	return []string{"", "a", "päss \"word\"\n", "<&>\u2028", "日本", "hunter2", `\ud800`}[g.IntN(7)]
}

func (g generator) leaf(basic bool) twin {
	same := func(t reflect.Type, set func(v reflect.Value)) twin {
		return twin{t, t, func(a, b reflect.Value) {
			set(a)
			b.Set(a)
		}}
	}
	n := 9
	if basic {
		n = 5
	}
	switch g.IntN(n) {
	case 0:
		return same(reflect.TypeFor[string](), func(v reflect.Value) { v.SetString(g.text()) })
	case 1:
		return same(reflect.TypeFor[int64](), func(v reflect.Value) { v.SetInt(g.Int64() >> 11 * int64(g.IntN(2))) })
	case 2:
		return same(reflect.TypeFor[uint8](), func(v reflect.Value) { v.SetUint(uint64(g.IntN(3))) })
	case 3:
		return same(reflect.TypeFor[bool](), func(v reflect.Value) { v.SetBool(g.IntN(2) == 0) })
	case 4:
		return same(reflect.TypeFor[float64](), func(v reflect.Value) { v.SetFloat(float64(g.IntN(3)) * g.NormFloat64()) })
	case 5:
		return same(reflect.TypeFor[[]byte](), func(v reflect.Value) { v.SetBytes([]byte(g.text())) })
	case 6:
		return same(reflect.TypeFor[time.Time](), func(v reflect.Value) {
			v.Set(reflect.ValueOf(time.Unix(g.Int64()>>32, 0).UTC()))
		})
	case 7:
		return twin{stringType, reflect.TypeFor[string](), func(a, b reflect.Value) {
			text := g.text()
			a.Set(reflect.ValueOf(secret.NewString(text)))
			b.SetString(text)
		}}
	}
	return twin{bytesType, reflect.TypeFor[[]byte](), func(a, b reflect.Value) {
		raw := []byte("x" + g.text()) // an empty secret.Bytes cannot tell if it is nil
		a.Set(reflect.ValueOf(secret.NewBytes(raw)))
		b.SetBytes(raw)
	}}
}

func (g generator) any(depth int) twin {
	if depth == 0 {
		return g.leaf(false)
	}
	switch inner := g.any; g.IntN(6) {
	case 0:
		e := inner(depth - 1)
		return twin{reflect.SliceOf(e.ours), reflect.SliceOf(e.plain), func(a, b reflect.Value) {
			n := g.IntN(3)
			a.Set(reflect.MakeSlice(a.Type(), n, n))
			b.Set(reflect.MakeSlice(b.Type(), n, n))
			for i := range n {
				e.fill(a.Index(i), b.Index(i))
			}
		}}
	case 1:
		e := inner(depth - 1)
		return twin{reflect.PointerTo(e.ours), reflect.PointerTo(e.plain), func(a, b reflect.Value) {
			if g.IntN(3) == 0 {
				return
			}
			a.Set(reflect.New(a.Type().Elem()))
			b.Set(reflect.New(b.Type().Elem()))
			e.fill(a.Elem(), b.Elem())
		}}
	case 2:
		e := inner(depth - 1)
		key := []reflect.Type{stringType, reflect.TypeFor[string]()}[g.IntN(2)]
		return twin{reflect.MapOf(key, e.ours), reflect.MapOf(reflect.TypeFor[string](), e.plain), func(a, b reflect.Value) {
			a.Set(reflect.MakeMap(a.Type()))
			b.Set(reflect.MakeMap(b.Type()))
			for range g.IntN(3) {
				name := g.text()
				va, vb := reflect.New(e.ours).Elem(), reflect.New(e.plain).Elem()
				e.fill(va, vb)
				b.SetMapIndex(reflect.ValueOf(name), vb)
				if key == stringType {
					a.SetMapIndex(reflect.ValueOf(secret.NewString(name)), va)
				} else {
					a.SetMapIndex(reflect.ValueOf(name), va)
				}
			}
		}}
	case 3:
		return g.leaf(false)
	}
	return g.object(depth)
}

func (g generator) object(depth int) twin {
	var fields []twin
	var ours, plain []reflect.StructField
	for i := range 1 + g.IntN(5) {
		e := g.any(depth - 1)
		tag := fmt.Sprintf(`json:"%s%s"`, []string{"", "a", "b<", fmt.Sprint("n", i), "F1", "not\tvalid"}[g.IntN(6)],
			[]string{"", ",omitempty", ",omitzero", ",omitempty,omitzero", ",unknown"}[g.IntN(5)])
		if g.IntN(6) == 0 {
			e = g.leaf(true)
			tag = `json:",string"`
		}
		fields = append(fields, e)
		name := fmt.Sprint("F", i)
		ours = append(ours, reflect.StructField{Name: name, Type: e.ours, Tag: reflect.StructTag(tag)})
		plain = append(plain, reflect.StructField{Name: name, Type: e.plain, Tag: reflect.StructTag(tag)})
	}
	return twin{reflect.StructOf(ours), reflect.StructOf(plain), func(a, b reflect.Value) {
		for i, f := range fields {
			f.fill(a.Field(i), b.Field(i))
		}
	}}
}

// TestLaw20WhatIsWrittenHoldsTheSecrets: thousands of random types are written as their twins
// without secrets are by encoding/json, and are read back as they were.
// Mutation: encoder.value writes what a secret shows of itself.
func TestLaw20WhatIsWrittenHoldsTheSecrets(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		g := generator{rand.New(rand.NewPCG(seed, 20))}
		tw := g.object(3)
		a, b := reflect.New(tw.ours), reflect.New(tw.plain)
		tw.fill(a.Elem(), b.Elem())
		want, err := json.Marshal(b.Interface())
		require.NoError(t, err, "seed %d", seed)
		got, inexact, err := encode("secret/x", a.Elem().Interface())
		require.NoError(t, errors.Join(err, inexact), "seed %d", seed)
		require.Equal(t, string(want), string(got), "seed %d: %s", seed, tw.ours)

		back, plain := reflect.New(tw.ours), reflect.New(tw.plain)
		require.NoError(t, unmarshal(got, back.Interface()), "seed %d", seed)
		require.NoError(t, json.Unmarshal(want, plain.Interface()), "seed %d", seed)
		again, _, err := encode("secret/x", back.Interface())
		require.NoError(t, err, "seed %d", seed)
		twice, err := json.Marshal(plain.Interface())
		require.NoError(t, err, "seed %d", seed)
		require.Equal(t, string(twice), string(again), "seed %d: read back and written again", seed)
	}
}

type (
	deep   struct{ Same, Deep string }
	left   struct{ deep }
	right  struct{ *deep }
	tagged struct {
		Same string `json:"same2"`
	}
	hiddenInt int
	pointed   struct{ n int }
	worded    struct{ word string }
	wordKey   struct{ k string }
	flag8     uint8
	numbered  int
)

func (p *pointed) MarshalJSON() ([]byte, error) { return []byte(fmt.Sprintf(`{"n": %d}`, p.n)), nil }
func (w worded) MarshalText() ([]byte, error)   { return []byte(w.word), nil }
func (w wordKey) MarshalText() ([]byte, error)  { return []byte(w.k), nil }
func (f flag8) MarshalJSON() ([]byte, error)    { return []byte(`"flag"`), nil }
func (n numbered) IsZero() bool                 { return n == 7 }
func (p *pointed) IsZero() bool                 { return p.n == 7 }

// with returns a struct with a field F that holds v and has the tag.
func with(v any, tag reflect.StructTag) any {
	s := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "F", Type: reflect.TypeOf(v), Tag: tag}})).Elem()
	s.Field(0).Set(reflect.ValueOf(v))
	return s.Interface()
}

// TestEncodeFollowsEncodingJSON where there are no secrets.
func TestEncodeFollowsEncodingJSON(t *testing.T) {
	t.Parallel()
	text, number := "t", 12
	values := map[string]any{
		"embedded twice at a level": struct {
			left
			right
			Top string
		}{Top: "x"},
		"nil embedded pointer": struct{ right }{},
		"embedded pointer":     struct{ right }{right{&deep{"s", "d"}}},
		"outer hides inner": struct {
			deep
			Same int
		}{Same: 1},
		"tag hides": struct {
			deep
			tagged
			Other string `json:"Same"`
		}{Other: "o"},
		"embedded with a name": struct {
			deep `json:"deep"`
		}{deep{"s", "d"}},
		"embedded that is no struct": struct {
			hiddenInt
			B int
		}{3, 4},
		"dash":   struct{ A, B int }{1, 2},
		"a dash": with(1, `json:"-,"`),
		"left out": struct {
			A int `json:"-"`
		}{1},
		"unexported": struct{ A, b int }{1, 2},
		"string option": struct {
			I int     `json:",string"`
			F float64 `json:",string"`
			B bool    `json:",string"`
			S string  `json:",string"`
			P *int    `json:",string"`
			N *int    `json:",string"`
			T flag8   `json:",string"`
		}{I: 1, F: 2.5, B: true, S: "q\"", P: &number},
		"a list as a string":  with([]int{1}, `json:",string"`),
		"a pointer's pointer": with(new(*string), `json:",string"`),
		"an empty time":       with(time.Time{}, `json:",omitempty"`),
		"an empty struct":     with(struct{}{}, `json:",omitempty"`),
		"omitempty": struct {
			A [0]int         `json:",omitempty"`
			B [1]int         `json:",omitempty"`
			M map[string]int `json:",omitempty"`
			E any            `json:",omitempty"`
			P *int           `json:",omitempty"`
			U uintptr        `json:",omitempty"`
		}{},
		"omitzero": struct {
			A [2]int    `json:",omitzero"`
			T time.Time `json:",omitzero"`
			N numbered  `json:",omitzero"`
			M numbered  `json:",omitzero"`
			P pointed   `json:",omitzero"`
			Q *pointed  `json:",omitzero"`
			E zeroer    `json:",omitzero"`
			F zeroer    `json:",omitzero"`
			S struct{}  `json:",omitzero"`
		}{N: 7, P: pointed{7}, F: (*pointed)(nil)},
		"marshalers": struct {
			R json.RawMessage
			N json.Number
			P *pointed
			L []pointed
			M map[string]*pointed
			W worded
			U *url.URL
			B *big.Int
			Z json.RawMessage
			F []flag8
		}{json.RawMessage(`{"a": [1, null]}`), "12.50", &pointed{1}, []pointed{{2}}, map[string]*pointed{"a": {3}, "b": nil},
			worded{"w"}, &url.URL{Host: "h"}, big.NewInt(12), nil, []flag8{1}},
		"keys": struct {
			I map[int]string
			U map[uint8]string
			W map[wordKey]int
			P map[*wordKey]int
			S map[string]any
		}{map[int]string{-1: "a", 10: "b", 9: "c"}, map[uint8]string{1: "x"}, map[wordKey]int{{"k"}: 1}, map[*wordKey]int{nil: 1, {"j"}: 2},
			map[string]any{"z": nil, "a": []any{1, "x", map[string]any{}, &text, 1.5}}},
		"bytes": struct {
			A []byte
			B []byte
			C [3]byte
			D []hiddenInt
			E []int
		}{A: []byte{0, 255}, C: [3]byte{1, 2, 3}},
		"floats":             []any{map[string]any{"a": float32(0.1), "b": 1e21, "c": 1e-7, "d": 100.0, "e": math.MaxFloat64}}[0],
		"a map":              map[string]string{"a": "<b>"},
		"a pointer to a map": &map[string]int{"a": 1},
	}
	for name, v := range values {
		p := reflect.New(reflect.TypeOf(v)) // methods on pointers count, see encode
		p.Elem().Set(reflect.ValueOf(v))
		want, err := json.Marshal(p.Interface())
		require.NoError(t, err, name)
		got, _, err := encode("secret/x", v)
		require.NoError(t, err, name)
		assert.Equal(t, string(want), string(got), name)
	}
}

// TestSecretsAreWrittenInAllPlaces that JSON has for them, and only theirs.
func TestSecretsAreWrittenInAllPlaces(t *testing.T) {
	t.Parallel()
	s, b := secret.NewString(`p"w`), secret.NewBytes([]byte{0, 255})
	type inner struct {
		S secret.String `json:"s"`
	}
	value := struct {
		inner
		P     *secret.String
		Q     **secret.Bytes
		Nil   *secret.String
		Any   any
		List  []any
		Map   map[secret.String]secret.Bytes
		Bytes map[secret.Bytes]int
		Zero  secret.String `json:",omitzero"`
		Void  secret.Bytes  `json:",omitzero"`
		Blank secret.Bytes  `json:"blank"`
		Dash  secret.String `json:"-"`
		small secret.String
		Array [1]secret.Bytes `json:"array"`
	}{
		inner: inner{s}, P: &s, Q: func() **secret.Bytes { p := &b; return &p }(), Any: map[string]any{"k": s, "l": &b}, List: []any{inner{s}, &inner{s}},
		Map: map[secret.String]secret.Bytes{s: b}, Bytes: map[secret.Bytes]int{secret.NewBytes([]byte("raw")): 1}, Dash: s, small: s, Array: [1]secret.Bytes{b},
	}
	got, _, err := encode("secret/x", value)
	require.NoError(t, err)
	assert.JSONEq(t, `{"s": "p\"w", "P": "p\"w", "Q": "AP8=", "Nil": null, "Any": {"k": "p\"w", "l": "AP8="}, "List": [{"s": "p\"w"}, {"s": "p\"w"}],
		"Map": {"p\"w": "AP8="}, "Bytes": {"raw": 1}, "blank": "", "array": ["AP8="]}`, string(got))
	for want, value := range map[string]any{
		`{"F": "p\"w"}`:  with(s, `json:",omitempty"`),
		`{"F": "p\"w" }`: with(s, `json:",string"`),
		`{}`:             with(secret.String{}, `json:",omitempty"`),
		`{ }`:            with(secret.Bytes{}, `json:",omitempty"`),
		`{"F": ""}`:      with(secret.Bytes{}, `json:",string"`),
	} {
		got, _, err := encode("secret/x", value)
		require.NoError(t, err)
		assert.JSONEq(t, want, string(got))
	}
}

type (
	dsn      struct{ password secret.String }
	boxed    struct{ V any }
	failing  struct{}
	password secret.String
	key      secret.Bytes
	loop     struct{ Next *loop }
)

func (d dsn) MarshalText() ([]byte, error)     { return fmt.Appendf(nil, "user:%v@host", d.password), nil }
func (b boxed) MarshalJSON() ([]byte, error)   { return json.Marshal(map[string]any{"v": b.V}) }
func (failing) MarshalJSON() ([]byte, error)   { return nil, errors.New("cannot write 8675309") }
func (f failing) MarshalText() ([]byte, error) { return nil, errors.New("cannot write 8675309") }

// TestLaw20WhatWouldBeLostIsNotWritten: not even tried. The error names the field and the
// type, and nothing of the value.
// Mutation: encoder.marshaler writes what it gets.
func TestLaw20WhatWouldBeLostIsNotWritten(t *testing.T) {
	t.Parallel()
	const canary = "8675309"
	s := secret.NewString(canary)
	around := &loop{}
	around.Next = around
	ring := map[string]any{}
	ring["ring"] = ring
	tests := map[string]struct {
		value         any
		field, reason string
	}{
		"nil":                        {nil, "", "JSON object"},
		"a nil map":                  {map[string]any(nil), "", "JSON object"},
		"a nil pointer":              {(*loop)(nil), "", "JSON object"},
		"a text":                     {canary, "", "JSON object"},
		"a secret":                   {s, "", "JSON object"},
		"a list":                     {[]string{canary}, "", "JSON object"},
		"raw null":                   {json.RawMessage("null"), "", "JSON object"},
		"a text encoder that hides":  {struct{ A, D any }{1, dsn{s}}, "D", "hides a secret"},
		"a JSON encoder that hides":  {struct{ B boxed }{boxed{s}}, "B", "hides a secret"},
		"one in a list":              {map[string]any{"l": []boxed{{1}, {s}}}, "l[1]", "hides a secret"},
		"a secret embedded":          {struct{ In struct{ secret.String } }{struct{ secret.String }{s}}, "In", "hides a secret"},
		"a key that hides":           {struct{ M map[dsn]int }{map[dsn]int{{s}: 1}}, "M", "hides a secret"},
		"JSON that was encoded":      {map[string]any{"r": json.RawMessage(`{"p": "[redacted]"}`)}, "r", "hides a secret"},
		"a word that was encoded":    {map[string]any{"p": "[redacted]"}, "p", "the word that stands for a secret"},
		"a secret of that word":      {struct{ P secret.String }{secret.NewString("[redacted]")}, "P", "the word that stands for a secret"},
		"a key of that word":         {map[string]any{"[redacted]": 1}, "[redacted]", "the word that stands for a secret"},
		"an encoder that fails":      {struct{ F failing }{}, "F", "its own encoder failed"},
		"a key that fails":           {map[failing]int{{}: 1}, "", "its own encoder failed"},
		"a type of its own":          {struct{ P password }{password(s)}, "P", "package secret itself"},
		"bytes of its own":           {struct{ K *key }{&key{}}, "K", "package secret itself"},
		"text that is not UTF-8":     {struct{ T string }{canary + "\xff"}, "T", "not UTF-8"},
		"a secret that is not UTF-8": {struct{ T []secret.String }{[]secret.String{secret.NewString(canary + "\xff")}}, "T[0]", "not UTF-8"},
		"a key that is not UTF-8":    {map[string]int{"\xff": 1}, `\xff`, "not UTF-8"},
		"keys of no one type":        {map[encoding.TextMarshaler]int{nil: 1}, "", "as a map's key"},
		"raw that is not UTF-8":      {map[string]any{"r": json.RawMessage("\"" + canary + "\xff\"")}, "r", "not UTF-8"},
		"a function":                 {struct{ F func() }{}, "F", "JSON has no form"},
		"a channel":                  {map[string]any{"c": make(chan int)}, "c", "JSON has no form"},
		"a complex number":           {map[string]any{"c": 1i}, "c", "JSON has no form"},
		"not a number":               {struct{ N float64 }{math.NaN()}, "N", "not a number"},
		"infinity":                   {struct{ N float32 }{float32(math.Inf(1))}, "N", "not a number"},
		"a number that is none":      {struct{ N json.Number }{json.Number(canary + "x")}, "N", "not a number"},
		"keys that cannot be":        {map[float64]int{1: 1}, "", "as a map's key"},
		"keys that become one":       {map[any]int{}, "", "as a map's key"},
		"a struct around itself":     {around, "", "contains itself"},
		"a map around itself":        {ring, "", "contains itself"},
		"2^53 + 1":                   {struct{ N int64 }{1<<53 + 1}, "N", "64-bit floats"},
		"2^63":                       {struct{ N uint64 }{1 << 63}, "N", "64-bit floats"},
		"a long number":              {struct{ N json.Number }{"86753098675309867530"}, "N", "64-bit floats"},
		"a number too large":         {struct{ N json.Number }{"8675309e999"}, "N", "larger than Vault takes"},
		"a big integer":              {struct{ B *big.Int }{new(big.Int).Lsh(big.NewInt(8675309), 100)}, "B", "64-bit floats"},
		"a long number in raw JSON":  {map[string]any{"r": json.RawMessage(`{"a": [9007199254740993]}`)}, "r", "64-bit floats"},
		"a long number in an any":    {map[string]any{"l": []any{int64(-1<<53 - 1)}}, "l[0]", "64-bit floats"},
		"one deep in a map":          {map[string]any{"m": map[string]any{canary: math.NaN()}}, "m[*]", "not a number"},
		"one under a secret key":     {map[secret.String]any{s: math.NaN()}, "[*]", "not a number"},
	}
	tests["keys that become one"] = struct {
		value         any
		field, reason string
	}{map[*wordKey]int{{"k"}: 1, {"k"}: 2}, "", "the same text"}
	for name, tt := range tests {
		out, inexact, err := encode("secret/app", tt.value)
		if tt.reason == "64-bit floats" {
			require.NoError(t, err, name)
			out, err = nil, inexact
		}
		var refused *EncodeError
		require.ErrorAs(t, err, &refused, name)
		assert.Nil(t, out, name)
		assert.Equal(t, tt.field, refused.Field, name)
		assert.Contains(t, refused.Reason, tt.reason, name)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, refused), canary, name)
		assert.True(t, strings.HasPrefix(err.Error(), "leasehold: encode secret/app"), "%s: %v", name, err)
	}
	for name, v := range map[string]any{ // what Vault gives back as it was
		"integers": struct{ A, B, C int64 }{1 << 53, -1 << 53, 1<<60 - 1<<60%1000},
		"quoted": struct {
			N int64 `json:",string"`
		}{math.MaxInt64},
		"keys":      map[int64]int{math.MaxInt64: 1},
		"fractions": struct{ N json.Number }{"12.3400"},
		"a mention": map[string]string{"note": "it shows as [redacted], always"},
	} {
		_, inexact, err := encode("secret/app", v)
		require.NoError(t, errors.Join(err, inexact), name)
	}
}

// FuzzEncode of raw JSON: what is written is what encoding/json reads from it.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{`{}`, `{"a": {"b": [1, 2.50, null, "x\u0000"]}}`, `null`, `[`, `{"a": 9007199254740993}`, `{"a": "[redacted]"}`, "{\"\xff\": 1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var tree map[string]any
		if unmarshal(data, &tree) != nil {
			return
		}
		out, _, err := encode("secret/x", tree)
		if err != nil {
			return
		}
		var back map[string]any
		if err := unmarshal(out, &back); err != nil || !reflect.DeepEqual(tree, back) {
			t.Errorf("%q was written as %q: %v", data, out, err)
		}
	})
}
