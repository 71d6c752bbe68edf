package leasehold_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// loadWorld is a world with the secret "typed", which is as "vault kv put" writes it: all of it strings.
func loadWorld(t *testing.T) (*world, *leasehold.Client) {
	t.Helper()
	w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	w.PutKV("secret", "typed", map[string]any{
		"text": "hello", "port": "8080", "on": "true", "ratio": "0.5", "wait": "1m30s", "octal": "010", "yes": "yes",
		"addr": "10.0.0.1", "big": "123456789012345678901234567890", "doc": `{"limit": "7", "hosts": ["a", "b"]}`,
		"null": nil, "number": json.Number("9007199254740993"), "list": []any{"1", 2}, "blob": "AAEC",
		"nested": map[string]any{"wait": "5s", "ports": map[string]any{"http": "80"}, "on": []any{"true", false}, "quoted": "5"},
	})
	c := w.start()
	return w, c
}

type nested struct {
	Wait  time.Duration
	Ports map[string]uint16 `json:"ports"`
	On    []*bool
	Inner

	Quoted int `json:"quoted,string"`
}

// Inner is embedded.
type Inner struct{ Quoted string }

type doc struct {
	Limit int      `json:"limit"`
	Hosts []string `json:"hosts"`
}

// TestLoadReadsTextsAsWhatTheFieldsAre. Mutation: a text is never taken for a number.
func TestLoadReadsTextsAsWhatTheFieldsAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := loadWorld(t)
		var cfg struct {
			Text    string          `vault:"secret:typed#text"`
			Named   kind            `vault:"secret:typed#text"`
			Secret  secret.String   `vault:"secret:typed#text"`
			Bytes   []byte          `vault:"secret:typed#blob"`
			SBytes  secret.Bytes    `vault:"secret:typed#blob"`
			Any     any             `vault:"secret:typed#port"`
			Exact   any             `vault:"secret:typed#number"`
			Port    int             `vault:"secret:typed#port"`
			PortP   **uint16        `vault:"secret:typed#port"`
			On      bool            `vault:"secret:typed#on"`
			Ratio   float32         `vault:"secret:typed#ratio"`
			Wait    time.Duration   `vault:"secret:typed#wait"`
			WaitP   *time.Duration  `vault:"secret:typed#wait"`
			Addr    netip.Addr      `vault:"secret:typed#addr"`
			AddrP   *netip.Addr     `vault:"secret:typed#addr"`
			Big     *big.Int        `vault:"secret:typed#big"`
			JSONNum json.Number     `vault:"secret:typed#port"`
			Number  int64           `vault:"secret:typed#number"`
			Doc     doc             `vault:"secret:typed#doc,json"`
			DocP    *doc            `vault:"secret:typed#doc,json"`
			Raw     json.RawMessage `vault:"secret:typed#doc,json"`
			DocText string          `vault:"secret:typed#doc"`
			List    []int           `vault:"secret:typed#list"`
			Nested  nested          `vault:"secret:typed#nested"`
			Whole   struct {
				Port   int
				On     bool `json:"on"`
				Wait   time.Duration
				Blob   []byte
				Nested *nested
			} `vault:"secret:typed"`
			Map      map[string]any `vault:"secret:typed"`
			Default  int            `vault:"secret:typed#gone,default=5"`
			Commas   string         `vault:"secret:gone#x,default=a,b=c"`
			Dur      time.Duration  `vault:"secret:typed#null,default=2s"`
			DocD     doc            `vault:"secret:gone#x,json,default={\"limit\": \"3\"}"`
			Optional *string        `vault:"secret:typed#null,optional"`
			Ignored  string         `vault:"-"`
		}
		require.NoError(t, c.Load(t.Context(), &cfg))
		assert.Equal(t, "hello", cfg.Text)
		assert.Equal(t, kind("hello"), cfg.Named)
		assert.Equal(t, "hello", cfg.Secret.Reveal())
		assert.Equal(t, []byte("AAEC"), cfg.Bytes, "the text itself")
		assert.Equal(t, []byte("AAEC"), cfg.SBytes.Reveal())
		assert.Equal(t, "8080", cfg.Any)
		assert.Equal(t, json.Number("9007199254740993"), cfg.Exact)
		assert.Equal(t, 8080, cfg.Port)
		assert.EqualValues(t, 8080, **cfg.PortP)
		assert.True(t, cfg.On)
		assert.InDelta(t, 0.5, cfg.Ratio, 0)
		assert.Equal(t, 90*time.Second, cfg.Wait)
		assert.Equal(t, 90*time.Second, *cfg.WaitP)
		assert.Equal(t, "10.0.0.1", cfg.Addr.String())
		assert.Equal(t, cfg.Addr, *cfg.AddrP)
		assert.Equal(t, "123456789012345678901234567890", cfg.Big.String())
		assert.Equal(t, json.Number("8080"), cfg.JSONNum)
		assert.EqualValues(t, 9007199254740993, cfg.Number)
		want := doc{Limit: 7, Hosts: []string{"a", "b"}}
		assert.Equal(t, want, cfg.Doc)
		assert.Equal(t, &want, cfg.DocP)
		assert.JSONEq(t, cfg.DocText, string(cfg.Raw))
		assert.Equal(t, []int{1, 2}, cfg.List)
		yes, no := true, false
		inner := nested{Wait: 5 * time.Second, Ports: map[string]uint16{"http": 80}, On: []*bool{&yes, &no}, Quoted: 5}
		assert.Equal(t, inner, cfg.Nested)
		assert.Equal(t, &inner, cfg.Whole.Nested)
		assert.Equal(t, 8080, cfg.Whole.Port)
		assert.True(t, cfg.Whole.On)
		assert.Equal(t, 90*time.Second, cfg.Whole.Wait)
		assert.Equal(t, []byte{0, 1, 2}, cfg.Whole.Blob, "as kv.Put writes it")
		assert.Equal(t, "8080", cfg.Map["port"])
		assert.Equal(t, 5, cfg.Default)
		assert.Equal(t, "a,b=c", cfg.Commas)
		assert.Equal(t, 2*time.Second, cfg.Dur)
		assert.Equal(t, doc{Limit: 3}, cfg.DocD)
		assert.Nil(t, cfg.Optional)
	})
}

type kind string

// noisy is a type whose decoders quote what they got.
type noisy struct{ X string }

func (*noisy) UnmarshalText(b []byte) error { return errors.New("cannot read " + string(b)) }

// TestLoadReadsOverWhatIsThere, as encoding/json does; a pointer in an interface that does not take what is
// there now makes room for it. Mutation: it is left half filled.
func TestLoadReadsOverWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := loadWorld(t)
		w.PutKV("secret", "over", map[string]any{"extra": map[string]any{"limit": 5, "hosts": "many"}, "wait": "soon", "inner": map[string]any{"wait": "5s"}})
		type inner struct{ Wait time.Duration }
		var cfg struct {
			Whole struct {
				inner `json:"inner"` // whose members belong to that name

				Extra any
			} `vault:"secret:over"`
			Map map[string]any `vault:"secret:over#extra"`
		}
		cfg.Whole.Extra, cfg.Map = &doc{}, map[string]any{"kept": 1}
		require.NoError(t, c.Load(t.Context(), &cfg))
		assert.Equal(t, map[string]any{"limit": json.Number("5"), "hosts": "many"}, cfg.Whole.Extra)
		assert.Equal(t, 5*time.Second, cfg.Whole.Wait)
		assert.Equal(t, 1, cfg.Map["kept"])
	})
}

// TestALoadInheritsNothingFromElements: of a second Load into the same struct, a list's element has nothing of the one
// that was there, and a copy of the struct stays as it was. What the secret does not have stays.
// Mutations: lists are decoded over; a map is written into; a list that is not mentioned is lost.
func TestALoadInheritsNothingFromElements(t *testing.T) {
	type peer struct {
		Host  string        `json:"host"`
		Token secret.String `json:"token"`
	}
	type lists struct {
		Peers []peer            `json:"peers"`
		Kept  []string          `json:"kept"`
		Empty []string          `json:"empty"`
		Gone  []string          `json:"gone"`
		M     map[string]string `json:"m"`
		Next  *lists            `json:"next"`
	}
	synctest.Test(t, func(t *testing.T) {
		w, c := loadWorld(t)
		var cfg struct {
			P lists `vault:"secret:p"`
		}
		cfg.P.Kept, cfg.P.Empty, cfg.P.Gone = []string{"a", "b"}, []string{"c"}, []string{"d"}
		cfg.P.Next = &lists{Kept: []string{"e"}}
		cfg.P.Next.Next = cfg.P.Next // a circle
		first := []any{map[string]any{"host": "a", "token": "A"}, map[string]any{"host": "z", "token": "Z"}}
		w.PutKV("secret", "p", map[string]any{"peers": first, "m": map[string]any{"x": "1"}, "next": map[string]any{"peers": first}})
		require.NoError(t, c.Load(t.Context(), &cfg))
		old := cfg
		second := []any{map[string]any{"host": "b"}}
		w.PutKV("secret", "p", map[string]any{"peers": second, "empty": []any{}, "gone": nil, "m": map[string]any{"y": "2"}, "next": map[string]any{"peers": second}})
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.Equal(t, []peer{{Host: "b"}}, cfg.P.Peers, "b has no token")
		require.Equal(t, []peer{{Host: "b"}}, cfg.P.Next.Peers)
		require.Equal(t, map[string]string{"x": "1", "y": "2"}, cfg.P.M)
		require.Equal(t, []string{"a", "b"}, cfg.P.Kept)
		require.Equal(t, []string{"e"}, cfg.P.Next.Kept)
		require.Empty(t, cfg.P.Empty)
		require.Nil(t, cfg.P.Gone)
		require.Equal(t, "a", old.P.Peers[0].Host)
		require.Equal(t, "A", old.P.Peers[0].Token.Reveal())
		require.Equal(t, map[string]string{"x": "1"}, old.P.M)
	})
}

// TestLoadRefusesWhatStandsBehindAJSONText. Mutation: it is dropped.
func TestLoadRefusesWhatStandsBehindAJSONText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := loadWorld(t)
		w.PutKV("secret", "t", map[string]any{"doc": `{"limit": 5} {"limit": 6}`, "list": `[1] garbage`})
		var object struct {
			Doc doc `vault:"secret:t#doc,json"`
		}
		require.ErrorContains(t, c.Load(t.Context(), &object), "secret/t#doc")
		var list struct {
			List []int `vault:"secret:t#list,json"`
		}
		require.ErrorContains(t, c.Load(t.Context(), &list), "secret/t#list")
	})
}

// TestLoadSaysWhatDoesNotFit, by path and field, and not the value. Mutation: the words of a type's own decoder are told.
func TestLoadSaysWhatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := loadWorld(t)
		w.PutKV("secret", "bad", map[string]any{
			"canary": "hunter2", "fraction": "8675309.5", "number": 8675309, "map": map[string]any{"hunter2": "hunter2"}, "deep": map[string]any{"wait": 8675309, "ports": map[string]any{"hunter2": "hunter2"}},
			"json": "{hunter2", "null": nil,
		})
		var cfg struct {
			Int      int             `vault:"secret:bad#canary"`
			Fraction int             `vault:"secret:bad#fraction"`
			Octal    int             `vault:"secret:typed#octal"`
			Bool     bool            `vault:"secret:typed#yes"`
			Small    int8            `vault:"secret:typed#port"`
			String   string          `vault:"secret:bad#number"`
			Duration time.Duration   `vault:"secret:bad#number"`
			Text     time.Duration   `vault:"secret:bad#canary"`
			Noisy    noisy           `vault:"secret:bad#canary"`
			Struct   doc             `vault:"secret:bad#canary"`
			JSON     doc             `vault:"secret:bad#json,json"`
			NoText   doc             `vault:"secret:bad#map,json"`
			Ports    map[string]uint `vault:"secret:bad#map"`
			Deep     nested          `vault:"secret:bad#deep"`
			Missing  string          `vault:"secret:bad#gone"`
			Null     string          `vault:"secret:bad#null"`
			Default  int             `vault:"secret:bad#canary,default=1"`
			Optional int             `vault:"secret:bad#canary,optional"`
		}
		err := c.Load(t.Context(), &cfg)
		for _, part := range []string{
			"field Int: leasehold: decode secret/bad#canary: want int, the secret holds a JSON string",
			"field Fraction: leasehold: decode secret/bad#fraction: want int, the secret holds a JSON number",
			"field Octal: leasehold: decode secret/typed#octal: want int", "field Bool: leasehold: decode secret/typed#yes: want bool",
			"field Small: leasehold: decode secret/typed#port: want int8, the secret holds a JSON number",
			"field String: leasehold: decode secret/bad#number: want string, the secret holds a JSON number",
			`field Duration: leasehold: decode secret/bad#number: want time.Duration such as "30s", the secret holds a JSON number`,
			"field Text: leasehold: decode secret/bad#canary: want time.Duration", "field Noisy: leasehold: decode secret/bad#canary: want leasehold_test.noisy",
			`field Struct: leasehold: decode secret/bad#canary: want leasehold_test.doc, the secret holds a JSON string (if that string is a JSON text, add ",json" to the tag)`,
			"field JSON: leasehold: decode secret/bad#json", "field NoText: leasehold: decode secret/bad#map: want JSON text, the secret holds a JSON object",
			"field Ports: leasehold: decode secret/bad#map", `field Deep: leasehold: decode secret/bad#deep.wait: want time.Duration`,
			`field Missing: leasehold: decode secret/bad: no field "gone"`, "field Null: leasehold: decode secret/bad#null: it is null",
			"field Default: leasehold: decode secret/bad#canary: want int, the secret holds a JSON string\n", "field Optional: leasehold: decode secret/bad#canary: want int",
		} {
			require.ErrorContains(t, err, part)
		}
		for _, canary := range []string{"hunter2", "8675309"} {
			assert.NotContains(t, err.Error(), canary)
		}
		var misfit *kv.DecodeError
		require.ErrorAs(t, err, &misfit)
		require.ErrorIs(t, err, kv.ErrNotFound)
	})
}

// TestLoadChecksAllTagsBeforeItAsks. Mutation: the first one that is wrong ends the search.
func TestLoadChecksAllTagsBeforeItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := loadWorld(t)
		asked := len(w.Requests())
		err := c.Load(t.Context(), &wrongTags{})
		for field, what := range map[string]string{
			"Empty": `want "mount:path"`, "Unknown": `unknown option "omitempty"`, "Dots": `".." segment`, "Chan": "into a chan int", "Func": "into a func()",
			"Iface": "into a error: give a type", "Whole": "a whole secret is read into a struct or a map, not into a string", "Default": "the default does not fit int",
			"DefaultLive": "a live field has no default", "Value": "make it a *cache.Value[string]", "Cred": "make it a *dynamic.Credential[",
			"CredInt": "a credential is read into a struct or a map, not into a int", "CredChan": "into a chan int", "CredFunc": "into a func()",
			"CredKV": "is a whole dynamic credential", "CredField": "is a whole dynamic credential", "LiveDynamic": "is a *dynamic.Credential", "LiveStatic": "a static role is read once",
			"Both": "there are vault tags in it, too", "List": "Load does not look into a slice", "hidden": "it has a vault tag but is not exported",
			"inside": "there are vault tags in it, but it is not exported", "behind": "there are vault tags in it, but it is not exported", "Deep.More.X": `want "mount:path"`,
		} {
			require.ErrorContains(t, err, "load: field "+field+": ")
			require.ErrorContains(t, err, what)
		}
		var none struct{ A string }
		for _, dst := range []any{nil, none, &none, new(int), (*wrongTags)(nil), []wrongTags{}, &[]wrongTags{}, map[string]wrongTags{}} {
			require.Error(t, c.Load(t.Context(), dst))
			require.Error(t, c.Preflight(t.Context(), dst))
		}
		require.Len(t, w.Requests(), asked)
	})
}

// TestLoadFindsFieldsWhereverTheyAre: and makes what is behind a pointer only if there is something for it.
// Mutation: pointers are made in any case.
func TestLoadFindsFieldsWhereverTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := loadWorld(t)
		type other struct {
			Text string `vault:"secret:gone#text,optional"`
		}
		type node struct {
			Next *node
			Text string `vault:"secret:typed#text"`
		}
		type deep struct {
			Port  **int `vault:"secret:typed#port"`
			Other *other
		}
		preset := &deep{Other: &other{Text: "kept"}}
		var cfg struct {
			embedded
			*Exported

			Nested struct {
				A struct {
					deep *int
					On   bool `vault:"secret:typed#on"`
				}
			}
			Deep   *deep
			Nil    *other
			Preset **deep
			List   node
			Clock  *time.Location
			HTTP   *http.Client
		}
		cfg.Preset = &preset
		require.NoError(t, c.Load(t.Context(), &cfg))
		assert.Equal(t, "hello", cfg.Text)
		assert.Equal(t, 8080, cfg.Port)
		assert.True(t, cfg.Nested.A.On)
		assert.Equal(t, 8080, **cfg.Deep.Port)
		assert.Nil(t, cfg.Deep.Other)
		assert.Nil(t, cfg.Nil)
		assert.Equal(t, 8080, **preset.Port)
		assert.Equal(t, "kept", preset.Other.Text)
		assert.Equal(t, "hello", cfg.List.Text)
		assert.Nil(t, cfg.List.Next, "a type that contains itself is searched once")
		assert.Nil(t, cfg.HTTP)
	})
}

type embedded struct {
	Text string `vault:"secret:typed#text"`
}

// Exported is embedded by a pointer.
type Exported struct {
	Port int `vault:"secret:typed#port"`
}

// TestC6OneBadSecretDoesNotHideTheOthers: nor does it wait for an outage of another mount to end, for
// which it has five seconds left. Mutation: the others are not given up.
func TestC6OneBadSecretDoesNotHideTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := loadWorld(t)
		w.Policy("app", append(appPolicy, vaulttest.Rule{Path: "down/data/*", Capabilities: []string{"read"}})...)
		w.MountKV2("down")
		w.Fail(vaulttest.Fault{Path: "down/", Status: http.StatusServiceUnavailable})
		w.DeleteKV("secret", "typed")
		var cfg struct {
			Good      string   `vault:"secret:app/config#banner"`
			Missing   string   `vault:"secret:missing#x"`
			Also      string   `vault:"secret:missing#y"`
			Deleted   string   `vault:"secret:typed#x"`
			Forbidden settings `vault:"other:x"`
			Misfit    int      `vault:"secret:app/config#banner"`
			Down      string   `vault:"down:x#y"`
			Optional  string   `vault:"secret:missing#z,optional"`
		}
		began := time.Now()
		err := c.Load(t.Context(), &cfg)
		assert.InDelta(t, 5, time.Since(began).Seconds(), 0.1)
		for _, part := range []string{
			"fields Missing, Also: leasehold: read secret/missing: no secret", "field Deleted: leasehold: read secret/typed: the version was deleted", "field Forbidden: leasehold: read other/data/x: 403",
			"field Misfit: leasehold: decode secret/app/config#banner: want int", "field Down: leasehold: read down/data/x: 503", "something else cannot be had",
		} {
			require.ErrorContains(t, err, part)
		}
		assert.NotContains(t, err.Error(), "Optional")
		assert.NotContains(t, err.Error(), "Good")
		assert.Empty(t, cfg.Good)
		for _, path := range []string{"secret/data/missing", "secret/data/typed", "secret/data/app/config"} {
			assert.Equal(t, 1, w.Count("GET", path), path)
		}
		var refused *leasehold.Error
		require.ErrorAs(t, err, &refused)
	})
}

// TestC6WhatIsGivenUpForSomethingElseIsNotCanceled: a program that ends takes that for its own doing.
// Mutation: the error is told as it is.
func TestC6WhatIsGivenUpForSomethingElseIsNotCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := loadWorld(t)
		w.Fail(vaulttest.Fault{Path: "database/creds/", Status: http.StatusServiceUnavailable})
		var cfg struct {
			Missing string                                `vault:"secret:missing#x"`
			Creds   *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/app,dynamic"`
			User    string                                `vault:"database:creds/app#username,dynamic"`
		}
		err := c.Load(t.Context(), &cfg)
		require.ErrorIs(t, err, kv.ErrNotFound)
		require.ErrorContains(t, err, "field Creds: leasehold: obtain database/creds/app: 503")
		require.ErrorContains(t, err, "something else cannot be had")
		require.NotErrorIs(t, err, context.Canceled)
		var refused *leasehold.Error
		require.ErrorAs(t, err, &refused)

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err = c.Load(ctx, &cfg)
		require.ErrorIs(t, err, context.Canceled)
		require.NotContains(t, err.Error(), "something else")
	})
}

// TestU4LoadWaitsForWhatMayPass, and no longer than its context. Mutation: a failed Load is told to have waited for all its attempts.
func TestU4LoadWaitsForWhatMayPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := loadWorld(t)
		var cfg struct {
			Text string `vault:"secret:typed#text"`
			Port int    `vault:"secret:app/config#port,default=1"`
		}
		w.Fail(vaulttest.Fault{Path: "secret/", Status: http.StatusServiceUnavailable})
		limited, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		err := c.Load(limited, &cfg)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "field Text: leasehold: read secret/data/typed: 503")
		require.ErrorContains(t, err, "field Port: leasehold: read secret/data/app/config: 503")
		require.LessOrEqual(t, time.Since(began), 3*time.Second)
		time.AfterFunc(20*time.Second, w.ClearFaults)
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.Equal(t, "hello", cfg.Text)
	})
}

// TestLoadAsksForAllAtOnceAndEachOnce, within the budget. Mutation: creations take no slot.
func TestLoadAsksForAllAtOnceAndEachOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.StaticRole("database", "fixed", vaulttest.StaticSpec{Username: "fixed", RotationPeriod: time.Hour})
		w.Policy("app", append(appPolicy, vaulttest.Rule{Path: "database/static-creds/*", Capabilities: []string{"read"}})...)
		var now, most atomic.Int64
		slow := through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if r.Method == http.MethodGet && r.URL.Path != "/v1/auth/token/lookup-self" {
				atMost(&most, now.Add(1))
				defer now.Add(-1)
				time.Sleep(100 * time.Millisecond)
			}
			return next.RoundTrip(r)
		})
		c := w.start(slow, func(c *leasehold.Config) { c.Budget.Requests = 3 })
		for _, path := range []string{"a", "b", "c", "d"} {
			w.PutKV("secret", path, map[string]any{"x": "1", "y": path})
		}
		var cfg mixed
		_ = c.Load(t.Context(), &struct { // the version of the mount is known from now on
			X string `vault:"secret:a#x"`
		}{})
		most.Store(0)
		asked, began := len(w.Requests()), time.Now()
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.EqualValues(t, 3, most.Load())
		require.Len(t, w.Requests(), asked+9)
		require.Equal(t, 300*time.Millisecond, time.Since(began), "nine requests, three at once")
		require.NotEmpty(t, cfg.User)
		require.True(t, w.Alive(cfg.User))
		require.Len(t, w.Leases(), 4)
	})
}

// atMost raises most to n.
func atMost(most *atomic.Int64, n int64) {
	for m := most.Load(); n > m; m = most.Load() {
		if most.CompareAndSwap(m, n) {
			return
		}
	}
}
