package likeness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// pkiPair has a PKI engine with an authority for ten years and some roles.
func pkiPair(t *testing.T) *pair {
	t.Helper()
	p := newPair(t)
	p.real.Mount("pki", "pki", nil)
	p.real.Write("sys/mounts/pki/tune", map[string]any{"max_lease_ttl": "87600h"})
	p.real.Write("pki/root/generate/internal", map[string]any{"common_name": "vaulttest root", "ttl": "87600h", "key_type": "ec", "key_bits": 256})
	p.real.Write("sys/mounts/pki/tune", map[string]any{"max_lease_ttl": "768h"})
	add := func(name string, spec vaulttest.PKIRoleSpec) {
		keyType := spec.KeyType
		if keyType == "" {
			keyType = "ec"
		}
		p.real.Write("pki/roles/"+name, map[string]any{
			"allowed_domains": spec.AllowedDomains, "allow_bare_domains": spec.AllowBareDomains, "allow_subdomains": spec.AllowSubdomains,
			"allow_glob_domains": spec.AllowGlobDomains, "allow_any_name": spec.AllowAnyName, "allow_localhost": !spec.DenyLocalhost,
			"allow_ip_sans": !spec.DenyIPSANs, "allow_wildcard_certificates": !spec.DenyWildcards, "allowed_uri_sans": spec.AllowedURISANs,
			"require_cn": !spec.CommonNameOptional, "ttl": spec.TTL.String(), "max_ttl": spec.MaxTTL.String(), "key_type": keyType,
			"key_bits": spec.KeyBits, "generate_lease": spec.GenerateLease, "no_store": spec.NoStore,
		})
		p.fake.PKIRole("pki", name, spec)
	}
	domains := []string{"example.com", "*.glob.org"}
	add("app", vaulttest.PKIRoleSpec{AllowedDomains: domains, AllowSubdomains: true, TTL: time.Hour, MaxTTL: 48 * time.Hour, AllowedURISANs: []string{"spiffe://example.com/*"}})
	add("bare", vaulttest.PKIRoleSpec{AllowedDomains: domains, AllowBareDomains: true, DenyLocalhost: true, DenyIPSANs: true, CommonNameOptional: true})
	add("glob", vaulttest.PKIRoleSpec{AllowedDomains: domains, AllowGlobDomains: true, KeyType: "ed25519", NoStore: true})
	add("any", vaulttest.PKIRoleSpec{AllowAnyName: true, DenyWildcards: true, KeyType: "any"})
	add("open", vaulttest.PKIRoleSpec{AllowAnyName: true, KeyBits: 384})
	add("leased", vaulttest.PKIRoleSpec{AllowAnyName: true, GenerateLease: true, TTL: time.Hour})
	add("rsa", vaulttest.PKIRoleSpec{AllowAnyName: true, KeyType: "rsa"})
	return p
}

const certKeys = "0 expiration" // in the format der, the certificates of the chain are a list of texts

func TestPKIIssue(t *testing.T) {
	t.Parallel()
	p := pkiPair(t)
	p.play(step{as: "root", do: "POST pki/issue/app", body: `{"common_name":"a.example.com"}`, loose: certKeys, save: "cert=data.certificate serial=data.serial_number"})
	alikeCertificates(p)
	p.play(step{as: "root", do: "POST pki/issue/app", body: `{"common_name":"*.example.com","alt_names":"b.example.com, a.example.com,a.example.com","ip_sans":"10.0.0.1,::1","uri_sans":["spiffe://example.com/a"],"ttl":"2h"}`, loose: certKeys, save: "cert=data.certificate"})
	alikeCertificates(p)
	p.play(step{as: "root", do: "POST pki/issue/app", body: `{"common_name":"a.example.com","exclude_cn_from_sans":true,"ttl":"20m"}`, loose: certKeys, save: "cert=data.certificate"})
	alikeCertificates(p)
	p.play(step{as: "root", do: "POST pki/issue/open", body: `{"common_name":"someone@example.com","alt_names":"other@example.com"}`, loose: certKeys, save: "cert=data.certificate"})
	alikeCertificates(p)
	p.play(step{as: "root", do: "POST pki/issue/app", body: `{"common_name":"a.example.com","ttl":"100h"}`, loose: certKeys, save: "cert=data.certificate"})
	alikeCertificates(p)
	p.play(step{as: "root", do: "POST pki/issue/rsa", body: `{"common_name":"a.example.com"}`, loose: certKeys, save: "cert=data.certificate"})
	alikeCertificates(p)

	issue := func(role, body string) [2]string { return [2]string{"POST pki/issue/" + role, body} }
	p.play(rooted(certKeys,
		issue("app", `{"common_name":"a.example.com","format":"pem_bundle"}`),
		issue("app", `{"common_name":"a.example.com","private_key_format":"pkcs8"}`),
		issue("app", `{"common_name":"a.example.com","remove_roots_from_chain":true}`),
		issue("app", `{"common_name":"a.example.com","format":"pem_bundle","remove_roots_from_chain":true,"private_key_format":"pkcs8"}`),
		issue("app", `{"common_name":"a.example.com","format":"txt"}`),
		issue("app", `{"common_name":"a.example.com","format":""}`),
		issue("app", `{"common_name":"a.example.com","foo":"bar","role":"x"}`),
		issue("app", ``),
		issue("app", `{"common_name":""}`),
		issue("app", `{"common_name":["x"]}`),
		issue("app", `{"common_name":"example.com"}`),
		issue("app", `{"common_name":"a.b.example.com"}`),
		issue("app", `{"common_name":"example.org"}`),
		issue("app", `{"common_name":"aexample.com"}`),
		issue("app", `{"common_name":"localhost"}`),
		issue("app", `{"common_name":"a.localhost"}`),
		issue("app", `{"common_name":"*.localhost"}`),
		issue("app", `{"common_name":"A.EXAMPLE.COM"}`),
		issue("app", `{"common_name":"a.example.com."}`),
		issue("app", `{"common_name":"someone@a.example.com"}`),
		issue("app", `{"common_name":"someone@example.com"}`),
		issue("app", `{"common_name":"a@b@a.example.com"}`),
		issue("app", `{"common_name":"*.*.example.com"}`),
		issue("app", `{"common_name":"a.*.example.com"}`),
		issue("app", `{"common_name":"a*.example.com"}`),
		issue("app", `{"common_name":"a..example.com"}`),
		issue("app", `{"common_name":".example.com"}`),
		issue("app", `{"common_name":"a_b.example.com"}`),
		issue("app", `{"common_name":"a b.example.com"}`),
		issue("app", `{"common_name":"-a.example.com"}`),
		issue("app", `{"common_name":"`+strings.Repeat("a", 64)+`.example.com"}`),
		issue("app", `{"common_name":"a.example.com","alt_names":"example.org"}`),
		issue("app", `{"common_name":"a.example.com","alt_names":"x@example.org"}`),
		issue("app", `{"common_name":"a.example.com","alt_names":"a..example.com"}`),
		issue("app", `{"common_name":"a.example.com","alt_names":["b.example.com"]}`),
		issue("app", `{"common_name":"a.example.com","ip_sans":"nonsense"}`),
		issue("app", `{"common_name":"a.example.com","ip_sans":[true]}`),
		issue("app", `{"common_name":"a.example.com","ip_sans":[{"a":1}]}`),
		issue("app", `{"common_name":"a.example.com","uri_sans":"spiffe://example.org/x"}`),
		issue("app", `{"common_name":"a.example.com","serial_number":"7"}`),
		issue("app", `{"common_name":"a.example.com","user_ids":"me"}`),
		issue("app", `{"common_name":"a.example.com","ttl":"1h","not_after":"2099-01-01T00:00:00Z"}`),
		issue("app", `{"common_name":"a.example.com","not_after":"2099-01-01T00:00:00Z"}`),
		issue("app", `{"common_name":"a.example.com","not_after":"tomorrow"}`),
		issue("app", `{"common_name":"a.example.com","not_after":"2001-01-01T00:00:00Z"}`),
		issue("app", `{"common_name":"a.example.com","ttl":"x"}`),
		issue("app", `{"common_name":"a.example.com","ttl":-5}`),
		issue("app", `{"common_name":"a.example.com","ttl":0}`),
		issue("app", `{"common_name":"a.example.com","ttl":""}`),
		issue("app", `{"common_name":"a.example.com","exclude_cn_from_sans":"maybe"}`),
		issue("bare", `{"common_name":"example.com"}`),
		issue("bare", `{"common_name":"EXAMPLE.com"}`),
		issue("bare", `{"common_name":"someone@example.com"}`),
		issue("bare", `{"common_name":"a.example.com"}`),
		issue("bare", `{"common_name":"localhost"}`),
		issue("bare", `{"common_name":"example.com","ip_sans":"1.2.3.4,5.6.7.8"}`),
		issue("bare", `{"common_name":"example.com","uri_sans":"spiffe://x"}`),
		issue("bare", `{}`),
		issue("bare", `{"alt_names":"example.com"}`),
		issue("bare", `{"common_name":"example.com","ttl":"9000h"}`),
		issue("glob", `{"common_name":"x.glob.org"}`),
		issue("glob", `{"common_name":"x.y.glob.org"}`),
		issue("glob", `{"common_name":"glob.org"}`),
		issue("glob", `{"common_name":"example.com"}`),
		issue("any", `{"common_name":"example.com"}`),
		issue("open", `{"common_name":"*"}`),
		issue("open", `{"common_name":"Jane Doe"}`),
		issue("open", `{"common_name":"x","alt_names":"Jane Doe"}`),
		issue("open", `{"common_name":"*.x.y"}`),
		issue("none", `{"common_name":"example.com"}`),
		issue("none", `{"format":"txt"}`),
		issue("-x", `{"common_name":"example.com"}`),
		[2]string{"GET pki/issue/app", ``},
		[2]string{"LIST pki/issue/app", ``},
		[2]string{"DELETE pki/issue/app", ``},
		[2]string{"POST pki/issue", ``},
		[2]string{"POST pki/issue/app/more", ``},
		[2]string{"POST pki/nonsense", ``},
	)...)
	p.play(
		step{as: "root", do: "POST pki/issue/app", body: `{"common_name":"a.example.com","format":"der"}`, loose: certKeys + " certificate issuing_ca private_key"},
		step{as: "root", do: "POST pki/issue/glob", body: `{"common_name":"x.glob.org","format":"der","private_key_format":"pkcs8"}`, loose: certKeys + " certificate issuing_ca private_key"},
		step{do: "POST pki/issue/app", body: `{"common_name":"a.example.com"}`},
	)
}

func TestPKIReadAndRevoke(t *testing.T) {
	t.Parallel()
	p := pkiPair(t)
	const times = "0 expiration lease_duration revocation_time revocation_time_rfc3339 issuer_id"
	p.play(
		step{as: "root", do: "LIST pki/certs"},
		step{as: "root", do: "GET pki/certs"},
		step{as: "root", do: "LIST pki/certs/revoked"},
		step{do: "LIST pki/certs"},
		step{do: "GET pki/ca"},
		step{do: "GET pki/ca/pem"},
		step{do: "GET pki/ca_chain"},
		step{do: "GET pki/cert/ca"},
		step{do: "GET pki/cert/ca_chain"},
		step{do: "GET pki/cert/ca/raw"},
		step{do: "GET pki/cert/ca/raw/pem"},
		step{do: "GET pki/crl"},
		step{do: "GET pki/crl/pem"},
		step{do: "GET pki/cert/crl"},
		step{do: "POST pki/ca"},
		step{do: "DELETE pki/cert/ca"},
		step{do: "GET pki/cert/nonsense"},
		step{do: "GET pki/cert/00:11"},
		step{do: "GET pki/cert/00:11/raw"},
		step{do: "GET pki/cert/00:11/raw/pem"},
		step{do: "GET pki/cert/"},
		step{as: "root", do: "POST pki/issue/open", body: `{"common_name":"a"}`, loose: times, save: "serial=data.serial_number"},
		step{do: "GET pki/cert/{serial}"},
		step{as: "root", do: "GET pki/cert/{serial}"},
		step{do: "GET pki/cert/{serial}/raw"},
		step{do: "GET pki/cert/{serial}/raw/pem"},
		step{as: "root", do: "POST pki/revoke"},
		step{as: "root", do: "POST pki/revoke", body: `{"serial_number":""}`},
		step{as: "root", do: "POST pki/revoke", body: `{"serial_number":"00:11"}`},
		step{as: "root", do: "POST pki/revoke", body: `{"serial_number":["x"]}`},
		step{as: "root", do: "POST pki/revoke", body: `{"serial_number":"{serial}","certificate":"x"}`},
		step{as: "root", do: "GET pki/revoke"},
		step{do: "POST pki/revoke", body: `{"serial_number":"{serial}"}`},
		step{as: "root", do: "POST pki/revoke", body: `{"serial_number":"{serial}"}`, loose: times},
		step{as: "root", do: "POST pki/revoke", body: `{"serial_number":"{serial}","foo":1}`, loose: times},
		step{do: "GET pki/cert/{serial}", loose: times},
		step{as: "root", do: "LIST pki/certs/revoked"},
		step{do: "GET pki/crl/pem"},
		step{as: "root", do: "POST pki/issue/glob", body: `{"common_name":"x.glob.org"}`, loose: times, save: "serial=data.serial_number"},
		step{do: "GET pki/cert/{serial}"},
		step{as: "root", do: "POST pki/revoke", body: `{"serial_number":"{serial}"}`},
		step{as: "root", do: "POST pki/issue/open", body: `{"common_name":"a","ttl":"1s"}`, loose: times, save: "serial=data.serial_number"},
		step{as: "root", do: "POST pki/revoke", body: `{"serial_number":"{serial}"}`},
		// Under leases.
		step{as: "root", do: "POST pki/issue/leased", body: `{"common_name":"a"}`, loose: times, save: "serial=data.serial_number lease=lease_id"},
		step{as: "root", do: "POST sys/leases/renew", body: `{"lease_id":"{lease}"}`},
		step{as: "root", do: "POST sys/leases/lookup", body: `{"lease_id":"{lease}"}`},
		step{as: "root", do: "POST sys/leases/revoke", body: `{"lease_id":"{lease}","sync":true}`},
		step{do: "GET pki/cert/{serial}", loose: times},
		step{as: "root", do: "POST pki/issue/leased", body: `{"common_name":"a","ttl":"9000h"}`, loose: times},
	)
}

func TestPKISign(t *testing.T) {
	t.Parallel()
	p := pkiPair(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	csr := func(cn string, change func(*x509.CertificateRequest)) string {
		request := &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}}
		if change != nil {
			change(request)
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, request, key)
		require.NoError(t, err)
		if cn == "tampered" {
			der[len(der)-1] ^= 1
		}
		text, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
		require.NoError(t, err)
		return string(text)
	}
	plain := csr("a.example.com", nil)
	full := csr("a.example.com", func(r *x509.CertificateRequest) {
		r.DNSNames, r.IPAddresses = []string{"b.example.com"}, []net.IP{net.IPv4(10, 0, 0, 1)}
	})
	for _, c := range []string{plain, full} {
		p.play(step{as: "root", do: "POST pki/sign/app", body: `{"csr":` + c + `}`, loose: certKeys, save: "cert=data.certificate"})
		alikeCertificates(p)
	}
	uri := csr("a.example.com", func(r *x509.CertificateRequest) { r.URIs = []*url.URL{{Scheme: "http", Host: "x"}} })
	p.play(rooted(certKeys,
		[2]string{"POST pki/sign/app", `{"csr":` + plain + `,"common_name":"b.example.com","alt_names":"c.example.com","ttl":"100h"}`},
		[2]string{"POST pki/sign/any", `{"csr":` + plain + `}`},
		[2]string{"POST pki/sign/glob", `{"csr":` + plain + `}`},
		[2]string{"POST pki/sign/open", `{"csr":` + plain + `}`},
		[2]string{"POST pki/sign/rsa", `{"csr":` + plain + `}`},
		[2]string{"POST pki/sign/open", `{"csr":` + plain + `,"format":"pem_bundle"}`},
		[2]string{"POST pki/sign/bare", `{"csr":` + plain + `}`},
		[2]string{"POST pki/sign/bare", `{"csr":` + full + `}`},
		[2]string{"POST pki/sign/app", `{"csr":` + uri + `}`},
		[2]string{"POST pki/sign/leased", `{"csr":` + uri + `}`},
		[2]string{"POST pki/sign/app", `{"csr":` + csr("example.org", nil) + `}`},
		[2]string{"POST pki/sign/app", `{"csr":` + csr("", nil) + `}`},
		[2]string{"POST pki/sign/app", `{"csr":` + csr("", nil) + `,"common_name":"x.example.com"}`},
		[2]string{"POST pki/sign/open", `{"csr":` + csr("tampered", nil) + `}`},
		[2]string{"POST pki/sign/any", `{"csr":` + csr("tampered", nil) + `}`},
		[2]string{"POST pki/sign/app", ``},
		[2]string{"POST pki/sign/app", `{"csr":""}`},
		[2]string{"POST pki/sign/app", `{"csr":"nonsense"}`},
		[2]string{"POST pki/sign/app", `{"csr":"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"}`},
		[2]string{"POST pki/sign/none", `{"csr":` + plain + `}`},
		[2]string{"GET pki/sign/app", ``},
	)...)
}

// alikeCertificates compares what the certificates say that were saved as cert.
func alikeCertificates(p *pair) {
	p.t.Helper()
	var said [2]string
	for i := range p.sides {
		block, _ := pem.Decode([]byte(p.sides[i].known["cert"]))
		require.NotNil(p.t, block, "no PEM")
		cert, err := x509.ParseCertificate(block.Bytes)
		require.NoError(p.t, err)
		said[i] = fmt.Sprintf("subject %s\nissuer %s\nDNS %v\nemail %v\nIP %v\nURI %v\nusage %v %v\nCA %v %v\nlife %v\nsignature %v\nkey %v\ncritical %v",
			cert.Subject, cert.Issuer, cert.DNSNames, cert.EmailAddresses, cert.IPAddresses, cert.URIs, cert.KeyUsage, cert.ExtKeyUsage,
			cert.IsCA, cert.BasicConstraintsValid, cert.NotAfter.Sub(cert.NotBefore).Round(10*time.Second), cert.SignatureAlgorithm, cert.PublicKeyAlgorithm, extensions(cert))
		assert.InDelta(p.t, time.Now().Unix(), cert.NotBefore.Add(30*time.Second).Unix(), 5)
	}
	assert.Equal(p.t, said[0], said[1])
}

func extensions(cert *x509.Certificate) (out []string) {
	for _, e := range cert.Extensions {
		out = append(out, fmt.Sprint(e.Id, e.Critical))
	}
	return out
}
