package likeness

import (
	"testing"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestKV1IsAlike(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.real.Mount("kv", "kv", map[string]string{"version": "1"})
	p.fake.MountKV1("kv")
	for _, method := range []string{"GET", "HEAD", "LIST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		for _, path := range []string{"", "/", "/a", "/a/", "/none/deep", "/data/a"} {
			p.play(
				step{as: "root", do: method + " kv" + path, header: mergePatch},
				step{as: "root", do: method + " kv" + path, body: `{"a":1}`, header: mergePatch},
				step{as: "root", do: "GET kv" + path},
				step{do: method + " kv" + path, header: mergePatch},
			)
		}
	}
	p.play(each("root", "POST kv/a", `{}`, ``, `null`, `[]`, `"x"`, `{`, `{"a":1,"b":1.0,"n":null,"path":"zz","big":12345678901234567890}`)...)
	p.play(
		step{as: "root", do: "GET kv/a"},
		step{as: "root", do: "GET kv/a?foo=1&version=x"},
		step{as: "root", do: "GET kv/a?list=true"},
		step{as: "root", do: "GET kv/a?list=x"},
		step{as: "root", do: "PUT kv/a", body: `{"b":2}`},
		step{as: "root", do: "GET kv/a"},
	)
	for _, ttl := range []string{
		`"1h"`, `90`, `"90"`, `"x"`, `null`, `true`, `"-5s"`, `""`, `"1d"`, `"xd"`, `1.5`, `"1.5s"`, `"1500ms"`, `[]`, `{}`, `-5`, `0`, `"10000h"`, `1e3`, `"9999999999999999"`,
	} {
		for _, body := range []string{`{"ttl":` + ttl + `}`, `{"lease":` + ttl + `}`, `{"lease":"30m","ttl":` + ttl + `}`} {
			p.play(step{as: "root", do: "POST kv/t", body: body}, step{as: "root", do: "GET kv/t"})
		}
	}
	for _, path := range []string{"f/g/h", "f/g", "b", "f", "z/only/deep"} {
		p.play(step{as: "root", do: "POST kv/" + path, body: `{"a":1}`})
	}
	for _, path := range []string{"", "/", "/f", "/f/", "/f/g", "/z", "/none", "/b"} {
		p.play(
			step{as: "root", do: "LIST kv" + path},
			step{as: "root", do: "LIST kv" + path + "?foo=1"},
			step{as: "root", do: "GET kv" + path + "?list=true"},
		)
	}
	p.play(
		step{as: "root", do: "DELETE kv/f/g"},
		step{as: "root", do: "DELETE kv/f/g?foo=1"},
		step{as: "root", do: "LIST kv/f"},
		step{as: "root", do: "GET kv/f/g"},
		step{as: "root", do: "GET kv/f/g/h"},
	)
}

func TestKVMountsAreToldAlike(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.real.Mount("kv", "kv", map[string]string{"version": "1"})
	p.fake.MountKV1("kv")
	p.real.Mount("team/kv", "kv", map[string]string{"version": "2"})
	p.fake.MountKV2("team/kv")
	p.real.Policy("p", `path "kv/a" { capabilities = ["create", "read"] } path "team/kv/data/b" { capabilities = ["read"] }`)
	p.fake.Policy("p", vaulttest.Rule{Path: "kv/a", Capabilities: []string{"create", "read"}}, vaulttest.Rule{Path: "team/kv/data/b", Capabilities: []string{"read"}})
	p.play(
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["p"]}`, save: "some=auth.client_token"},
		step{as: "root", do: "POST auth/token/create", body: `{}`, save: "all=auth.client_token"},
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["default"]}`, save: "none=auth.client_token"},
	)
	for _, who := range []string{"root", "some", "all", "none", ""} {
		for _, path := range []string{"kv", "kv/", "kv/a", "kv/a/b/c", "team", "team/kv", "team/kv/", "team/kv/data/b", "team/kv/x", "kvx"} {
			p.play(step{as: who, do: "GET sys/internal/ui/mounts/" + path})
		}
		for _, do := range []string{"POST kv/a", "POST kv/a", "PUT kv/b", "GET kv/a", "GET kv/b", "DELETE kv/a", "LIST kv", "GET team/kv/data/b", "GET team/kv/data/c", "GET team/data/b"} {
			p.play(step{as: who, do: do, body: `{"a":1}`})
		}
	}
}

func TestPutKVInVersion1IsAlikeAWrite(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.real.Mount("kv", "kv", map[string]string{"version": "1"})
	p.fake.MountKV1("kv")
	p.real.Write("kv/f/x", map[string]any{"a": 1, "ttl": "1h"})
	p.fake.PutKV("kv", "f/x", map[string]any{"a": 1, "ttl": "1h"})
	p.play(step{as: "root", do: "GET kv/f/x"}, step{as: "root", do: "LIST kv/f"})
	p.real.Delete("kv/f/x")
	p.fake.DeleteKV("kv", "f/x")
	p.play(step{as: "root", do: "GET kv/f/x"}, step{as: "root", do: "LIST kv/f"})
}
