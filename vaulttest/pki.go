package vaulttest

import (
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// PKIRoleSpec describes what a role of a PKI engine lets its callers have, in Vault's terms. Its zero
// value allows names of localhost only, with certificates for 32 days.
type PKIRoleSpec struct {
	// AllowedDomains are the domains of common names and of DNS and email names, in lower case: the
	// domains themselves with AllowBareDomains, names below them with AllowSubdomains, and what they
	// match as patterns with AllowGlobDomains. AllowAnyName allows all that are well formed.
	AllowedDomains                                                    []string
	AllowBareDomains, AllowSubdomains, AllowGlobDomains, AllowAnyName bool
	// Vault allows localhost, addresses and wildcards unless it is told otherwise.
	DenyLocalhost, DenyIPSANs, DenyWildcards bool
	// AllowedURISANs are patterns of URIs; none: no URIs.
	AllowedURISANs []string
	// CommonNameOptional lets a request have no common name.
	CommonNameOptional bool
	// TTL is a certificate's life where the request names none, and MaxTTL cuts what it names, with a
	// warning. Zero: 32 days.
	TTL, MaxTTL time.Duration
	// KeyType is that of the keys: ec (the default), rsa, ed25519, or any, with which sign/ takes what
	// comes and issue/ nothing. KeyBits is 224, 256, 384 or 521 for ec, zero: 256; and 2048, 3072 or
	// 4096 for rsa, zero: 2048. Vault's own default is rsa; to make such a key takes up to a second.
	KeyType string
	KeyBits int
	// GenerateLease puts certificates under leases, which revoke them as they end. NoStore forgets
	// them: they cannot be read nor revoked.
	GenerateLease, NoStore bool
}

// PKIRole defines a role of a PKI engine, which is mounted at mount if need be.
func (s *Server) PKIRole(mount, role string, spec PKIRoleSpec) {
	s.tb.Helper()
	if spec.KeyType == "" {
		spec.KeyType = "ec"
	}
	bits, known := pkiKeyBits[spec.KeyType]
	why := unfit(term{"TTL", spec.TTL}, term{"MaxTTL", spec.MaxTTL})
	for _, domain := range spec.AllowedDomains {
		if domain != strings.ToLower(domain) {
			why = fmt.Sprintf("AllowedDomains has %q, which is not in lower case", domain)
		}
	}
	switch {
	case why != "":
		s.tb.Fatalf("vaulttest: PKIRole %s: %s", role, why)
		return
	case !known:
		s.tb.Fatalf("vaulttest: PKIRole %s: no key type %q; there are %s", role, spec.KeyType, strings.Join(sortedKeys(pkiKeyBits), ", "))
		return
	case spec.KeyBits == 0 && bits != nil:
		spec.KeyBits = bits[0]
	case spec.KeyBits != 0 && !slices.Contains(bits, spec.KeyBits):
		s.tb.Fatalf("vaulttest: PKIRole %s: no %s key has %d bits", role, spec.KeyType, spec.KeyBits)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mount(mount, "pki"); m != nil {
		e, _ := m.engine.(*pkiEngine)
		spec.AllowedDomains, spec.AllowedURISANs = slices.Clone(spec.AllowedDomains), slices.Clone(spec.AllowedURISANs)
		e.roles[role] = &spec
	}
}

// pkiKeyBits are the lengths of the keys of each type, the default first.
var pkiKeyBits = map[string][]int{
	"ec": {256, 224, 384, 521}, "rsa": {2048, 3072, 4096}, "ed25519": nil, "any": nil,
}

// PKICA returns the certificate of a PKI engine's authority, which is mounted at mount if need be. It
// signs itself, lives for ten years of the server's clock and is made when it is first needed.
func (s *Server) PKICA(mount string) *x509.Certificate {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mount(mount, "pki")
	if m == nil {
		return nil
	}
	e, _ := m.engine.(*pkiEngine)
	return mustParse(e.authority(s.now()).Raw) // one of the caller's own
}

// pkiEngine issues certificates.
type pkiEngine struct {
	roles map[string]*PKIRoleSpec
	ca    *x509.Certificate // nil until it is needed
	key   *ecdsa.PrivateKey
	certs map[string]*pkiCert // by serial number, as Vault prints it
	crls  int64               // how many were made
	id    string              // of the authority, as Vault has them for issuers
}

// pkiCert is a certificate that was issued and stored.
type pkiCert struct {
	cert    *x509.Certificate
	revoked time.Time
}

// pkiOpen are the paths that need no token: what any verifier of a certificate wants to read.
var pkiOpen = []string{"ca", "ca/pem", "ca_chain", "crl", "crl/pem", "crl/delta", "crl/delta/pem"}

// opens implements opener.
func (e *pkiEngine) opens(rest string) bool {
	return slices.Contains(pkiOpen, rest) || strings.HasPrefix(rest, "cert/") || pkiOpenUnmodelled.MatchString(rest)
}

// pkiOpenUnmodelled are those of them that Vault opens to all.
var pkiOpenUnmodelled = regexp.MustCompile(`^(issuers/?|issuer/[^/]+/(json|der|pem|crl.*)|(unified-)?ocsp(/.*)?|acme/.*|unified-crl.*|delta-crl)$`)

// pkiUnmodelled are paths of Vault's PKI engine that are not modelled.
var pkiUnmodelled = regexp.MustCompile(`^(roles|root|intermediate|config|issuers?|keys?|acme|est|cmpv2|tidy|tidy-status|tidy-cancel|ocsp|unified-crl|unified-ocsp|` +
	`sign-verbatim|sign-self-issued|revoke-with-key|bundle|eab|verify|cert-metadata|delta-crl)(/|$)|^crl/(delta|rotate|rotate-delta)|^cert/delta-crl|^certs/(revocation-queue|unified-revoked)`)

var serialPath = regexp.MustCompile(`^cert/([0-9A-Fa-f:-]+)(/raw|/raw/pem)?$`)

// serve implements engine.
func (e *pkiEngine) serve(c *call, m *mount, rest string) reply {
	action, name, _ := strings.Cut(rest, "/")
	switch {
	case pkiUnmodelled.MatchString(rest):
		return unmodelled(m.path + rest)
	case c.method == "LIST" && (rest == "certs" || rest == "certs/"):
		e.authority(c.now)
		return listOf("pki", sortedKeys(e.certs))
	case c.method == "LIST" && strings.TrimSuffix(rest, "/") == "certs/revoked":
		return e.listRevoked()
	case c.method == "LIST":
		return unsupportedPath()
	case (action == "issue" || action == "sign") && pathName.MatchString(name):
		if !c.write {
			return unsupportedOperation()
		}
		return e.issue(c, name, action == "sign")
	case rest == "revoke":
		if !c.write {
			return unsupportedOperation()
		}
		return e.revoke(c)
	case rest == "certs", rest == "certs/", rest == "certs/revoked":
		return unsupportedOperation()
	case slices.Contains(pkiReads, rest), serialPath.MatchString(rest):
		if c.method != http.MethodGet {
			return fail(http.StatusMethodNotAllowed, "unsupported operation") // plain, as for all without a token
		}
		return e.read(c, rest)
	case e.opens(rest):
		return fail(http.StatusNotFound, "unsupported path")
	}
	return unsupportedPath()
}

// listRevoked lists the serial numbers of what was revoked.
func (e *pkiEngine) listRevoked() reply {
	var serials []string
	for _, serial := range sortedKeys(e.certs) {
		if !e.certs[serial].revoked.IsZero() {
			serials = append(serials, serial)
		}
	}
	return listOf("pki", serials)
}

// revoke answers revoke.
func (e *pkiEngine) revoke(c *call) reply {
	f, bad := c.fields(schema{"serial_number": asText, "certificate": asText})
	serial := f.text("serial_number")
	switch {
	case bad != nil:
		return *bad
	case f.has("certificate") && f.has("serial_number"):
		return fail(http.StatusBadRequest, "Must provide either the certificate or the serial to revoke; not both.")
	case f.has("certificate"):
		return unmodelled("revoking by certificate; name its serial_number")
	case !f.has("serial_number"):
		return fail(http.StatusBadRequest, "The serial number or certificate to revoke must be provided.")
	case serial == "":
		return fail(http.StatusBadRequest, "The serial number must be provided")
	}
	cert := e.certs[normalSerial(serial)]
	switch {
	case cert == nil:
		return fail(http.StatusBadRequest, "certificate with serial "+serial+" not found.")
	case cert.cert.IsCA:
		return unmodelled("revoking the authority itself")
	case !cert.revoke(c.now):
		return answer(http.StatusOK, envelope{MountType: "pki", Warnings: append([]string{
			"certificate with serial " + normalSerial(serial) + " already expired; refusing to add to CRL",
		}, f.warnings...)})
	}
	return f.ok("pki", map[string]any{
		"revocation_time": cert.revoked.Unix(), "revocation_time_rfc3339": timeText(cert.revoked), "state": "revoked",
	})
}

// revoke puts the certificate on the list, unless it ends by itself just now.
func (p *pkiCert) revoke(now time.Time) bool {
	if p.revoked.IsZero() && p.cert.NotAfter.Before(now.Add(2*time.Second)) {
		return false
	}
	if p.revoked.IsZero() {
		p.revoked = now
	}
	return true
}

func normalSerial(serial string) string {
	return strings.ReplaceAll(strings.ToLower(serial), "-", ":")
}
