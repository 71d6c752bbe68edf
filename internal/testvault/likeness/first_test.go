package likeness

import "testing"

func TestTheServersThemselvesAreAlike(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.play(
		step{do: "GET sys/health"},
		step{do: "GET sys/seal-status"},
		step{as: "root", do: "GET nothing/here"},
		step{do: "GET secret/data/a"},
		step{as: "root", do: "POST auth/token/create", body: `{"ttl":"10m"}`, save: "t=auth.client_token acc=auth.accessor"},
		step{as: "t", do: "GET auth/token/lookup-self"},
		step{as: "t", do: "GET secret/data/a"},
	)
}
