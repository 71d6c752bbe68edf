package suite

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// recorder is a transport that remembers the tokens it was handed.
type recorder struct {
	base *http.Transport

	mu     sync.Mutex
	tokens map[string]bool
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if tok := req.Header.Get("X-Vault-Token"); tok != "" {
		r.mu.Lock()
		r.tokens[tok] = true
		r.mu.Unlock()
	}
	return r.base.RoundTrip(req)
}

// stripe is a user's struct with secrets in places that fmt does not ask.
type stripe struct {
	APIKey secret.String `json:"api_key"`
	hidden secret.String
	Shared *secret.String
	List   []secret.String
}

// TestLaw20NothingSecretComesOut plants secrets and searches all that the library
// and its values print: with real tokens, lease IDs and passwords.
func TestLaw20NothingSecretComesOut(t *testing.T) {
	w := newWorld(t)
	w.v.DatabaseRole("database", "secrecy", map[string]any{"default_ttl": "3s", "max_ttl": "6s"})
	wire := &recorder{base: &http.Transport{DisableKeepAlives: true}, tokens: make(map[string]bool)}
	var cfg leasehold.Config
	a := w.start(t, "approle-secrecy", map[string]any{"token_ttl": "4s", "token_max_ttl": "8s"}, func(c *leasehold.Config) {
		c.HTTPClient = &http.Client{Transport: wire}
		cfg = *c
	})
	ctx := t.Context()
	var planted []string
	plant := func(s ...string) { planted = append(planted, s...) }
	plant(canaryValue)

	creds, err := dynamic.Database(ctx, a, "secrecy")
	require.NoError(t, err)
	value, err := kv.Get[stripe](ctx, a.KV("secret"), "payments/stripe")
	require.NoError(t, err)
	value.Value.hidden = value.Value.APIKey
	value.Value.Shared = &value.Value.APIKey
	value.Value.List = []secret.String{value.Value.APIKey}
	watched, err := kv.Watch[stripe](ctx, a.KV("secret"), "payments/stripe", kv.Every(time.Second))
	require.NoError(t, err)
	var loaded struct {
		Stripe stripe        `vault:"secret:payments/stripe"`
		Key    secret.String `vault:"secret:payments/stripe#api_key"`
	}
	require.NoError(t, a.Load(ctx, &loaded))
	_, wrongType := kv.Get[struct {
		APIKey int `json:"api_key"`
	}](ctx, a.KV("secret"), "payments/stripe")
	_, forbidden := a.Vault().Logical().ReadWithContext(ctx, "sys/policies/acl/app")
	_, missing := kv.Get[stripe](ctx, a.KV("secret"), "nothing/here")

	// Through renewals, replacements and an outside revocation.
	up, err := creds.Get()
	require.NoError(t, err)
	plant(up.Password.Reveal())
	plant(w.leaseIDs()...)
	w.v.RevokeLeases("database/creds/secrecy")
	creds.Suspect(creds.Snapshot().Generation)
	next, err := creds.Wait(ctx, 1)
	require.NoError(t, err)
	plant(next.Value.Password.Reveal())
	plant(w.leaseIDs()...)
	w.v.RevokeAccessor(a.Status().Token.Accessor)
	_, _ = kv.Get[stripe](ctx, a.KV("secret"), "payments/stripe")
	next, err = creds.Wait(ctx, next.Generation)
	require.NoError(t, err)
	plant(next.Value.Password.Reveal())
	status, ready := a.Status(), a.Ready()

	var out strings.Builder
	out.WriteString(a.said.String())
	for _, x := range []any{
		a.Client, cfg, cfg.Auth, status, ready, value, &value, loaded, watched, watched.Snapshot(), watched.Get(), watched.Err(),
		creds, creds.Snapshot(), up, next, a.KV("secret"), wrongType, forbidden, missing, value.Value.hidden,
	} {
		fmt.Fprintf(&out, "%v\n%+v\n%#v\n%s\n%q\n%x\n", x, x, x, x, x, x)
		if err, ok := x.(error); ok {
			for ; err != nil; err = errors.Unwrap(err) {
				fmt.Fprintf(&out, "%v\n%#v\n", err, err)
			}
		}
		if b, err := json.Marshal(x); err == nil {
			out.Write(b)
		}
	}
	require.NoError(t, a.Close(context.Background()))
	fmt.Fprintf(&out, "%v %+v %#v", a.Vault(), a.Vault(), a.Vault()) // not while it works: it has locks
	out.WriteString(a.said.String())

	wire.mu.Lock()
	for tok := range wire.tokens {
		plant(tok)
	}
	wire.mu.Unlock()
	require.GreaterOrEqual(t, len(planted), 8, "tokens, passwords, lease IDs and a value must have been planted")
	for i, p := range planted {
		require.Greater(t, len(p), 10)
		if s := out.String(); strings.Contains(s, p) || strings.Contains(s, hex.EncodeToString([]byte(p))) {
			// Not assert.NotContains, which would print both.
			t.Errorf("planted secret %d of %d came out", i+1, len(planted))
		}
	}
	wire.base.CloseIdleConnections()
}

// leaseIDs returns the random parts of all lease IDs.
func (w world) leaseIDs() (ids []string) {
	for _, l := range w.v.Leases("database/creds") {
		ids = append(ids, l[strings.LastIndex(l, "/")+1:])
	}
	return ids
}
