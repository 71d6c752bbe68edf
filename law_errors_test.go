package leasehold_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// Vault's bodies of a 403.
const (
	deniedByPolicy = `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`
	invalidToken   = `{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`
)

// TestLaw06WhatMayPassNeverCausesALogin (A2, E1-E3): for half of their lives nothing
// answers but such errors. No login, no creation, the same credential afterwards.
// Mutation: classify takes a 5xx for a dead token.
func TestLaw06WhatMayPassNeverCausesALogin(t *testing.T) {
	for name, fault := range map[string]vaulttest.Fault{
		"sealed":         {Status: 503, Body: `{"errors":["Vault is sealed"]}`},
		"503":            {Status: 503},
		"500":            {Status: 500, Body: `{"errors":["internal error"]}`},
		"502":            {Status: 502, Body: "<html>bad gateway</html>"},
		"429":            {Status: 429, Body: `{"errors":["request path \"x\": rate limit quota exceeded"]}`},
		"412":            {Status: 412, Body: `{"errors":["required index state not present"]}`},
		"472":            {Status: 472},
		"refused":        {Refuse: true},
		"cut":            {DropBefore: true},
		"hanging":        {Hang: true},
		"429 with hours": {Status: 429, Header: http.Header{"Retry-After": {"7200"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 120 * time.Second})
				w.database(vaulttest.RoleSpec{DefaultTTL: 120 * time.Second, MaxTTL: time.Hour})
				c := w.start()
				creds := w.open(c)
				before, err := creds.Get()
				require.NoError(t, err)
				time.Sleep(30 * time.Second)
				w.Fail(fault)
				every(60*time.Second, time.Second, func(at time.Duration) {
					got, err := creds.Get()
					require.NoError(t, err, at)
					require.Equal(t, before, got)
					require.NoError(t, c.Ready())
				})
				asked := w.Count("", renewToken) + w.Count("", renewLease)
				require.Positive(t, asked)
				require.Less(t, asked, 60, "with pauses")
				w.ClearFaults()
				time.Sleep(2 * time.Minute)
				got, err := creds.Get()
				require.NoError(t, err)
				require.Equal(t, before, got)
				require.Equal(t, 1, w.logins())
				require.Equal(t, 1, w.creations())
			})
		})
	}
}

// TestLaw06RetryAfterIsHonoured (E2): the next attempt comes when the server said, and
// where the caller's time ends before that, the error comes at once.
// Mutation: retryPause ignores RetryAfter.
func TestLaw06RetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Fail(vaulttest.Fault{Path: configPath, Status: 429, Header: http.Header{"Retry-After": {"20"}}, Count: 2})
		_, err := kv.Get[map[string]string](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		for i, r := range w.named(configPath)[1:] {
			require.GreaterOrEqual(t, r.Time.Sub(w.named(configPath)[i].Time), 20*time.Second)
		}

		w.Fail(vaulttest.Fault{Path: configPath, Status: 429, Header: http.Header{"Retry-After": {"20"}}, Count: 2})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err = kv.Get[map[string]string](ctx, c.KV("secret"), "app/config")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "429")
		require.Less(t, time.Since(began), time.Second)
		require.Equal(t, 1, w.logins())
	})
}

// TestLaw06ADeadTokenIsReplacedOnceAndTheRequestRepeated (F11): 403 "invalid token" brings one
// login, the children anew, and the caller his answer.
// Mutation: Session.Once returns the error of a dead token.
func TestLaw06ADeadTokenIsReplacedOnceAndTheRequestRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		creds := w.open(c)
		require.True(t, w.RevokeToken(w.token()))
		_, err := kv.Get[map[string]string](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		require.Equal(t, 2, w.reads())
		up, err := creds.Current(t.Context())
		require.NoError(t, err)
		require.True(t, w.Alive(up.Username))
		time.Sleep(10 * time.Minute)
		require.Equal(t, 2, w.logins())
		require.Equal(t, 2, w.creations())
	})
}

// TestLaw06ADeadTokenIsRecognisedWithoutItsText: a proxy strips Vault's text. Where a
// lookup-self that was allowed is refused as well, the token is dead; where the
// lookup is allowed, or cannot be asked, it is not.
// Mutation: deadAfterAll always says no.
func TestLaw06ADeadTokenIsRecognisedWithoutItsText(t *testing.T) {
	for _, tc := range []struct {
		name   string
		lookup *vaulttest.Fault
		logins int
	}{
		{"lookup refused too", &vaulttest.Fault{Path: lookupSelf, Status: 403, Body: deniedByPolicy, Count: 1}, 2},
		{"lookup allowed", nil, 1},
		{"lookup fails by network", &vaulttest.Fault{Path: lookupSelf, Refuse: true, Count: 1}, 1},
		{"lookup meets a sealed Vault", &vaulttest.Fault{Path: lookupSelf, Status: 503, Count: 1}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
				c := w.start()
				w.Fail(vaulttest.Fault{Path: configPath, Status: 403, Body: deniedByPolicy, Count: 1})
				if tc.lookup != nil {
					w.Fail(*tc.lookup)
				}
				_, err := kv.Get[map[string]string](t.Context(), c.KV("secret"), "app/config")
				require.Equal(t, tc.logins, w.logins())
				require.Equal(t, tc.logins == 2, err == nil, err)
			})
		})
	}
}

// TestLaw06AMissingPolicyIsReportedAndProbedSlowly (A6, A12): the error names the lines to
// grant. A token with the same policies is revoked at once, and the next is tried after one,
// two, four minutes. No credential is replaced because of it.
// Mutation: the interval of probePolicies does not double.
func TestLaw06AMissingPolicyIsReportedAndProbedSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 24 * time.Hour})
		c := w.start()
		w.open(c)
		token := w.token()
		every(time.Hour, time.Second, func(at time.Duration) {
			_, err := kv.Get[map[string]string](t.Context(), c.KV("kv"), "other")
			require.ErrorContains(t, err, `grant it by policy: path "kv/data/other" { capabilities = ["read"] }`, at)
		})
		// At 1, 2, 4, 8, 16 and 32 minutes after the first login.
		require.Equal(t, 1+6, w.logins())
		probes := w.named(loginPath)
		require.GreaterOrEqual(t, probes[1].Time.Sub(probes[0].Time), time.Minute)
		require.Len(t, w.Tokens(), 1, "tokens with the same policies are revoked")
		require.Equal(t, token, w.token())
		require.Equal(t, 1, w.creations())
	})
}

// TestA12ATokenWithOtherPoliciesIsAdopted (law 6): the role got a policy after the login;
// a 403 finds out within a minute, and the request succeeds. The credential moves over.
// Mutation: probePolicies compares no policies and revokes the new token.
func TestA12ATokenWithOtherPoliciesIsAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 10 * time.Minute})
		w.MountKV2("kv")
		w.PutKV("kv", "other", map[string]any{"a": "b"})
		c := w.start()
		creds := w.open(c)
		w.Policy("more", vaulttest.Rule{Path: "kv/data/*", Capabilities: []string{"read"}})
		w.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: 10 * time.Minute, Policies: []string{"app", "more"}})
		_, err := kv.Get[map[string]string](t.Context(), c.KV("kv"), "other")
		require.Error(t, err, "not before a minute has passed since the login")
		time.Sleep(time.Minute)
		_, err = kv.Get[map[string]string](t.Context(), c.KV("kv"), "other")
		require.NoError(t, err)
		require.Equal(t, 2, w.logins())
		require.Contains(t, c.Status().Token.Policies, "more")
		every(20*time.Minute, time.Second, func(at time.Duration) {
			up, err := creds.Get()
			require.NoError(t, err, at)
			require.True(t, w.Alive(up.Username), at)
		})
		require.Equal(t, 2, w.creations())
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}

// TestLaw06ALeaseThatIsGoneIsReplacedAtTheNextRenewal (B2, B3): "lease not found" brings one
// creation and no second renewal. Mutation: classify does not know "lease not found".
func TestLaw06ALeaseThatIsGoneIsReplacedAtTheNextRenewal(t *testing.T) {
	for _, text := range []string{"", "lease not found", "lease expired"} {
		t.Run(text, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
				w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Hour})
				creds := w.open(w.start())
				if text == "" {
					require.True(t, w.RevokeLease(w.Leases()[0].ID))
				} else {
					w.Fail(vaulttest.Fault{Path: renewLease, Status: 400, Body: fmt.Sprintf(`{"errors":[%q]}`, text), Count: 1})
				}
				time.Sleep(35 * time.Second) // the renewal comes after 20 to 30 s
				require.Equal(t, 2, w.creations())
				require.Equal(t, 1, w.Count("", renewLease))
				require.Len(t, w.events.of(lease.Lost, credsPath), 1)
				up, err := creds.Get()
				require.NoError(t, err)
				require.True(t, w.Alive(up.Username))
			})
		})
	}
}

// TestLaw03ALeaseThatCannotBeRenewedIsReplacedAndServedUntilThen (B2): "not renewable" says nothing of
// its death. Mutation: it is taken for dead.
func TestLaw03ALeaseThatCannotBeRenewedIsReplacedAndServedUntilThen(t *testing.T) {
	for _, text := range []string{"lease is not renewable", "failed to renew entry: lease not renewable"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
			w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Hour})
			creds := w.open(w.start())
			w.Fail(vaulttest.Fault{Path: renewLease, Status: 400, Body: fmt.Sprintf(`{"errors":[%q]}`, text), Count: 1})
			w.Fail(vaulttest.Fault{Path: credsPath, Status: 503, Count: 1})
			every(35*time.Second, time.Second, func(at time.Duration) { // the renewal comes after 20 to 30 s
				up, err := creds.Get()
				require.NoError(t, err, at)
				require.True(t, w.Alive(up.Username))
			})
			time.Sleep(10 * time.Second)
			require.Equal(t, 3, w.creations(), "the first, one that failed, and its repetition")
			require.Equal(t, 1, w.Count("", renewLease))
			require.Empty(t, w.events.of(lease.Lost, ""))
			require.Len(t, w.events.of(lease.RenewFailed, credsPath), 1)
		})
	}
}

// TestA8ALoginThatIsRefusedIsLoudAndSlow (law 6): the secret-id is worthless; an event says so,
// logins are tried at a slow pace, and a new secret-id ends it.
// Mutation: classify takes a refused login for something that may pass.
func TestA8ALoginThatIsRefusedIsLoudAndSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 2 * time.Minute, TokenMaxTTL: 2 * time.Minute})
		var secretID atomic.Value
		secretID.Store(w.secretID)
		c := w.start(withSecretID(w, func() string { return secretID.Load().(string) }))
		w.DestroySecretID(w.secretID)
		time.Sleep(time.Hour)
		failed := w.events.of(lease.ReplaceFailed, "token")
		require.ErrorContains(t, failed[0].Err, "invalid role or secret ID")
		require.ErrorContains(t, failed[0].Err, "check the role, its credentials")
		require.GreaterOrEqual(t, w.logins(), 4)
		require.LessOrEqual(t, w.logins(), 8)
		require.Less(t, len(failed), 16)
		require.ErrorContains(t, c.Ready(), "log in auth/approle/login: 40")
		began := time.Now()
		_, err := kv.Get[map[string]string](t.Context(), c.KV("secret"), "app/config")
		require.ErrorContains(t, err, "log in auth/approle/login: 40")
		require.Zero(t, time.Since(began), "a reader is not held up by what waiting does not cure")

		secretID.Store(w.NewSecretID(w.roleID))
		time.Sleep(10 * time.Second)
		require.NoError(t, c.Ready())
	})
}

// TestLaw06FourKindsOfNotFound (F16, F17, C3): they are four errors, and none is nil.
// Mutation: missing does not look for the time of deletion.
func TestLaw06FourKindsOfNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{Policies: []string{"writer"}})
		all := []string{"create", "read", "update", "delete"}
		w.Policy("writer", vaulttest.Rule{Path: "*", Capabilities: all}, vaulttest.Rule{Path: "secret/data/*", Capabilities: all})
		w.PutKV("secret", "deleted", map[string]any{"a": 1})
		w.PutKV("secret", "destroyed", map[string]any{"a": 1})
		c := w.start()
		_, err := c.Vault().Logical().DeleteWithContext(t.Context(), "secret/data/deleted")
		require.NoError(t, err)
		_, err = c.Vault().Logical().WriteWithContext(t.Context(), "secret/destroy/destroyed", map[string]any{"versions": []int{1}})
		require.NoError(t, err)
		for path, want := range map[string]error{
			"secret:missing": kv.ErrNotFound, "secret:deleted": kv.ErrDeleted, "secret:destroyed": kv.ErrDestroyed, "nothing:x": kv.ErrNoMount,
		} {
			mount, path, _ := cut(path)
			_, err := kv.Get[map[string]any](t.Context(), c.KV(mount), path)
			require.ErrorIs(t, err, want)
			require.ErrorContains(t, err, mount+"/"+path)
			for _, other := range []error{kv.ErrNotFound, kv.ErrDeleted, kv.ErrDestroyed, kv.ErrNoMount} {
				if !errors.Is(other, want) {
					require.NotErrorIs(t, err, other)
				}
			}
		}
		require.Equal(t, 1, w.logins())
		require.Len(t, w.named("secret/data/missing"), 1, "not retried")
	})
}

// TestLaw06TokenCallsGoToTheAuthNamespace: and reads and lease calls to that of the secrets.
// Mutation: tokenKeeper.Renew sends the namespace of the secrets.
func TestLaw06TokenCallsGoToTheAuthNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute})
		w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Namespace, c.AuthNamespace = "team/secrets", "team" })
		w.open(c)
		time.Sleep(time.Minute)
		_, err := kv.Get[map[string]string](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		require.NoError(t, c.Close(t.Context()))
		want := map[string]string{
			loginPath: "team", lookupSelf: "team", renewToken: "team", revokeSelf: "team",
			credsPath: "team/secrets", renewLease: "team/secrets", configPath: "team/secrets",
			"sys/internal/ui/mounts/secret": "team/secrets",
		}
		seen := map[string]bool{}
		for _, r := range w.Requests() {
			require.Equal(t, want[r.Path], r.Namespace, r.Path)
			seen[r.Path] = true
		}
		require.Len(t, seen, len(want))
	})
}
