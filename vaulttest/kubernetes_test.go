package vaulttest_test

import (
	"crypto/elliptic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestKubernetes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		s.KubernetesRole("app", vaulttest.KubernetesRoleSpec{
			BoundServiceAccountNames: []string{"app"}, BoundServiceAccountNamespaces: []string{"team-*"}, Audience: "vault",
			Policies: []string{"p"}, TokenTTL: time.Hour,
		})
		login := func(status int, part, jwt string) answer {
			t.Helper()
			return c.want(status, part, "", "POST", "auth/kubernetes/login", jwtLogin("app", jwt))
		}
		jwt := s.ServiceAccountToken("team-a", "app", time.Hour, "vault")
		a := login(200, `"service_account_namespace":"team-a"`, jwt)
		assert.Equal(t, 3600, a.secret.Auth.LeaseDuration)
		c.want(200, `"display_name":"kubernetes-team-a-app"`, a.secret.Auth.ClientToken, "GET", "auth/token/lookup-self", "")
		login(403, "invalid audience (aud) claim", s.ServiceAccountToken("team-a", "app", time.Hour))
		login(403, "namespace not authorized", s.ServiceAccountToken("other", "app", time.Hour, "vault"))
		login(403, "service account name not authorized", s.ServiceAccountToken("team-a", "other", time.Hour, "vault"))
		login(403, "token is expired", s.ServiceAccountToken("team-a", "app", -time.Hour, "vault"))

		// Vault's leeway is of no use: the cluster has none.
		time.Sleep(time.Hour)
		login(200, "client_token", jwt)
		time.Sleep(time.Nanosecond)
		login(403, `{"errors":["permission denied"]}`, jwt)
		time.Sleep(time.Minute)
		login(403, "token is expired", jwt)
	})
}

func TestKubernetesDeletedAccount(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.KubernetesRole("app", vaulttest.KubernetesRoleSpec{
		BoundServiceAccountNames: []string{"*"}, BoundServiceAccountNamespaces: []string{"*"}, Mount: "cluster/b",
	})
	login := func(status int, part, jwt string) answer {
		t.Helper()
		return c.want(status, part, "", "POST", "auth/cluster/b/login", jwtLogin("app", jwt))
	}
	old := s.ServiceAccountToken("prod", "app", time.Hour)
	token := login(200, "client_token", old).secret.Auth.ClientToken
	s.DeleteServiceAccount("prod", "app")
	login(403, "permission denied", old)
	c.want(200, `"path":"auth/cluster/b/login"`, token, "GET", "auth/token/lookup-self", "")
	renewed := s.ServiceAccountToken("prod", "app", time.Hour)
	login(200, "client_token", renewed)
	login(403, "permission denied", old)
	login(200, "client_token", s.ServiceAccountToken("prod", "other", time.Hour))
}

// The test's own keys count like the cluster's, and no others.
func TestKubernetesKeys(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.KubernetesRole("app", vaulttest.KubernetesRoleSpec{BoundServiceAccountNames: []string{"app"}, BoundServiceAccountNamespaces: []string{"prod"}})
	key := ecKey(t, elliptic.P384())
	jwt := s.SignJWT(key, map[string]any{
		"iat": s.Now().Unix(), "exp": s.Now().Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "prod", "serviceaccount": map[string]any{"name": "app", "uid": "u"}},
	})
	c.want(403, "permission denied", "", "POST", "auth/kubernetes/login", jwtLogin("app", jwt))
	s.KubernetesKey(key.Public())
	c.want(200, `"service_account_uid":"u"`, "", "POST", "auth/kubernetes/login", jwtLogin("app", jwt))
	s.DeleteServiceAccount("prod", "app")
	c.want(403, "permission denied", "", "POST", "auth/kubernetes/login", jwtLogin("app", jwt))
}
