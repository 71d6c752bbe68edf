package kv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/secret"
)

// Canaries take the place of an x and a y in what the fuzzer makes up. The first looks like no name of a
// field, which an error of RefuseUnknown may show; the second is a number as well.
const (
	canaryText   = "hvs.CAES!"
	canaryNumber = "8675309"
)

type noisy string

func (*noisy) UnmarshalText(b []byte) error { return fmt.Errorf("cannot read %s", b) }

type fuzzed struct {
	Name    secret.String            `json:"name"`
	Blob    *secret.Bytes            `json:"blob"`
	Port    int8                     `json:"port,string"`
	Noisy   []noisy                  `json:"noisy"`
	ByNoisy map[noisy]int            `json:"by_noisy"`
	Nested  map[string][]fuzzedInner `json:"nested"`
	When    time.Time                `json:"when"`
	Any     any                      `json:"any"`
	*fuzzedOuter
}

type fuzzedInner struct {
	List [2]float32   `json:"list"`
	Self *fuzzedInner `json:"self"`
}

type fuzzedOuter struct {
	Key map[secret.String]bool `json:"key"`
}

func decodes[T any](raw *Raw, strict strictness) error {
	_, err := decode[T]("secret/app", raw, strict)
	return err
}

// FuzzDecode gives whole answers of a server, and of who pretends to be one: none of their values is in an
// error, and none of them is a panic.
func FuzzDecode(f *testing.F) {
	for _, data := range []string{
		`{"name": "x", "port": "1", "noisy": ["x"], "any": {"x": [y, 1e999, null]}}`, `{"port": "x"}`, `{"port": y}`, `{"by_noisy": {"x": 1}}`, `{"blob": "x"}`,
		`{"nested": {"x": [{"list": [1, "x"]}, {"self": {"self": {"self": "x"}}}]}}`, `{"when": "x"}`, `{"key": {"x": "x"}}`, `{"x": "x", "KEY": 1}`, `{"name": {"x": "x"}, "name": "x"}`,
		`null`, `"x"`, `["x"]`, `{"name": "\ud800x"}`, "{\"name\": \"\x00\xffx\"}", strings.Repeat(`{"any":`, 100) + `"x"` + strings.Repeat(`}`, 100),
	} {
		f.Add([]byte(`{"data": {"data": ` + data + `, "metadata": {"version": 1, "created_time": "2026-01-01T00:00:00Z"}}, "lease_duration": 9223372036854775807}`))
		f.Add([]byte(`{"data": ` + data + `, "lease_duration": -1}`))
	}
	for _, whole := range []string{
		`{"data": {"metadata": {"version": 2, "deletion_time": "x"}}}`, `{"data": {"metadata": {"version": 2, "deletion_time": "2026-01-01T00:00:00Z", "destroyed": true}}}`,
		`{"errors": ["x"]}`, `{"warnings": ["versioned K/V x"]}`, `x`, ``, `{"data": x}`, `{"data": {"data": {"name": "x"}, "metadata": "x"}}`, `{"lease_duration": y.5}`,
	} {
		f.Add([]byte(whole))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		body = bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("x"), []byte(canaryText)), []byte("y"), []byte(canaryNumber))
		tell := func(what string, err error, canaries ...string) {
			text := fmt.Sprintf("%v %+v %#v", err, err, err)
			for _, canary := range canaries {
				if err != nil && strings.Contains(text, canary) {
					t.Errorf("%s of %q: %s", what, body, text)
				}
			}
		}
		for _, version := range []int{1, 2} {
			raw := &Raw{body: body, engine: version}
			for what, decoded := range map[string]func(*Raw, strictness) error{
				"struct": decodes[fuzzed], "pointer": decodes[**fuzzed], "map": decodes[map[string]any], "any": decodes[any], "list": decodes[[]string],
				"texts": decodes[map[secret.String]secret.String], "bytes": decodes[map[noisy]secret.Bytes],
			} {
				tell(what, decoded(raw, strictness{}), canaryText, canaryNumber)
				tell(what, decoded(raw, strictness{unknown: true, missing: true}), canaryText)
			}
		}
		var answer notFound
		if json.Unmarshal(body, &answer) == nil && answer.Data != nil {
			_, err := answer.Data.metadata()
			_ = err // may quote the time: see readNotFound, which does not pass it on
		}
	})
}

// TestMisfitGivesUpDeepInside, since each level is decoded again.
func TestMisfitGivesUpDeepInside(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"self":`, 2000) + `"` + canaryText + `"` + strings.Repeat(`}`, 2000)
	err := decodes[map[string]fuzzedInner](&Raw{body: []byte(`{"data": {"a": ` + deep + `}}`), engine: 1}, strictness{})
	var misfit *DecodeError
	require.ErrorAs(t, err, &misfit)
	require.Equal(t, DecodeError{Path: "secret/app", Field: "[*]" + strings.Repeat(".self", deepestField/2), Want: "*kv.fuzzedInner"}, *misfit)
}
