package vaulttest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestPolicyHCL(t *testing.T) {
	t.Parallel()
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.PolicyHCL("app", `
		# what the service reads
		path "secret/data/app/*" { capabilities = ["read", "list"] }
		path "secret/data/app/private" {
			capabilities = ["deny"] // not this
		}`)
	s.PutKV("secret", "app/db", map[string]any{"x": 1})
	tok := s.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}})
	c.want(200, `"x":1`, tok, "GET", "secret/data/app/db", "")
	c.want(403, policyDenied, tok, "GET", "secret/data/app/private", "")
	c.want(200, `capabilities = [\"read\", \"list\"]`, s.RootToken(), "GET", "sys/policies/acl/app", "")

	// By the API, and for tokens that have the policy already.
	c.want(204, "", s.RootToken(), "PUT", "sys/policies/acl/app", `{"policy":"path \"secret/data/app/private\" { capabilities = [\"read\"] }"}`)
	c.want(403, policyDenied, tok, "GET", "secret/data/app/db", "")
	c.want(404, `{"errors":[]}`, tok, "GET", "secret/data/app/private", "")
	c.want(501, "does not model allowed_parameters in policies", s.RootToken(), "PUT", "sys/policies/acl/app", `{"policy":"path \"a\" { allowed_parameters = { \"x\" = [] } }"}`)
	c.want(501, "does not model templates in policies", s.RootToken(), "PUT", "sys/policies/acl/app", `{"policy":"path \"a/{{identity.entity.id}}\" { capabilities = [\"read\"] }"}`)
}

func TestBadPolicyEndsTheTest(t *testing.T) {
	t.Parallel()
	for _, set := range []func(*vaulttest.Server){
		func(s *vaulttest.Server) { s.PolicyHCL("p", `path "a" {`) },
		func(s *vaulttest.Server) { s.PolicyHCL("p", `path "a" { capabilities = ["fly"] }`) },
		func(s *vaulttest.Server) { s.PolicyHCL("p", `path "a" { max_wrapping_ttl = "1h" }`) },
		func(s *vaulttest.Server) { s.PolicyHCL("root", `path "a" { capabilities = ["read"] }`) },
		func(s *vaulttest.Server) { s.Policy("root") },
		func(s *vaulttest.Server) { s.Policy("p", vaulttest.Rule{Path: "a", Capabilities: []string{"fly"}}) },
		func(s *vaulttest.Server) { s.Wrap(nil, 0) },
		func(s *vaulttest.Server) { s.Wrap(map[string]any{"f": func() {}}, time.Minute) },
	} {
		tb := &notingTB{TB: t}
		set(vaulttest.New(tb))
		assert.Len(t, tb.fatal, 1)
	}
}
