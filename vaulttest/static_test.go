package vaulttest_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

const billing = "database/static-creds/billing"

func TestStaticRoleRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		current, rotations := "", 0
		s.StaticRole("database", "billing", vaulttest.StaticSpec{
			Username: "billing", RotationPeriod: time.Hour,
			Rotate: func(username, password string) error {
				assert.Equal(t, "billing", username)
				s.Leases() // it may use the server
				current = password
				rotations++
				return nil
			},
		})
		read := func() (password string, ttl any) {
			a := c.want(200, `"username":"billing"`, s.RootToken(), "GET", billing, "")
			assert.Equal(t, current, a.secret.Data["password"])
			return current, a.secret.Data["ttl"]
		}
		first, ttl := read()
		assert.InDelta(t, 3600, ttl, 0)
		time.Sleep(time.Hour - time.Nanosecond)
		same, ttl := read()
		assert.Equal(t, first, same)
		assert.InDelta(t, 0, ttl, 0)
		time.Sleep(time.Nanosecond)
		second, ttl := read()
		assert.NotEqual(t, first, second)
		assert.InDelta(t, 3600, ttl, 0)

		time.Sleep(time.Minute)
		c.want(204, "", s.RootToken(), "POST", "database/rotate-role/billing", "")
		third, ttl := read()
		assert.NotEqual(t, second, third)
		assert.InDelta(t, 3600, ttl, 0)
		assert.Equal(t, 3, rotations)

		s.Advance(5*time.Hour + time.Minute)
		assert.Equal(t, 4, rotations, "one for all that have come due")
		_, ttl = read()
		assert.InDelta(t, 59*60, ttl, 0)
	})
}

// Readers go on with the old password, and learn nothing.
func TestStaticRoleWhoseRotationFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		var down error
		var tried []string
		s.StaticRole("database", "billing", vaulttest.StaticSpec{
			Username: "billing", RotationPeriod: time.Minute,
			Rotate: func(_, password string) error { tried = append(tried, password); return down },
		})
		password := func() any {
			return c.want(200, "ttl", s.RootToken(), "GET", billing, "").secret.Data["password"]
		}
		first := password()
		down = errors.New("database is down")
		time.Sleep(time.Minute)
		assert.Equal(t, first, password())
		assert.Len(t, tried, 2)
		time.Sleep(10*time.Second - time.Nanosecond)
		assert.Equal(t, first, password())
		assert.Len(t, tried, 2)
		time.Sleep(time.Nanosecond)
		assert.Equal(t, first, password())
		assert.Len(t, tried, 3)
		assert.Equal(t, tried[1], tried[2], "the attempt is repeated")
		c.want(500, `unable to finish rotating credentials; retries will continue in the background`, s.RootToken(), "POST", "database/rotate-role/billing", "")
		assert.NotEqual(t, tried[2], tried[3], "and then given up for another password")
		down = nil
		time.Sleep(10 * time.Second)
		assert.Equal(t, tried[3], password())
		assert.Len(t, tried, 5)
	})
}

func TestStaticRoleOfTheServerItself(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.StaticRole("database", "billing", vaulttest.StaticSpec{Username: "billing"})
	a := c.want(200, `"rotation_period":86400,"ttl":86400`, s.RootToken(), "GET", billing, "")
	s.Advance(24 * time.Hour)
	b := c.want(200, `"rotation_period":86400,"ttl":86400`, s.RootToken(), "GET", billing, "")
	assert.NotEqual(t, a.secret.Data["password"], b.secret.Data["password"])
	c.want(501, "does not model", s.RootToken(), "GET", "database/static-roles/billing", "")
	c.want(501, "does not model", s.RootToken(), "POST", "database/rotate-root/app", "")

	for _, spec := range []vaulttest.StaticSpec{
		{}, {Username: "x", RotationPeriod: time.Second}, {Username: "x", Rotate: func(string, string) error { return errors.New("no") }},
	} {
		assert.Panics(t, func() { vaulttest.New(&program{}).StaticRole("database", "x", spec) })
	}
	assert.Panics(t, func() {
		vaulttest.New(&program{}).StaticRole("database", "no name", vaulttest.StaticSpec{Username: "x"})
	})
	assert.Panics(t, func() { vaulttest.New(&program{}).StaticRole("secret", "x", vaulttest.StaticSpec{Username: "x"}) })
}

// A callback that fails the test ends its goroutine, which is the server's: neither the caller nor
// the server may wait for it.
func TestCallbackThatEndsItsGoroutine(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	first := true
	s.StaticRole("database", "billing", vaulttest.StaticSpec{Username: "billing", Rotate: func(string, string) error {
		if first {
			first = false
			return nil
		}
		runtime.Goexit()
		return nil
	}})
	s.DynamicRole("database", "app", vaulttest.RoleSpec{Create: func() (map[string]any, error) {
		runtime.Goexit()
		return map[string]any{}, nil
	}})
	for _, path := range []string{"POST database/rotate-role/billing", "GET database/creds/app"} {
		method, path, _ := strings.Cut(path, " ")
		_, err := c.try(t.Context(), s.RootToken(), method, path, "")
		require.ErrorContains(t, err, "a callback has ended the request")
		c.want(200, "accessor", s.RootToken(), "GET", "auth/token/lookup-self", "")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Advance(48 * time.Hour)
	}()
	<-done
	c.want(200, "accessor", s.RootToken(), "GET", "auth/token/lookup-self", "")
}
