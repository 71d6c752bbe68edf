package likeness

import (
	"testing"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// rules are the policies of these scenes, for both sides.
var rules = map[string][]vaulttest.Rule{
	"maker":  {{Path: "auth/token/create", Capabilities: []string{"update"}}, {Path: "auth/token/create-orphan", Capabilities: []string{"update"}}},
	"sudoer": {{Path: "auth/token/*", Capabilities: []string{"update", "list", "sudo"}}, {Path: "cubbyhole/*", Capabilities: []string{"update", "read"}}},
	"clerk":  {{Path: "auth/token/*", Capabilities: []string{"create", "read", "update", "list", "delete"}}},
	"nobody": {{Path: "nothing", Capabilities: []string{"read"}}},
}

// tokenPair has those policies.
func tokenPair(t *testing.T) *pair {
	t.Helper()
	p := newPair(t)
	for name, list := range rules {
		hcl := ""
		for _, r := range list {
			hcl += hclOf(r)
		}
		p.real.Policy(name, hcl)
		p.fake.Policy(name, list...)
	}
	return p
}

func hclOf(r vaulttest.Rule) string {
	text := `path "` + r.Path + `" { capabilities = [`
	for i, c := range r.Capabilities {
		if i > 0 {
			text += ", "
		}
		text += `"` + c + `"`
	}
	return text + "] }\n"
}

// create is a step that makes a token and knows it by a name.
func create(as, body, name string) step {
	return step{as: as, do: "POST auth/token/create", body: body, save: name + "=auth.client_token"}
}

func TestTokenCreation(t *testing.T) {
	t.Parallel()
	p := tokenPair(t)
	for _, body := range []string{
		``, `{}`, `{"policies":"a,b"}`, `{"policies":["a,b"," C ","root2",""]}`, `{"policies":{"x":1}}`, `{"policies":5}`, `{"policies":true}`, `{"policies":null}`, `{"policies":""}`,
		`{"policies":[1,true,null]}`, `{"policies":[[1]]}`, `{"policies":["default"],"no_default_policy":true}`, `{"policies":["root","x"]}`, `{"policies":["ROOT"],"ttl":"1h"}`, `{"policies":["response-wrapping"]}`, `{"policies":["control-group"]}`,
		`{"policies":["nobody","nobody"]}`, `{"policies":["nobody"],"no_default_policy":true}`, `{"policies":["nobody"],"no_default_policy":"perhaps"}`,
		`{"meta":"x"}`, `{"meta":"a=b"}`, `{"meta":["a=b","c"]}`, `{"meta":["a=b"," c = d=e"]}`, `{"meta":{"a":1,"b":true,"c":null}}`, `{"meta":{"a":[1]}}`, `{"meta":null}`, `{"meta":{}}`, `{"meta":5}`,
		`{"ttl":5}`, `{"ttl":true}`, `{"ttl":[]}`, `{"ttl":"-5"}`, `{"ttl":"x"}`, `{"ttl":"1.5"}`, `{"ttl":1.5}`, `{"ttl":"1d"}`, `{"ttl":"800h"}`, `{"ttl":"0"}`, `{"ttl":null}`, `{"lease":"1h"}`, `{"lease":"-1h"}`, `{"lease":"1h","ttl":"2h"}`, `{"ttl":"90m30s","policies":["default"]}`, `{"ttl":"1500ms","policies":["default"]}`,
		`{"num_uses":"x"}`, `{"num_uses":-1}`, `{"num_uses":1.5}`, `{"num_uses":"3"}`, `{"num_uses":true}`, `{"num_uses":null}`, `{"num_uses":[]}`, `{"num_uses":{}}`,
		`{"renewable":"maybe"}`, `{"renewable":0,"ttl":"1h"}`, `{"renewable":null,"ttl":"1h"}`, `{"renewable":false,"ttl":"1h"}`, `{"renewable":"","ttl":"1h"}`, `{"renewable":[],"ttl":"1h"}`,
		`{"type":"x"}`, `{"type":"default-service"}`, `{"type":"service"}`, `{"type":"batch"}`, `{"type":5}`,
		`{"type":"batch","policies":["default"]}`, `{"type":"batch","policies":["x"],"period":"1h"}`, `{"type":"batch","policies":["x"],"explicit_max_ttl":"0"}`, `{"type":"batch","policies":["x"],"explicit_max_ttl":"1h","period":"1h"}`,
		`{"type":"batch","policies":["x"],"explicit_max_ttl":"0","num_uses":2}`, `{"type":"batch","policies":["x"],"num_uses":2}`, `{"type":"batch","policies":["x"],"num_uses":-2}`, `{"type":"batch","policies":["x"],"period":"x"}`, `{"type":"batch","policies":["x"],"explicit_max_ttl":"x"}`,
		`{"type":"batch","policies":["x"],"ttl":"1h","renewable":true,"id":"zz"}`, `{"type":"batch","policies":["x"],"ttl":"900h"}`,
		`{"no_parent":"x"}`, `{"no_parent":true,"ttl":"1h"}`, `{"zzz":1,"aaa":2,"ttl":"1m"}`, `{"entity_alias":"x"}`,
		`{"id":"a.b"}`, `{"id":"hvs.x"}`, `{"id":"s.x"}`, `{"id":"custom","ttl":"1m"}`, `{"id":"custom"}`, `{"id":""}`, `{"id":5,"ttl":"1m"}`,
		`{"period":"1h","explicit_max_ttl":"30m"}`, `{"period":"800h"}`, `{"period":"x"}`, `{"period":"-1h"}`, `{"period":0}`, `{"period":"1h","ttl":"30m"}`, `{"explicit_max_ttl":"800h"}`, `{"explicit_max_ttl":"800h","policies":["x"]}`, `{"explicit_max_ttl":"1h"}`, `{"explicit_max_ttl":"-1h"}`, `{"explicit_max_ttl":"x"}`, `{"ttl":"1h","explicit_max_ttl":"30m"}`, `{"explicit_max_ttl":"1h","policies":["x"]}`,
	} {
		p.play(step{as: "root", do: "POST auth/token/create", body: body})
	}
	p.play(
		create("root", `{"policies":["default"],"ttl":"1h","display_name":"a b/é_c-","meta":{"k":"v"}}`, "named"),
		step{as: "named", do: "GET auth/token/lookup-self"},
		create("root", `{"policies":["default"],"ttl":"1h","display_name":5}`, "named"),
		step{as: "named", do: "GET auth/token/lookup-self"},
		create("root", `{"policies":["default"],"ttl":"1h","display_name":null,"no_default_policy":true}`, "bare"),
		step{as: "root", do: "POST auth/token/lookup", body: `{"token":"{bare}"}`},
		step{as: "bare", do: "GET auth/token/lookup-self"},
		create("root", `{"policies":["x"],"period":"1h","explicit_max_ttl":"2h","num_uses":7,"id":"the-chosen-one"}`, "full"),
		step{as: "root", do: "POST auth/token/lookup", body: `{"token":"{full}"}`},
		step{as: "root", do: "POST auth/token/create-orphan", body: `{"policies":["x"],"ttl":"1h","no_parent":false}`, save: "orphan=auth.client_token"},
		step{as: "root", do: "POST auth/token/lookup", body: `{"token":"{orphan}"}`},
		step{as: "root", do: "GET auth/token/create"},
		step{as: "root", do: "DELETE auth/token/create"},
		step{as: "root", do: "LIST auth/token/create"},
		step{as: "root", do: "GET auth/token/create-orphan"},
	)
	// By those who are not root.
	p.play(
		create("root", `{"policies":["maker"],"ttl":"1h"}`, "maker"),
		create("root", `{"policies":["sudoer"],"ttl":"1h"}`, "sudoer"),
		create("root", `{"policies":["maker"],"ttl":"1h","num_uses":2}`, "limited"),
		create("root", `{"policies":["maker"],"ttl":"1h","type":"batch"}`, "batch"),
		create("root", `{"policies":["maker"],"ttl":"1h","no_default_policy":true}`, "bare"),
		create("root", `{"ttl":"1h"}`, "mortal"),
		create("root", `{"policies":["nobody"],"ttl":"1h"}`, "nobody"),
	)
	for _, as := range []string{"maker", "sudoer", "limited", "limited", "batch", "bare", "mortal", "nobody", ""} {
		for _, body := range []string{
			`{}`, `{"policies":["maker"]}`, `{"policies":["other"],"ttl":"5m"}`, `{"policies":["root"]}`, `{"policies":["root"],"ttl":"5m"}`, `{"policies":["default"],"no_default_policy":true}`, `{"no_default_policy":true}`,
			`{"ttl":"2h"}`, `{"period":"1h"}`, `{"no_parent":true}`, `{"id":"of-one's-own"}`, `{"id":"of-{other}"}`, `{"type":"batch"}`,
		} {
			if as == "limited" && body != `{}` {
				continue
			}
			p.play(step{as: as, do: "POST auth/token/create", body: body})
		}
		p.play(step{as: as, do: "PUT auth/token/create-orphan", body: `{"ttl":"1m"}`})
	}
}

func TestTokenLookupRenewRevoke(t *testing.T) {
	t.Parallel()
	p := tokenPair(t)
	p.play(
		create("root", `{"policies":["clerk"],"ttl":"2h"}`, "clerk"),
		create("root", `{"policies":["sudoer"],"ttl":"2h"}`, "sudoer"),
		create("root", `{"policies":["nobody"],"ttl":"2h"}`, "nobody"),
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["default"],"ttl":"1h"}`, save: "t=auth.client_token a=auth.accessor"},
		create("root", `{"policies":["default"],"ttl":"1h","type":"batch"}`, "batch"),
		create("root", `{"policies":["default"],"ttl":"1h","renewable":false}`, "fixed"),
	)
	p.know("gone", "hvs.CAESIPHNRigI8dtoE1VkIQGqEUKoh6PCm", "hvs.CAESIPHNRigI8dtoE1VkIQGqEUKoh6PCm")
	for _, route := range []string{"lookup", "renew", "revoke-orphan", "revoke"} {
		for _, body := range []string{``, `{}`, `{"token":""}`, `{"token":null}`, `{"token":"{gone}"}`, `{"token":"word"}`, `{"token":"{batch}"}`, `{"token":"{fixed}","x":1}`, `{"accessor":"{a}"}`} {
			for _, as := range []string{"root", "sudoer", "clerk", "nobody"} {
				p.play(step{as: as, do: "POST auth/token/" + route, body: body, loose: "id display_name path ttl"})
			}
		}
		p.play(
			step{as: "root", do: "GET auth/token/" + route + "?token={t}"},
			step{as: "root", do: "DELETE auth/token/" + route},
			step{as: "root", do: "LIST auth/token/" + route},
			step{as: "root", do: "POST auth/token/" + route + "/{t}"},
			step{do: "POST auth/token/" + route, body: `{"token":"{t}"}`},
		)
	}
	for _, route := range []string{"lookup-accessor", "renew-accessor", "revoke-accessor"} {
		for _, body := range []string{``, `{"accessor":""}`, `{"accessor":null}`, `{"accessor":"gone"}`, `{"accessor":5}`, `{"accessor":[1]}`, `{"token":"{t}"}`, `{"accessor":"{a}","x":1}`} {
			p.play(step{as: "clerk", do: "POST auth/token/" + route, body: body})
		}
		p.play(
			step{as: "clerk", do: "GET auth/token/" + route},
			step{as: "nobody", do: "POST auth/token/" + route, body: `{"accessor":"{a}"}`},
			step{do: "POST auth/token/" + route, body: `{"accessor":"{a}"}`},
		)
	}
	p.play(step{as: "t", do: "GET auth/token/lookup-self"}) // which has been revoked
	// The paths of one's own token.
	p.play(
		create("root", `{"policies":["default"],"ttl":"1h"}`, "t"),
		step{as: "t", do: "POST auth/token/lookup-self", body: `{"token":"{clerk}"}`},
		step{as: "t", do: "GET auth/token/lookup-self?token={clerk}"},
		step{as: "t", do: "POST auth/token/lookup-self"},
		step{as: "root", do: "POST auth/token/renew-self"},
		step{as: "root", do: "GET auth/token/renew-self"},
		step{as: "root", do: "GET auth/token/revoke-self"},
		step{as: "batch", do: "GET auth/token/lookup-self"},
		step{as: "batch", do: "POST auth/token/renew-self"},
		step{as: "batch", do: "POST auth/token/revoke-self"},
		step{as: "fixed", do: "POST auth/token/renew-self"},
		step{as: "t", do: "POST auth/token/revoke-self", body: `{"x":1}`},
		step{as: "t", do: "POST auth/token/revoke-self"},
		step{as: "t", do: "POST auth/token/renew-self"},
		step{as: "t", do: "GET auth/token/lookup-self"},
		step{as: "root", do: "POST auth/token/lookup", body: `{"token":"{t}"}`},
		step{as: "root", do: "POST auth/token/renew", body: `{"token":"{t}"}`},
		step{as: "root", do: "POST auth/token/revoke", body: `{"token":"{t}"}`},
		step{as: "root", do: "POST auth/token/revoke-orphan", body: `{"token":"{t}"}`},
	)
	// Accessors need sudo.
	for _, as := range []string{"clerk", "nobody", ""} {
		p.play(step{as: as, do: "LIST auth/token/accessors"}, step{as: as, do: "LIST auth/token/accessors/"}, step{as: as, do: "GET auth/token/accessors"})
	}
	p.play(
		step{as: "root", do: "GET auth/token/accessors"},
		step{as: "root", do: "POST auth/token/accessors"},
		step{as: "root", do: "LIST auth/token/accessors/x"},
		step{as: "sudoer", do: "LIST auth/token/accessors", header: inAMinute},
	)
}

func TestTokenTimes(t *testing.T) {
	t.Parallel()
	p := tokenPair(t)
	for _, body := range []string{
		`{"policies":["default"],"ttl":"1h"}`,
		`{"policies":["default"],"ttl":"10m","explicit_max_ttl":"1h"}`,
		`{"policies":["default"],"ttl":"1h","explicit_max_ttl":"1h"}`,
		`{"policies":["default"],"period":"10m"}`,
		`{"policies":["default"],"period":"10m","explicit_max_ttl":"30m"}`,
		`{"policies":["default"],"period":"10m","ttl":"5m"}`,
		`{"policies":["default"]}`,
		`{"policies":["root"],"ttl":"1h"}`,
	} {
		p.play(create("root", body, "t"))
		for _, increment := range []string{``, `{"increment":60}`, ``, `{"increment":"2h"}`, `{"increment":"90s"}`, `{"increment":"1000h"}`, `{"increment":0}`, `{"increment":null}`, `{"increment":-5}`, `{"increment":"x"}`, `{"increment":1.5}`, `{"increment":[]}`, `{"increment":""}`, `{"increment":"1d","zzz":1}`} {
			p.play(
				step{as: "t", do: "POST auth/token/renew-self", body: increment},
				step{as: "t", do: "GET auth/token/lookup-self"},
			)
		}
		p.play(step{as: "root", do: "PUT auth/token/renew", body: `{"token":"{t}","increment":"7m"}`})
	}
}

func TestTokenFamilies(t *testing.T) {
	t.Parallel()
	p := tokenPair(t)
	p.real.Policy("family", hclOf(vaulttest.Rule{Path: "auth/token/create*", Capabilities: []string{"update"}}))
	p.fake.Policy("family", vaulttest.Rule{Path: "auth/token/create*", Capabilities: []string{"update"}})
	p.play(
		create("root", `{"policies":["family"],"ttl":"1h"}`, "parent"),
		create("parent", `{"ttl":"1h"}`, "child"),
		create("child", `{"ttl":"1h"}`, "grandchild"),
		create("child", `{"ttl":"1h","type":"batch"}`, "batch"),
		step{as: "child", do: "POST auth/token/create-orphan", body: `{"ttl":"1h"}`, save: "orphan=auth.client_token"},
		step{as: "root", do: "POST auth/token/revoke-orphan", body: `{"token":"{child}"}`},
		step{as: "child", do: "GET auth/token/lookup-self"},
		step{as: "grandchild", do: "GET auth/token/lookup-self"},
		step{as: "grandchild", do: "POST auth/token/renew-self"},
		step{as: "orphan", do: "GET auth/token/lookup-self"},
		step{as: "batch", do: "GET auth/token/lookup-self"},
		create("parent", `{"ttl":"1h"}`, "child"),
		create("child", `{"ttl":"1h"}`, "grandchild"),
		create("child", `{"ttl":"1h","type":"batch"}`, "batch"),
		step{as: "batch", do: "GET auth/token/lookup-self"},
		step{as: "root", do: "POST auth/token/revoke", body: `{"token":"{parent}"}`},
		step{as: "child", do: "GET auth/token/lookup-self"},
		step{as: "grandchild", do: "GET auth/token/lookup-self"},
		step{as: "batch", do: "GET auth/token/lookup-self"},
		step{as: "root", do: "POST auth/token/lookup", body: `{"token":"{batch}"}`},
		// The last use, and uses that come to nothing.
		create("root", `{"policies":["default"],"num_uses":3,"ttl":"1h"}`, "t"),
		step{as: "t", do: "GET auth/token/lookup-self"},
		step{as: "root", do: "POST auth/token/lookup", body: `{"token":"{t}"}`},
		step{as: "t", do: "GET secret/data/x"},
		step{as: "t", do: "GET auth/token/lookup-self"},
		step{as: "t", do: "GET auth/token/lookup-self"},
		step{as: "root", do: "POST auth/token/lookup", body: `{"token":"{t}"}`},
		create("root", `{"policies":["default"],"num_uses":1,"ttl":"1h"}`, "t"),
		step{as: "t", do: "POST auth/token/renew-self"},
		create("root", `{"policies":["default"],"num_uses":1,"ttl":"1h"}`, "t"),
		step{as: "t", do: "POST auth/token/revoke-self"},
		create("root", `{"policies":["default"],"num_uses":1,"ttl":"1h"}`, "t"),
		step{as: "t", do: "POST cubbyhole/a", body: `{"x":1}`},
		step{as: "t", do: "GET cubbyhole/a"},
		create("root", `{"policies":["family"],"num_uses":1,"ttl":"1h"}`, "t"),
		step{as: "t", do: "POST auth/token/create"},
		create("root", `{"policies":["default"],"num_uses":2,"ttl":"1h"}`, "t"),
		step{as: "t", do: "GET sys/internal/ui/mounts/secret", loose: "running_plugin_version description"},
		step{as: "t", do: "POST nothing/"},
		step{as: "t", do: "POST sys/wrapping/lookup", body: `{"token":"x"}`},
		step{as: "t", do: "GET auth/token/lookup-self"},
	)
}
