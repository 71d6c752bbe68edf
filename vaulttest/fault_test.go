package vaulttest_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// statuses are those of n requests in a row.
func (c caller) statuses(token string, n int) []int {
	c.t.Helper()
	var out []int
	for range n {
		out = append(out, c.do(token, "GET", "auth/token/lookup-self", "").status)
	}
	return out
}

func TestFaultHitsEachThird(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.Fail(vaulttest.Fault{Every: 3, Status: 503})
	assert.Equal(t, []int{200, 200, 503, 200, 200, 503, 200}, c.statuses(s.RootToken(), 7))
	s.ClearFaults()
	s.Fail(vaulttest.Fault{Every: 2, Count: 1, Status: 503})
	assert.Equal(t, []int{200, 503, 200, 200}, c.statuses(s.RootToken(), 4))
}

func TestFaultEndsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		unavailable := s.Fail(vaulttest.Fault{Path: "auth/", Status: 503})
		hang := s.Fail(vaulttest.Fault{Method: "POST", Path: "sys/", Hang: true})
		unavailable()
		unavailable()
		assert.Equal(t, []int{200}, c.statuses(s.RootToken(), 1))

		var wg sync.WaitGroup
		answered := false
		wg.Go(func() {
			c.want(400, "lease_id must be specified", s.RootToken(), "PUT", "sys/leases/renew", "{}")
			answered = true
		})
		time.Sleep(time.Hour)
		assert.False(t, answered, "PUT and POST are the same to Vault")
		hang()
		wg.Wait()
		assert.True(t, answered)
	})
}

func TestFaultAnswersAsAProxyDoes(t *testing.T) {
	s := vaulttest.New(t)
	for _, f := range []struct {
		fault        vaulttest.Fault
		contentType  string
		body, header string
	}{
		{vaulttest.Fault{Status: 502, Body: "<html>Bad Gateway</html>"}, "text/html; charset=utf-8", "<html>Bad Gateway</html>", ""},
		{vaulttest.Fault{Status: 503, Body: `{"errors":["Vault is sealed"]}`}, "application/json", `{"errors":["Vault is sealed"]}`, ""},
		{vaulttest.Fault{Status: 429, Header: http.Header{"Retry-After": {"7"}}}, "application/json", `{"errors":["Too Many Requests"]}` + "\n", "7"},
		{vaulttest.Fault{Status: 500, Body: "x", Header: http.Header{"Content-Type": {"text/strange"}}}, "text/strange", "x", ""},
	} {
		f.fault.Count = 1
		s.Fail(f.fault)
		resp, err := s.Client().Get("http://vault/v1/sys/health")
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		assert.Equal(t, f.fault.Status, resp.StatusCode)
		assert.Equal(t, f.contentType, resp.Header.Get("Content-Type"))
		assert.Equal(t, f.body, string(body))
		assert.Equal(t, f.header, resp.Header.Get("Retry-After"))
	}
}

func TestFaultForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		time.AfterFunc(time.Minute, s.Fail(vaulttest.Fault{Refuse: true}))
		_, err := c.try(t.Context(), s.RootToken(), "GET", "auth/token/lookup-self", "")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []int{200}, c.statuses(s.RootToken(), 1))
	})
}

// A request that Close finds waiting has no effect later.
func TestCloseCutsWhatAFaultDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		s.DynamicRole("database", "app", vaulttest.RoleSpec{})
		c := inProcess(t, s)
		s.Fail(vaulttest.Fault{Delay: time.Hour})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.try(context.Background(), s.RootToken(), "GET", "database/creds/app", "")
			assert.ErrorIs(t, err, io.EOF)
		})
		time.Sleep(time.Minute)
		s.Close()
		wg.Wait()
		s.Restart()
		time.Sleep(2 * time.Hour)
		assert.Empty(t, s.Leases())
	})
}

func TestFaultsThatMakeNoSenseEndTheTest(t *testing.T) {
	for _, f := range []vaulttest.Fault{{}, {Path: "x", Count: 3}, {Status: 99}, {Status: 1000}} {
		assert.Panics(t, func() { vaulttest.New(&program{}).Fail(f) }, "%+v", f)
	}
}
