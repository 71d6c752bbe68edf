package suite

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/cert"
	"github.com/seed-f5e1ac40/leasehold/auth/jwt"
	"github.com/seed-f5e1ac40/leasehold/auth/userpass"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// signed is a JWT for Vault that lasts for ttl.
func signed(t *testing.T, key *ecdsa.PrivateKey, ttl time.Duration) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	now := time.Now()
	claims, err := json.Marshal(map[string]any{"sub": "payments", "aud": "vault", "iat": now.Add(-time.Hour).Unix(), "exp": now.Add(ttl).Unix()})
	require.NoError(t, err)
	text := encode([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + encode(claims)
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	require.NoError(t, err)
	return text + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// TestA7AJWTIsReplacedWhileTokensDie every 6 s: each login is made with another JWT, since the last one
// has ended. Vault allows for clocks that are a minute apart.
func TestA7AJWTIsReplacedWhileTokensDie(t *testing.T) {
	t.Parallel()
	const mount, watched = "jwt-a7", 20 * time.Second
	w := newVault(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	w.v.Write("sys/auth/"+mount, map[string]any{"type": "jwt"})
	w.v.Write("auth/"+mount+"/config", map[string]any{
		"jwt_validation_pubkeys": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), "default_role": "app",
	})
	w.v.Write("auth/"+mount+"/role/app", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault", "token_policies": "app", "token_ttl": "4s", "token_max_ttl": "6s",
	})
	file := filepath.Join(t.TempDir(), "jwt")
	good := 4*time.Second - time.Minute
	write(t, file, []byte(signed(t, key, good)))
	a, err := w.enter(t, jwt.New("", auth.File(file), jwt.Mount(mount)))
	require.NoError(t, err)
	log, stop := a.load(t.Context())
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < watched; <-tick.C {
		write(t, file, []byte(signed(t, key, good)+"\n"))
	}
	stop()
	granted, refused := w.logins(mount)
	assert.Greater(t, log.done, workers*int(watched/queries)/2, "too few reads to say anything")
	assert.Empty(t, log.failed, "failed reads")
	assert.GreaterOrEqual(t, granted, 3, "logins in the audit log: no token lasts longer than 6 s")
	assert.Zero(t, refused, "refused logins in the audit log")
	figure.AtMost(stdout, "a7-jwt-failed", float64(len(log.failed)), "reads", 0, "oracle=application",
		fmt.Sprintf("reads=%d", log.done), fmt.Sprintf("logins=%d", granted))
	require.NoError(t, a.Close(context.Background()))
	assert.Zero(t, w.liveTokens(mount), "tokens left")

	_, err = w.enter(t, jwt.New("app", auth.String(signed(t, key, -time.Hour)), jwt.Mount(mount)))
	require.ErrorContains(t, err, "auth/"+mount+"/login")
	require.NotContains(t, err.Error(), "eyJ")
}

// TestAUserLogsInWithAPassword, under a name in any case.
func TestAUserLogsInWithAPassword(t *testing.T) {
	t.Parallel()
	const mount = "userpass-a7"
	w := newVault(t)
	w.v.Write("sys/auth/"+mount, map[string]any{"type": "userpass"})
	w.v.Write("auth/"+mount+"/users/payments.eu", map[string]any{"password": "correct horse", "token_policies": "app", "token_ttl": "1h"})
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, []byte("correct horse\r\n"))
	a, err := w.enter(t, userpass.New("Payments.EU", auth.File(file), userpass.Mount(mount)))
	require.NoError(t, err)
	require.NoError(t, a.fetch(t.Context()))
	require.NoError(t, a.Close(context.Background()))
	assert.Zero(t, w.liveTokens(mount), "tokens left")
	_, err = w.enter(t, userpass.New("payments.eu", auth.String("wrong horse"), userpass.Mount(mount)))
	require.ErrorContains(t, err, "invalid username or password")
	require.NotContains(t, err.Error(), "horse")
}

// TestACertificateLogsIn over a listener of Vault's own with TLS, and is replaced by another authority's:
// Vault does not renew the token for that one, so that a login must follow.
func TestACertificateLogsIn(t *testing.T) {
	t.Parallel()
	const mount = "cert-a7"
	ca, next, dir := newAuthority(t), newAuthority(t), t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	show := func(name string, by *authority) {
		der, key := issue(t, &x509.Certificate{
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			SubjectKeyId: []byte(rand.Text()), // by which Vault knows it again
		}, by)
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		write(t, in(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
		write(t, in(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	show("server", ca)
	show("client", ca)
	addr := freeAddr(t)
	write(t, in("tls.hcl"), fmt.Appendf(nil, `
listener "tcp" {
  address = %q
  tls_cert_file = %q
  tls_key_file = %q
}`, addr, in("server.pem"), in("server.key")))
	w := world{v: testvault.Vault(t, testvault.Args("-config="+in("tls.hcl")))}
	w.v.Policy("app", `path "secret/data/*" { capabilities = ["read"] }`)
	w.v.Write("secret/data/payments/stripe", map[string]any{"data": map[string]any{"api_key": canaryValue, "retries": 3}})
	w.v.Write("sys/auth/"+mount, map[string]any{"type": "cert"})
	w.v.Write("auth/"+mount+"/certs/app", map[string]any{"certificate": string(ca.pem) + string(next.pem), "token_policies": "app", "token_ttl": "6s", "token_max_ttl": "1h"})

	over := func(c *leasehold.Config) {
		c.Address = "https://" + addr
		c.TLS = leasehold.TLSConfig{CACert: ca.file, ClientCert: in("client.pem"), ClientKey: in("client.key")}
	}
	for _, name := range []string{"", "app"} {
		a, err := w.enter(t, cert.New(name, cert.Mount(mount)), over)
		require.NoError(t, err, "the role %q", name)
		log, stop := a.load(t.Context())
		first := a.Status().Token.Accessor
		if name != "" {
			show("client", next)
			testvault.Poll(t, 15*time.Second, func() bool { return a.Status().Token.Accessor != first }, "a login with the new certificate")
		}
		require.NoError(t, a.fetch(t.Context()))
		stop()
		assert.Empty(t, log.failed, "failed reads")
		require.NoError(t, a.Close(context.Background()))
	}
	assert.Zero(t, w.liveTokens(mount), "tokens left")

	_, err := w.enter(t, cert.New("other", cert.Mount(mount)), over)
	require.ErrorContains(t, err, "auth/"+mount+"/login")
	_, err = w.enter(t, cert.New("app", cert.Mount(mount)), over, func(c *leasehold.Config) { c.TLS.ClientCert, c.TLS.ClientKey = "", "" })
	require.ErrorContains(t, err, "client certificate must be supplied")
}
