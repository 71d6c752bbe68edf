package secret_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"log" //nolint:depguard // what a program may use
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const canary = "hunter2-canary-5f1d"

// shapes are all the ways in which a program may hold a secret.
func shapes() map[string]any {
	s, b := secret.NewString(canary), secret.NewBytes([]byte(canary))
	type exported struct {
		Name string
		S    secret.String
		B    secret.Bytes
		P    *secret.String
		Q    *secret.Bytes
	}
	type hidden struct {
		name string
		s    secret.String
		b    secret.Bytes
		p    *secret.String
		q    *secret.Bytes
		any  any
		list []secret.String
		m    map[string]secret.Bytes
	}
	type embedded struct {
		secret.String
		Other int
	}
	type generic struct{ V any }
	h := hidden{"n", s, b, &s, &b, s, []secret.String{s}, map[string]secret.Bytes{"k": b}}
	return map[string]any{
		"string": s, "bytes": b, "pointer to string": &s, "pointer to bytes": &b,
		"exported fields": exported{"n", s, b, &s, &b}, "pointer to exported fields": &exported{"n", s, b, &s, &b},
		"unexported fields": h, "pointer to unexported fields": &h,
		"nested unexported fields": struct{ inner struct{ h hidden } }{struct{ h hidden }{h}},
		"embedded":                 embedded{String: s}, "pointer to embedded": &embedded{String: s},
		"map": map[string]any{"k": s, "b": b}, "map key": map[secret.String]int{s: 1},
		"slice": []any{s, b, &s}, "slice of strings": []secret.String{s, s}, "array": [1]secret.Bytes{b},
		"interface": generic{V: h}, "channel": make(chan secret.String),
		"pointer to a pointer": func() any { p := &s; return &p }(),
	}
}

// forms are how the canary would look if it got out.
func forms() []string {
	std := base64.StdEncoding.EncodeToString([]byte(canary))
	return []string{
		canary, std, strings.TrimRight(std, "="), hex.EncodeToString([]byte(canary)), strings.ToUpper(hex.EncodeToString([]byte(canary))),
		strings.Trim(fmt.Sprint([]byte(canary)), "[]"), //nolint:staticcheck // decimal bytes, not the text
		strings.Trim(fmt.Sprintf("%#v", []byte(canary)), "[]byte{}"),
		strings.Trim(fmt.Sprintf("% x", canary), " "),
		strings.Trim(fmt.Sprintf("%o", []byte(canary)), "[]"), strings.Trim(fmt.Sprintf("%b", []byte(canary)), "[]"),
		strings.Trim(fmt.Sprintf("%U", []rune(canary)), "[]"),
	}
}

func hides(t *testing.T, what, out string) {
	t.Helper()
	for _, form := range forms() {
		if strings.Contains(out, form) {
			t.Errorf("%s shows the canary: %.300q", what, out)
			return
		}
	}
}

// TestLaw20NothingFormatsASecret. Mutation: let Format write the text.
func TestLaw20NothingFormatsASecret(t *testing.T) {
	t.Parallel()
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%t", "%e", "%g", "%p", "%T", "%w", "%z", "%10.3s", "%-40v|", "%# x", "%+q", "%[2]v", "%*d"}
	for name, v := range shapes() {
		for _, verb := range verbs {
			hides(t, name+" "+verb, fmt.Sprintf(verb, v))
		}
		hides(t, name+" Sprint", fmt.Sprint(v)+fmt.Sprintln("a", v))
		hides(t, name+" Append", string(fmt.Append(nil, v)))
		hides(t, name+" Errorf", fmt.Errorf("x: %v %w", v, fmt.Errorf("y: %+v", v)).Error())
		hides(t, name+" Join", fmt.Sprintf("%+v %#v", errors.Join(fmt.Errorf("%v", v)), fmt.Errorf("%#v", v)))
		hides(t, name+" panic", panicText(v))

		var buf bytes.Buffer
		log.New(&buf, "", 0).Printf("%v %+v", v, v)
		if err := template.Must(template.New("").Parse("{{.}} {{printf `%v` .}} {{html .}} {{js .}}")).Execute(&buf, v); err != nil {
			buf.WriteString(err.Error())
		}
		hides(t, name+" log and template", buf.String())
	}
}

func panicText(v any) (text string) {
	defer func() { text = fmt.Sprintf("%v %+v", recover(), v) }()
	panic(v)
}

// TestLaw20NothingLogsASecret. Mutation: let LogValue return the text.
func TestLaw20NothingLogsASecret(t *testing.T) {
	t.Parallel()
	for name, v := range shapes() {
		var buf bytes.Buffer
		for _, h := range []slog.Handler{
			slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}),
			slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}),
		} {
			l := slog.New(h).With("with", v).WithGroup("g")
			l.Info("m", "k", v, "j", v)
			l.Info("m", slog.Any("a", v), slog.Group("gg", "x", v))
			l.LogAttrs(context.Background(), slog.LevelError, "m", slog.Any("err", fmt.Errorf("%v", v)))
		}
		hides(t, name, buf.String())
	}
}

// TestLaw20NothingEncodesASecret. Mutation: let MarshalJSON, MarshalText or
// GobEncode write the text.
func TestLaw20NothingEncodesASecret(t *testing.T) {
	t.Parallel()
	for name, v := range shapes() {
		var buf bytes.Buffer
		j := json.NewEncoder(&buf)
		j.SetIndent("", " ")
		if err := j.Encode(v); err != nil {
			buf.WriteString(err.Error())
		}
		if err := xml.NewEncoder(&buf).Encode(v); err != nil {
			buf.WriteString(err.Error())
		}
		if err := gob.NewEncoder(&buf).Encode(v); err != nil {
			buf.WriteString(err.Error())
		}
		hides(t, name, buf.String())
	}
	b, err := json.Marshal(map[string]any{"s": secret.NewString(canary), "b": secret.NewBytes([]byte(canary))})
	require.NoError(t, err)
	assert.JSONEq(t, `{"s": "[redacted]", "b": "[redacted]"}`, string(b))
	b, err = xml.Marshal(struct {
		XMLName xml.Name      `xml:"x"`
		A       secret.String `xml:"a,attr"`
		B       secret.Bytes  `xml:"b"`
	}{A: secret.NewString(canary), B: secret.NewBytes([]byte(canary))})
	require.NoError(t, err)
	assert.Equal(t, `<x a="[redacted]"><b>[redacted]</b></x>`, string(b))
}

func TestASecretShowsAsRedacted(t *testing.T) {
	t.Parallel()
	for _, v := range []any{secret.NewString(canary), secret.NewBytes([]byte(canary)), secret.String{}, secret.Bytes{}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			assert.Equal(t, "[redacted]", fmt.Sprintf(verb, v), verb)
		}
		assert.Equal(t, "[redacted]", v.(fmt.Stringer).String())
		assert.Equal(t, "[redacted]", v.(fmt.GoStringer).GoString())
		assert.Equal(t, "[redacted]", v.(slog.LogValuer).LogValue().String())
	}
}

func TestAGobNeverHoldsASecret(t *testing.T) {
	t.Parallel()
	type config struct {
		S secret.String
		B secret.Bytes
	}
	var buf bytes.Buffer
	require.NoError(t, gob.NewEncoder(&buf).Encode(config{secret.NewString(canary), secret.NewBytes([]byte(canary))}))
	var got config
	require.ErrorContains(t, gob.NewDecoder(&buf).Decode(&got), "does not hold secrets")
	require.Error(t, new(secret.Bytes).GobDecode([]byte(canary)))
}

func TestASecretComesInByJSON(t *testing.T) {
	t.Parallel()
	type inner struct {
		Key secret.Bytes `json:"key"`
	}
	type config struct {
		Password secret.String            `json:"password"`
		Optional *secret.String           `json:"optional"`
		Inner    inner                    `json:"inner"`
		List     []secret.String          `json:"list"`
		Map      map[string]secret.String `json:"map"`
	}
	var c config
	require.NoError(t, json.Unmarshal([]byte(`{"password": "p\u00e4ss\n", "optional": null, "inner": {"key": "AAEC/w=="}, "list": ["a", ""], "map": {"k": "v"}}`), &c))
	assert.Equal(t, "päss\n", c.Password.Reveal())
	assert.Nil(t, c.Optional)
	assert.Equal(t, []byte{0, 1, 2, 255}, c.Inner.Key.Reveal())
	assert.Equal(t, "a", c.List[0].Reveal())
	assert.True(t, c.List[1].IsZero())
	assert.Equal(t, "v", c.Map["k"].Reveal())

	require.NoError(t, json.Unmarshal([]byte(`{"password": null, "inner": {"key": null}, "optional": "x"}`), &c))
	assert.Equal(t, "päss\n", c.Password.Reveal(), "null changes nothing, as with a string")
	assert.Equal(t, 4, c.Inner.Key.Len())
	assert.Equal(t, "x", c.Optional.Reveal())

	require.NoError(t, json.Unmarshal([]byte(`{"password": "", "inner": {"key": ""}}`), &c))
	assert.True(t, c.Password.IsZero())
	assert.Zero(t, c.Inner.Key.Len())
}

func TestAWrongKindNamesTheFieldAndNotTheValue(t *testing.T) {
	t.Parallel()
	type config struct {
		DB struct {
			Password secret.String `json:"password"`
			Key      secret.Bytes  `json:"key"`
		} `json:"db"`
	}
	tests := []struct{ json, kind, field string }{
		{`{"db": {"password": 5551234}}`, "number", "db.password"},
		{`{"db": {"password": -5551234.5}}`, "number", "db.password"},
		{`{"db": {"password": true}}`, "bool", "db.password"},
		{`{"db": {"password": false}}`, "bool", "db.password"},
		{`{"db": {"password": {"a": "5551234"}}}`, "object", "db.password"},
		{`{"db": {"password": ["5551234"]}}`, "array", "db.password"},
		{`{"db": {"key": "5551234 is not base64"}}`, "string", "db.key"},
		{`{"db": {"key": 5551234}}`, "number", "db.key"},
		{`{"db": {"key": {"5551234": 1}}}`, "object", "db.key"},
	}
	for _, tt := range tests {
		t.Run(tt.json, func(t *testing.T) {
			t.Parallel()
			var c config
			err := json.Unmarshal([]byte(tt.json), &c)
			var wrong *json.UnmarshalTypeError
			require.ErrorAs(t, err, &wrong)
			assert.Equal(t, tt.kind, wrong.Value)
			assert.Equal(t, tt.field, wrong.Field)
			assert.Equal(t, "secret", strings.Split(wrong.Type.String(), ".")[0])
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, *wrong), "5551234")
		})
	}
}

func TestASecretComesInByText(t *testing.T) {
	t.Parallel()
	var s secret.String
	var b secret.Bytes
	f := flag.NewFlagSet("", flag.ContinueOnError)
	var usage bytes.Buffer
	f.SetOutput(&usage)
	f.TextVar(&s, "s", secret.NewString(canary), "")
	f.TextVar(&b, "b", secret.NewBytes([]byte(canary)), "")
	f.PrintDefaults()
	hides(t, "usage", usage.String())
	require.NoError(t, f.Parse([]string{"-s", "one", "-b", "two"}))
	assert.Equal(t, "one", s.Reveal())
	assert.Equal(t, "two", string(b.Reveal()))
}

// TestLaw20AFlagsUsageAndErrorsShowNoSecret. Mutation: let MarshalText write the text.
func TestLaw20AFlagsUsageAndErrorsShowNoSecret(t *testing.T) {
	t.Parallel()
	s, b := secret.NewString(canary), secret.NewBytes([]byte(canary))
	var text secret.String
	var usage bytes.Buffer
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(&usage)
	f.Var(&s, "s", "of a string")
	f.Var(&b, "b", "of bytes")
	f.TextVar(&text, "t", secret.NewString(canary), "as a text")
	f.Int("n", 0, "")
	f.PrintDefaults()
	assert.Contains(t, usage.String(), "-s value\n    \tof a string\n")
	f.VisitAll(func(one *flag.Flag) { usage.WriteString(one.DefValue + one.Value.String()) })
	hides(t, "the defaults", usage.String())
	assert.Equal(t, canary, text.Reveal(), "the default is set all the same")

	err := f.Parse([]string{"-s", canary, "-b=" + canary, "-t", canary, "-n", "x"})
	require.Error(t, err)
	hides(t, "an error", usage.String()+err.Error()+fmt.Sprintf("%v %+v", f.Lookup("s"), f.Lookup("b").Value))

	require.NoError(t, f.Parse([]string{"-s", "one", "-b", "two", "-t", ""}))
	assert.Equal(t, "one", s.Reveal())
	assert.Equal(t, "two", string(b.Reveal()))
	assert.True(t, text.IsZero())
}

func TestSecretsCompareByContent(t *testing.T) {
	t.Parallel()
	a, b := secret.NewString("a"), secret.NewString(strings.ToLower("A"))
	equal := func(x, y any) bool { return x == y }
	assert.True(t, equal(a, b))
	assert.False(t, equal(a, secret.NewString("c")))
	assert.True(t, equal(secret.NewString(""), secret.String{}))
	assert.Equal(t, 1, map[secret.String]int{a: 1}[b])
	type config struct {
		N int
		S secret.String
	}
	assert.True(t, equal(config{1, a}, config{1, b}))
	assert.False(t, equal(config{1, a}, config{1, secret.String{}}))

	assert.True(t, equal(secret.NewBytes([]byte("a")), secret.NewBytes([]byte("a"))))
	assert.False(t, equal(secret.NewBytes([]byte("a")), secret.NewBytes([]byte("b"))))
	assert.True(t, equal(secret.NewBytes([]byte{}), secret.Bytes{}))
}

func TestTheZeroValueIsEmpty(t *testing.T) {
	t.Parallel()
	var s secret.String
	var b secret.Bytes
	assert.Empty(t, s.Reveal())
	assert.True(t, s.IsZero())
	assert.Nil(t, b.Reveal())
	assert.Zero(t, b.Len())
	assert.True(t, b.IsZero())
	assert.Equal(t, b, secret.NewBytes([]byte{}))
	out, err := json.Marshal(struct {
		S secret.String `json:"s,omitzero"`
		B secret.Bytes  `json:"b,omitzero"`
	}{})
	require.NoError(t, err)
	assert.Equal(t, `{}`, string(out))
}

func TestBytesAreCopiedInAndOut(t *testing.T) {
	t.Parallel()
	in := []byte("key")
	b := secret.NewBytes(in)
	in[0] = 'X'
	out := b.Reveal()
	out[1] = 'X'
	assert.Equal(t, "key", string(b.Reveal()))
	assert.Equal(t, 3, b.Len())
	assert.Equal(t, "päss", secret.NewString("päss").Reveal())
}

func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{``, ` `, `null`, `"a"`, `"QUJD"`, `12`, `-1e5`, `{`, `[]`, `true`, `"\ud800"`, `nul`, "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s secret.String
		var b secret.Bytes
		var plain string
		errS, errB, want := s.UnmarshalJSON(data), b.UnmarshalJSON(data), json.Unmarshal(data, &plain)
		if (errS == nil) != (want == nil) {
			t.Errorf("%q: %v, a string gives %v", data, errS, want)
		}
		if errS == nil && s.Reveal() != plain {
			t.Errorf("%q: not what a string gives", data)
		}
		for _, err := range []error{errS, errB} {
			var wrong *json.UnmarshalTypeError
			if err != nil && !errors.As(err, &wrong) {
				t.Errorf("%q: %T", data, err)
			}
			if wrong != nil && !slices.Contains([]string{"string", "object", "array", "bool", "number"}, wrong.Value) {
				t.Errorf("%q: %q", data, wrong.Value)
			}
		}
		var tree struct{ S, B any }
		tree.S, tree.B = &s, &b
		_ = json.Unmarshal([]byte(`{"S": `+string(data)+`}`), &tree)
		if out := fmt.Sprintf("%v %+v %#v", s, b, tree); strings.Contains(out, canary) {
			t.Error(out)
		}
		_, _ = io.WriteString(io.Discard, s.Reveal())
	})
}

func ExampleString() {
	type Config struct {
		User     string
		Password secret.String
		cached   secret.String // fmt calls no methods here
	}
	c := Config{User: "payments", Password: secret.NewString("hunter2")}
	fmt.Printf("%+v\n", c.Password)
	fmt.Println(strings.Contains(fmt.Sprintf("%+v %#v", c, c), "hunter2"))
	fmt.Println(c.Password.Reveal(), c.cached.IsZero())
	// Output:
	// [redacted]
	// false
	// hunter2 true
}

// A flag's usage shows no default, and its errors no value.
func ExampleString_Set() {
	password := secret.NewString("hunter2")
	f := flag.NewFlagSet("app", flag.ContinueOnError)
	f.SetOutput(os.Stdout)
	f.Var(&password, "password", "of the database; better from a file than from here")
	f.PrintDefaults()
	_ = f.Parse([]string{"-password", "swordfish"})
	fmt.Println(password, len(password.Reveal()))
	// Output:
	//   -password value
	//     	of the database; better from a file than from here
	// [redacted] 9
}
