package likeness

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestRequests is about what befalls a request before any engine sees it.
func TestRequests(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.real.Policy("all", `path "*" { capabilities = ["create", "read", "update", "delete", "list", "patch"] }`)
	p.fake.Policy("all", vaulttest.Rule{Path: "*", Capabilities: []string{"create", "read", "update", "delete", "list", "patch"}})
	p.real.Write("auth/token/create", map[string]any{"id": "the-token-of-all", "policies": "all", "ttl": "10m", "no_parent": true})
	p.know("all", "the-token-of-all", p.fake.CreateToken(vaulttest.TokenSpec{Policies: []string{"all"}, TTL: 10 * time.Minute}))

	// Paths.
	for _, path := range []string{
		"secret//data/a", "/secret/data/a", "secret/./data/a", "secret/data/../a", "secret/data/a//", "secret//data/a?x=1&y=2", "./",
		"secret%2Fdata%2Fa", "secret/data/%2e", "secret/data/a%2eb", "secret/data/%C3%A9", "secret/data/a%0Ab", "secret/data/a%7F", "secret/data/a%20b",
		"", "nothing", "nothing/", "nothing/here?list=false", "auth/", "auth", "auth/nothing/here", "auth/token/", "auth/token", "auth/token/nothing", "auth/token/lookup-self/",
		"secret/metadata/?list=perhaps", "secret/metadata/?list=t", "secret/metadata/?list=1", "secret/metadata/?list=",
	} {
		p.play(step{as: "root", do: "GET " + path})
	}
	p.play(
		step{as: "all", do: "GET nothing/here"},
		step{as: "all", do: "LIST nothing"},
		step{as: "root", do: "LIST nothing"},
		step{as: "root", do: "LIST "},
		step{as: "root", do: "POST secret//data/a", body: `{"data":{}}`},
		step{do: "POST auth/token/lookup-self/"},
		step{do: "PUT nothing/"},
		step{do: "DELETE nothing/"},
		step{as: "root", do: "POST auth/token"},
		step{as: "root", do: "POST auth/token/nothing", body: `{}`},
		step{as: "all", do: "POST auth/token/nothing", body: `{}`},
	)
	// Methods.
	for _, method := range []string{"HEAD", "OPTIONS", "TRACE", "BREW", "LIST", "DELETE", "PATCH"} {
		for _, as := range []string{"root", "all", ""} {
			p.play(
				step{as: as, do: method + " auth/token/lookup-self"},
				step{as: as, do: method + " nothing/here"},
			)
		}
	}
	merge := map[string]string{"Content-Type": "application/merge-patch+json"}
	p.play(
		step{as: "root", do: "PATCH auth/token/lookup-self", header: map[string]string{"Content-Type": "application/json"}},
		step{as: "root", do: "PATCH auth/token/lookup-self", header: map[string]string{"Content-Type": "x y"}},
		step{as: "root", do: "PATCH auth/token/lookup-self", header: merge},
		step{as: "root", do: "PATCH auth/token/lookup-self", header: merge, body: "[]"},
		step{as: "all", do: "PATCH auth/token/lookup-self", header: merge, body: "{}"},
		step{as: "all", do: "PATCH auth/token/lookup-self/", header: merge, body: "{}"},
	)
	// Bodies.
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for _, body := range []string{
		``, ` `, `{}`, `null`, `[]`, `[1]`, `"x"`, `5`, `true`, `nul`, `{"a":`, `{"a":1`, `{"a":1}}`, `{"a":1} x`, `{"a":1}{"b":2}`, `{"a":1,"a":2}`, `[{"a":1},{"a":1}]`,
		`{"a":{"b":1,"b":1}}`, `x=1`,
		`{"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`,
		`{"a":` + strings.Repeat("[", 299) + strings.Repeat("]", 299) + `}`,
		`{"a":"` + strings.Repeat("x", 1<<20) + `"}`,
		`{"a":"` + strings.Repeat("x", 1<<20+1) + `"}`,
		`{"a":[` + strings.Repeat("1,", 10000) + `1]}`,
		`{"a":[` + strings.Repeat("1,", 9999) + `1]}`,
	} {
		p.play(step{as: "all", do: "POST auth/token/lookup-self", body: body})
	}
	const texts = "The texts about malformed JSON are in places those of Go's decoder"
	for _, body := range []string{`{"a":"x`, `{"a":1,}`, `[1,]`, `{"a":01}`} {
		p.play(step{as: "all", do: "POST auth/token/lookup-self", body: body, like: texts})
	}
	p.play(
		step{as: "all", do: "POST auth/token/lookup-self", body: `x=1&y=2&x=3`, header: form},
		step{as: "root", do: "POST auth/token/create", body: `ttl=10m&policies=a&policies=b`, header: form},
		step{as: "all", do: "POST auth/token/lookup-self", body: ` {"x":1}`, header: form},
		step{as: "all", do: "GET auth/token/lookup-self", body: `{"x":1}`},
		step{as: "all", do: "GET auth/token/lookup-self", body: `{"x":`},
		step{as: "all", do: "GET auth/token/lookup-self?x=1&y=2&y=3"},
		step{as: "all", do: "DELETE auth/token/lookup-self", body: `{"x":1}`},
		step{as: "all", do: "POST auth/token/lookup-self?x=1"},
	)
	// Headers.
	p.play(
		step{do: "GET auth/token/lookup-self", header: map[string]string{"Authorization": "Bearer {all}"}},
		step{do: "GET auth/token/lookup-self", header: map[string]string{"Authorization": "Bearer  {all} "}},
		step{do: "GET auth/token/lookup-self", header: map[string]string{"Authorization": "bearer {all}"}},
		step{do: "GET auth/token/lookup-self", header: map[string]string{"Authorization": "{all}"}},
		step{do: "GET auth/token/lookup-self", header: map[string]string{"Authorization": "Basic eDp5"}},
		step{as: "all", do: "GET auth/token/lookup-self", header: map[string]string{"Authorization": "Bearer hvs.other"}},
		step{as: "all", do: "GET auth/token/lookup-self", header: map[string]string{"X-Vault-Request": "false"}},
		step{as: "all", do: "GET auth/token/lookup-self", header: map[string]string{"X-Vault-Namespace": "team/a/"}},
		step{as: "all", do: "POST auth/token/revoke", header: map[string]string{"X-Vault-Namespace": "team"}},
		step{as: "root", do: "GET sys/health", header: map[string]string{"X-Vault-Namespace": "team"}},
		step{as: "all", do: "POST auth/token/lookup-self", header: map[string]string{"Content-Type": "text/plain"}, body: `{"x":1}`},
	)
	p.know("bogus", "hvs.bogus", "hvs.bogus")
	p.know("word", "word", "word")
	for _, as := range []string{"", "bogus", "word", "all"} {
		p.play(
			step{as: as, do: "GET auth/token/lookup-self"},
			step{as: as, do: "GET nothing/here"},
			step{as: as, do: "POST auth/nothing/login", body: "{}"},
			step{as: as, do: "GET sys/internal/ui/mounts/cubbyhole/a", loose: "description running_plugin_version options local"},
			step{as: as, do: "GET sys/internal/ui/mounts/nothing/a"},
			step{as: as, do: "POST sys/wrapping/unwrap"},
		)
	}
}
