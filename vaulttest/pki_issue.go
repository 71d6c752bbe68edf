package vaulttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

var pkiIssueFields = schema{
	"role": inPath, "common_name": asText, "alt_names": asText, "ip_sans": asTexts, "uri_sans": asTexts, "other_sans": asTexts,
	"serial_number": asText, "ttl": asSeconds, "not_after": asText, "format": asText, "private_key_format": asText,
	"exclude_cn_from_sans": asBool, "remove_roots_from_chain": asBool, "user_ids": asTexts, "cert_metadata": asText,
	"issuer_ref": asText,
}

var pkiSignFields = func() schema {
	fields := schema{"csr": asText}
	maps.Copy(fields, pkiIssueFields)
	return fields
}()

// issue answers issue/ROLE and sign/ROLE; the latter has no key to give, but a CSR.
func (e *pkiEngine) issue(c *call, name string, sign bool) reply {
	of := pkiIssueFields
	if sign {
		of = pkiSignFields
	}
	f, bad := c.fields(of)
	if bad != nil {
		return *bad
	}
	role := e.roles[name]
	format := f.textOr("format", "pem")
	switch {
	case role == nil:
		return fail(http.StatusBadRequest, "unknown role: "+name)
	case !sign && role.KeyType == "any":
		return fail(http.StatusBadRequest, `role key type "any" not allowed for issuing certificates, only signing`)
	case format != "pem" && format != "der" && format != "pem_bundle":
		return fail(http.StatusBadRequest, `the "format" path parameter must be "pem", "der", or "pem_bundle"`)
	case f.text("cert_metadata") != "" || len(f.texts("other_sans")) > 0:
		return unmodelled("other_sans and cert_metadata")
	}
	ca := e.authority(c.now)
	var csr *x509.CertificateRequest
	if sign {
		var err error
		if csr, err = role.readCSR(f.text("csr")); err != nil {
			return failed(err)
		}
	}
	if !ascii(f.text("common_name")+f.text("alt_names")) || csr != nil && !ascii(csr.Subject.CommonName) {
		return unmodelled("names beyond ASCII, which Vault converts")
	}
	template, warnings, err := role.template(f, csr, c.now, ca)
	if err != nil {
		return failed(err)
	}
	if csr != nil && csr.CheckSignature() != nil {
		return fail(http.StatusBadRequest, "request signature invalid")
	}
	var public crypto.PublicKey
	var private crypto.Signer
	if sign {
		public = csr.PublicKey
	} else {
		private = role.newKey()
		public = private.Public()
	}
	template.SubjectKeyId, template.AuthorityKeyId = keyID(public), ca.SubjectKeyId
	der, err := x509.CreateCertificate(rand.Reader, template, ca, public, e.key)
	if err != nil {
		return failList(http.StatusInternalServerError, "unable to create certificate: "+err.Error())
	}
	cert := mustParse(der)
	data := certData(f, format, cert, ca, private)
	again := slices.Clone(warnings) // Vault gives these twice
	if sign {
		if f.text("common_name") != "" {
			warnings = append(warnings, `the common_name field was provided but the role is set with "use_csr_common_name" set to true`)
		}
		if f.text("alt_names") != "" {
			warnings = append(warnings, `the alt_names field was provided but the role is set with "use_csr_sans" set to true`)
		}
	}
	return e.hand(c, role, cert, data, slices.Concat(warnings, again, f.warnings))
}

// hand stores a certificate and answers with it, under a lease where the role wants one.
func (e *pkiEngine) hand(c *call, role *PKIRoleSpec, cert *x509.Certificate, data map[string]any, warnings []string) reply {
	stored := &pkiCert{cert: cert}
	if !role.NoStore {
		e.certs[serialText(cert.SerialNumber)] = stored
	}
	if !role.GenerateLease {
		return answer(http.StatusOK, envelope{Data: data, Warnings: warnings, MountType: "pki"})
	}
	ttl := cert.NotAfter.Sub(c.now)
	l, granted, leaseWarnings := c.addLease(&leaseTerms{ttl: ttl}, data)
	s := c.s
	l.revoke = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		stored.revoke(s.now())
	}
	if c.token.spent {
		return fail(http.StatusBadRequest, "Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.")
	}
	return answer(http.StatusOK, envelope{
		LeaseID: l.id, LeaseDuration: int64(granted.Round(time.Second).Seconds()), Data: cloneMap(data),
		Warnings: append(warnings, leaseWarnings...), MountType: "pki",
	})
}

// readCSR reads a request for a certificate and checks its key against the role's.
func (r *PKIRoleSpec) readCSR(text string) (*x509.CertificateRequest, error) {
	if text == "" {
		return nil, refuse(`"csr" is empty`)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, refuse("csr contains no data")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, refuse("certificate request could not be parsed: %v", err)
	}
	keyType, bits := "", 0
	switch public := csr.PublicKey.(type) {
	case *rsa.PublicKey:
		keyType, bits = "rsa", public.N.BitLen()
	case *ecdsa.PublicKey:
		keyType, bits = "ec", public.Params().BitSize
	case ed25519.PublicKey:
		keyType = "ed25519"
	}
	least := r.KeyBits
	if r.KeyType == "any" {
		least = map[string]int{"rsa": 2048, "ec": 224}[keyType]
	}
	switch {
	case keyType == "":
		return nil, refuse("Refusing to sign CSR with empty PublicKey. This usually means the SubjectPublicKeyInfo field has an OID not recognized by Go, such as 1.2.840.113549.1.1.10 for rsaPSS.")
	case r.KeyType == "any" && keyType == "rsa" && bits < 2048:
		return nil, refuse("RSA keys < 2048 bits are unsafe and not supported")
	case r.KeyType != "any" && r.KeyType != keyType:
		return nil, refuse("role requires keys of type %s", r.KeyType)
	case bits < least:
		return nil, refuse("role requires a minimum of a %d-bit key, but CSR's key is %d bits", least, bits)
	}
	return csr, nil
}

// newKey makes a key of the role's type.
func (r *PKIRoleSpec) newKey() crypto.Signer {
	var key crypto.Signer
	var err error
	switch r.KeyType {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, r.KeyBits)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		curves := map[int]elliptic.Curve{224: elliptic.P224(), 256: elliptic.P256(), 384: elliptic.P384(), 521: elliptic.P521()}
		key, err = ecdsa.GenerateKey(curves[r.KeyBits], rand.Reader)
	}
	if err != nil {
		panic("vaulttest: no key could be made: " + err.Error()) // only for want of random numbers
	}
	return key
}

// certData is the answer's data, in the format that was asked for. There is no private key for a CSR.
func certData(f fields, format string, cert, ca *x509.Certificate, private crypto.Signer) map[string]any {
	encode := certPEM
	if format == "der" {
		encode = base64.StdEncoding.EncodeToString
	}
	data := map[string]any{
		"certificate": encode(cert.Raw), "issuing_ca": encode(ca.Raw), "expiration": cert.NotAfter.Unix(),
		"serial_number": serialText(cert.SerialNumber),
	}
	bundle := []string{certPEM(cert.Raw), certPEM(ca.Raw)}
	if !f.bool("remove_roots_from_chain") {
		data["ca_chain"] = []string{encode(ca.Raw)}
	}
	if private != nil {
		keyType, block, der := keyDER(private, false)
		bundle = append([]string{strings.TrimSpace(pemText(block, der, nil))}, bundle...)
		if f.text("private_key_format") == "pkcs8" {
			_, block, der = keyDER(private, true)
		}
		data["private_key_type"] = keyType
		if data["private_key"] = strings.TrimSpace(pemText(block, der, nil)); format == "der" {
			data["private_key"] = base64.StdEncoding.EncodeToString(der)
		}
	}
	if format == "pem_bundle" {
		data["certificate"] = strings.Join(bundle, "\n")
	}
	return data
}

// keyDER encodes a private key as Vault does: each type in its own old form, or all in PKCS #8.
func keyDER(private crypto.Signer, pkcs8 bool) (keyType, block string, der []byte) {
	var err error
	switch key := private.(type) {
	case *rsa.PrivateKey:
		keyType, block, der = "rsa", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)
	case *ecdsa.PrivateKey:
		keyType, block = "ec", "EC PRIVATE KEY"
		der, err = x509.MarshalECPrivateKey(key)
	default:
		keyType, pkcs8 = "ed25519", true
	}
	if pkcs8 {
		block = "PRIVATE KEY"
		der, err = x509.MarshalPKCS8PrivateKey(private)
	}
	if err != nil {
		panic("vaulttest: a key of its own cannot be marshaled: " + err.Error())
	}
	return keyType, block, der
}
