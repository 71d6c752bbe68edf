package vaulttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"time"
)

// clusterIssuer is who issues the tokens of a Kubernetes cluster, and their audience if none is asked
// for.
const clusterIssuer = "https://kubernetes.default.svc.cluster.local"

// cluster is the Kubernetes cluster that all Kubernetes methods of a server ask about tokens.
type cluster struct {
	key      *ecdsa.PrivateKey // made when first needed
	keys     []crypto.PublicKey
	accounts map[string]string // their UIDs by "namespace/name"; empty: deleted
}

// ServiceAccountToken returns a token of a Kubernetes service account as a pod finds it in its volume,
// signed by the server's own cluster. The account is made if need be. Without audiences it has that of
// the cluster's API server. A negative ttl gives a token that has expired; zero is refused.
func (s *Server) ServiceAccountToken(namespace, name string, ttl time.Duration, audiences ...string) string {
	s.tb.Helper()
	if namespace == "" || name == "" {
		s.tb.Fatalf("vaulttest: ServiceAccountToken: a service account has a namespace and a name, not %q and %q", namespace, name)
		return ""
	}
	why := unfit(term{"ttl", ttl.Abs()})
	if ttl == 0 {
		why = "ttl is zero; a negative one gives a token that has expired"
	}
	if why != "" {
		s.tb.Fatalf("vaulttest: ServiceAccountToken: %s", why)
		return ""
	}
	s.lock()
	defer s.unlock()
	c := &s.cluster
	if c.key == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			s.tb.Fatalf("vaulttest: ServiceAccountToken: %v", err)
			return ""
		}
		c.key, c.keys = key, append(c.keys, key.Public())
	}
	if len(audiences) == 0 {
		audiences = []string{clusterIssuer}
	}
	now := s.now()
	text, err := signJWT(c.key, map[string]any{
		"iss": clusterIssuer, "sub": "system:serviceaccount:" + namespace + ":" + name, "aud": audiences, "jti": newUUID(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(ttl).Unix(),
		"kubernetes.io": map[string]any{
			"namespace": namespace, "serviceaccount": map[string]any{"name": name, "uid": c.account(namespace + "/" + name)},
		},
	})
	if err != nil {
		s.tb.Fatalf("vaulttest: ServiceAccountToken: %v", err)
	}
	return text
}

// DeleteServiceAccount makes the cluster refuse all tokens of a service account. A further
// ServiceAccountToken makes an account of the same name, with a UID of its own.
func (s *Server) DeleteServiceAccount(namespace, name string) {
	s.lock()
	defer s.unlock()
	s.cluster.set(namespace+"/"+name, "")
}

// KubernetesKey makes the cluster accept service account tokens that the test signs itself: SignJWT
// helps. The key is an *rsa.PublicKey or *ecdsa.PublicKey.
func (s *Server) KubernetesKey(key crypto.PublicKey) {
	s.tb.Helper()
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
	default:
		s.tb.Fatalf("vaulttest: KubernetesKey: a cluster signs with RSA or ECDSA: *rsa.PublicKey or *ecdsa.PublicKey, not %T", key)
		return
	}
	s.lock()
	defer s.unlock()
	s.cluster.keys = append(s.cluster.keys, key)
}

// account returns the UID of a service account, which is made if need be.
func (c *cluster) account(name string) string {
	if c.accounts[name] == "" {
		c.set(name, newUUID())
	}
	return c.accounts[name]
}

func (c *cluster) set(name, uid string) {
	if c.accounts == nil {
		c.accounts = map[string]string{}
	}
	c.accounts[name] = uid
}

// review is the TokenReview by which Vault asks the cluster about a token. It is here that the
// signature counts, and that exp has no leeway. Of accounts that it has not heard of the cluster
// believes what the token says.
func (c *cluster) review(token *signedToken, account serviceAccount, audience string, now time.Time) error {
	claims, err := token.claims()
	if err != nil || !token.verified(c.keys) {
		return errors.New("invalid bearer token")
	}
	of, err := registered(claims)
	uid, known := c.accounts[account.namespace+"/"+account.name]
	switch {
	case err != nil:
		return err
	case of.Expiry != 0 && now.After(of.Expiry.time()), of.NotBefore != 0 && now.Before(of.NotBefore.time()):
		return errors.New("service account token has expired or is not valid yet")
	case audience != "" && !slices.Contains(of.Audience, audience):
		return errors.New("token audiences are others")
	case known && uid != account.uid:
		return errors.New("service account is gone")
	}
	return nil
}
