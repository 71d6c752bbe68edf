package likeness

import (
	"testing"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestWhatFuzzingFound plays what vaulttest once answered otherwise than Vault: its fuzz tests say that
// something is wrong, and Vault what is right.
func TestWhatFuzzingFound(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.real.Policy("cubby", `path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }`)
	p.fake.Policy("cubby", vaulttest.Rule{Path: "cubbyhole/*", Capabilities: []string{"create", "read", "update", "delete", "list"}})

	p.play(
		// A batch token is stored nowhere, and so has no cubbyhole.
		step{as: "root", do: "POST auth/token/create", body: `{"type":"batch","policies":["cubby"],"ttl":"10m"}`, save: "b=auth.client_token"},
		step{as: "b", do: "POST cubbyhole/a", body: `{"x":1}`},
		step{as: "b", do: "GET cubbyhole/a"},
		step{as: "b", do: "LIST cubbyhole/"},
		step{as: "b", do: "DELETE cubbyhole/a"},
		step{as: "b", do: "POST cubbyhole/a"},

		// Children outlive a parent that is revoked alone, but for batch tokens.
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["cubby","root"],"ttl":"10m"}`, save: "parent=auth.client_token"},
		step{as: "parent", do: "POST auth/token/create", body: `{"policies":["cubby"],"ttl":"5m"}`, save: "child=auth.client_token"},
		step{as: "parent", do: "POST auth/token/create", body: `{"type":"batch","policies":["cubby"],"ttl":"5m"}`, save: "batch=auth.client_token"},
		step{as: "root", do: "POST auth/token/revoke-orphan", body: `{"token":"{parent}"}`},
		step{as: "child", do: "GET auth/token/lookup-self"},
		step{as: "batch", do: "GET auth/token/lookup-self"},
	)
}
