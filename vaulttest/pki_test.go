package vaulttest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// certificate reads the certificate and key of an answer, which must fit each other.
func certificate(t *testing.T, a answer) (*x509.Certificate, string) {
	t.Helper()
	text, _ := a.secret.Data["certificate"].(string)
	key, _ := a.secret.Data["private_key"].(string)
	pair, err := tls.X509KeyPair([]byte(text), []byte(key))
	require.NoError(t, err)
	serial, _ := a.secret.Data["serial_number"].(string)
	return pair.Leaf, serial
}

// verify does what a client of a TLS server does at the server's time.
func verify(s *vaulttest.Server, cert *x509.Certificate, name string) error {
	roots := x509.NewCertPool()
	roots.AddCert(s.PKICA("pki"))
	_, err := cert.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: s.Now()})
	return err
}

// raw reads an answer that is no JSON, without a token.
func raw(t *testing.T, s *vaulttest.Server, path string) (contentType string, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://vault.invalid/v1/"+path, http.NoBody)
	require.NoError(t, err)
	resp, err := s.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	return resp.Header.Get("Content-Type"), body
}

func TestPKICertificatesAreValidByTheServersClock(t *testing.T) {
	for _, keyType := range []string{"", "ec", "ed25519", "rsa"} {
		t.Run("key "+keyType, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := vaulttest.New(t)
				s.PKIRole("pki", "app", vaulttest.PKIRoleSpec{
					AllowedDomains: []string{"example.com"}, AllowSubdomains: true, TTL: time.Hour, KeyType: keyType,
				})
				c := inProcess(t, s)
				s.Advance(1000 * time.Hour)
				cert, _ := certificate(t, c.want(200, "", s.RootToken(), "POST", "pki/issue/app", `{"common_name":"a.example.com","format":"pem_bundle"}`))
				require.NoError(t, verify(s, cert, "a.example.com"))
				require.ErrorAs(t, verify(s, cert, "b.example.com"), &x509.HostnameError{})
				assert.Equal(t, s.Now().Add(-30*time.Second).Unix(), cert.NotBefore.Unix())
				assert.Equal(t, s.Now().Add(time.Hour).Unix(), cert.NotAfter.Unix())

				time.Sleep(30 * time.Minute)
				require.NoError(t, verify(s, cert, "a.example.com"))
				s.Advance(31 * time.Minute)
				var invalid x509.CertificateInvalidError
				require.ErrorAs(t, verify(s, cert, "a.example.com"), &invalid)
				assert.Equal(t, x509.Expired, invalid.Reason)
			})
		})
	}
}

func TestPKIRolesHaveTheKeysThatTheySay(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	for _, bits := range []int{224, 256, 384, 521} {
		s.PKIRole("pki", "ec", vaulttest.PKIRoleSpec{AllowAnyName: true, KeyBits: bits})
		cert, _ := certificate(t, c.want(200, `"private_key_type":"ec"`, s.RootToken(), "POST", "pki/issue/ec", `{"common_name":"a"}`))
		public, isECDSA := cert.PublicKey.(*ecdsa.PublicKey)
		require.True(t, isECDSA)
		assert.Equal(t, bits, public.Curve.Params().BitSize)
	}
}

func TestPKIAuthorityIsReadWithoutAToken(t *testing.T) {
	s := vaulttest.New(t)
	s.PKIRole("deep/pki", "app", vaulttest.PKIRoleSpec{})
	ca := s.PKICA("deep/pki")
	require.NoError(t, ca.CheckSignatureFrom(ca))
	assert.Equal(t, ca.Raw, s.PKICA("deep/pki").Raw)
	assert.NotEqual(t, ca.Raw, s.PKICA("pki").Raw)

	contentType, body := raw(t, s, "deep/pki/ca")
	assert.Equal(t, "application/pkix-cert", contentType)
	assert.Equal(t, ca.Raw, body)
	contentType, body = raw(t, s, "deep/pki/ca/pem")
	assert.Equal(t, "application/pem-certificate-chain", contentType)
	block, _ := pem.Decode(body)
	require.NotNil(t, block)
	assert.Equal(t, ca.Raw, block.Bytes)
}

// revokedSerials reads the list of what was revoked, which the authority has signed.
func revokedSerials(t *testing.T, s *vaulttest.Server) []string {
	t.Helper()
	_, der := raw(t, s, "pki/crl")
	list, err := x509.ParseRevocationList(der)
	require.NoError(t, err)
	require.NoError(t, list.CheckSignatureFrom(s.PKICA("pki")))
	var out []string
	for _, entry := range list.RevokedCertificateEntries {
		out = append(out, entry.SerialNumber.String())
	}
	return out
}

func TestPKILeasesRevokeWhatTheyHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		s.PKIRole("pki", "leased", vaulttest.PKIRoleSpec{AllowAnyName: true, GenerateLease: true, TTL: time.Hour})
		s.Policy("app", vaulttest.Rule{Path: "pki/issue/*", Capabilities: []string{"update"}})
		c := inProcess(t, s)
		token := s.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}})

		a := c.want(200, "", s.RootToken(), "POST", "pki/issue/leased", `{"common_name":"a"}`)
		first, _ := certificate(t, a)
		assert.Equal(t, 3600, a.secret.LeaseDuration)
		assert.False(t, a.secret.Renewable)
		assert.Empty(t, revokedSerials(t, s))
		c.want(204, "", s.RootToken(), "POST", "sys/leases/revoke", `{"lease_id":"`+a.secret.LeaseID+`"}`)
		assert.Equal(t, []string{first.SerialNumber.String()}, revokedSerials(t, s))

		second, serial := certificate(t, c.want(200, "", token, "POST", "pki/issue/leased", `{"common_name":"b"}`))
		c.want(204, "", s.RootToken(), "POST", "auth/token/revoke", `{"token":"`+token+`"}`)
		assert.ElementsMatch(t, []string{first.SerialNumber.String(), second.SerialNumber.String()}, revokedSerials(t, s))
		c.want(200, `"revocation_time":`+strconv.FormatInt(time.Now().Unix(), 10), "", "GET", "pki/cert/"+serial, "")

		// What ends by itself is not on the list.
		c.want(200, "", s.RootToken(), "POST", "pki/issue/leased", `{"common_name":"c"}`)
		require.Len(t, s.Leases(), 1)
		s.Advance(2 * time.Hour)
		require.Empty(t, s.Leases())
		assert.Len(t, revokedSerials(t, s), 2)

		// Nor is a certificate handed out whose lease has died with its token's last use.
		once := s.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, NumUses: 1})
		c.want(400, "token had one use left", once, "POST", "pki/issue/leased", `{"common_name":"d"}`)
		assert.Len(t, revokedSerials(t, s), 3)
	})
}

func TestPKIRevokeAndNoStore(t *testing.T) {
	s := vaulttest.New(t)
	s.PKIRole("pki", "app", vaulttest.PKIRoleSpec{AllowAnyName: true})
	s.PKIRole("pki", "forgetful", vaulttest.PKIRoleSpec{AllowAnyName: true, NoStore: true})
	c := inProcess(t, s)
	cert, serial := certificate(t, c.want(200, "", s.RootToken(), "POST", "pki/issue/app", `{"common_name":"a"}`))
	c.want(200, `"state":"revoked"`, s.RootToken(), "POST", "pki/revoke", `{"serial_number":"`+serial+`"}`)
	assert.Equal(t, []string{cert.SerialNumber.String()}, revokedSerials(t, s))
	c.want(200, serial, s.RootToken(), "LIST", "pki/certs/revoked", "")

	_, serial = certificate(t, c.want(200, "", s.RootToken(), "POST", "pki/issue/forgetful", `{"common_name":"a"}`))
	c.want(404, "", "", "GET", "pki/cert/"+serial, "")
	c.want(400, "not found", s.RootToken(), "POST", "pki/revoke", `{"serial_number":"`+serial+`"}`)
}

func TestPKINothingOutlivesTheAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		s.PKIRole("pki", "app", vaulttest.PKIRoleSpec{AllowAnyName: true, TTL: time.Hour})
		s.Advance(s.PKICA("pki").NotAfter.Sub(s.Now()) - 30*time.Minute)
		c := inProcess(t, s)
		c.want(400, "beyond the expiration of the CA certificate", s.RootToken(), "POST", "pki/issue/app", `{"common_name":"a"}`)
		c.want(200, "", s.RootToken(), "POST", "pki/issue/app", `{"common_name":"a","ttl":"29m"}`)
	})
}

func TestPKISignsWhatIsAsked(t *testing.T) {
	s := vaulttest.New(t)
	s.PKIRole("pki", "app", vaulttest.PKIRoleSpec{AllowedDomains: []string{"example.com"}, AllowSubdomains: true})
	c := inProcess(t, s)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "a.example.com"}, DNSNames: []string{"b.example.com"},
	}, key)
	require.NoError(t, err)
	body := func(der []byte) string {
		text, err := json.Marshal(map[string]string{"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))})
		require.NoError(t, err)
		return string(text)
	}
	a := c.want(200, "", s.RootToken(), "POST", "pki/sign/app", body(der))
	text, _ := a.secret.Data["certificate"].(string)
	block, _ := pem.Decode([]byte(text))
	require.NotNil(t, block)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	assert.True(t, key.PublicKey.Equal(cert.PublicKey))
	assert.Equal(t, []string{"a.example.com", "b.example.com"}, cert.DNSNames)
	require.NoError(t, verify(s, cert, "b.example.com"))
	assert.NotContains(t, a.text, "private_key")

	der[len(der)-1] ^= 1
	c.want(400, "request signature invalid", s.RootToken(), "POST", "pki/sign/app", body(der))
}

func TestPKISaysWhatItDoesNotModel(t *testing.T) {
	s := vaulttest.New(t)
	s.PKIRole("pki", "app", vaulttest.PKIRoleSpec{AllowAnyName: true})
	c := inProcess(t, s)
	for _, path := range []string{"pki/roles/app", "pki/root/generate/internal", "pki/sign-verbatim", "pki/tidy", "pki/issuer/default/issue/app"} {
		c.want(501, "vaulttest does not model", s.RootToken(), "POST", path, `{}`)
	}
	c.want(501, "vaulttest does not model", s.RootToken(), "POST", "pki/issue/app", `{"common_name":"a","other_sans":"1.2.3;UTF8:x"}`)
	c.want(501, "vaulttest does not model", s.RootToken(), "POST", "pki/issue/app", `{"common_name":"bücher.example.com"}`)
	for _, path := range []string{"pki/crl/delta", "pki/issuers", "pki/issuer/default/pem", "pki/acme/directory", "pki/ocsp/x"} {
		c.want(501, "vaulttest does not model", "", "GET", path, "") // open to all, so that a 403 would mislead
	}
}

func TestPKISetUpThatIsWrong(t *testing.T) {
	for name, wrong := range map[string]func(*vaulttest.Server){
		"key type":    func(s *vaulttest.Server) { s.PKIRole("pki", "x", vaulttest.PKIRoleSpec{KeyType: "dsa"}) },
		"key bits":    func(s *vaulttest.Server) { s.PKIRole("pki", "x", vaulttest.PKIRoleSpec{KeyType: "rsa", KeyBits: 1024}) },
		"other mount": func(s *vaulttest.Server) { s.PKIRole("secret", "x", vaulttest.PKIRoleSpec{}) },
		"other CA":    func(s *vaulttest.Server) { s.PKICA("secret") },
	} {
		t.Run(name, func(t *testing.T) {
			tb := &notingTB{TB: t}
			wrong(vaulttest.New(tb))
			assert.Len(t, tb.fatal, 1)
		})
	}
}
