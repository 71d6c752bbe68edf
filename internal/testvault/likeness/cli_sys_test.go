package likeness

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheCommandLineSealsAndUnseals(t *testing.T) {
	t.Parallel()
	p := newPair(t).terminals()
	p.real.AppRole("approle", "app", nil)
	p.know("key", p.real.UnsealKey(), p.fake.UnsealKey())
	p.run(
		line{run: "status", want: "Seal Type shamir\nSealed false\nVersion 1.21.0\nHA Enabled false"},
		line{run: "status -format=json", want: `"initialized": true`},
		line{as: "root", run: "secrets list", want: "secret/ kv"},
		line{as: "root", run: "secrets list -detailed", want: "map[version:2]"},
		line{as: "root", run: "auth list", want: "token/ token"},
		line{run: "secrets list", exit: 2, want: "permission denied"},
		line{run: "operator seal", exit: 2, want: "permission denied"},
		line{as: "root", run: "operator seal", want: "Success! Vault is sealed."},
		line{run: "status", exit: 2, want: "Sealed true"},
		line{as: "root", run: "kv get secret/a", exit: 2, want: "Code: 503. Errors:\n* Vault is sealed"},
		line{as: "root", run: "operator seal", want: "Success! Vault is sealed."},
		line{run: "operator unseal AAAA", exit: 2},
		line{run: "operator unseal {key}", want: "Sealed false"},
		line{as: "root", run: "read -field=policies auth/token/lookup-self", want: "[root]"},
	)
	p.fake.Seal()
	p.real.Seal()
	p.run(line{run: "status", exit: 2, want: "Sealed true"})
	p.fake.Unseal()
	p.real.Unseal()
	p.run(line{run: "status", want: "Sealed false"})
	assert.Positive(t, p.fake.Count("GET", "sys/seal-status"))

	p.fake.Close()
	p.real.Stop()
	p.run(
		line{run: "status", exit: 1, want: "connection refused"},
		line{as: "root", run: "kv get secret/a", exit: 2, want: "connection refused"},
	)
}
