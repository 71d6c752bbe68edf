package suite

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// TestA14OneLoginForAllAndNoTokenLeft has 200 goroutines read 200 secrets at once: first
// with a client that has just begun, then when its token was revoked behind its back. A
// login for each caller shows in the audit log, and leaves tokens that nobody revokes.
//
// It then ends the ctx of New while its login, the login's answer or the lookup that
// follows is on its way. Vault makes the token all the same, and nobody but the library
// knows of it.
func TestA14OneLoginForAllAndNoTokenLeft(t *testing.T) {
	t.Parallel()
	const mount, readers, held = "approle-a14", 200, 1500 * time.Millisecond
	w := newWorld(t)
	for i := range readers {
		w.v.Write(fmt.Sprintf("secret/data/a14/%d", i), map[string]any{"data": map[string]any{"api_key": canaryValue}})
	}
	t.Run("all share one login", func(t *testing.T) {
		t.Parallel()
		w := w.in(t)
		a := w.start(t, mount, map[string]any{"token_ttl": "1h"})
		for _, tc := range []struct {
			name   string
			logins int
			before func()
		}{
			{"the token of New", 1, func() {}},
			{"a dead token", 2, func() { w.v.RevokeAccessor(a.Status().Token.Accessor) }},
		} {
			tc.before()
			var wg sync.WaitGroup
			start, failed := make(chan struct{}), make(chan error, readers)
			for i := range readers {
				wg.Go(func() {
					<-start
					if _, err := kv.Get[stripe](t.Context(), a.KV("secret"), fmt.Sprintf("a14/%d", i)); err != nil {
						failed <- err
					}
				})
			}
			close(start)
			wg.Wait()
			logins := w.v.Audit().Count("", "auth/"+mount+"/login")
			assert.Empty(t, failed, tc.name)
			assert.Equal(t, tc.logins, logins, "%s: logins in the audit log", tc.name)
			if tc.logins > 1 { // before, that of New is the only one, whoever shares it
				figure.AtMost(stdout, "a14-dead-token-logins", float64(logins), "logins", float64(tc.logins), "oracle=audit-log", "goroutines=200", fmt.Sprintf("failed=%d", len(failed)))
			}
		}
		require.NoError(t, a.Close(context.Background()))
		assert.Zero(t, w.liveTokens(mount), "tokens left")
	})
	for _, tc := range []struct {
		name, mount, path string
		rule              testvault.Rule
	}{
		{"the login is on its way", "approle-a14login", "auth/approle-a14login/login", testvault.Rule{Delay: held}},
		{"the login's answer is on its way", "approle-a14answer", "auth/approle-a14answer/login", testvault.Rule{Delay: held, After: true}},
		{"the token is looked up", "approle-a14lookup", "auth/token/lookup-self", testvault.Rule{Delay: held}},
	} {
		t.Run("New is abandoned while "+tc.name, func(t *testing.T) {
			t.Parallel()
			w := w.in(t)
			p := testvault.NewProxy(t, w.v.Addr())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			tc.rule.Path = tc.path
			tc.rule.Match = func(*http.Request) bool {
				cancel()
				return true
			}
			p.Fault(tc.rule)
			roleID, secretID := w.v.AppRole(tc.mount, "app", map[string]any{"token_policies": "app", "token_ttl": "1h"})
			c, err := leasehold.New(ctx, leasehold.Config{
				Address: p.Addr(),
				Auth:    approle.New(roleID, approle.SecretIDString(secretID), approle.Mount(tc.mount)),
			})
			if err == nil { // the token was there, and a client holds it
				require.NoError(t, c.Close(context.Background()))
			} else {
				require.ErrorIs(t, err, context.Canceled)
			}
			testvault.Poll(t, 10*time.Second, func() bool {
				return w.v.Audit().Count("", "auth/"+tc.mount+"/login") == 1
			}, "the login, which must have been made for this to say anything")
			testvault.Poll(t, 10*time.Second, func() bool { return w.liveTokens(tc.mount) == 0 }, "a token left by a New that was abandoned")
		})
	}
}

// liveTokens counts the tokens that were obtained at an auth method's mount and that Vault
// still accepts. Batch tokens are not among them: Vault keeps no list of those.
func (w world) liveTokens(mount string) (n int) {
	for _, accessor := range w.v.List("auth/token/accessors") {
		status, body, err := w.v.TryWrite("auth/token/lookup-accessor", map[string]any{"accessor": accessor})
		data, _ := body["data"].(map[string]any)
		if err == nil && status == http.StatusOK && data["path"] == "auth/"+mount+"/login" {
			n++
		}
	}
	return n
}
