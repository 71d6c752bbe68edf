package vaulttest_test

import (
	"fmt"
	"testing"

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
		if meta := a.secret.Data["metadata"].(map[string]any); meta["deletion_time"] == "" || meta["destroyed"] != false {
			t.Fatal(a.text)
		}
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
		c.want(501, "does not model", root, "PATCH", p, `{}`)
		c.want(400, "cannot write to a path ending in '/'", root, "PUT", p+"/", `{"data":{}}`)
	}
}

func TestKVKeepsTenVersions(t *testing.T) {
	s := vaulttest.New(t)
	for i := range 12 {
		s.PutKV("secret", "x", map[string]any{"n": i})
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
		c.want(400, "expected a map", s.RootToken(), "PUT", "secret/data/x", fmt.Sprintf(`{"data":%s}`, data))
	}
	c.want(200, `"version":1`, s.RootToken(), "PUT", "secret/data/x", `{"data":null}`)
}
