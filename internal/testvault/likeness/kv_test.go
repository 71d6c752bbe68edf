package likeness

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// mergePatch is the one type that PATCH takes.
var mergePatch = map[string]string{"Content-Type": "application/merge-patch+json"}

// newKVPair also makes a root token of the same display name on both sides, which KV notes.
func newKVPair(t *testing.T) *pair {
	t.Helper()
	p := newPair(t)
	p.play(step{as: "root", do: "POST auth/token/create", body: `{"policies":["root"],"display_name":"admin"}`, save: "admin=auth.client_token"})
	return p
}

// each makes a step of each body.
func each(as, do string, bodies ...string) []step {
	var steps []step
	for _, body := range bodies {
		s := step{as: as, do: do, body: body}
		if strings.HasPrefix(do, "PATCH ") {
			s.header = mergePatch
		}
		steps = append(steps, s)
	}
	return steps
}

func TestKVPathsAreAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	paths := []string{
		"", "/", "/data", "/data/", "/metadata", "/metadata/", "/delete", "/delete/", "/undelete", "/undelete/", "/destroy",
		"/destroy/", "/subkeys", "/subkeys/", "/config", "/config/", "/config/x", "/configx", "/foo", "/foo/bar", "/data/zz",
		"/data/zz/", "/metadata/zz", "/metadata/zz/", "/subkeys/zz", "/subkeys/zz/", "/delete/zz", "/delete/zz/", "/undelete/zz", "/destroy/zz", "/datax/y",
	}
	for _, method := range []string{"GET", "HEAD", "LIST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
		for _, path := range paths {
			p.play(step{as: "admin", do: method + " secret" + path, header: mergePatch})
		}
	}
	p.play(
		step{as: "admin", do: "POST secret/data//b"},
		step{as: "admin", do: "POST secret/data/x/../b"},
		step{do: "GET secret/data/b"},
		step{do: "POST secret/data/b/"},
	)
}

func TestKVDataIsAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	p.play(
		step{as: "admin", do: "POST secret/data/a", body: `{"data":{"a":1,"b":1.5,"n":null,"o":{"x":1,"y":{}},"l":[],"t":"<&>é"}}`},
		step{as: "admin", do: "GET secret/data/a"},
		step{as: "admin", do: "PUT secret/data/a", body: `{"data":{"a":1},"foo":1,"bar":2}`},
		step{as: "admin", do: "POST secret/data/a", body: `{"data":{"a":1},"path":"zz","version":"5"}`},
	)
	p.play(each("admin", "POST secret/data/a",
		`{"data":{"a":1},"version":"x5"}`, `{"data":{"a":1},"options":"x"}`, `{"data":{"a":1},"options":null}`, `{"data":{"a":1},"options":{}}`,
		`{"data":{"a":1},"options":[{"cas":5}]}`,
		`{"data":[]}`, `{"data":[{"a":1},{"b":2}]}`, `{"data":[1]}`, `{"data":[{"a":1},[true]]}`, `{"data":""}`, `{"data":"x"}`, `{"data":5}`, `{"data":true}`,
		`{}`, ``, `[]`, `{`, `"x"`, `5`, `null`, `{"options":{}}`, `{"data":{"a":1},"path":null}`,
	)...)
	for _, query := range []string{
		"", "?version=", "?version=0", "?version=1", "?version=2", "?version=99", "?version=-1", "?version=0x1", "?version=x", "?version=1.5", "?version=%201",
		"?version=99999999999999999999", "?foo=1", "?foo=1&bar=2", "?path=zz", "?data=1", "?options=1", "?version=1&foo=2", "?list=false", "?list=x", "?list=true", "?list=T",
	} {
		p.play(step{as: "admin", do: "GET secret/data/a" + query})
	}
	p.play(
		step{as: "admin", do: "GET secret/data/none"},
		step{as: "admin", do: "GET secret/data/none?version=1"},
		step{as: "admin", do: "GET secret/data/none?version=x"},
		step{as: "admin", do: "GET secret/data/none?foo=x"},
		step{as: "admin", do: "DELETE secret/data/none"},
		step{as: "admin", do: "POST secret/data/nil", body: `{"data":null}`},
		step{as: "admin", do: "GET secret/data/nil"},
		step{as: "admin", do: "GET secret/subkeys/nil"},
		step{as: "admin", do: "PATCH secret/data/nil", body: `{"data":{"a":1}}`, header: mergePatch},
		step{as: "admin", do: "POST secret/data/deep/er/x", body: `{"data":{}}`},
		step{as: "admin", do: "GET secret/data/deep/er/x"},
		step{as: "admin", do: "GET secret/data/deep/er"},
		step{as: "admin", do: "POST secret/data/with%20space", body: `{"data":{"a":"b"}}`},
		step{as: "admin", do: "GET secret/data/with%20space"},
		step{as: "admin", do: "POST secret/data/query?version=x", body: `{"data":{"a":"b"}}`},
		step{as: "admin", do: "DELETE secret/data/a?version=x"},
		step{as: "admin", do: "DELETE secret/data/a?foo=x"},
		step{as: "admin", do: "GET secret/data/a"},
		step{as: "admin", do: "GET secret/data/a?foo=1"},
		step{as: "admin", do: "DELETE secret/data/a"},
	)
}

func TestKVCheckAndSetIsAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	p.play(each("admin", "POST secret/data/c",
		`{"data":{},"options":{"cas":1}}`, `{"data":{},"options":{"cas":0}}`, `{"data":{},"options":{"cas":0}}`, `{"data":{},"options":{"cas":"1"}}`,
		`{"data":{},"options":{"cas":null}}`, `{"data":{},"options":{"cas":"x"}}`, `{"data":{},"options":{"cas":-1}}`, `{"data":{},"options":{"cas":true}}`,
		`{"data":{},"options":{"cas":1.5}}`, `{"data":{},"options":{"cas":""}}`, `{"data":{},"options":{"cas":[2]}}`, `{"data":{},"options":{"cas":{}}}`,
		`{"data":{},"options":{"cas":"0x2"}}`, `{"data":{},"options":{"Cas":1}}`, `{"options":{"cas":9}}`,
	)...)
	p.play(
		step{as: "admin", do: "DELETE secret/data/c"},
		step{as: "admin", do: "POST secret/data/c", body: `{"data":{},"options":{"cas":0}}`},
		step{as: "admin", do: "POST secret/data/c", body: `{"data":{},"options":{"cas":4}}`},
		step{as: "admin", do: "POST secret/data/c", body: `{"data":{},"options":{"cas":5}}`},
		step{as: "admin", do: "POST secret/destroy/c", body: `{"versions":[5,6]}`},
		step{as: "admin", do: "POST secret/data/c", body: `{"data":{},"options":{"cas":0}}`},
		step{as: "admin", do: "GET secret/metadata/c"},

		step{as: "admin", do: "POST secret/metadata/c", body: `{"cas_required":true}`},
		step{as: "admin", do: "POST secret/data/c", body: `{"data":{}}`},
		step{as: "admin", do: "POST secret/data/c", body: `{"data":{},"options":{}}`},
		step{as: "admin", do: "POST secret/data/c", body: `{"options":{}}`},
		step{as: "admin", do: "PATCH secret/data/c", body: `{"data":{}}`, header: mergePatch},
		step{as: "admin", do: "POST secret/data/c", body: `{"data":{},"options":{"cas":5}}`},
		step{as: "admin", do: "POST secret/data/c", body: `{"data":{},"options":{"cas":6}}`},

		step{as: "admin", do: "POST secret/config", body: `{"cas_required":true}`},
		step{as: "admin", do: "POST secret/data/new", body: `{"data":{}}`},
		step{as: "admin", do: "POST secret/data/new", body: `{"data":{},"options":{"cas":0}}`},
		step{as: "admin", do: "PATCH secret/data/new", body: `{"data":{}}`, header: mergePatch},
		step{as: "admin", do: "PATCH secret/data/new", body: `{"data":{},"options":{"cas":1}}`, header: mergePatch},
		step{as: "admin", do: "POST secret/metadata/new", body: `{"cas_required":false}`},
		step{as: "admin", do: "POST secret/metadata/new", body: `{"cas_required":false,"foo":1}`},
		step{as: "admin", do: "POST secret/metadata/new", body: `{"cas_required":true,"foo":1}`},
		step{as: "admin", do: "PATCH secret/metadata/new", body: `{"cas_required":false}`, header: mergePatch},
		step{as: "admin", do: "PATCH secret/metadata/new", body: `{"cas_required":false,"foo":1}`, header: mergePatch},
		step{as: "admin", do: "POST secret/metadata/new2", body: `{"cas_required":null}`},
		step{as: "admin", do: "GET secret/metadata/new2"},
	)
}

func TestKVPatchIsAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	p.play(step{as: "admin", do: "POST secret/data/p", body: `{"data":{"a":1,"o":{"x":1,"y":2,"d":{"e":1}},"l":[1],"n":null}}`})
	for _, contentType := range []string{"", "application/json", "application/x-www-form-urlencoded", "a b", "text/", "a;b;c", "application/merge-patch+json; charset=utf-8", "Application/Merge-Patch+JSON"} {
		p.play(step{as: "admin", do: "PATCH secret/data/p", body: `{"data":{"c":1}}`, header: map[string]string{"Content-Type": contentType}})
	}
	for _, body := range []string{
		`{"data":{"a":null,"o":{"x":null,"z":{"q":null,"r":1}},"n":null,"new":{"k":null}}}`, `{"data":{"l":[{"x":null},null,[{"y":null}]]}}`,
		`{"data":{"o":[{"x":null}]}}`, `{"data":{"o":{"x":{"y":null}}}}`, `{"data":{"o":"text","l":{"m":null,"k":1}}}`, `{"data":{"none":null}}`,
		`{}`, ``, `{"data":{}}`, `x`, `[]`, `{"data":"x"}`, `{"data":[]}`, `{"data":[{"q":1}]}`, `{"data":[1]}`, `{"data":{"a":1},"options":{"cas":1}}`, `{"data":{"a":1},"options":{"cas":"x"}}`,
		`{"data":{"a":1},"foo":1}`, `{"data":{"a":1},"version":"x"}`, `{"data":{"a":1},"path":"x"}`, `{"options":{"cas":1}}`,
	} {
		p.play(each("admin", "PATCH secret/data/p", body)...)
		p.play(step{as: "admin", do: "GET secret/data/p"})
	}
	p.play(each("admin", "PATCH secret/data/none", `{"data":{"a":1}}`, `{}`, `{"data":{"a":1},"options":{"cas":1}}`, `{"data":5}`, `{"data":{},"foo":1}`)...)
	p.play(step{as: "admin", do: "DELETE secret/data/p"})
	p.play(each("admin", "PATCH secret/data/p", `{"data":{"a":1}}`, `{}`, `{"data":{"a":1},"options":{"cas":1}}`, `{"data":{"a":1},"foo":1}`)...)
	p.play(step{as: "admin", do: "POST secret/destroy/p", body: `{"versions":"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"}`})
	p.play(each("admin", "PATCH secret/data/p", `{"data":{"a":1}}`)...)
	p.play(
		step{as: "admin", do: "POST secret/data/q", body: `{"data":{"a":1}}`},
		step{as: "admin", do: "PATCH secret/data/q", body: `{"data":null}`, header: mergePatch},
		step{as: "admin", do: "GET secret/data/q"},
		step{as: "admin", do: "PATCH secret/data/q", body: `{"data":{"a":1}}`, header: mergePatch},
		step{as: "admin", do: "GET secret/metadata/q"},
		step{as: "admin", do: "POST secret/metadata/m", body: `{"max_versions":1}`},
		step{as: "admin", do: "PATCH secret/data/m", body: `{"data":{"a":1}}`, header: mergePatch},
	)
}

func TestKVVersionsAreAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	p.play(
		step{as: "admin", do: "POST secret/data/v", body: `{"data":{"n":1}}`},
		step{as: "admin", do: "POST secret/data/v", body: `{"data":{"n":2}}`},
		step{as: "admin", do: "POST secret/data/v", body: `{"data":{"n":3}}`},
	)
	for _, area := range []string{"delete", "undelete", "destroy"} {
		p.play(each("admin", "POST secret/"+area+"/v",
			`{}`, ``, `{"versions":[]}`, `{"versions":null}`, `{"versions":""}`, `{"versions":"x"}`, `{"versions":"1,x"}`, `{"versions":["x"]}`, `{"versions":{}}`,
			`{"versions":{"a":1}}`, `{"versions":1.5}`, `{"versions":[1.5]}`, `{"versions":[[1]]}`, `{"versions":[null]}`, `{"versions":[-1]}`,
			`{"versions":"8, 9"}`, `{"versions":"8,9"}`, `{"versions":9}`, `{"versions":[9],"foo":1}`, `{"versions":["0x9"]}`, `{"versions":["a","b"]}`, `{"versions":[false,""]}`, `{"versions":true}`,
			`{"versions":[99999999999999999999]}`,
		)...)
		p.play(
			step{as: "admin", do: "PUT secret/" + area + "/none", body: `{"versions":[1]}`},
			step{as: "admin", do: "GET secret/metadata/v"},
			step{as: "admin", do: "POST secret/undelete/v", body: `{"versions":[1]}`},
			step{as: "admin", do: "POST secret/" + area + "/v", body: `{"versions":["2"]}`},
			step{as: "admin", do: "GET secret/data/v?version=2"},
			step{as: "admin", do: "GET secret/subkeys/v?version=2"},
			step{as: "admin", do: "GET secret/data/v"},
			step{as: "admin", do: "GET secret/metadata/v"},
			step{as: "admin", do: "POST secret/undelete/v", body: `{"versions":[2]}`},
			step{as: "admin", do: "GET secret/data/v?version=2"},
			step{as: "admin", do: "GET secret/metadata/v"},
		)
	}
	p.play(
		step{as: "admin", do: "DELETE secret/data/v"},
		step{as: "admin", do: "DELETE secret/data/v"},
		step{as: "admin", do: "GET secret/data/v"},
		step{as: "admin", do: "GET secret/metadata/v"},
		step{as: "admin", do: "POST secret/data/v", body: `{"data":{"n":4}}`},
		step{as: "admin", do: "GET secret/data/v"},
		step{as: "admin", do: "DELETE secret/metadata/v"},
		step{as: "admin", do: "GET secret/metadata/v"},
		step{as: "admin", do: "GET secret/data/v?version=1"},
		step{as: "admin", do: "POST secret/undelete/v", body: `{"versions":[1]}`},
		step{as: "admin", do: "POST secret/data/v", body: `{"data":{"n":1}}`},
		step{as: "admin", do: "GET secret/metadata/v"},
	)
}

func TestKVMaxVersionsIsAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	write := func(path string, times int) {
		for range times {
			p.play(step{as: "admin", do: "POST secret/data/" + path, body: `{"data":{}}`})
			p.play(step{as: "admin", do: "GET secret/metadata/" + path})
		}
	}
	write("ten", 12)
	p.play(step{as: "admin", do: "GET secret/data/ten?version=2"}, step{as: "admin", do: "GET secret/data/ten?version=3"})
	p.play(step{as: "admin", do: "POST secret/metadata/ten", body: `{"max_versions":2}`}, step{as: "admin", do: "GET secret/data/ten?version=4"})
	write("ten", 2)
	p.play(step{as: "admin", do: "POST secret/metadata/ten", body: `{"max_versions":4}`})
	write("ten", 4)
	p.play(step{as: "admin", do: "POST secret/config", body: `{"max_versions":3}`})
	write("ten", 2)
	write("three", 5)
	p.play(step{as: "admin", do: "POST secret/metadata/three", body: `{"max_versions":1}`})
	write("three", 2)
	p.play(step{as: "admin", do: "POST secret/config", body: `{"max_versions":0}`})
	write("three", 2)
	write("fresh", 1)
	p.play(step{as: "admin", do: "POST secret/metadata/many", body: `{"max_versions":-1}`})
	write("many", 2)
}

func TestKVMetadataIsAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	look := step{as: "admin", do: "GET secret/metadata/m"}
	p.play(each("admin", "POST secret/metadata/m", `{}`, ``, `{"foo":1}`, `{"exclude_deleted":true}`, `{"path":"x"}`)...)
	p.play(look,
		step{as: "admin", do: "POST secret/metadata/m", body: `{"max_versions":2,"delete_version_after":"1h30m","custom_metadata":{"a":"b","n":5,"t":true,"f":1.5},"foo":1}`},
		look,
		step{as: "admin", do: "GET secret/data/m"},
		step{as: "admin", do: "GET secret/subkeys/m"},
		step{as: "admin", do: "DELETE secret/data/m"},
		step{as: "admin", do: "POST secret/delete/m", body: `{"versions":[1]}`},
		look,
		step{as: "admin", do: "POST secret/data/m", body: `{"data":{"a":1}}`},
		step{as: "admin", do: "GET secret/data/m"},
		step{as: "admin", do: "GET secret/subkeys/m"},
		look,
		step{as: "admin", do: "GET secret/metadata/m?foo=1"},
		step{as: "admin", do: "GET secret/metadata/m?max_versions=x"},
		step{as: "admin", do: "DELETE secret/metadata/m?max_versions=x"},
	)
	many := func(n int) string {
		var entries []string
		for i := range n {
			entries = append(entries, fmt.Sprintf(`"k%d":"v"`, i))
		}
		return `{"custom_metadata":{` + strings.Join(entries, ",") + `}}`
	}
	bodies := []string{
		`{"max_versions":"x"}`, `{"max_versions":-1}`, `{"max_versions":1.5}`, `{"max_versions":4294967299}`, `{"max_versions":null}`, `{"max_versions":true}`, `{"max_versions":"7"}`,
		`{"max_versions":[]}`, `{"max_versions":{}}`, `{"max_versions":""}`, `{"cas_required":"x"}`, `{"cas_required":2}`, `{"cas_required":1}`, `{"cas_required":null}`, `{"cas_required":[1]}`, `{"cas_required":""}`,
		`{"delete_version_after":"-1s"}`, `{"delete_version_after":"x"}`, `{"delete_version_after":true}`, `{"delete_version_after":"1d"}`, `{"delete_version_after":"xd"}`, `{"delete_version_after":90}`,
		`{"delete_version_after":null}`, `{"delete_version_after":1.5}`, `{"delete_version_after":"1.5s"}`, `{"delete_version_after":"1500ms"}`, `{"delete_version_after":[]}`, `{"delete_version_after":""}`,
		`{"delete_version_after":"9999999999999999"}`, `{"delete_version_after":"0s"}`, `{"delete_version_after":-90}`,
		`{"custom_metadata":"x"}`, `{"custom_metadata":{"a":{}}}`, `{"custom_metadata":{"a":[]}}`, `{"custom_metadata":{"a":["x"]}}`, `{"custom_metadata":{"a":""}}`, `{"custom_metadata":{"a":null}}`, `{"custom_metadata":{"":"x"}}`,
		`{"custom_metadata":{"a\u0007":"x"}}`, `{"custom_metadata":{"a":"x\u0007"}}`, `{"custom_metadata":{"\u0007":""}}`, `{"custom_metadata":{"a":false}}`, `{"custom_metadata":{"a":"é ü"}}`,
		`{"custom_metadata":{"` + strings.Repeat("k", 128) + `":"v"}}`, `{"custom_metadata":{"` + strings.Repeat("k", 129) + `":"v"}}`,
		`{"custom_metadata":{"a":"` + strings.Repeat("v", 512) + `"}}`, `{"custom_metadata":{"a":"` + strings.Repeat("v", 513) + `"}}`, many(64), many(65),
		`{"custom_metadata":[{"a":"1"},{"b":"2"}]}`, `{"custom_metadata":[]}`, `{"custom_metadata":{"a":"1"}}`, `{"custom_metadata":{}}`, `{"custom_metadata":{"a":"1"}}`, `{"custom_metadata":null}`,
		`{"exclude_deleted":"x"}`, `{"foo":1}`,
	}
	for _, method := range []string{"POST", "PATCH"} {
		for _, body := range bodies {
			p.play(each("admin", method+" secret/metadata/m", body)...)
			p.play(look)
		}
	}
	p.play(step{as: "admin", do: "POST secret/metadata/m", body: `{"custom_metadata":{"a":"1","b":"2"}}`})
	for _, body := range []string{
		`{"custom_metadata":{"a":null,"c":"3"}}`, `{"custom_metadata":{"c":null}}`, `{"custom_metadata":{"d":4}}`, `{"custom_metadata":{"d":true}}`, `{"custom_metadata":{"none":null}}`,
		`{"custom_metadata":{"b":null}}`, `{"cas_required":true}`, `{"max_versions":9,"delete_version_after":"2h"}`, ``, `{}`,
	} {
		p.play(each("admin", "PATCH secret/metadata/m", body)...)
		p.play(look)
	}
	p.play(each("admin", "PATCH secret/metadata/none", `{"max_versions":3}`, `{}`, `{"max_versions":"x"}`, `{"custom_metadata":{"a":""}}`)...)
	p.play(step{as: "admin", do: "PATCH secret/metadata/m", body: `{}`, header: map[string]string{"Content-Type": "application/json"}})
}

func TestKVConfigIsAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	for _, body := range []string{
		`{}`, ``, `{"max_versions":3,"cas_required":true,"delete_version_after":"1h","foo":1}`, `{"max_versions":"x"}`, `{"max_versions":-1}`, `{"cas_required":"x"}`, `{"delete_version_after":"x"}`,
		`{"delete_version_after":"-5s"}`, `{"delete_version_after":0}`, `{"delete_version_after":"-1s"}`, `{"delete_version_after":null}`, `{"delete_version_after":"-100ms"}`, `{"delete_version_after":""}`,
		`{"max_versions":null}`, `{"max_versions":4294967299}`, `{"max_versions":0}`, `{"cas_required":null}`, `[]`, `{"delete_version_after":[]}`, `{"delete_version_after":"1d"}`,
	} {
		p.play(each("admin", "POST secret/config", body)...)
		p.play(step{as: "admin", do: "GET secret/config"})
	}
	p.play(step{as: "admin", do: "GET secret/config?foo=1"}, step{as: "admin", do: "GET secret/config?max_versions=x"})
}

func TestKVDeleteVersionAfterIsAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	write := func() {
		p.play(
			step{as: "admin", do: "POST secret/data/d", body: `{"data":{"a":1}}`},
			step{as: "admin", do: "GET secret/data/d"},
			step{as: "admin", do: "LIST secret/metadata?exclude_deleted=true"},
		)
	}
	for _, after := range []string{"0s", "1h", "-1s", "3h"} {
		p.play(step{as: "admin", do: "POST secret/config", body: `{"delete_version_after":"` + after + `"}`})
		for _, own := range []string{"0s", "2h"} {
			p.play(step{as: "admin", do: "POST secret/metadata/d", body: `{"delete_version_after":"` + own + `"}`})
			write()
			p.play(
				step{as: "admin", do: "DELETE secret/data/d"},
				step{as: "admin", do: "GET secret/data/d"},
				step{as: "admin", do: "POST secret/undelete/d", body: `{"versions":[1,2,3,4,5,6,7,8,9]}`},
				step{as: "admin", do: "GET secret/data/d"},
				step{as: "admin", do: "GET secret/metadata/d"},
			)
		}
	}
}

func TestKVListsAreAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	for _, path := range []string{"b", "a", "f/x", "f/g/y", "f", "B", "z/only/deep", "a.b", "a-b"} {
		p.play(step{as: "admin", do: "POST secret/data/" + path, body: `{"data":{}}`})
	}
	p.play(step{as: "admin", do: "DELETE secret/data/b"}, step{as: "admin", do: "POST secret/destroy/a", body: `{"versions":[1]}`}, step{as: "admin", do: "POST secret/metadata/empty", body: `{"max_versions":1}`})
	for _, path := range []string{"", "/", "/f", "/f/", "/f/g", "/f/g/", "/z", "/z/only", "/none", "/none/", "/a", "/b", "/f/x", "/f/g/y"} {
		for _, query := range []string{"", "?exclude_deleted=true", "?exclude_deleted=false", "?exclude_deleted=x", "?foo=1"} {
			p.play(step{as: "admin", do: "LIST secret/metadata" + path + query})
		}
		p.play(step{as: "admin", do: "GET secret/metadata" + path + "?list=true"}, step{as: "admin", do: "GET secret/metadata" + path + "?list=1&foo=1"})
	}
	p.play(
		step{as: "admin", do: "DELETE secret/metadata/f"},
		step{as: "admin", do: "LIST secret/metadata/f"},
		step{as: "admin", do: "LIST secret/metadata"},
		step{as: "admin", do: "DELETE secret/metadata/none"},
	)
}

func TestKVSubkeysAreAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	p.play(
		step{as: "admin", do: "POST secret/data/s", body: `{"data":{"a":1,"n":null,"o":{"x":1,"y":{"z":{}}},"l":[{"q":1}],"e":{}}}`},
		step{as: "admin", do: "POST secret/data/s", body: `{"data":{}}`},
	)
	for _, query := range []string{"", "?depth=0", "?depth=1", "?depth=2", "?depth=3", "?depth=x", "?depth=-1", "?version=2", "?version=3", "?version=x", "?version=0", "?foo=1", "?path=x", "?depth="} {
		if !strings.Contains(query, "version") {
			query += map[bool]string{true: "?", false: "&"}[query == ""] + "version=1"
		}
		p.play(step{as: "admin", do: "GET secret/subkeys/s" + query})
	}
	p.play(
		step{as: "admin", do: "GET secret/subkeys/s"},
		step{as: "admin", do: "DELETE secret/data/s"},
		step{as: "admin", do: "GET secret/subkeys/s"},
		step{as: "admin", do: "GET secret/subkeys/none"},
		step{as: "admin", do: "GET secret/subkeys/none?depth=x"},
		step{as: "admin", do: "POST secret/destroy/s", body: `{"versions":[1]}`},
		step{as: "admin", do: "GET secret/subkeys/s?version=1"},
	)
}

func TestKVPoliciesAreAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	p.real.Policy("p", `
		path "secret/data/read" { capabilities = ["read"] }
		path "secret/data/create" { capabilities = ["create"] }
		path "secret/data/update" { capabilities = ["update"] }
		path "secret/data/patch" { capabilities = ["patch"] }
		path "secret/data/delete" { capabilities = ["delete"] }
		path "secret/metadata/create" { capabilities = ["create"] }
		path "secret/metadata/patch" { capabilities = ["patch", "read"] }
		path "secret/metadata/list/*" { capabilities = ["list"] }
		path "secret/metadata/update" { capabilities = ["update"] }
		path "secret/delete/update" { capabilities = ["update"] }
		path "secret/destroy/create" { capabilities = ["create"] }`)
	rule := func(path string, capabilities ...string) vaulttest.Rule {
		return vaulttest.Rule{Path: path, Capabilities: capabilities}
	}
	p.fake.Policy("p", rule("secret/data/read", "read"), rule("secret/data/create", "create"), rule("secret/data/update", "update"),
		rule("secret/data/patch", "patch"), rule("secret/data/delete", "delete"), rule("secret/metadata/create", "create"), rule("secret/metadata/patch", "patch", "read"),
		rule("secret/metadata/list/*", "list"), rule("secret/metadata/update", "update"), rule("secret/delete/update", "update"), rule("secret/destroy/create", "create"))
	p.play(step{as: "admin", do: "POST auth/token/create", body: `{"policies":["p"],"display_name":"joe"}`, save: "joe=auth.client_token"})
	p.know("dead", "hvs.dead", "hvs.dead")
	for _, who := range []string{"joe", "dead", ""} {
		for _, method := range []string{"GET", "HEAD", "LIST", "DELETE", "OPTIONS", "PATCH", "POST", "PUT"} {
			for _, path := range []string{"data/read", "data/create", "data/update", "data/patch", "data/delete", "data/no", "metadata/create", "metadata/patch", "metadata/update", "metadata/list/x", "metadata/list", "delete/update", "destroy/create", "config", "subkeys/x", "nope"} {
				p.play(step{as: who, do: method + " secret/" + path, body: `{"data":{"a":1},"max_versions":3}`, header: mergePatch})
			}
		}
		// What has a wrong type is refused before the policies are asked, on some paths.
		p.play(each(who, "POST secret/data/no", `{"data":5}`, `{"data":{}}`, `{`)...)
		p.play(each(who, "POST secret/metadata/no", `{"max_versions":"x"}`)...)
		p.play(each(who, "POST secret/delete/no", `{"versions":"x"}`)...)
		p.play(each(who, "POST secret/config", `{"max_versions":"x"}`)...)
		p.play(each(who, "POST secret/data/no/", `{"data":5}`)...)
		p.play(each(who, "PATCH secret/data/no", `{"data":5}`, `{`)...)
		p.play(step{as: who, do: "PATCH secret/data/no", body: `{}`, header: map[string]string{"Content-Type": "application/json"}})
		for _, path := range []string{"secret", "secret/", "secret/data", "secret/data/read", "secret/other/path", "nothing", "nothing/here"} {
			p.play(step{as: who, do: "GET sys/internal/ui/mounts/" + path})
		}
	}
	p.play(
		step{as: "admin", do: "POST secret/data/update", body: `{"data":{}}`},
		step{as: "joe", do: "POST secret/data/update", body: `{"data":{}}`},
		step{as: "admin", do: "GET secret/metadata/create"},
		step{as: "admin", do: "GET secret/metadata/update"},
		step{as: "admin", do: "POST secret/data/patch", body: `{"data":{}}`},
		step{as: "joe", do: "PATCH secret/data/patch", body: `{"data":{"a":1}}`, header: mergePatch},
		step{as: "admin", do: "GET secret/metadata/patch"},
		step{as: "admin", do: "POST secret/data/delete", body: `{"data":{}}`},
		step{as: "joe", do: "DELETE secret/data/delete"},
		step{as: "admin", do: "GET secret/metadata/delete"},
		step{as: "joe", do: "POST secret/delete/update", body: `{"versions":[1]}`},
		step{as: "admin", do: "GET secret/metadata/update"},
		step{as: "admin", do: "POST auth/token/create", body: `{"policies":["p"],"num_uses":2}`, save: "few=auth.client_token"},
		step{as: "few", do: "POST secret/data/no", body: `{"data":5}`},
		step{as: "few", do: "GET secret/data/read"},
		step{as: "few", do: "GET secret/data/read"},
	)
}

func TestPutKVIsAlikeAWriteByRoot(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	for range 2 {
		p.real.Write("secret/data/x", map[string]any{"data": map[string]any{"a": 1}})
		p.fake.PutKV("secret", "x", map[string]any{"a": 1})
	}
	p.real.Write("secret/data/y", map[string]any{"data": map[string]any{"a": 1}})
	p.fake.PutKV("secret", "y", map[string]any{"a": 1})
	p.real.Write("secret/delete/x", map[string]any{"versions": []int{2}})
	p.fake.DeleteKV("secret", "x")
	p.real.Write("secret/destroy/y", map[string]any{"versions": []int{1}})
	p.fake.DestroyKV("secret", "y", 1)
	for _, path := range []string{"data/x", "metadata/x", "data/y", "metadata/y", "data/x?version=1"} {
		p.play(step{as: "admin", do: "GET secret/" + path, loose: "actor"})
	}
}

func TestKVTellsWhoWroteAlike(t *testing.T) {
	t.Parallel()
	p := newKVPair(t)
	p.real.Policy("w", `path "secret/*" { capabilities = ["create", "read", "update", "delete", "patch"] }`)
	p.fake.Policy("w", vaulttest.Rule{Path: "secret/*", Capabilities: []string{"create", "read", "update", "delete", "patch"}})
	roleID, secretID := p.real.AppRole("approle", "app", map[string]any{"token_policies": "w"})
	fakeRole, fakeSecret := p.fake.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"w"}})
	p.know("role", roleID, fakeRole)
	p.know("secret", secretID, fakeSecret)
	p.play(
		step{do: "POST auth/approle/login", body: `{"role_id":"{role}","secret_id":"{secret}"}`, save: "app=auth.client_token", loose: "token_policies policies"},
		step{as: "admin", do: "POST auth/token/create", body: `{"policies":["w","x","a"],"type":"batch"}`, save: "batch=auth.client_token"},
		step{as: "admin", do: "POST auth/token/create", body: `{"policies":["w"],"no_default_policy":true,"display_name":"a b/c"}`, save: "joe=auth.client_token"},
	)
	for _, who := range []string{"app", "batch", "joe"} {
		for _, s := range []step{
			{do: "POST secret/data/{x}", body: `{"data":{}}`}, {do: "POST secret/data/{x}", body: `{"data":{}}`}, {do: "PATCH secret/data/{x}", body: `{"data":{}}`, header: mergePatch},
			{do: "DELETE secret/data/{x}"}, {do: "POST secret/delete/{x}", body: `{"versions":[1,7]}`}, {do: "POST secret/undelete/{x}", body: `{"versions":[3]}`},
			{do: "POST secret/destroy/{x}", body: `{"versions":[2]}`}, {do: "POST secret/metadata/{x}", body: `{"max_versions":7}`},
		} {
			s.as, s.do = who, strings.Replace(s.do, "{x}", who, 1)
			p.play(s, step{as: who, do: "GET secret/metadata/" + who})
		}
	}
}
