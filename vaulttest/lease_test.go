package vaulttest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// dbToken returns a token that may read credentials.
func dbToken(s *vaulttest.Server, spec vaulttest.TokenSpec) string {
	s.Policy("db", vaulttest.Rule{Path: "database/creds/+", Capabilities: []string{"read"}})
	spec.Policies = append(spec.Policies, "db")
	return s.CreateToken(spec)
}

func leaseBody(id string) string { return `{"lease_id":"` + id + `"}` }

func TestF1LeaseDiesWithItsTokenWhateverItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		var revoked []any
		s.DynamicRole("database", "long", vaulttest.RoleSpec{
			DefaultTTL: time.Hour, MaxTTL: 2 * time.Hour,
			Revoke: func(data map[string]any) { revoked = append(revoked, data["username"]) },
		})
		tok := dbToken(s, vaulttest.TokenSpec{TTL: 8 * time.Second})
		a := c.want(200, `"lease_duration":3600,`, tok, "GET", "database/creds/long", "")
		user := a.secret.Data["username"].(string)
		time.Sleep(6 * time.Second)
		c.want(200, `"lease_duration":3600,`, tok, "PUT", "sys/leases/renew", leaseBody(a.secret.LeaseID))
		// F3: another token renews it too, and does not adopt it.
		other := dbToken(s, vaulttest.TokenSpec{})
		c.want(200, `"lease_duration":3600,`, other, "PUT", "sys/leases/renew", leaseBody(a.secret.LeaseID))
		c.want(200, `"ttl":3600`, other, "PUT", "sys/leases/lookup", leaseBody(a.secret.LeaseID))
		l := s.Leases()[0]
		if time.Until(l.Expires) != time.Hour || time.Until(l.Ends) != 2*time.Second {
			t.Fatalf("expires in %v, ends in %v", time.Until(l.Expires), time.Until(l.Ends))
		}
		time.Sleep(2*time.Second - time.Nanosecond)
		if !s.Alive(user) {
			t.Fatal("dead before its token")
		}
		time.Sleep(time.Nanosecond)
		if s.Alive(user) || len(revoked) != 1 || revoked[0] != user {
			t.Fatalf("alive after its token; revoked: %v", revoked)
		}
		c.want(400, `{"errors":["lease not found"]}`, other, "PUT", "sys/leases/renew", leaseBody(a.secret.LeaseID))
		c.want(400, `{"errors":["invalid lease"]}`, other, "PUT", "sys/leases/lookup", leaseBody(a.secret.LeaseID))
	})
}

func TestF2LeaseUnderABatchTokenIsCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		s.DynamicRole("database", "long", vaulttest.RoleSpec{DefaultTTL: time.Hour})
		tok := dbToken(s, vaulttest.TokenSpec{TTL: 8 * time.Second, Batch: true})
		a := c.want(200, `"lease_duration":8,`, tok, "GET", "database/creds/long", "")
		time.Sleep(3 * time.Second)
		c.want(200, `"lease_duration":5,`, tok, "PUT", "sys/leases/renew", leaseBody(a.secret.LeaseID))
		time.Sleep(5 * time.Second)
		if n := len(s.Leases()); n != 0 {
			t.Fatalf("%d leases", n)
		}
	})
}

func TestF14GrantsShrinkNearTheMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		s.DynamicRole("database", "short", vaulttest.RoleSpec{DefaultTTL: 10 * time.Second, MaxTTL: 15 * time.Second})
		root := s.RootToken()
		a := c.want(200, `"lease_duration":10,`, root, "GET", "database/creds/short", "")
		for _, step := range []struct {
			sleep int
			want  int
		}{{2, 10}, {3, 10}, {4, 6}, {3, 3}, {2, 1}} {
			time.Sleep(time.Duration(step.sleep) * time.Second)
			r := c.want(200, `"renewable":true`, root, "PUT", "sys/leases/renew", leaseBody(a.secret.LeaseID))
			if r.secret.LeaseDuration != step.want {
				t.Fatalf("granted %d, want %d", r.secret.LeaseDuration, step.want)
			}
			if capped := strings.Contains(r.text, "exceeded the effective max_ttl"); capped != (step.want < 10) {
				t.Fatalf("warnings %v", r.secret.Warnings)
			}
		}
		time.Sleep(time.Second)
		c.want(400, "lease not found", root, "PUT", "sys/leases/renew", leaseBody(a.secret.LeaseID))

		a = c.want(200, "lease_id", root, "GET", "database/creds/short", "")
		c.want(200, `"lease_duration":5,`, root, "POST", "sys/leases/renew", `{"lease_id":"`+a.secret.LeaseID+`","increment":5}`)
		time.Sleep(5 * time.Second)
		if len(s.Leases()) != 0 {
			t.Fatal("F13: the increment did not shorten the lease")
		}
	})
}

func TestRenewalsThatFail(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	root := s.RootToken()
	s.DynamicRole("database", "fixed", vaulttest.RoleSpec{NotRenewable: true})
	s.DynamicRole("database", "bad", vaulttest.RoleSpec{RenewErr: func() error { return errors.New("syntax error") }})
	a := c.want(200, `"renewable":false`, root, "GET", "database/creds/fixed", "")
	c.want(400, `{"errors":["lease is not renewable"]}`, root, "PUT", "sys/leases/renew", leaseBody(a.secret.LeaseID))
	a = c.want(200, `"renewable":true`, root, "GET", "database/creds/bad", "")
	c.want(400, `* syntax error`, root, "PUT", "sys/leases/renew", leaseBody(a.secret.LeaseID))
	c.want(400, "lease_id must be specified", root, "PUT", "sys/leases/renew", "{}")
	c.want(400, `{"errors":["unknown role: nobody"]}`, root, "GET", "database/creds/nobody", "")
	c.want(204, "", root, "PUT", "sys/leases/revoke", leaseBody(a.secret.LeaseID))
	c.want(204, "", root, "PUT", "sys/leases/revoke", leaseBody(a.secret.LeaseID))
	if l := s.Leases(); len(l) != 1 || !s.RevokeLease(l[0].ID) || s.RevokeLease(l[0].ID) || len(s.Leases()) != 0 {
		t.Fatal("RevokeLease")
	}
}

func TestCallbacksMayUseTheServer(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	n, revoked := 0, 0
	s.DynamicRole("database", "own", vaulttest.RoleSpec{
		DefaultTTL: time.Minute,
		Create: func() (map[string]any, error) {
			n = len(s.Leases()) + 1
			return map[string]any{"username": fmt.Sprintf("user%d", n)}, nil
		},
		RenewErr: func() error { s.Alive("user1"); return nil },
		Revoke:   func(data map[string]any) { s.Alive(data["username"].(string)); revoked++ },
	})
	a := c.want(200, `"username":"user1"`, s.RootToken(), "GET", "database/creds/own", "")
	c.want(200, "lease_id", s.RootToken(), "PUT", "sys/leases/renew", leaseBody(a.secret.LeaseID))
	c.want(200, `"username":"user2"`, s.RootToken(), "GET", "database/creds/own", "")
	s.Advance(time.Hour)
	if revoked != 2 {
		t.Fatalf("%d revoked", revoked)
	}

	// A token that dies while its credential is being made leaves none behind.
	tok := dbToken(s, vaulttest.TokenSpec{TTL: time.Minute})
	s.DynamicRole("database", "slow", vaulttest.RoleSpec{
		Create: func() (map[string]any, error) { s.Advance(time.Hour); return map[string]any{"username": "late"}, nil },
		Revoke: func(map[string]any) { revoked++ },
	})
	c.want(403, tokenDead, tok, "GET", "database/creds/slow", "")
	if revoked != 3 || len(s.Leases()) != 0 {
		t.Fatalf("%d revoked, leases %v", revoked, s.Leases())
	}
}

func TestChildrenDieWithTheirParent(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.DynamicRole("database", "app", vaulttest.RoleSpec{})
	parent := dbToken(s, vaulttest.TokenSpec{TTL: time.Hour})
	child := dbToken(s, vaulttest.TokenSpec{TTL: 2 * time.Hour, Parent: parent})
	batch := dbToken(s, vaulttest.TokenSpec{TTL: 2 * time.Hour, Parent: child, Batch: true})
	for _, tok := range []string{parent, child, batch} {
		c.want(200, "lease_id", tok, "GET", "database/creds/app", "")
	}
	if l := s.Leases(); len(l) != 3 || !l[2].Ends.Equal(l[0].Ends) {
		t.Fatalf("%+v", l)
	}
	c.want(204, "", parent, "POST", "auth/token/revoke-self", "")
	if len(s.Leases()) != 0 || len(s.Tokens()) != 0 {
		t.Fatalf("left: %v %v", s.Leases(), s.Tokens())
	}
}

func TestLeasesAreRevokedByPrefix(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	root := s.RootToken()
	for _, role := range []string{"a", "b"} {
		s.DynamicRole("database", role, vaulttest.RoleSpec{})
		c.want(200, "lease_id", root, "GET", "database/creds/"+role, "")
		c.want(200, "lease_id", root, "GET", "database/creds/"+role, "")
	}
	tok := dbToken(s, vaulttest.TokenSpec{})
	c.want(403, policyDenied, tok, "PUT", "sys/leases/revoke-prefix/database", "")
	c.want(200, `"keys":["a/","b/"]`, root, "LIST", "sys/leases/lookup/database/creds", "")
	c.want(204, "", root, "PUT", "sys/leases/revoke-prefix/database/creds/a", "")
	if l := s.Leases(); len(l) != 2 || l[0].Path != "database/creds/b" {
		t.Fatalf("%+v", l)
	}
	c.want(204, "", root, "PUT", "sys/leases/revoke-prefix/auth/token", "")
	c.want(403, tokenDead, tok, "GET", "auth/token/lookup-self", "")
	c.want(204, "", root, "PUT", "sys/leases/revoke-force/database", "")
	if l := s.Leases(); len(l) != 0 {
		t.Fatalf("%+v", l)
	}
}

func TestRoleThatChanges(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.DynamicRole("database", "app", vaulttest.RoleSpec{DefaultTTL: time.Hour})
	a := c.want(200, `"lease_duration":3600,`, s.RootToken(), "GET", "database/creds/app", "")
	s.DynamicRole("database", "app", vaulttest.RoleSpec{DefaultTTL: time.Minute, Create: func() (map[string]any, error) {
		return nil, errors.New("too many connections")
	}})
	c.want(200, `"lease_duration":60,`, s.RootToken(), "PUT", "sys/leases/renew", leaseBody(a.secret.LeaseID))
	c.want(500, `{"errors":["1 error occurred:\n\t* too many connections\n\n"]}`, s.RootToken(), "GET", "database/creds/app", "")
	if l := s.Leases(); len(l) != 1 {
		t.Fatalf("%+v", l)
	}
}
