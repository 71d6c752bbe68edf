package likeness

import (
	"fmt"
	"testing"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// asText is a JSON body with a policy's text.
func asText(field, text string) string {
	return fmt.Sprintf(`{%q:%q}`, field, text)
}

// syntaxText is the reason why a policy that cannot be read is refused in other words.
const syntaxText = "The texts that tell what is wrong with the syntax of a policy are vaulttest's own"

func TestPolicies(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	const read = `path "a" { capabilities = ["read"] }`
	for _, path := range []string{"sys/policies/acl/p", "sys/policy/p"} {
		for _, text := range []string{
			read, ``, `# nothing`, "// one\n/* two */ " + read, `path "/a" { capabilities = [] }`, `path "a" { }`, `path "" { capabilities=["read",] }`,
			`path "a" { capabilities = ["foo"] }`, `path "a" { capabilities = ["Read"] }`, `path "a" { capabilitie = ["read"] }`, `paths "a" { capabilities = ["read"] }`,
			`path "a+*" { capabilities = ["read"] }`, `path "a/+*" { capabilities = ["read"] }`, `path "a/+" { capabilities = ["read"] }` + "\n" + `path "a/+/b*" { capabilities = ["deny"] }`,
			`path "a" { policy = "write" }`, `path "a" { policy = "x" }`, `path "a" { comment = "x" }`, `name = "x"` + "\n" + read, `path "a" { capabilities = ["subscribe", "recover"] }`,
			`{"path":{"a":{"capabilities":["read"]}}}`, `{"path":[{"a":{"capabilities":["read"]}},{"b":{"capabilities":["list","sudo"]}}]}`, `{}`, "cGF0aCAiYSIgeyBjYXBhYmlsaXRpZXMgPSBbInJlYWQiXSB9",
		} {
			p.play(step{as: "root", do: "POST " + path, body: asText("policy", text)}, step{as: "root", do: "GET " + path})
		}
		for _, text := range []string{
			`hello`, `path`, `path "a" {`, `path "a" { capabilities = "read" }`, `path "a" { capabilities = [read] }`, `path "a" { capabilities = ["read" }`, `path "a"`, `path { capabilities = ["read"] }`, `5`, `}`,
			`path "a" { capabilities = ["read"] capabilities = ["list"] }`, `path "a" { capabilities ["read"] }`,
		} {
			p.play(step{as: "root", do: "PUT " + path, body: asText("policy", text), like: syntaxText})
		}
		p.play(
			step{as: "root", do: "POST " + path, body: asText("rules", read)},
			step{as: "root", do: "POST " + path},
			step{as: "root", do: "POST " + path, body: `{"policy":null}`},
			step{as: "root", do: "POST " + path, body: `{"policy":[]}`},
			step{as: "root", do: "POST " + path, body: `{"policy":"# x","name":"other","x":1}`},
			step{as: "root", do: "POST " + path + "/", body: asText("policy", read)},
			step{as: "root", do: "LIST " + path},
			step{as: "root", do: "DELETE " + path},
			step{as: "root", do: "DELETE " + path},
			step{as: "root", do: "GET " + path},
			step{as: "root", do: "PUT " + path, body: asText("policy", read)},
		)
	}
	for _, base := range []string{"sys/policies/acl", "sys/policy"} {
		p.play(
			step{as: "root", do: "LIST " + base},
			step{as: "root", do: "GET " + base},
			step{as: "root", do: "GET " + base + "/"},
			step{as: "root", do: "POST " + base, body: asText("policy", read)},
			step{as: "root", do: "DELETE " + base},
			step{as: "root", do: "POST " + base + "/UPPER", body: asText("policy", read)},
			step{as: "root", do: "GET " + base + "/Upper"},
			step{as: "root", do: "GET " + base + "/default", loose: "policy rules"},
			step{as: "root", do: "DELETE " + base + "/UppeR"},
			step{do: "GET " + base + "/default"},
		)
		for _, name := range []string{"root", "response-wrapping", "control-group", "none"} {
			p.play(
				step{as: "root", do: "POST " + base + "/" + name, body: asText("policy", read)},
				step{as: "root", do: "DELETE " + base + "/" + name},
			)
		}
		p.play(
			step{as: "root", do: "DELETE " + base + "/default"},
			step{as: "root", do: "GET " + base + "/root"},
			step{as: "root", do: "GET " + base + "/response-wrapping", loose: "policy rules"},
		)
	}
	// A policy that changes, or goes, does so for tokens that have it.
	p.play(
		step{as: "root", do: "PUT sys/policies/acl/changing", body: asText("policy", `path "cubbyhole/*" { capabilities = ["update","create"] }`)},
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["changing"],"no_default_policy":true,"ttl":"1h"}`, save: "t=auth.client_token"},
		step{as: "t", do: "POST cubbyhole/a", body: `{"x":1}`},
		step{as: "t", do: "GET cubbyhole/a"},
		step{as: "root", do: "PUT sys/policies/acl/changing", body: asText("policy", `path "cubbyhole/*" { capabilities = ["read"] }`)},
		step{as: "t", do: "POST cubbyhole/a", body: `{"x":1}`},
		step{as: "t", do: "GET cubbyhole/a"},
		step{as: "root", do: "DELETE sys/policies/acl/changing"},
		step{as: "t", do: "GET cubbyhole/a"},
		step{as: "root", do: "POST sys/capabilities", body: `{"token":"{t}","paths":["cubbyhole/a","sys/x"]}`},
	)
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	first := []vaulttest.Rule{
		{Path: "secret/*", Capabilities: []string{"list", "read"}},
		{Path: "secret/data/d*", Capabilities: []string{"deny"}},
		{Path: "+/data/dd", Capabilities: []string{"read"}},
		{Path: "secret/data/new", Capabilities: []string{"create", "patch"}},
		{Path: "secret/data/team/+/key", Capabilities: []string{"update", "read", "create"}},
		{Path: "secret/data/team/+/k*", Capabilities: []string{"delete"}},
		{Path: "secret/data/team/+/+", Capabilities: []string{"list"}},
		{Path: "secret/data/team/blue/*", Capabilities: []string{"sudo", "read"}},
		{Path: "folder/", Capabilities: []string{"list"}},
		{Path: "file", Capabilities: []string{"list"}},
		{Path: "empty", Capabilities: nil},
		{Path: "plus+plus", Capabilities: []string{"read"}},
		{Path: "end/+", Capabilities: []string{"read"}},
		{Path: "mixed", Capabilities: []string{"read"}},
		{Path: "g*", Capabilities: []string{"read"}},
		{Path: "g/+/x", Capabilities: []string{"update"}},
		{Path: "sys/capabilities", Capabilities: []string{"update"}},
	}
	second := []vaulttest.Rule{
		{Path: "secret/data/new", Capabilities: []string{"read"}},
		{Path: "mixed", Capabilities: []string{"deny", "list"}},
		{Path: "secret/data/team/+/key", Capabilities: []string{"list"}},
	}
	for name, list := range map[string][]vaulttest.Rule{"first": first, "second": second} {
		hcl := ""
		for _, r := range list {
			hcl += hclOf(r)
		}
		p.real.Policy(name, hcl)
		p.fake.Policy(name, list...)
	}
	p.play(
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["first"],"ttl":"1h"}`, save: "t=auth.client_token a=auth.accessor"},
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["first","second"],"ttl":"1h"}`, save: "both=auth.client_token"},
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["second"],"ttl":"1h","type":"batch"}`, save: "batch=auth.client_token"},
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["first"],"no_default_policy":true,"ttl":"1h"}`, save: "bare=auth.client_token"},
	)
	for _, path := range []string{
		"secret/data/dd", "secret/data/zzz", "secret/data/new", "secret/data/team/red/key", "secret/data/team/red/kk", "secret/data/team/red/x", "secret/data/team/red/x/y",
		"secret/data/team/red/kk/y", "secret/data/team/blue/key", "secret/data/team/blue/x", "secret/data/team", "secret/data/team/", "secret", "secret/", "other/data/dd", "folder", "folder/", "file", "file/", "empty", "plus+plus", "plusxplus",
		"end/x", "end/x/", "end/", "end", "mixed", "g", "g/a/x", "g/a/y", "cubbyhole/a", "auth/token/lookup-self", "sys/capabilities-self", "/secret/data/new", "//mixed", "secret/metadata", "secret/metadata/",
	} {
		for _, as := range []string{"t", "both", "batch"} {
			p.play(step{as: as, do: "POST sys/capabilities-self", body: `{"paths":["` + path + `"]}`})
		}
	}
	for _, route := range []string{"capabilities", "capabilities-self", "capabilities-accessor"} {
		for _, body := range []string{
			``, `{}`, `{"paths":"mixed,file"}`, `{"path":"file"}`, `{"paths":[]}`, `{"path":""}`, `{"paths":[""]}`, `{"paths":["file",""]}`, `{"paths":[1,true]}`, `{"paths":{"a":1}}`, `{"paths":["file"],"token":"{t}","accessor":"{a}"}`,
			`{"paths":["file"],"token":"x","accessor":"x"}`, `{"paths":["file"],"token":5,"accessor":5}`, `{"paths":["file"],"zz":1}`, `{"paths":["capabilities","file"],"token":"{both}"}`,
		} {
			for _, as := range []string{"root", "t", "bare", "batch"} {
				p.play(step{as: as, do: "PUT sys/" + route, body: body})
			}
		}
		p.play(step{as: "root", do: "GET sys/" + route}, step{as: "root", do: "LIST sys/" + route}, step{do: "POST sys/" + route, body: `{"paths":["file"]}`})
	}
	// And what they mean, beside what is said of them.
	for _, do := range []string{
		"GET secret/data/dd", "GET secret/data/zzz", "LIST secret/metadata/", "LIST secret/metadata", "POST secret/data/new", "GET secret/data/new", "DELETE secret/data/new", "POST secret/data/team/red/key", "POST secret/data/team/red/key",
		"DELETE secret/data/team/red/kk", "GET secret/data/team/red/kk", "LIST secret/metadata/team/red", "GET folder", "LIST folder", "LIST folder/", "LIST file", "LIST file/", "GET file", "GET plus+plus", "GET end/x", "GET end/x/", "GET mixed", "LIST mixed", "GET g/a/x", "POST g/a/x",
	} {
		for _, as := range []string{"t", "both", "bare"} {
			p.play(step{as: as, do: do, body: `{"data":{"x":1}}`})
		}
	}
}
