package vaulttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // It names keys in certificates; nothing rests on its strength.
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// backdating is how long before their making certificates are valid, for clocks that are slow.
const backdating = 30 * time.Second

// authority returns the CA's certificate.
func (e *pkiEngine) authority(now time.Time) *x509.Certificate {
	if e.ca != nil {
		return e.ca
	}
	var err error
	e.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("vaulttest: no key could be made: " + err.Error()) // only for want of random numbers
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: "vaulttest root"},
		NotBefore: now.Add(-backdating), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: keyID(&e.key.PublicKey),
	}
	template.AuthorityKeyId = template.SubjectKeyId
	der, err := x509.CreateCertificate(rand.Reader, template, template, &e.key.PublicKey, e.key)
	if err != nil {
		panic("vaulttest: the CA cannot sign itself: " + err.Error())
	}
	e.ca, e.id = mustParse(der), newUUID()
	e.certs[serialText(e.ca.SerialNumber)] = &pkiCert{cert: e.ca}
	return e.ca
}

// mustParse parses a certificate of the server's own making.
func mustParse(der []byte) *x509.Certificate {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic("vaulttest: a certificate of its own cannot be parsed: " + err.Error())
	}
	return cert
}

func newSerial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159))
	return n
}

// serialText prints a serial number as Vault does: 1f:e0:07.
func serialText(n *big.Int) string {
	var b strings.Builder
	for i, digits := range n.Bytes() {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02x", digits)
	}
	return b.String()
}

// keyID is the name of a key in certificates.
func keyID(public any) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic("vaulttest: a public key cannot be marshaled: " + err.Error())
	}
	sum := sha1.Sum(der) //nolint:gosec // see above
	return sum[:]
}

func certPEM(der []byte) string { return strings.TrimSpace(pemText("CERTIFICATE", der, nil)) }

// pkiReads are the paths that are read, besides those of single certificates.
var pkiReads = []string{
	"ca", "ca/pem", "ca_chain", "cert/ca", "cert/ca_chain", "cert/ca/raw", "cert/ca/raw/pem",
	"crl", "crl/pem", "cert/crl", "cert/crl/raw", "cert/crl/raw/pem",
}

// read answers pkiReads and cert/SERIAL. Where a path says ca, raw or pem, the answer is no JSON.
func (e *pkiEngine) read(c *call, rest string) reply {
	ca := e.authority(c.now)
	switch rest {
	case "ca", "cert/ca/raw":
		return rawReply("application/pkix-cert", ca.Raw)
	case "ca/pem", "cert/ca/raw/pem":
		return rawReply("application/pem-certificate-chain", []byte(certPEM(ca.Raw)))
	case "ca_chain":
		return rawReply("application/pkix-cert", []byte(certPEM(ca.Raw)))
	case "cert/ca":
		return certReply(map[string]any{"certificate": certPEM(ca.Raw)})
	case "cert/ca_chain":
		return certReply(map[string]any{"certificate": certPEM(ca.Raw), "ca_chain": certPEM(ca.Raw)})
	case "crl", "cert/crl/raw":
		return rawReply("application/pkix-crl", e.crl(c.now))
	case "crl/pem", "cert/crl/raw/pem":
		return rawReply("application/x-pem-file", []byte(strings.TrimSpace(pemText("X509 CRL", e.crl(c.now), nil))))
	case "cert/crl":
		return certReply(map[string]any{"certificate": strings.TrimSpace(pemText("X509 CRL", e.crl(c.now), nil))})
	}
	match := serialPath.FindStringSubmatch(rest)
	cert := e.certs[normalSerial(match[1])]
	switch {
	case cert == nil && match[2] != "":
		contentType := "application/pkix-cert"
		if match[2] == "/raw/pem" {
			contentType = "application/pem-certificate-chain"
		}
		r := rawReply(contentType, nil)
		r.status = http.StatusNoContent
		return r
	case cert == nil:
		return fail(http.StatusNotFound)
	case match[2] == "/raw":
		return rawReply("application/pkix-cert", cert.cert.Raw)
	case match[2] == "/raw/pem":
		return rawReply("application/pem-certificate-chain", []byte(certPEM(cert.cert.Raw)))
	}
	data := map[string]any{"certificate": certPEM(cert.cert.Raw)}
	if !cert.revoked.IsZero() {
		data["revocation_time"], data["revocation_time_rfc3339"], data["issuer_id"] = cert.revoked.Unix(), timeText(cert.revoked), e.id
	}
	return certReply(data)
}

func rawReply(contentType string, body []byte) reply {
	return reply{status: http.StatusOK, header: http.Header{"Content-Type": {contentType}}, body: body}
}

// certReply answers a read without a token, of which Vault does not tell the mount's type.
func certReply(data map[string]any) reply {
	if data["issuer_id"] == nil {
		data["revocation_time"], data["revocation_time_rfc3339"] = 0, ""
	}
	return ok("", data)
}

// crl is the list of what was revoked, as of now.
func (e *pkiEngine) crl(now time.Time) []byte {
	var entries []x509.RevocationListEntry
	for _, serial := range sortedKeys(e.certs) {
		if p := e.certs[serial]; !p.revoked.IsZero() {
			entries = append(entries, x509.RevocationListEntry{SerialNumber: p.cert.SerialNumber, RevocationTime: p.revoked})
		}
	}
	e.crls++
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(e.crls), ThisUpdate: now, NextUpdate: now.Add(72 * time.Hour), RevokedCertificateEntries: entries,
	}, e.ca, e.key)
	if err != nil {
		panic("vaulttest: no revocation list could be made: " + err.Error())
	}
	return der
}
