package likeness

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// apiServer is a Kubernetes API server that believes all tokens but those that it is told to refuse.
type apiServer struct {
	url string

	mu      sync.Mutex
	refused map[string]bool
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	a := &apiServer{refused: map[string]bool{}}
	s := httptest.NewServer(http.HandlerFunc(a.review))
	t.Cleanup(s.Close)
	a.url = s.URL
	return a
}

// refuse makes it refuse a token, which it returns.
func (a *apiServer) refuse(token string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused[token] = true
	return token
}

func (a *apiServer) review(w http.ResponseWriter, r *http.Request) {
	type account struct{ Name, UID string }
	var review struct {
		Spec struct {
			Token     string
			Audiences []string
		}
	}
	var token struct {
		Audiences  []string `json:"aud"`
		Kubernetes struct {
			Namespace      string
			ServiceAccount account
		} `json:"kubernetes.io"`
		Namespace string `json:"kubernetes.io/serviceaccount/namespace"`
		Name      string `json:"kubernetes.io/serviceaccount/service-account.name"`
		UID       string `json:"kubernetes.io/serviceaccount/service-account.uid"`
	}
	_ = json.NewDecoder(r.Body).Decode(&review)
	if parts := strings.Split(review.Spec.Token, "."); len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &token)
	}
	namespace, who := token.Kubernetes.Namespace, token.Kubernetes.ServiceAccount
	if token.Name != "" {
		namespace, who = token.Namespace, account{token.Name, token.UID}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	status := map[string]any{
		"authenticated": true, "audiences": token.Audiences,
		"user": map[string]any{"username": "system:serviceaccount:" + namespace + ":" + who.Name, "uid": who.UID},
	}
	if a.refused[review.Spec.Token] {
		status = map[string]any{"error": "invalid bearer token"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte(jsonOf(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})))
}

func TestKubernetesLogins(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cluster := newAPIServer(t)
	p.real.Write("sys/auth/kubernetes", map[string]any{"type": "kubernetes"})
	p.real.Write("auth/kubernetes/config", map[string]any{"kubernetes_host": cluster.url, "disable_local_ca_jwt": true})
	role := func(name string, params map[string]any, spec vaulttest.KubernetesRoleSpec) {
		p.real.Write("auth/kubernetes/role/"+name, params)
		p.fake.KubernetesRole(name, spec)
	}
	role("app", map[string]any{
		"bound_service_account_names": "app,web", "bound_service_account_namespaces": "prod", "audience": "vault",
		"token_policies": "app", "token_ttl": 600, "token_max_ttl": 1200,
	}, vaulttest.KubernetesRoleSpec{
		BoundServiceAccountNames: []string{"app", "web"}, BoundServiceAccountNamespaces: []string{"prod"}, Audience: "vault",
		Policies: []string{"app"}, TokenTTL: 10 * time.Minute, TokenMaxTTL: 20 * time.Minute,
	})
	role("any", map[string]any{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "alias_name_source": "serviceaccount_name", "token_type": "batch"},
		vaulttest.KubernetesRoleSpec{BoundServiceAccountNames: []string{"*"}, BoundServiceAccountNamespaces: []string{"*"}, AliasNameSource: "serviceaccount_name", TokenType: "batch"})
	role("Globs", map[string]any{"bound_service_account_names": "a-*,*-z", "bound_service_account_namespaces": "team-*,ops"},
		vaulttest.KubernetesRoleSpec{BoundServiceAccountNames: []string{"a-*", "*-z"}, BoundServiceAccountNamespaces: []string{"team-*", "ops"}})

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p.fake.KubernetesKey(key.Public())
	now := time.Now()
	good := claims{
		"iss": "https://cluster.test", "aud": []string{"vault"}, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"kubernetes.io": claims{"namespace": "prod", "serviceaccount": claims{"name": "app", "uid": "f3a4"}},
	}
	of := func(namespace, name, uid string) claims {
		return claims{"kubernetes.io": claims{"namespace": namespace, "serviceaccount": claims{"name": name, "uid": uid}}}
	}
	sign := func(others claims) string { return p.fake.SignJWT(key, good.with(others)) }
	fakes := p.fake.ServiceAccountToken("prod", "web", time.Hour, "vault", "else")

	p.play(
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", sign(nil)), save: "t=auth.client_token"},
		step{as: "t", do: "GET auth/token/lookup-self"},
		step{as: "t", do: "POST auth/token/renew-self", body: `{"increment":"1h"}`},
		step{do: "PUT auth/kubernetes/login", body: jwtLogin("APP", sign(nil))},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", fakes)},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("any", fakes)},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("any", p.fake.ServiceAccountToken("prod", "other", time.Hour)), save: "b=auth.client_token"},
		step{as: "b", do: "GET auth/token/lookup-self"},
		step{as: "root", do: "POST auth/kubernetes/login", body: `{"role":"app","jwt":"` + sign(nil) + `","namespace":"x"}`},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("any", sign(claims{"iat": nil, "exp": nil, "aud": nil, "kubernetes.io": nil,
			"kubernetes.io/serviceaccount/namespace": "prod", "kubernetes.io/serviceaccount/service-account.name": "old",
			"kubernetes.io/serviceaccount/service-account.uid": "77aa", "kubernetes.io/serviceaccount/secret.name": "old-token-x"}))},

		// The request itself.
		step{do: "GET auth/kubernetes/login"},
		step{do: "LIST auth/kubernetes/login"},
		step{as: "root", do: "DELETE auth/kubernetes/login"},
		step{do: "POST auth/kubernetes/login"},
		step{do: "POST auth/kubernetes/login", body: `{"role":"app"}`},
		step{do: "POST auth/kubernetes/login", body: `{"role":"nobody"}`},
		step{do: "POST auth/kubernetes/login", body: `{"jwt":"x"}`},
		step{do: "POST auth/kubernetes/login", body: `{"role":{},"jwt":"x"}`},
		step{do: "POST auth/kubernetes/login", body: `{"role":"app","jwt":[1]}`},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("nobody", "x")},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", "x")},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", "a.b.c")},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", joined(`{"alg":"none"}`, `{}`, nil))},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", joined(`{"alg":"HS256"}`, `{}`, []byte("x")))},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", joined(`{"alg":"ES256"}`, `{}`, nil))},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", joined(`{"alg":"ES256"}`, `[]`, []byte("x")))},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", joined(`{"alg":"ES256"}`, `{`, []byte("x")))},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", p.fake.SignJWT(edKey, good))},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", cluster.refuse(p.fake.SignJWT(stranger, good)))},
	)
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, c := range []claims{
		{"aud": []string{"nobody"}},
		{"aud": []string{"nobody", "vault"}},
		{"aud": "vault"},
		{"aud": nil},
		{"aud": 5},
		{"exp": at(-2 * time.Minute), "iat": at(-time.Hour)},
		{"exp": "soon"},
		{"nbf": at(2 * time.Minute)},
		{"iat": at(2 * time.Minute)},
		{"iat": nil, "exp": nil},
		of("prod", "other", "1"),
		of("dev", "app", "1"),
		of("prod", "app", ""),
		of("", "", ""),
		{"kubernetes.io": nil},
		{"kubernetes.io": "x"},
		{"kubernetes.io": claims{"namespace": "prod"}},
		{"kubernetes.io": claims{"namespace": 5, "serviceaccount": claims{"name": "app", "uid": "x"}}},
	} {
		p.play(step{do: "POST auth/kubernetes/login", body: jwtLogin("app", sign(c))})
	}
	for _, c := range []claims{
		of("team-a", "a-b", "1"), of("ops", "x-z", "1"), of("team", "a-b", "1"), of("ops", "b-c", "1"), of("ops", "a-", "1"),
	} {
		p.play(step{do: "POST auth/kubernetes/login", body: jwtLogin("globs", sign(c))})
	}
	deleted := p.fake.ServiceAccountToken("prod", "web", time.Hour, "vault")
	p.fake.DeleteServiceAccount("prod", "web")
	p.play(
		// What the cluster refuses: the deleted, and what has expired but for Vault's leeway.
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", cluster.refuse(deleted))},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", cluster.refuse(sign(claims{"exp": at(-30 * time.Second), "iat": at(-time.Hour)})))},
		step{do: "POST auth/kubernetes/login", body: jwtLogin("app", p.fake.ServiceAccountToken("prod", "web", time.Hour, "vault"))},

		step{as: "root", do: "GET auth/kubernetes/role/app"},
		step{as: "root", do: "GET auth/kubernetes/role/GLOBS"},
		step{as: "root", do: "GET auth/kubernetes/role/nobody"},
		step{as: "root", do: "LIST auth/kubernetes/role"},
		step{as: "root", do: "GET auth/kubernetes/role"},
		step{as: "t", do: "GET auth/kubernetes/role/app"},
		step{as: "root", do: "GET auth/kubernetes/nothing"},
		step{as: "root", do: "DELETE auth/kubernetes/role/app"},
		step{as: "t", do: "POST auth/token/renew-self"},
	)
}
