package likeness

import (
	"testing"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestHealthIsAlike(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	queries := []string{
		"", "?standbyok=true", "?standbyok=1", "?standbyok", "?standbyok=perhaps", "?perfstandbyok=true", "?perfstandbyok=x",
		"?activecode=299", "?activecode=418", "?activecode=x", "?activecode=", "?sealedcode=299", "?sealedcode=x", "?uninitcode=299", "?uninitcode=x",
		"?standbycode=299", "?standbycode=y", "?performancestandbycode=z", "?drsecondarycode=299", "?drsecondarycode=z", "?haunhealthycode=z",
		"?removedcode=z", "?other=z", "?sealedcode=204&standbyok=true",
	}
	for _, q := range queries {
		p.play(step{do: "GET sys/health" + q}, step{do: "HEAD sys/health" + q})
	}
	p.play(
		step{as: "root", do: "GET sys/health"},
		step{do: "POST sys/health"}, step{do: "DELETE sys/health"}, step{do: "LIST sys/health"}, step{do: "PATCH sys/health"},
		step{do: "GET sys/health/"}, step{do: "GET sys/health/more"},
		step{do: "GET sys/seal-status"}, step{do: "POST sys/seal-status"}, step{do: "HEAD sys/seal-status"}, step{as: "root", do: "GET sys/seal-status"},
		step{do: "GET sys/seal-status/"},
		step{do: "GET sys/leader"}, step{do: "POST sys/leader"}, step{as: "root", do: "GET sys/leader"}, step{do: "LIST sys/leader"},
		step{do: "GET sys/init"}, step{do: "DELETE sys/init"}, step{as: "root", do: "GET sys/init"},
	)
}

func TestSealIsAlike(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.know("key", p.real.UnsealKey(), p.fake.UnsealKey())
	p.play(
		step{do: "PUT sys/unseal"},
		step{do: "PUT sys/unseal", body: `{}`},
		step{do: "PUT sys/unseal", body: `{"key":"abcd"}`},
		step{do: "PUT sys/unseal", body: `{"key":"{key}"}`},
		step{do: "PUT sys/unseal", body: `{"reset":true}`},
		step{do: "GET sys/unseal"},
		step{do: "GET sys/seal"},
		step{do: "PUT sys/seal"},
		step{as: "root", do: "GET sys/seal"},
		step{as: "root", do: "DELETE sys/seal"},
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["default"]}`, save: "bare=auth.client_token"},
		step{as: "bare", do: "PUT sys/seal"},
		step{as: "root", do: "PUT sys/seal"},
		step{as: "root", do: "PUT sys/seal"},
		step{do: "PUT sys/seal"},
		step{do: "GET sys/health"}, step{do: "HEAD sys/health"}, step{do: "GET sys/health?sealedcode=299"}, step{do: "GET sys/health?standbyok=true"},
		step{do: "GET sys/seal-status"}, step{do: "GET sys/leader"}, step{do: "GET sys/init"},
		step{as: "root", do: "GET secret/data/x"}, step{do: "GET secret/data/x"}, step{as: "root", do: "GET auth/token/lookup-self"},
		step{as: "root", do: "GET sys/mounts"}, step{as: "root", do: "POST nothing"}, step{as: "root", do: "LIST sys/leases/lookup/x"},
		step{do: "POST auth/approle/login", body: `{}`},
		step{as: "root", do: "POST secret/data/x", body: `{"data":`},
		step{do: "GET sys/internal/ui/mounts"},
		step{do: "GET sys/unseal"},
		step{do: "PUT sys/unseal"},
		step{do: "PUT sys/unseal", body: `{"key":""}`},
		step{do: "PUT sys/unseal", body: `{"key":5}`},
		step{do: "PUT sys/unseal", body: `{"key":`},
		step{do: "PUT sys/unseal", body: `{"key":"not a key!"}`},
		step{do: "PUT sys/unseal", body: `{"key":"abcd"}`},
		step{do: "PUT sys/unseal", body: `{"key":"000000000000000000000000000000000000000000000000000000000000000000"}`},
		step{do: "PUT sys/unseal", body: `{"key":"0000000000000000000000000000000000000000000000000000000000000000"}`},
		step{do: "PUT sys/unseal", body: `{"key":"00000000000000000000000000000000000000000000000000000000000000000000000000000000"}`},
		step{do: "GET sys/seal-status"},
		step{do: "PUT sys/unseal", body: `{"reset":true}`},
		step{do: "PUT sys/unseal", body: `{"reset":"yes"}`},
		step{do: "PUT sys/unseal", body: `{"key":"{key}","migrate":true}`},
		step{do: "POST sys/unseal", body: `{"key":"{key}"}`},
		step{do: "GET sys/seal-status"},
		step{as: "bare", do: "GET auth/token/lookup-self"},
	)
}

func TestMountsAreListedAlike(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.real.Write("sys/auth/approle", map[string]any{"type": "approle"})
	p.real.Mount("database", "database", nil)
	p.fake.DynamicRole("database", "app", vaulttest.RoleSpec{})
	p.know("dead", "hvs.dead", "hvs.dead")
	p.policy("reader", vaulttest.Rule{Path: "secret/data/app/*", Capabilities: []string{"read"}})
	p.policy("operator", vaulttest.Rule{Path: "sys/*", Capabilities: []string{"read", "list", "sudo"}})
	for _, name := range []string{"reader", "operator", "none"} {
		p.play(step{as: "root", do: "POST auth/token/create", body: `{"policies":["` + name + `"]}`, save: name + "=auth.client_token"})
	}
	for _, who := range []string{"root", "reader", "operator", "none", "dead", ""} {
		for _, what := range []string{
			"sys/mounts", "sys/mounts/secret", "sys/mounts/secret/", "sys/mounts/nothing", "sys/mounts/database", "sys/auth", "sys/auth/approle", "sys/auth/token", "sys/auth/nothing",
			"sys/internal/ui/mounts", "sys/internal/ui/mounts/secret", "sys/internal/ui/mounts/secret/data/app/x", "sys/internal/ui/mounts/secret/other",
			"sys/internal/ui/mounts/nothing", "sys/internal/ui/mounts/auth/token", "sys/internal/ui/mounts/auth/token/", "sys/internal/ui/mounts/",
			"sys/mounts/nothing/tune", "sys/auth/nothing/tune", "sys/mounts/secret/tune", "sys/auth/token/tune", "sys/mounts/auth/token/tune",
		} {
			p.play(step{as: who, do: "GET " + what})
		}
	}
	p.play(
		step{as: "root", do: "LIST sys/mounts"}, step{as: "root", do: "LIST sys/auth"},
		step{as: "root", do: "POST sys/internal/ui/mounts"}, step{as: "root", do: "POST sys/internal/ui/mounts/secret"},
		step{as: "root", do: "LIST sys/internal/ui/mounts/secret"}, step{as: "root", do: "HEAD sys/mounts"},
		step{as: "none", do: "GET sys/nothing"}, step{do: "GET sys/nothing"},
	)
}
