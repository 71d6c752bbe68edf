package likeness

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

type claims map[string]any

// with returns the claims with others in their place; nil takes one away.
func (c claims) with(others claims) claims {
	out := maps.Clone(c)
	for k, v := range others {
		if out[k] = v; v == nil {
			delete(out, k)
		}
	}
	return out
}

func publicPEM(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// joined makes a JWT of its parts.
func joined(header, payload string, signature []byte) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode(signature)
}

// signedRSA signs a JWT by the algorithm that its header names.
func signedRSA(t *testing.T, key *rsa.PrivateKey, alg string, c claims) string {
	t.Helper()
	payload, err := json.Marshal(c)
	require.NoError(t, err)
	header := `{"alg":"` + alg + `"}`
	text := strings.TrimSuffix(joined(header, string(payload), nil), ".")
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	h := hash.New()
	h.Write([]byte(text))
	var options crypto.SignerOpts = hash
	if strings.HasPrefix(alg, "PS") {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	signature, err := key.Sign(rand.Reader, h.Sum(nil), options)
	require.NoError(t, err)
	return joined(header, string(payload), signature)
}

func jwtLogin(role, jwt string) string { return `{"role":"` + role + `","jwt":"` + jwt + `"}` }

// jwtPair has the same method, keys and roles on both sides.
func jwtPair(t *testing.T, keys ...crypto.PublicKey) *pair {
	t.Helper()
	p := newPair(t)
	var pems []string
	for _, key := range keys {
		pems = append(pems, publicPEM(t, key))
	}
	p.real.Write("sys/auth/jwt", map[string]any{"type": "jwt"})
	p.real.Write("auth/jwt/config", map[string]any{"jwt_validation_pubkeys": pems, "bound_issuer": "https://issuer.test", "default_role": "app"})
	p.fake.JWT(vaulttest.JWTSpec{Keys: keys, BoundIssuer: "https://issuer.test", DefaultRole: "app"})
	return p
}

func (p *pair) jwtRole(name string, params map[string]any, spec vaulttest.JWTRoleSpec) {
	p.t.Helper()
	params["role_type"] = "jwt"
	if params["user_claim"] == nil {
		params["user_claim"] = "sub"
	}
	p.real.Write("auth/jwt/role/"+name, params)
	p.fake.JWTRole(name, spec)
}

func TestJWTLogins(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p := jwtPair(t, key.Public(), wide.Public(), rsaKey.Public())
	p.jwtRole("app", map[string]any{
		"bound_audiences": []string{"vault", "other"}, "token_policies": []string{"app"}, "token_ttl": "1h", "token_max_ttl": "2h",
	}, vaulttest.JWTRoleSpec{
		BoundAudiences: []string{"vault", "other"}, Policies: []string{"app"}, TokenTTL: time.Hour, TokenMaxTTL: 2 * time.Hour,
	})
	p.jwtRole("batch", map[string]any{"bound_subject": "alice", "token_type": "batch", "token_no_default_policy": true, "token_policies": "a"},
		vaulttest.JWTRoleSpec{BoundSubject: "alice", TokenType: "batch", NoDefaultPolicy: true, Policies: []string{"a"}})
	p.jwtRole("periodic", map[string]any{
		"bound_audiences": "vault", "token_period": "10m", "token_num_uses": 3, "claim_mappings": map[string]any{"team": "team", "/deep/er": "depth"},
		"user_claim": "email", "token_explicit_max_ttl": "30m",
	}, vaulttest.JWTRoleSpec{
		BoundAudiences: []string{"vault"}, TokenPeriod: 10 * time.Minute, TokenNumUses: 3, TokenExplicitMaxTTL: 30 * time.Minute,
		ClaimMappings: map[string]string{"team": "team", "/deep/er": "depth"}, UserClaim: "email",
	})
	now := time.Now()
	good := claims{"iss": "https://issuer.test", "sub": "alice", "aud": []string{"vault"}, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	sign := func(others claims) string { return p.fake.SignJWT(key, good.with(others)) }
	payload, err := json.Marshal(good)
	require.NoError(t, err)
	mac := hmac.New(sha256.New, []byte(publicPEM(t, key.Public())))
	mac.Write([]byte(strings.TrimSuffix(joined(`{"alg":"HS256"}`, string(payload), nil), ".")))
	parts := strings.Split(sign(nil), ".")

	p.play(
		step{do: "POST auth/jwt/login", body: jwtLogin("app", sign(nil)), save: "t=auth.client_token"},
		step{as: "t", do: "GET auth/token/lookup-self"},
		step{as: "t", do: "POST auth/token/renew-self"},
		step{do: "PUT auth/jwt/login", body: jwtLogin("APP", sign(claims{"aud": "other"}))},
		step{do: "POST auth/jwt/login", body: jwtLogin("", sign(nil))},
		step{do: "POST auth/jwt/login", body: `{"jwt":"` + sign(nil) + `","what":1}`},
		step{as: "root", do: "POST auth/jwt/login", body: jwtLogin("app", sign(nil)), save: "same=auth.entity_id"},
		step{do: "POST auth/jwt/login", body: jwtLogin("batch", sign(claims{"aud": nil})), save: "b=auth.client_token"},
		step{as: "b", do: "GET auth/token/lookup-self"},
		step{do: "POST auth/jwt/login", body: jwtLogin("batch", sign(nil))},
		step{do: "POST auth/jwt/login", body: jwtLogin("batch", sign(claims{"aud": ""}))},
		step{do: "POST auth/jwt/login", body: jwtLogin("batch", sign(claims{"aud": []string{}}))},
		step{do: "POST auth/jwt/login", body: jwtLogin("batch", sign(claims{"aud": []string{""}}))},
		step{do: "POST auth/jwt/login", body: jwtLogin("batch", sign(claims{"aud": nil, "sub": "bob"}))},
		step{do: "POST auth/jwt/login", body: jwtLogin("periodic", sign(claims{"email": "a@b.test", "team": "x", "deep": claims{"er": "y"}})), save: "p=auth.client_token"},
		step{as: "p", do: "GET auth/token/lookup-self"},
		step{as: "p", do: "POST auth/token/renew-self"},
		step{do: "POST auth/jwt/login", body: jwtLogin("periodic", sign(claims{"email": "a@b.test", "team": 5}))},
		step{do: "POST auth/jwt/login", body: jwtLogin("periodic", sign(nil))},
		step{do: "POST auth/jwt/login", body: jwtLogin("periodic", sign(claims{"email": 5}))},

		// The request itself.
		step{do: "GET auth/jwt/login"},
		step{do: "DELETE auth/jwt/login"},
		step{do: "HEAD auth/jwt/login"},
		step{do: "PATCH auth/jwt/login", body: `{}`, header: map[string]string{"Content-Type": "application/merge-patch+json"}},
		step{do: "POST auth/jwt/login/", body: jwtLogin("app", sign(nil))},
		step{do: "POST auth/jwt", body: jwtLogin("app", sign(nil))},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", sign(nil)), header: map[string]string{"X-Vault-Wrap-TTL": "60"}, save: "w=wrap_info.token"},
		step{as: "w", do: "POST sys/wrapping/unwrap"},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", "x"), header: map[string]string{"X-Vault-Wrap-TTL": "60"}},
		step{do: "LIST auth/jwt/login"},
		step{do: "POST auth/jwt/login", body: `{}`},
		step{do: "POST auth/jwt/login", body: `{"role":"app"}`},
		step{do: "POST auth/jwt/login", body: `{"role":"nobody"}`},
		step{do: "POST auth/jwt/login", body: `{"role":["app"],"jwt":"a"}`},
		step{do: "POST auth/jwt/login", body: `{"role":"app","jwt":{}}`},
		step{do: "POST auth/jwt/login", body: `{"role":5,"jwt":true}`},
		step{do: "POST auth/jwt/login", body: `{"role":null,"jwt":null}`},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", "x")},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", "a.b.c.d")},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", "!.!.!")},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", "..")},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", joined("x", "{}", nil))},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", joined("[]", "{}", nil))},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", joined(`{"alg":5}`, "{}", nil))},

		// The signature.
		step{do: "POST auth/jwt/login", body: jwtLogin("app", p.fake.SignJWT(stranger, good))},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", p.fake.SignJWT(wide, good))},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", joined(`{"alg":"none"}`, string(payload), nil))},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", joined(`{"alg":"HS256"}`, string(payload), mac.Sum(nil)))},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", parts[0]+"."+strings.Split(sign(claims{"sub": "eve"}), ".")[1]+"."+parts[2])},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", parts[0]+"."+parts[1]+".")},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", parts[0]+"."+parts[1]+"=."+parts[2]+"==")},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", parts[0]+" ."+parts[1]+`\n.`+parts[2])},
	)
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		p.play(step{do: "POST auth/jwt/login", body: jwtLogin("app", signedRSA(t, rsaKey, alg, good))})
	}
	// The claims.
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, c := range []claims{
		{"iss": nil},
		{"iss": "https://other.test"},
		{"iss": 5},
		{"aud": nil},
		{"aud": "nobody"},
		{"aud": []string{"nobody"}},
		{"aud": 5},
		{"aud": []any{"vault", 5}},
		{"sub": nil},
		{"sub": 5},
		{"exp": "soon"},
		{"exp": nil},
		{"iat": nil},
		{"iat": nil, "exp": nil},
		{"iat": at(-200 * time.Second), "exp": nil},
		{"iat": at(-230 * time.Second), "exp": nil},
		{"exp": at(-10 * time.Second), "iat": at(-time.Hour)},
		{"exp": at(-50 * time.Second), "iat": at(-time.Hour)},
		{"exp": at(-70 * time.Second), "iat": at(-time.Hour)},
		{"exp": at(10 * time.Minute), "iat": nil},
		{"exp": at(3 * time.Minute), "iat": nil},
		{"nbf": at(50 * time.Second)},
		{"nbf": at(90 * time.Second)},
		{"iat": at(50 * time.Second)},
		{"iat": at(90 * time.Second)},
		{"iat": at(90 * time.Second), "nbf": at(0)},
		{"exp": float64(at(time.Hour)) + 0.5},
	} {
		p.play(step{do: "POST auth/jwt/login", body: jwtLogin("app", sign(c))})
	}
	p.play(
		step{as: "root", do: "GET auth/jwt/role/app"},
		step{as: "root", do: "GET auth/jwt/role/PERIODIC"},
		step{as: "root", do: "GET auth/jwt/role/nobody"},
		step{as: "root", do: "GET auth/jwt/role/no*body"},
		step{as: "root", do: "LIST auth/jwt/role"},
		step{as: "root", do: "GET auth/jwt/role"},
		step{do: "GET auth/jwt/role/app"},
		step{as: "t", do: "GET auth/jwt/role/app"},
		step{as: "root", do: "GET auth/jwt/nothing"},
		step{as: "root", do: "DELETE auth/jwt/role/app"},
		step{as: "root", do: "DELETE auth/jwt/role/app"},
		step{as: "t", do: "POST auth/token/renew-self"},
		step{do: "POST auth/jwt/login", body: jwtLogin("app", sign(nil))},
	)
}

func TestJWTBoundClaims(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	p := jwtPair(t, key.Public())
	for name, bound := range map[string]map[string]any{
		"text":    {"team": "a"},
		"list":    {"team": []string{"a", "b"}},
		"number":  {"level": 5},
		"bool":    {"admin": true},
		"pointer": {"/deep/er/0": "x"},
		"object":  {"team": map[string]any{"a": 1}},
	} {
		p.jwtRole(name, map[string]any{"bound_claims": bound}, vaulttest.JWTRoleSpec{BoundClaims: bound})
	}
	globs := map[string]any{"team": []string{"a-*-z", "*b"}}
	p.jwtRole("glob", map[string]any{"bound_claims": globs, "bound_claims_type": "glob"},
		vaulttest.JWTRoleSpec{BoundClaims: globs, BoundClaimsType: "glob"})
	p.jwtRole("strict", map[string]any{"bound_subject": "alice", "clock_skew_leeway": -1, "expiration_leeway": -1, "not_before_leeway": -1},
		vaulttest.JWTRoleSpec{BoundSubject: "alice", ClockSkewLeeway: -time.Second, ExpirationLeeway: -time.Second, NotBeforeLeeway: -time.Second})
	p.jwtRole("lenient", map[string]any{"bound_subject": "alice", "clock_skew_leeway": 600, "expiration_leeway": 300, "not_before_leeway": 300},
		vaulttest.JWTRoleSpec{BoundSubject: "alice", ClockSkewLeeway: 10 * time.Minute, ExpirationLeeway: 5 * time.Minute, NotBeforeLeeway: 5 * time.Minute})
	now := time.Now()
	good := claims{"iss": "https://issuer.test", "sub": "alice", "exp": now.Add(time.Hour).Unix()}
	for _, c := range []struct {
		role   string
		claims []claims
	}{
		{"text", []claims{{"team": "a"}, {"team": "b"}, {"team": []string{"x", "a"}}, {"team": 5}, {}, {"team": claims{}}, {"team": true}, {"team": []string{}}}},
		{"list", []claims{{"team": "b"}, {"team": []string{"x", "b"}}, {"team": "c"}, {"team": "a,b"}}},
		{"number", []claims{{"level": 5}, {"level": "5"}, {"level": []int{5}}, {"level": 5.7}, {"level": 6}}},
		{"bool", []claims{{"admin": true}, {"admin": false}, {"admin": "true"}}},
		{"pointer", []claims{{"deep": claims{"er": []string{"x"}}}, {"deep": claims{"er": []string{"y"}}}, {"deep": 5}, {}}},
		{"object", []claims{{"team": "a"}, {"team": claims{"a": 1}}}},
		{"glob", []claims{{"team": "a-m-z"}, {"team": "a-z"}, {"team": "bbb"}, {"team": 5}, {"team": []any{5, "b"}}}},
		{"strict", []claims{
			{}, {"exp": now.Add(-10 * time.Second).Unix()}, {"nbf": now.Add(time.Minute).Unix()}, {"exp": nil, "iat": now.Add(-5 * time.Second).Unix()},
		}},
		{"lenient", []claims{
			{"exp": now.Add(-9 * time.Minute).Unix()}, {"exp": now.Add(-11 * time.Minute).Unix()}, {"nbf": now.Add(9 * time.Minute).Unix()},
			{"exp": nil, "iat": now.Add(-14 * time.Minute).Unix()}, {"exp": nil, "iat": now.Add(-16 * time.Minute).Unix()},
		}},
	} {
		for _, others := range c.claims {
			p.play(step{do: "POST auth/jwt/login", body: jwtLogin(c.role, p.fake.SignJWT(key, good.with(others)))})
		}
	}
	for _, name := range []string{"text", "number", "glob", "lenient"} {
		p.play(step{as: "root", do: "GET auth/jwt/role/" + name})
	}
	// Payloads that are signed but say nothing.
	p.play(step{do: "POST auth/jwt/login", body: jwtLogin("strict", p.fake.SignJWT(key, nil))})
}

func TestJWTElsewhere(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.play(step{do: "POST auth/jwt/login", body: `{"role":"app","jwt":"a.b.c"}`})
	p.real.Write("sys/auth/login/ci", map[string]any{"type": "jwt"})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p.real.Write("auth/login/ci/role/r", map[string]any{"role_type": "jwt", "user_claim": "sub", "bound_subject": "alice"})
	p.fake.JWTRole("r", vaulttest.JWTRoleSpec{BoundSubject: "alice", Mount: "login/ci"})
	jwt := p.fake.SignJWT(key, map[string]any{"sub": "alice", "iat": time.Now().Unix()})
	p.play(step{do: "POST auth/login/ci/login", body: jwtLogin("r", jwt)})
	p.real.Write("auth/login/ci/config", map[string]any{"jwt_validation_pubkeys": []string{publicPEM(t, key.Public())}})
	p.fake.JWT(vaulttest.JWTSpec{Keys: []crypto.PublicKey{key.Public()}, Mount: "login/ci"})
	p.play(
		step{do: "POST auth/login/ci/login", body: `{"jwt":"` + jwt + `"}`},
		step{do: "POST auth/login/ci/login", body: jwtLogin("r", jwt), save: "t=auth.client_token"},
		step{as: "t", do: "GET auth/token/lookup-self"},
	)
}
