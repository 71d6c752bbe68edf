package vaulttest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestBothWaysIn(t *testing.T) {
	for name, connect := range map[string]func(testing.TB, *vaulttest.Server) caller{"in process": inProcess, "TCP": overTCP} {
		t.Run(name, func(t *testing.T) {
			s := vaulttest.New(t)
			c := connect(t, s)
			root := s.RootToken()
			if v := s.PutKV("secret", "a/b", map[string]any{"n": 9007199254740993}); v != 1 {
				t.Fatalf("PutKV: version %d", v)
			}
			c.want(200, "9007199254740993", root, "GET", "secret/data/a/b", "")
			c.want(200, `"keys":["a/"]`, root, "LIST", "secret/metadata", "")
			c.want(200, `"keys":["b"]`, root, "GET", "secret/metadata/a?list=true", "")
			c.want(404, `{"errors":[]}`, root, "GET", "secret/data/missing", "")
			c.want(403, `{"errors":["permission denied"]}`, "", "GET", "secret/data/a/b", "")
			c.want(403, tokenDead, "hvs.unknown", "GET", "secret/data/a/b", "")
			c.want(501, "vaulttest does not model", root, "GET", "sys/replication/status", "")
			c.want(501, "vaulttest does not model", root, "POST", "auth/ldap/login", `{"jwt":"x"}`)
			c.want(500, "malformed JSON, unclosed containers", root, "POST", "secret/data/x", `{"data":`)

			s.Close()
			_, err := c.try(context.Background(), root, "GET", "sys/health", "")
			var op *net.OpError
			if !errors.As(err, &op) || op.Op != "dial" || !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("closed server: %v", err)
			}
			s.Restart()
			c.want(200, "9007199254740993", root, "GET", "secret/data/a/b", "")

			s.Seal()
			c.want(503, `{"errors":["Vault is sealed"]}`, root, "GET", "secret/data/a/b", "")
			c.want(503, `"sealed":true`, "", "GET", "sys/health", "")
			c.want(299, `"sealed":true`, "", "GET", "sys/health?sealedcode=299", "")
			s.Unseal()
			c.want(200, `"sealed":false`, "", "GET", "sys/health", "")
		})
	}
}

func TestFaults(t *testing.T) {
	for name, connect := range map[string]func(testing.TB, *vaulttest.Server) caller{"in process": inProcess, "TCP": overTCP} {
		t.Run(name, func(t *testing.T) {
			s := vaulttest.New(t)
			s.DynamicRole("database", "app", vaulttest.RoleSpec{})
			c := connect(t, s)
			// No kept connections: net/http repeats a GET that breaks on one.
			if tr, isTCP := c.client.Transport.(*http.Transport); isTCP {
				tr.DisableKeepAlives = true
			}
			get := func() (answer, error) {
				return c.try(context.Background(), s.RootToken(), "GET", "database/creds/app", "")
			}

			s.Fail(vaulttest.Fault{Path: "database/*/app", Count: 2, Status: 429, Header: http.Header{"Retry-After": {"7"}}})
			for range 2 {
				if a, err := get(); err != nil || a.status != 429 || !strings.Contains(a.text, "errors") {
					t.Fatalf("429: %v %v", a, err)
				}
			}
			if n := len(s.Leases()); n != 0 {
				t.Fatalf("%d leases after 429s", n)
			}
			s.Fail(vaulttest.Fault{Method: "GET", Path: "database/", Count: 1, DropBefore: true})
			if _, err := get(); !errors.Is(err, io.EOF) {
				t.Fatalf("DropBefore: %v", err)
			}
			if n := len(s.Leases()); n != 0 {
				t.Fatalf("%d leases after DropBefore", n)
			}
			s.Fail(vaulttest.Fault{Path: "database/", Count: 1, DropAfter: true})
			if _, err := get(); !errors.Is(err, io.EOF) {
				t.Fatalf("DropAfter: %v", err)
			}
			s.Fail(vaulttest.Fault{Path: "database/", Count: 1, Status: 502, Body: `{"x":1}`, After: true})
			if a, err := get(); err != nil || a.status != 502 || a.text != `{"x":1}` {
				t.Fatalf("502 after: %v %v", a, err)
			}
			if n := len(s.Leases()); n != 2 {
				t.Fatalf("%d leases after two lost answers, want 2", n)
			}
			s.Fail(vaulttest.Fault{Count: 1, Refuse: true})
			if _, err := get(); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("Refuse: %v", err)
			}

			s.Fail(vaulttest.Fault{Path: "database/", Hang: true})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := c.try(ctx, s.RootToken(), "GET", "database/creds/app", ""); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("Hang: %v", err)
			}
			s.ClearFaults()
			c.want(200, "lease_id", s.RootToken(), "GET", "database/creds/app", "")
			if n := s.Count("GET", "database/creds/"); n != 8 {
				t.Fatalf("Count: %d", n)
			}
			if n := s.Count("PUT", ""); n != 0 {
				t.Fatalf("Count of writes: %d", n)
			}
		})
	}
}

func TestHangAndDelayInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		start := time.Now()

		s.Fail(vaulttest.Fault{Count: 1, Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := c.try(ctx, s.RootToken(), "GET", "auth/token/lookup-self", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if d := time.Since(start); d != time.Hour {
			t.Fatalf("hung for %v", d)
		}

		// A late answer has taken effect at the time of the request.
		s.DynamicRole("database", "app", vaulttest.RoleSpec{DefaultTTL: time.Minute})
		s.Fail(vaulttest.Fault{Count: 1, Delay: 5 * time.Second, After: true})
		sent := time.Now()
		c.want(200, "lease_id", s.RootToken(), "GET", "database/creds/app", "")
		if d := time.Since(sent); d != 5*time.Second {
			t.Fatalf("answered after %v", d)
		}
		if end := s.Leases()[0].Expires; !end.Equal(sent.Add(time.Minute)) {
			t.Fatalf("the lease ends %v after it was asked for", end.Sub(sent))
		}

		// Requests that hang go on when the faults are cleared, and are cut by Close.
		s.Fail(vaulttest.Fault{Hang: true})
		var wg sync.WaitGroup
		wg.Go(func() { c.want(200, "accessor", s.RootToken(), "GET", "auth/token/lookup-self", "") })
		synctest.Wait()
		s.ClearFaults()
		wg.Wait()
		s.Fail(vaulttest.Fault{Hang: true})
		var err error
		wg.Go(func() {
			_, err = c.try(context.Background(), s.RootToken(), "GET", "auth/token/lookup-self", "")
		})
		synctest.Wait()
		s.Close()
		wg.Wait()
		if !errors.Is(err, io.EOF) {
			t.Fatalf("cut by Close: %v", err)
		}
	})
}

func TestRequestsNeverHoldTheToken(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	tok := s.CreateToken(vaulttest.TokenSpec{})
	c.want(200, "", tok, "GET", "auth/token/lookup-self", "")
	r := s.Requests()
	if len(r) != 1 || r[0].Accessor != s.Tokens()[0].Accessor || r[0].Status != 200 || r[0].Path != "auth/token/lookup-self" || r[0].Method != http.MethodGet {
		t.Fatalf("%+v", r)
	}
}
