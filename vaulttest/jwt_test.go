package vaulttest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

func jwtLogin(role, jwt string) string { return `{"role":"` + role + `","jwt":"` + jwt + `"}` }

func TestJWT(t *testing.T) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	keys := []crypto.Signer{edKey, rsaKey, ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), ecKey(t, elliptic.P521())}
	s := vaulttest.New(t)
	c := inProcess(t, s)
	c.want(403, "permission denied", "", "POST", "auth/jwt/login", jwtLogin("app", "x")) // nothing is mounted there
	s.JWTRole("App", vaulttest.JWTRoleSpec{
		BoundAudiences: []string{"vault"}, Policies: []string{"p"}, TokenTTL: time.Hour, ClaimMappings: map[string]string{"team": "group"},
	})
	c.want(400, "could not load configuration", "", "POST", "auth/jwt/login", jwtLogin("app", "x"))
	claims := map[string]any{"sub": "alice", "aud": "vault", "team": "x", "iat": s.Now().Unix(), "exp": s.Now().Add(time.Hour).Unix()}
	for i, key := range keys {
		s.JWT(vaulttest.JWTSpec{Keys: []crypto.PublicKey{key.Public()}, DefaultRole: "app"})
		a := c.want(200, `"metadata":{"group":"x","role":"app"}`, "", "POST", "auth/jwt/login", `{"jwt":"`+s.SignJWT(key, claims)+`"}`)
		assert.Equal(t, 3600, a.secret.Auth.LeaseDuration)
		c.want(200, `"display_name":"jwt-alice"`, a.secret.Auth.ClientToken, "GET", "auth/token/lookup-self", "")
		for j, other := range keys {
			if j != i {
				c.want(400, "no known key successfully validated the token signature", "", "POST", "auth/jwt/login", jwtLogin("app", s.SignJWT(other, claims)))
			}
		}
	}
}

// Whoever logs in under one name is one entity.
func TestJWTEntities(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	key := ecKey(t, elliptic.P256())
	s.JWT(vaulttest.JWTSpec{Keys: []crypto.PublicKey{key.Public()}})
	s.JWTRole("app", vaulttest.JWTRoleSpec{BoundAudiences: []string{"vault"}})
	entity := func(sub string) string {
		jwt := s.SignJWT(key, map[string]any{"sub": sub, "aud": "vault", "iat": s.Now().Unix()})
		auth, _ := c.want(200, "entity_id", "", "POST", "auth/jwt/login", jwtLogin("app", jwt)).body["auth"].(map[string]any)
		id, _ := auth["entity_id"].(string)
		return id
	}
	alice := entity("alice")
	assert.NotEmpty(t, alice)
	assert.Equal(t, alice, entity("alice"))
	assert.NotEqual(t, alice, entity("bob"))
}

// A JWT counts for a minute after its end and before its beginning, by the server's clock.
func TestJWTTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		key := ecKey(t, elliptic.P256())
		s.JWT(vaulttest.JWTSpec{Keys: []crypto.PublicKey{key.Public()}})
		s.JWTRole("app", vaulttest.JWTRoleSpec{BoundSubject: "alice"})
		s.JWTRole("exact", vaulttest.JWTRoleSpec{BoundSubject: "alice", ClockSkewLeeway: -1, ExpirationLeeway: -1, NotBeforeLeeway: -1})
		now := s.Now()
		sign := func(claims map[string]any) string {
			claims = maps.Clone(claims)
			claims["sub"] = "alice"
			return s.SignJWT(key, claims)
		}
		lasting := sign(map[string]any{"nbf": now.Add(2 * time.Minute).Unix(), "exp": now.Add(time.Hour).Unix()})
		timeless := sign(map[string]any{"iat": now.Unix()})
		login := func(status int, part, role, jwt string) {
			t.Helper()
			c.want(status, part, "", "POST", "auth/jwt/login", jwtLogin(role, jwt))
		}
		time.Sleep(time.Minute - time.Nanosecond)
		login(400, "invalid not before (nbf) claim: token not yet valid", "app", lasting)
		time.Sleep(time.Nanosecond)
		login(200, "client_token", "app", lasting)
		login(400, "token not yet valid", "exact", lasting)
		login(400, "token is expired", "exact", timeless)
		login(200, "client_token", "app", timeless)
		s.Advance(150 * time.Second) // and a minute
		login(200, "client_token", "app", timeless)
		s.Advance(time.Nanosecond)
		login(400, "invalid expiration time (exp) claim: token is expired", "app", timeless)
		time.Sleep(now.Add(time.Hour).Sub(s.Now()))
		login(200, "client_token", "exact", lasting)
		time.Sleep(time.Minute)
		login(200, "client_token", "app", lasting)
		login(400, "token is expired", "exact", lasting)
		time.Sleep(time.Nanosecond)
		login(400, "token is expired", "app", lasting)
	})
}

func TestJWTKubernetesAndAWSSetUpThatIsWrong(t *testing.T) {
	key := ecKey(t, elliptic.P256()).Public()
	bound := []string{"x"}
	for name, wrong := range map[string]func(*vaulttest.Server){
		"no key":        func(s *vaulttest.Server) { s.JWT(vaulttest.JWTSpec{}) },
		"private key":   func(s *vaulttest.Server) { s.JWT(vaulttest.JWTSpec{Keys: []crypto.PublicKey{[]byte("secret")}}) },
		"short key":     func(s *vaulttest.Server) { s.KubernetesKey(ed25519.PublicKey("x")) },
		"taken mount":   func(s *vaulttest.Server) { s.JWT(vaulttest.JWTSpec{Keys: []crypto.PublicKey{key}, Mount: "approle"}) },
		"taken mount 2": func(s *vaulttest.Server) { s.AWS(vaulttest.AWSSpec{Mount: "approle"}) },
		"unbound":       func(s *vaulttest.Server) { s.JWTRole("x", vaulttest.JWTRoleSpec{}) },
		"no name":       func(s *vaulttest.Server) { s.JWTRole("a/b", vaulttest.JWTRoleSpec{BoundSubject: "x"}) },
		"no JSON": func(s *vaulttest.Server) {
			s.JWTRole("x", vaulttest.JWTRoleSpec{BoundClaims: map[string]any{"a": func() {}}})
		},
		"no glob": func(s *vaulttest.Server) {
			s.JWTRole("x", vaulttest.JWTRoleSpec{BoundClaims: map[string]any{"a": 5}, BoundClaimsType: "glob"})
		},
		"no such type": func(s *vaulttest.Server) {
			s.JWTRole("x", vaulttest.JWTRoleSpec{BoundSubject: "x", BoundClaimsType: "regexp"})
		},
		"reserved": func(s *vaulttest.Server) {
			s.JWTRole("x", vaulttest.JWTRoleSpec{BoundSubject: "x", ClaimMappings: map[string]string{"a": "role"}})
		},
		"mapped twice": func(s *vaulttest.Server) {
			s.JWTRole("x", vaulttest.JWTRoleSpec{BoundSubject: "x", ClaimMappings: map[string]string{"a": "c", "b": "c"}})
		},
		"batch with uses": func(s *vaulttest.Server) {
			s.JWTRole("x", vaulttest.JWTRoleSpec{BoundSubject: "x", TokenType: "batch", TokenNumUses: 1})
		},
		"unsigned":   func(s *vaulttest.Server) { s.SignJWT(nil, nil) },
		"odd claims": func(s *vaulttest.Server) { s.SignJWT(ecKey(t, elliptic.P256()), map[string]any{"a": func() {}}) },
		"no account": func(s *vaulttest.Server) { s.ServiceAccountToken("prod", "", time.Hour) },
		"no namespaces": func(s *vaulttest.Server) {
			s.KubernetesRole("x", vaulttest.KubernetesRoleSpec{BoundServiceAccountNames: bound})
		},
		"no accounts": func(s *vaulttest.Server) {
			s.KubernetesRole("x", vaulttest.KubernetesRoleSpec{BoundServiceAccountNamespaces: bound})
		},
		"all and one": func(s *vaulttest.Server) {
			s.KubernetesRole("x", vaulttest.KubernetesRoleSpec{BoundServiceAccountNames: []string{"*", "x"}, BoundServiceAccountNamespaces: bound})
		},
		"no such alias": func(s *vaulttest.Server) {
			s.KubernetesRole("x", vaulttest.KubernetesRoleSpec{BoundServiceAccountNames: bound, BoundServiceAccountNamespaces: bound, AliasNameSource: "uid"})
		},
		"no ARN":       func(s *vaulttest.Server) { s.AWSAccessKey(vaulttest.AWSAccessKeySpec{ID: "A", Secret: "b"}) },
		"no principal": func(s *vaulttest.Server) { s.AWSRole("x", vaulttest.AWSRoleSpec{}) },
		"token type": func(s *vaulttest.Server) {
			s.AWSRole("x", vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: bound, TokenType: "x"})
		},
		"a bad AWS name": func(s *vaulttest.Server) { s.AWSRole("x/", vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: bound}) },
	} {
		t.Run(name, func(t *testing.T) {
			tb := &notingTB{TB: t}
			wrong(vaulttest.New(tb))
			assert.Len(t, tb.fatal, 1)
		})
	}
}

// No login panics, whatever it holds.
func FuzzSignedLogins(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f, err)
	f.Add("app", `{"alg":"ES256"}`, `{"a":["x"],"exp":9e9}`, "POST", "https://sts.amazonaws.com/?a=b", "Action=GetCallerIdentity",
		`{"Authorization":"AWS4-HMAC-SHA256 Credential=AKIA1/20000101/us-east-1/sts/aws4_request, SignedHeaders=host;x-amz-date, Signature=0","X-Amz-Date":"20000101T000000Z"}`)
	f.Add("App", `[]`, `null`, "GET", "/?Action=GetCallerIdentity&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA1/////&X-Amz-SignedHeaders=;&X-Amz-Signature=1&X-Amz-Date=2", "", `["a:b"]`)
	f.Fuzz(func(t *testing.T, role, header, payload, method, target, body, headers string) {
		s := vaulttest.New(t)
		s.JWT(vaulttest.JWTSpec{Keys: []crypto.PublicKey{key.Public()}})
		s.JWTRole("app", vaulttest.JWTRoleSpec{BoundClaims: map[string]any{"/a/0": []string{"x*"}}, BoundClaimsType: "glob"})
		s.KubernetesRole("app", vaulttest.KubernetesRoleSpec{BoundServiceAccountNames: []string{"a*b"}, BoundServiceAccountNamespaces: []string{"*"}})
		s.AWSRole("app", vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: []string{"arn:*"}})
		s.AWSAccessKey(vaulttest.AWSAccessKeySpec{ID: "AKIA1", Secret: "x", ARN: "arn:aws:iam::1:user/app"})
		c := inProcess(t, s)
		encode := base64.RawURLEncoding.EncodeToString
		standard := base64.StdEncoding.EncodeToString
		jwt := encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode(make([]byte, 64))
		text, err := json.Marshal(map[string]any{
			"role": role, "jwt": jwt, "iam_http_request_method": method, "iam_request_url": standard([]byte(target)),
			"iam_request_body": standard([]byte(body)), "iam_request_headers": headers,
		})
		require.NoError(t, err)
		for _, mount := range []string{"jwt", "kubernetes", "aws"} {
			assert.NotEqual(t, 200, c.do("", "POST", "auth/"+mount+"/login", string(text)).status, "nothing here is signed")
		}
		var claims map[string]any
		if json.Unmarshal([]byte(payload), &claims) == nil {
			for _, mount := range []string{"jwt", "kubernetes"} {
				c.do("", "POST", "auth/"+mount+"/login", jwtLogin("app", s.SignJWT(key, claims)))
			}
		}
	})
}
