package vaulttest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestF17KVVersions(t *testing.T) {
	s := vaulttest.New(t)
	s.MountKV2("team/kv")
	c := inProcess(t, s)
	root := s.RootToken()
	for _, mount := range []string{"secret", "team/kv"} {
		p := mount + "/data/x"
		c.want(200, `"version":1`, root, "POST", p, `{"data":{"a":1}}`)
		c.want(400, "check-and-set parameter did not match the current version", root, "POST", p, `{"data":{},"options":{"cas":0}}`)
		c.want(200, `"version":2`, root, "PUT", p, `{"data":{"a":2},"options":{"cas":1}}`)
		c.want(400, `{"errors":["no data provided"]}`, root, "PUT", p, `{"options":{}}`)
		c.want(200, `"data":{"a":1}`, root, "GET", p+"?version=1", "")
		c.want(404, `{"errors":[]}`, root, "GET", p+"?version=9", "")

		c.want(204, "", root, "DELETE", p, "")
		a := c.want(404, `"data":{"data":null,"metadata":{`, root, "GET", p, "")
		meta, _ := a.secret.Data["metadata"].(map[string]any)
		assert.NotEmpty(t, meta["deletion_time"])
		assert.Equal(t, false, meta["destroyed"])
		c.want(204, "", root, "POST", mount+"/undelete/x", `{"versions":[2]}`)
		c.want(200, `"data":{"a":2}`, root, "GET", p, "")
		c.want(204, "", root, "POST", mount+"/destroy/x", `{"versions":[2]}`)
		c.want(404, `"destroyed":true`, root, "GET", p, "")
		c.want(204, "", root, "POST", mount+"/delete/x", `{"versions":["1"]}`)
		c.want(404, `"destroyed":false`, root, "GET", p+"?version=1", "")
		c.want(400, "o version number provided", root, "POST", mount+"/destroy/x", `{}`)
		c.want(200, `"current_version":2`, root, "GET", mount+"/metadata/x", "")
		c.want(204, "", root, "DELETE", mount+"/metadata/x", "")
		c.want(404, `{"errors":[]}`, root, "GET", p, "")
		c.want(404, `{"errors":[]}`, root, "LIST", mount+"/metadata", "")
		c.want(400, "mime: no media type", root, "PATCH", p, `{}`)
		c.want(400, "cannot write to a path ending in '/'", root, "PUT", p+"/", `{"data":{}}`)
	}
}

func TestKVKeepsTenVersions(t *testing.T) {
	s := vaulttest.New(t)
	for i := range 12 {
		require.Equal(t, i+1, s.PutKV("secret", "x", map[string]any{"n": i}))
	}
	c := inProcess(t, s)
	c.want(404, `{"errors":[]}`, s.RootToken(), "GET", "secret/data/x?version=2", "")
	c.want(200, `"n":2`, s.RootToken(), "GET", "secret/data/x?version=3", "")
	c.want(200, `"oldest_version":3`, s.RootToken(), "GET", "secret/metadata/x", "")
}

func TestKVTakesWhatIsNotAnObject(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	for _, data := range []string{`"text"`, `5`, `[1]`, `true`} {
		c.want(400, "expected a map", s.RootToken(), "PUT", "secret/data/x", `{"data":`+data+`}`)
	}
	c.want(200, `"version":1`, s.RootToken(), "PUT", "secret/data/x", `{"data":null}`)
}

// Of a number beyond 2^53 a float would make another one.
func TestKVKeepsNumbersExactly(t *testing.T) {
	s := vaulttest.New(t)
	s.MountKV1("kv")
	c := inProcess(t, s)
	const number = "9007199254740993"
	s.PutKV("secret", "x", map[string]any{"n": json.Number(number)})
	c.want(200, number, s.RootToken(), "GET", "secret/data/x", "")
	c.want(204, "", s.RootToken(), "PUT", "kv/x", `{"n":`+number+`}`)
	c.want(200, number, s.RootToken(), "GET", "kv/x", "")
	data, _ := s.KV("kv", "x")
	assert.Equal(t, map[string]any{"n": json.Number(number)}, data)
}

// A test reads back what its program wrote.
func TestKVReadsBackWhatIsThere(t *testing.T) {
	s := vaulttest.New(t)
	s.MountKV1("kv")
	c := inProcess(t, s)

	data, version := s.KV("secret", "app/db")
	assert.Nil(t, data)
	assert.Zero(t, version)
	c.want(200, "", s.RootToken(), "PUT", "secret/data/app/db", `{"data":{"password":"x"}}`)
	c.want(200, "", s.RootToken(), "PUT", "secret/data/app/db", `{"data":{"password":"y"}}`)
	data, version = s.KV("secret/", "/app/db")
	assert.Equal(t, map[string]any{"password": "y"}, data)
	assert.Equal(t, 2, version)
	data["password"] = "changed by the test"
	data, _ = s.KV("secret", "app/db")
	assert.Equal(t, map[string]any{"password": "y"}, data)

	c.want(204, "", s.RootToken(), "PUT", "kv/a", `{"b":"c"}`)
	data, version = s.KV("kv", "a")
	assert.Equal(t, map[string]any{"b": "c"}, data)
	assert.Zero(t, version)
	assert.Zero(t, s.PutKV("kv", "a", map[string]any{"b": "d"}))
	c.want(200, `"b":"d"`, s.RootToken(), "GET", "kv/a", "")
}

func TestAnAdministratorDeletesAndDestroysKV(t *testing.T) {
	s := vaulttest.New(t)
	s.MountKV1("kv")
	c := inProcess(t, s)
	root := s.RootToken()
	for range 3 {
		s.PutKV("secret", "x", map[string]any{"a": "b"})
	}
	s.DeleteKV("secret", "x")
	c.want(404, `"destroyed":false`, root, "GET", "secret/data/x", "")
	data, version := s.KV("secret", "x")
	assert.Nil(t, data)
	assert.Equal(t, 3, version)
	s.DeleteKV("secret", "x", 1)
	c.want(404, `"destroyed":false`, root, "GET", "secret/data/x?version=1", "")
	s.DestroyKV("secret", "x", 2)
	c.want(404, `"destroyed":true`, root, "GET", "secret/data/x?version=2", "")
	c.want(204, "", root, "PUT", "secret/undelete/x", `{"versions":[1,2,3]}`)
	c.want(200, "", root, "GET", "secret/data/x", "")
	c.want(404, `"destroyed":true`, root, "GET", "secret/data/x?version=2", "")
	s.DestroyKV("secret", "x")
	c.want(404, `{"errors":[]}`, root, "GET", "secret/metadata/x", "")

	s.PutKV("kv", "x", map[string]any{"a": "b"})
	s.DeleteKV("kv", "x")
	c.want(404, `{"errors":[]}`, root, "GET", "kv/x", "")
	s.PutKV("kv", "x", map[string]any{"a": "b"})
	s.DestroyKV("kv", "x")
	c.want(404, `{"errors":[]}`, root, "GET", "kv/x", "")
}

// notingTB notes what would end the test.
type notingTB struct {
	vaulttest.TB

	fatal []string
}

func (tb *notingTB) Fatalf(format string, args ...any) {
	tb.fatal = append(tb.fatal, fmt.Sprintf(format, args...))
}

// A slip in a test's own set-up ends the test.
func TestKVSetUpThatIsWrong(t *testing.T) {
	for name, wrong := range map[string]func(*vaulttest.Server){
		"no mount":      func(s *vaulttest.Server) { s.PutKV("nowhere", "x", nil) },
		"no KV":         func(s *vaulttest.Server) { s.KV("auth/approle", "x") },
		"other version": func(s *vaulttest.Server) { s.MountKV1("secret") },
		"no path":       func(s *vaulttest.Server) { s.PutKV("secret", "/", nil) },
		"no JSON":       func(s *vaulttest.Server) { s.PutKV("secret", "x", map[string]any{"a": func() {}}) },
		"no secret":     func(s *vaulttest.Server) { s.DeleteKV("secret", "x") },
		"no version":    func(s *vaulttest.Server) { s.PutKV("secret", "x", nil); s.DestroyKV("secret", "x", 2) },
		"no secret 1":   func(s *vaulttest.Server) { s.MountKV1("kv"); s.DestroyKV("kv", "x") },
		"no versions 1": func(s *vaulttest.Server) {
			s.MountKV1("kv")
			s.PutKV("kv", "x", map[string]any{"a": 1})
			s.DeleteKV("kv", "x", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			tb := &notingTB{TB: t}
			wrong(vaulttest.New(tb))
			assert.Len(t, tb.fatal, 1)
		})
	}
}

// delete_version_after ends a version at its instant, in virtual time and by Advance alike.
func TestKVDeletesVersionsByTheirAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		root := s.RootToken()
		c.want(204, "", root, "PUT", "secret/config", `{"delete_version_after":"1h"}`)
		c.want(200, "", root, "PUT", "secret/data/x", `{"data":{"a":"b"}}`)
		time.Sleep(time.Hour - time.Nanosecond)
		c.want(200, `"a":"b"`, root, "GET", "secret/data/x", "")
		time.Sleep(time.Nanosecond)
		c.want(404, `"data":null`, root, "GET", "secret/data/x", "")
		c.want(404, `"subkeys":null`, root, "GET", "secret/subkeys/x", "")
		data, version := s.KV("secret", "x")
		assert.Nil(t, data)
		assert.Equal(t, 1, version)

		c.want(204, "", root, "PUT", "secret/undelete/x", `{"versions":1}`)
		s.Advance(59 * time.Minute)
		c.want(200, `"a":"b"`, root, "GET", "secret/data/x", "")
		c.want(204, "", root, "PUT", "secret/config", `{"delete_version_after":"-1s"}`)
		s.Advance(time.Minute)
		c.want(404, `"data":null`, root, "GET", "secret/data/x", "")
		c.want(200, `"deletion_time":""`, root, "PUT", "secret/data/x", `{"data":{}}`)
	})
}

// A delete that happens at the very instant of the write is seen by a read at that instant: time
// stands still in a bubble.
func TestKVDeleteAndReadWhileTimeStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		s.PutKV("secret", "x", map[string]any{"a": "b"})
		c.want(204, "", s.RootToken(), "DELETE", "secret/data/x", "")
		c.want(404, `"data":null`, s.RootToken(), "GET", "secret/data/x", "")
	})
}

// An old version must not change with what is patched onto it.
func TestKVPatchLeavesTheOldVersionAlone(t *testing.T) {
	s := vaulttest.New(t)
	s.PutKV("secret", "x", map[string]any{"o": map[string]any{"a": "1", "b": map[string]any{"c": "2"}}})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "http://vault.invalid/v1/secret/data/x", strings.NewReader(`{"data":{"o":{"a":null,"b":{"c":"3"}}}}`))
	require.NoError(t, err)
	req.Header = http.Header{"X-Vault-Token": {s.RootToken()}, "Content-Type": {"application/merge-patch+json"}}
	resp, err := s.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	c := inProcess(t, s)
	c.want(200, `{"o":{"b":{"c":"3"}}}`, s.RootToken(), "GET", "secret/data/x", "")
	c.want(200, `{"o":{"a":"1","b":{"c":"2"}}}`, s.RootToken(), "GET", "secret/data/x?version=1", "")
}
