package vaulttest_test

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// apart runs f in a goroutine of its own, which f may end.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// A callback that ends its goroutine, as a failing assertion does, takes nothing else along.
func TestARevokeThatDoesNotReturnLeavesTheOthersToBeCalled(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	called := 0
	s.DynamicRole("database", "app", vaulttest.RoleSpec{
		DefaultTTL: time.Minute,
		Create:     func() (map[string]any, error) { return map[string]any{"username": "u"}, nil },
		Revoke: func(map[string]any) {
			if called++; called == 1 {
				runtime.Goexit()
			}
		},
	})
	for range 3 {
		c.want(200, "username", s.RootToken(), "GET", "database/creds/app", "")
	}
	apart(func() { s.Advance(time.Hour) })
	assert.Empty(t, s.Leases())
	assert.Equal(t, 3, called)
}

func TestARotationThatDoesNotReturnStopsNobody(t *testing.T) {
	s := vaulttest.New(t)
	ready := false
	for _, name := range []string{"a", "b"} {
		s.StaticRole("database", name, vaulttest.StaticSpec{Username: name, RotationPeriod: time.Hour, Rotate: func(string, string) error {
			if ready && name == "b" {
				runtime.Goexit()
			}
			return nil
		}})
	}
	ready = true
	apart(func() { s.Advance(time.Hour) })
	inProcess(t, s).want(200, "password", s.RootToken(), "GET", "database/static-creds/a", "")
}

func TestCloseCutsWhatIsUnderWay(t *testing.T) {
	s := vaulttest.New(t)
	s.DynamicRole("database", "app", vaulttest.RoleSpec{Create: func() (map[string]any, error) {
		s.Close()
		return map[string]any{"username": "u"}, nil
	}})
	for _, c := range []caller{inProcess(t, s), overTCP(t, s)} {
		_, err := c.try(t.Context(), s.RootToken(), "GET", "database/creds/app", "")
		require.Error(t, err)
		s.Restart()
	}
}

func TestAClientThatLeavesIsNotServedOverTCPEither(t *testing.T) {
	s := vaulttest.New(t)
	s.Fail(vaulttest.Fault{Hang: true})
	entered, left := make(chan struct{}), make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		close(entered)
		s.ServeHTTP(w, r)
	}))
	defer front.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-entered
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, front.URL+"/v1/auth/token/create", strings.NewReader(`{"ttl":"1h"}`))
	require.NoError(t, err)
	req.Header.Set("X-Vault-Token", s.RootToken())
	resp, err := front.Client().Do(req)
	if err == nil {
		resp.Body.Close()
	}
	require.Error(t, err)
	<-left
	assert.Empty(t, s.Tokens())
}

func TestTheOrderIsThatOfMakingWhereTimesAreAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		var ended []any
		s.DynamicRole("database", "app", vaulttest.RoleSpec{
			DefaultTTL: time.Minute,
			Revoke:     func(data map[string]any) { ended = append(ended, data["username"]) },
		})
		var made, living []any
		for range 8 {
			s.CreateToken(vaulttest.TokenSpec{})
			made = append(made, c.want(200, "username", s.RootToken(), "GET", "database/creds/app", "").secret.Data["username"])
		}
		for _, l := range s.Leases() {
			living = append(living, l.Data["username"])
		}
		assert.Equal(t, made, living)
		time.Sleep(time.Minute)
		s.Leases()
		assert.Equal(t, made, ended)
	})
}

func TestADeadTokenHasNoAccessorInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		token := s.CreateToken(vaulttest.TokenSpec{TTL: time.Minute})
		time.Sleep(time.Hour)
		inProcess(t, s).want(403, "invalid token", token, "GET", "auth/token/lookup-self", "")
		assert.Empty(t, s.Requests()[0].Accessor)
	})
}

func TestALeaseLastsAsLongAsItsRenewalSaysHoweverSlowItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		s.DynamicRole("database", "app", vaulttest.RoleSpec{DefaultTTL: time.Minute, RenewErr: func() error {
			time.Sleep(50 * time.Second)
			return nil
		}})
		a := c.want(200, "lease_id", s.RootToken(), "GET", "database/creds/app", "")
		c.want(200, `"lease_duration":60`, s.RootToken(), "PUT", "sys/leases/renew", `{"lease_id":"`+a.secret.LeaseID+`"}`)
		assert.Equal(t, time.Minute, s.Leases()[0].Expires.Sub(s.Now()))
	})
}

// A Vault that is down cannot change a password in a database.
func TestASealedServerRotatesNothingUntilItIsBack(t *testing.T) {
	for name, away := range map[string]struct{ down, up func(*vaulttest.Server) }{
		"sealed": {(*vaulttest.Server).Seal, (*vaulttest.Server).Unseal},
		"closed": {(*vaulttest.Server).Close, (*vaulttest.Server).Restart},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := vaulttest.New(t)
			rotations := 0
			s.StaticRole("database", "billing", vaulttest.StaticSpec{
				Username: "billing", RotationPeriod: time.Minute,
				Rotate: func(string, string) error { rotations++; return nil },
			})
			away.down(s)
			time.Sleep(90 * time.Second)
			s.Leases()
			assert.Equal(t, 1, rotations, name)
			away.up(s)
			inProcess(t, s).want(200, `"ttl":60`, s.RootToken(), "GET", "database/static-creds/billing", "")
			assert.Equal(t, 2, rotations, name)
		})
	}
}

func TestTheClockGoesFarButNotAround(t *testing.T) {
	s := vaulttest.New(t)
	s.StaticRole("database", "billing", vaulttest.StaticSpec{Username: "billing", RotationPeriod: 5 * time.Second})
	began := s.Now()
	s.Advance(100 * 365 * 24 * time.Hour) // and is done at once, whatever was due
	assert.True(t, s.Now().After(began))
	assert.Panics(t, func() {
		s := vaulttest.New(&program{})
		s.Advance(math.MaxInt64)
		s.Advance(math.MaxInt64)
	})
	assert.Panics(t, func() { vaulttest.New(&program{}).Advance(-1) })
}
