package vaulttest_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// A slip in a test's own set-up ends the test, in words that tell what to do.
func TestSetUpThatIsWrongSaysWhy(t *testing.T) {
	appRole := func(spec vaulttest.AppRoleSpec) func(*vaulttest.Server) {
		return func(s *vaulttest.Server) { s.AppRole("x", spec) }
	}
	token := func(spec vaulttest.TokenSpec) func(*vaulttest.Server) {
		return func(s *vaulttest.Server) { s.CreateToken(spec) }
	}
	jwtRole := func(spec vaulttest.JWTRoleSpec) func(*vaulttest.Server) {
		spec.BoundSubject = "x"
		return func(s *vaulttest.Server) { s.JWTRole("x", spec) }
	}
	kubernetesRole := func(spec vaulttest.KubernetesRoleSpec) func(*vaulttest.Server) {
		spec.BoundServiceAccountNames, spec.BoundServiceAccountNamespaces = []string{"x"}, []string{"x"}
		return func(s *vaulttest.Server) { s.KubernetesRole("x", spec) }
	}
	awsRole := func(spec vaulttest.AWSRoleSpec) func(*vaulttest.Server) {
		spec.BoundIAMPrincipalARNs = []string{"arn:*"}
		return func(s *vaulttest.Server) { s.AWSRole("x", spec) }
	}
	userpass := func(spec vaulttest.UserpassSpec) func(*vaulttest.Server) {
		return func(s *vaulttest.Server) { s.Userpass("x", "y", spec) }
	}
	dynamic := func(spec vaulttest.RoleSpec) func(*vaulttest.Server) {
		return func(s *vaulttest.Server) { s.DynamicRole("database", "x", spec) }
	}
	static := func(spec vaulttest.StaticSpec) func(*vaulttest.Server) {
		return func(s *vaulttest.Server) { s.StaticRole("database", "x", spec) }
	}
	pki := func(spec vaulttest.PKIRoleSpec) func(*vaulttest.Server) {
		return func(s *vaulttest.Server) { s.PKIRole("pki", "x", spec) }
	}
	transit := func(spec vaulttest.TransitKeySpec) func(*vaulttest.Server) {
		return func(s *vaulttest.Server) { s.TransitKey("transit", "x", spec) }
	}
	wrapped := func(ttl time.Duration) func(*vaulttest.Server) {
		return func(s *vaulttest.Server) {
			roleID, _ := s.AppRole("x", vaulttest.AppRoleSpec{})
			s.WrappedSecretID(roleID, ttl)
		}
	}
	keys := []crypto.PublicKey{ecKey(t, elliptic.P256()).Public()}
	const (
		emptyPath = "the path of a mount is empty"
		noAuth    = `Mount is without auth/: "x"`
		short     = "3.6µs is less than a second: a time.Duration, such as 3600*time.Second?"
		negative  = "-1s is negative"
	)
	for name, tc := range map[string]struct {
		wrong func(*vaulttest.Server)
		says  string
	}{
		"AppRole below auth/":        {appRole(vaulttest.AppRoleSpec{Mount: "auth/x"}), noAuth},
		"AppRole below /auth/":       {appRole(vaulttest.AppRoleSpec{Mount: "/auth/x/"}), noAuth},
		"AppRole at /":               {appRole(vaulttest.AppRoleSpec{Mount: "/"}), emptyPath},
		"JWT below auth/":            {func(s *vaulttest.Server) { s.JWT(vaulttest.JWTSpec{Keys: keys, Mount: "auth/x"}) }, noAuth},
		"JWT at /":                   {func(s *vaulttest.Server) { s.JWT(vaulttest.JWTSpec{Keys: keys, Mount: "/"}) }, emptyPath},
		"JWT role below auth/":       {jwtRole(vaulttest.JWTRoleSpec{Mount: "auth/x"}), noAuth},
		"Kubernetes role below auth": {kubernetesRole(vaulttest.KubernetesRoleSpec{Mount: "auth/x"}), noAuth},
		"AWS below auth/":            {func(s *vaulttest.Server) { s.AWS(vaulttest.AWSSpec{Mount: "auth/x"}) }, noAuth},
		"AWS role below auth/":       {awsRole(vaulttest.AWSRoleSpec{Mount: "auth/x"}), noAuth},
		"userpass below auth/":       {userpass(vaulttest.UserpassSpec{Mount: "auth/x"}), noAuth},
		"userpass at /":              {userpass(vaulttest.UserpassSpec{Mount: "/"}), emptyPath},
		"KV 1 nowhere":               {func(s *vaulttest.Server) { s.MountKV1("") }, emptyPath},
		"KV 2 at /":                  {func(s *vaulttest.Server) { s.MountKV2("/") }, emptyPath},
		"PutKV nowhere":              {func(s *vaulttest.Server) { s.PutKV("", "x", nil) }, emptyPath},
		"KV nowhere":                 {func(s *vaulttest.Server) { s.KV("", "x") }, emptyPath},
		"DeleteKV nowhere":           {func(s *vaulttest.Server) { s.DeleteKV("", "x") }, emptyPath},
		"DestroyKV nowhere":          {func(s *vaulttest.Server) { s.DestroyKV("", "x") }, emptyPath},
		"dynamic role nowhere":       {func(s *vaulttest.Server) { s.DynamicRole("", "x", vaulttest.RoleSpec{}) }, emptyPath},
		"static role nowhere":        {func(s *vaulttest.Server) { s.StaticRole("", "x", vaulttest.StaticSpec{Username: "x"}) }, emptyPath},
		"PKI role nowhere":           {func(s *vaulttest.Server) { s.PKIRole("", "x", vaulttest.PKIRoleSpec{}) }, emptyPath},
		"PKI nowhere":                {func(s *vaulttest.Server) { s.PKICA("/") }, emptyPath},
		"transit nowhere":            {func(s *vaulttest.Server) { s.TransitKey("", "x", vaulttest.TransitKeySpec{}) }, emptyPath},
		"rotation nowhere":           {func(s *vaulttest.Server) { s.RotateTransitKey("", "x") }, emptyPath},

		"token TTL":              {token(vaulttest.TokenSpec{TTL: 3600}), "CreateToken: TTL " + short},
		"token max":              {token(vaulttest.TokenSpec{MaxTTL: 3600}), "MaxTTL " + short},
		"token bound":            {token(vaulttest.TokenSpec{ExplicitMaxTTL: 3600}), "ExplicitMaxTTL " + short},
		"token period":           {token(vaulttest.TokenSpec{Period: 3600}), "Period " + short},
		"token negative TTL":     {token(vaulttest.TokenSpec{TTL: -time.Second}), "TTL " + negative},
		"token negative uses":    {token(vaulttest.TokenSpec{NumUses: -1}), "NumUses is negative"},
		"AppRole TTL":            {appRole(vaulttest.AppRoleSpec{TokenTTL: 3600}), `AppRole "x": TokenTTL ` + short},
		"AppRole max":            {appRole(vaulttest.AppRoleSpec{TokenMaxTTL: 3600}), "TokenMaxTTL " + short},
		"AppRole bound":          {appRole(vaulttest.AppRoleSpec{TokenExplicitMaxTTL: 3600}), "TokenExplicitMaxTTL " + short},
		"AppRole period":         {appRole(vaulttest.AppRoleSpec{TokenPeriod: 3600}), "TokenPeriod " + short},
		"secret ID TTL":          {appRole(vaulttest.AppRoleSpec{SecretIDTTL: 3600}), "SecretIDTTL " + short},
		"secret ID negative TTL": {appRole(vaulttest.AppRoleSpec{SecretIDTTL: -time.Second}), "SecretIDTTL " + negative},
		"JWT TTL":                {jwtRole(vaulttest.JWTRoleSpec{TokenTTL: 3600}), "TokenTTL " + short},
		"JWT leeway":             {jwtRole(vaulttest.JWTRoleSpec{ClockSkewLeeway: 3600}), "ClockSkewLeeway " + short},
		"JWT expiration leeway":  {jwtRole(vaulttest.JWTRoleSpec{ExpirationLeeway: 3600}), "ExpirationLeeway " + short},
		"JWT not-before leeway":  {jwtRole(vaulttest.JWTRoleSpec{NotBeforeLeeway: 3600}), "NotBeforeLeeway " + short},
		"Kubernetes TTL":         {kubernetesRole(vaulttest.KubernetesRoleSpec{TokenTTL: 3600}), "TokenTTL " + short},
		"AWS period":             {awsRole(vaulttest.AWSRoleSpec{TokenPeriod: 3600}), "TokenPeriod " + short},
		"userpass max":           {userpass(vaulttest.UserpassSpec{TokenMaxTTL: 3600}), "TokenMaxTTL " + short},
		"dynamic TTL":            {dynamic(vaulttest.RoleSpec{DefaultTTL: 3600}), `DynamicRole "x": DefaultTTL ` + short},
		"dynamic max":            {dynamic(vaulttest.RoleSpec{MaxTTL: 3600}), "MaxTTL " + short},
		"dynamic negative TTL":   {dynamic(vaulttest.RoleSpec{DefaultTTL: -time.Second}), "DefaultTTL " + negative},
		"PKI TTL":                {pki(vaulttest.PKIRoleSpec{TTL: 3600}), "PKIRole x: TTL " + short},
		"PKI max":                {pki(vaulttest.PKIRoleSpec{MaxTTL: 3600}), "MaxTTL " + short},
		"PKI negative TTL":       {pki(vaulttest.PKIRoleSpec{TTL: -time.Second}), "TTL " + negative},
		"wrapping":               {func(s *vaulttest.Server) { s.Wrap(nil, 3600) }, "Wrap: ttl " + short},
		"negative wrapping":      {func(s *vaulttest.Server) { s.Wrap(nil, -time.Second) }, "Wrap: ttl " + negative},
		"wrapped secret ID":      {wrapped(3600), "WrappedSecretID: ttl " + short},
		"negative secret ID":     {wrapped(-time.Second), "WrappedSecretID: ttl " + negative},
		"rotation period":        {static(vaulttest.StaticSpec{Username: "x", RotationPeriod: 3600}), "RotationPeriod " + short},
		"negative rotation":      {static(vaulttest.StaticSpec{Username: "x", RotationPeriod: -time.Second}), "RotationPeriod " + negative},
		"fast rotation":          {static(vaulttest.StaticSpec{Username: "x", RotationPeriod: time.Second}), "RotationPeriod 1s is less than Vault's 5 s"},
		"service account, zero":  {func(s *vaulttest.Server) { s.ServiceAccountToken("x", "x", 0) }, "ttl is zero; a negative one gives a token that has expired"},
		"service account, short": {func(s *vaulttest.Server) { s.ServiceAccountToken("x", "x", 3600) }, "ttl " + short},

		"cluster's key":        {func(s *vaulttest.Server) { s.KubernetesKey(make(ed25519.PublicKey, ed25519.PublicKeySize)) }, "a cluster signs with RSA or ECDSA"},
		"nobody's password":    {static(vaulttest.StaticSpec{}), `StaticRole "x": Username is empty`},
		"static role's name":   {func(s *vaulttest.Server) { s.StaticRole("database", "x y", vaulttest.StaticSpec{Username: "x"}) }, `StaticRole "x y": Vault takes no name like this`},
		"no secret":            {func(s *vaulttest.Server) { s.DeleteKV("secret", "x") }, `DeleteKV: at "secret" there is no secret "x"` + "\n"},
		"no such version":      {func(s *vaulttest.Server) { s.PutKV("secret", "x", nil); s.DeleteKV("secret", "x", 2) }, `no secret "x" with versions [2]`},
		"no KV":                {func(s *vaulttest.Server) { s.PutKV("kv", "x", nil) }, `PutKV: no KV engine at "kv"; MountKV2 or MountKV1 makes one`},
		"convergent alone":     {transit(vaulttest.TransitKeySpec{Convergent: true}), "Convergent needs Derived"},
		"no such transit key":  {transit(vaulttest.TransitKeySpec{Type: "aes"}), `no key type "aes"; there are aes128-gcm96, aes256-gcm96, ecdsa-p256,`},
		"no such PKI key":      {pki(vaulttest.PKIRoleSpec{KeyType: "ecdsa"}), `no key type "ecdsa"; there are any, ec, ed25519, rsa`},
		"domain in capitals":   {pki(vaulttest.PKIRoleSpec{AllowedDomains: []string{"a.test", "Example.com"}}), `AllowedDomains has "Example.com", which is not in lower case`},
		"name for a role ID":   {func(s *vaulttest.Server) { s.NewSecretID("app") }, "no role has this role ID (the one that AppRole returned, not the role's name)"},
		"name for a role ID 2": {func(s *vaulttest.Server) { s.WrappedSecretID("app", time.Minute) }, "not the role's name"},
	} {
		t.Run(name, func(t *testing.T) {
			tb := &notingTB{TB: t}
			tc.wrong(vaulttest.New(tb))
			require.Len(t, tb.fatal, 1)
			assert.Contains(t, tb.fatal[0]+"\n", tc.says)
			assert.Contains(t, tb.fatal[0], "vaulttest: ")
		})
	}
}

// Slashes around a mount's path mean nothing.
func TestMountPathsWithSlashes(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	roleID, _ := s.AppRole("app", vaulttest.AppRoleSpec{Mount: "/team/approle/"})
	again, secretID := s.AppRole("app", vaulttest.AppRoleSpec{Mount: "team/approle"})
	assert.Equal(t, roleID, again)
	c.want(200, "client_token", "", "POST", "auth/team/approle/login", `{"role_id":"`+roleID+`","secret_id":"`+secretID+`"}`)
	s.MountKV2("/team/kv/")
	s.PutKV("team/kv", "/x/", map[string]any{"a": "b"})
	c.want(200, `"a":"b"`, s.RootToken(), "GET", "team/kv/data/x", "")
	s.DynamicRole("/database/", "app", vaulttest.RoleSpec{})
	c.want(200, "lease_id", s.RootToken(), "GET", "database/creds/app", "")
}
