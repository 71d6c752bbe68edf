package testvault

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"time"
)

// Token asks for a token of sa, as kubelet does for a pod's projected volume, but bound to
// no pod: see Pod. With no audience it is for the API server itself. The server makes none for
// less than ten minutes: see Signed.
func (k *Kube) Token(sa ServiceAccount, lifetime time.Duration, audiences ...string) string {
	k.tb.Helper()
	token, err := k.requestToken(k.tb.Context(), sa, nil, lifetime, audiences)
	k.check(err)
	return token
}

// Claims are those of a JWT.
type Claims map[string]any

// Signed is a token of sa for audience, signed with the server's own key, as the server
// would have made it at another time. others replace its claims, those that are nil go.
func (k *Kube) Signed(sa ServiceAccount, audience string, others Claims) string {
	k.tb.Helper()
	return k.SignedBy(k.signer, sa, audience, others)
}

// SignedBy is Signed with another key than the server's.
func (k *Kube) SignedBy(key *rsa.PrivateKey, sa ServiceAccount, audience string, others Claims) string {
	k.tb.Helper()
	now := time.Now()
	claims := Claims{
		"iss": kubeIssuer, "sub": "system:serviceaccount:" + sa.Namespace + ":" + sa.Name, "aud": []string{audience},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": rand.Text(),
		"kubernetes.io": Claims{"namespace": sa.Namespace, "serviceaccount": Claims{"name": sa.Name, "uid": sa.UID}},
	}
	maps.Copy(claims, others)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(claims)
	k.check(err)
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	k.check(err)
	return signed + "." + encode(signature)
}

// Takes tells whether the server takes token for audience. Its answer is Vault's, too, but
// for what Vault looks at by itself.
func (k *Kube) Takes(token, audience string) bool {
	k.tb.Helper()
	answer, err := k.call(k.tb.Context(), http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews", object{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": object{"token": token, "audiences": []string{audience}},
	})
	k.check(err)
	return answer.Status.Authenticated
}
