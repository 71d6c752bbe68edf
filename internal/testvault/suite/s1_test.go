package suite

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestS1ATerminatedServiceLeavesNothing sends SIGTERM to a service in each phase of its
// life: what it waits for is held by the proxy, before Vault sees it or after. Tokens and
// leases last an hour, so that all that Vault still knows of afterwards was left behind.
//
// Where Vault is gone, or the network swallows packets, nothing can be revoked, and the
// service must end all the same; its token of 10 s and what hangs on it end by themselves.
func TestS1ATerminatedServiceLeavesNothing(t *testing.T) {
	t.Parallel()
	// A minute, or until the service has been told to end.
	const held = time.Minute
	made := map[string]int{"auth/MOUNT/login": 1, "database/creds/ROLE": 2} // tokens and leases
	w := newWorld(t)
	for i, tc := range []struct {
		name string
		path string // of what is held; MOUNT and ROLE are the test's own; empty: nothing is
		rule testvault.Rule
	}{
		{"its login is on its way", "auth/MOUNT/login", testvault.Rule{Delay: held}},
		{"its login's answer is on its way", "auth/MOUNT/login", testvault.Rule{Delay: held, After: true}},
		{"its token is looked up", "auth/token/lookup-self", testvault.Rule{Delay: held}},
		{"a secret is read", "secret/data/payments/stripe", testvault.Rule{BlackHole: true}},
		{"a credential is asked for", "database/creds/ROLE", testvault.Rule{Delay: held}},
		{"a credential's answer is on its way", "database/creds/ROLE", testvault.Rule{Delay: held, After: true}},
		{"at work", "", testvault.Rule{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, p := w.in(t), testvault.NewProxy(t, w.v.Addr())
			role := fmt.Sprintf("s1n%d", i)
			mount := "approle-" + role
			w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
			require.Zero(t, w.liveTokens(mount))
			tc.rule.Path = map[string]string{
				"auth/MOUNT/login":    "auth/" + mount + "/login",
				"database/creds/ROLE": "database/creds/" + role,
			}[tc.path]
			if tc.rule.Path == "" {
				tc.rule.Path = tc.path
			}
			undo := func() {}
			if tc.path != "" {
				undo = p.Fault(tc.rule)
			}
			c := w.child(t, p, mount, role, map[string]any{"token_ttl": "1h"})
			switch {
			case tc.path == "":
				c.awaitWork(t)
				<-time.After(time.Second)
			case tc.rule.After:
				testvault.Poll(t, 20*time.Second, func() bool {
					return w.liveTokens(mount)+len(w.v.Leases("database/creds/"+role)) == made[tc.path]
				}, "Vault to make what "+tc.path+" asks for")
			default:
				testvault.Poll(t, 20*time.Second, func() bool { return p.Count("", tc.rule.Path) > 0 }, "the child to ask for "+tc.path)
			}
			if tc.rule.Delay == held { // now, so that the second that New takes for it is Vault's alone
				time.AfterFunc(100*time.Millisecond, undo)
			}
			r, took := c.terminate(t)
			assert.Less(t, took, 5*time.Second, "the service's end: nothing that it waits for is worth Close's whole bound")
			assert.Zero(t, r.Failed, "failed queries")
			if tc.path == "" {
				assert.Empty(t, r.Error, "the service's end")
				assert.Positive(t, r.Queries)
				figure.AtMost(stdout, "s1-exit", took.Seconds(), "s", 1, "oracle=clock", fmt.Sprintf("queries=%d", r.Queries), fmt.Sprintf("failed=%d", r.Failed))
			}
			testvault.Poll(t, 10*time.Second, func() bool {
				return w.v.Audit().Count("", "auth/"+mount+"/login") == 1
			}, "the login, which must have been made for this to say anything")
			testvault.Poll(t, 10*time.Second, func() bool { return w.liveTokens(mount) == 0 }, "tokens left after the service's end")
			w.nothingLeft(t, role)
		})
	}

	for name, down := range map[string]func(*testvault.Proxy){
		"refuse": (*testvault.Proxy).Refuse,
		"freeze": (*testvault.Proxy).Freeze,
	} {
		t.Run("at work, and Vault is down: "+name, func(t *testing.T) {
			t.Parallel()
			w, p := w.in(t), testvault.NewProxy(t, w.v.Addr())
			role := "s1" + name
			w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
			c := w.child(t, p, "approle-"+role, role, map[string]any{"token_ttl": "10s"})
			c.awaitWork(t)
			down(p)
			r, took := c.terminate(t)
			assert.Less(t, took, 10*time.Second, "the service's end")
			assert.Zero(t, r.Failed, "failed queries: the database is there")
			assert.Contains(t, r.Error, "revoke", "Close says what was left")
			figure.AtMost(stdout, "s1-exit-"+name, took.Seconds(), "s", 6, "oracle=clock", fmt.Sprintf("queries=%d", r.Queries), fmt.Sprintf("failed=%d", r.Failed))
			<-time.After(10*time.Second - took) // and not asking all the while
			testvault.Poll(t, 20*time.Second, func() bool { return w.liveTokens("approle-"+role) == 0 }, "the token to end by itself")
			w.nothingLeft(t, role)
		})
	}
}
