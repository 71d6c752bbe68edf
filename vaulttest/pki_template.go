package vaulttest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// pkiNames are what a certificate is asked to be for.
type pkiNames struct{ dns, emails []string }

// add puts a name where it belongs. What is no host name is left out of the certificate, without a word.
func (n *pkiNames) add(name string) error {
	if strings.Contains(name, "@") {
		n.emails = append(n.emails, name)
		return nil
	}
	if label, bad := badLabel(name); bad {
		return refuse("idna: invalid label %q", label)
	}
	if hostname.MatchString(name) {
		n.dns = append(n.dns, name)
	}
	return nil
}

// template makes the certificate that is asked for, where the role allows it.
func (r *PKIRoleSpec) template(f fields, csr *x509.CertificateRequest, now time.Time, ca *x509.Certificate) (t *x509.Certificate, warnings []string, err error) {
	cn := f.text("common_name")
	var names pkiNames
	ips, uris := []net.IP(nil), []*url.URL(nil)
	if csr != nil {
		// Vault's roles take common name and alternative names from the CSR.
		if csr.Subject.CommonName != "" {
			cn = csr.Subject.CommonName
		}
		names = pkiNames{slices.Clone(csr.DNSNames), slices.Clone(csr.EmailAddresses)}
		ips, uris = csr.IPAddresses, csr.URIs
	}
	if cn == "" && !r.CommonNameOptional {
		return nil, nil, refuse(`the common_name field is required, or must be provided in a CSR with "use_csr_common_name" set to true, unless "require_cn" is set to false`)
	}
	if cn != "" && !f.bool("exclude_cn_from_sans") {
		if err := names.add(cn); err != nil {
			return nil, nil, err
		}
	}
	if csr == nil {
		for _, name := range sortedNames(strings.Split(f.text("alt_names"), ",")) {
			if err := names.add(name); err != nil {
				return nil, nil, err
			}
		}
	}
	serial := f.text("serial_number")
	if serial == "" && csr != nil {
		serial = csr.Subject.SerialNumber
	}
	if err := r.checkNames(cn, serial, names); err != nil {
		return nil, nil, err
	}
	if csr == nil {
		if ips, uris, err = r.addresses(f); err != nil {
			return nil, nil, err
		}
	} else if err := r.checkAddresses(csr); err != nil {
		return nil, nil, err
	}
	notAfter, warnings, err := r.end(f, now, ca)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range f.texts("user_ids") {
		return nil, nil, refuse("user_id %s is not allowed by this role", id)
	}
	t = &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: cn}, NotBefore: now.Add(-backdating), NotAfter: notAfter,
		DNSNames: sortedNames(names.dns), EmailAddresses: sortedNames(names.emails), IPAddresses: ips, URIs: uris,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if csr != nil {
		for _, ext := range csr.Extensions {
			if ext.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 19}) {
				warnings = append(warnings, "specified CSR contained a Basic Constraints extension that was ignored during issuance")
			}
		}
	}
	return t, warnings, nil
}

// checkNames asks the role.
func (r *PKIRoleSpec) checkNames(cn, serial string, names pkiNames) error {
	if cn != "" && !r.allows(cn) {
		return refuse("common name %s not allowed by this role", cn)
	}
	if serial != "" {
		return refuse("serial_number %s not allowed by this role", serial)
	}
	for _, name := range names.dns {
		if !r.allows(name) {
			return refuse("subject alternate name %s not allowed by this role", name)
		}
	}
	for _, name := range names.emails {
		if !r.allows(name) {
			return refuse("email address %s not allowed by this role", name)
		}
	}
	return nil
}

// addresses reads the IP addresses and URIs that the request asks for.
func (r *PKIRoleSpec) addresses(f fields) (ips []net.IP, uris []*url.URL, err error) {
	if texts := f.texts("ip_sans"); len(texts) > 0 && r.DenyIPSANs {
		return nil, nil, refuse("IP Subject Alternative Names are not allowed in this role, but was provided %s", texts)
	}
	for _, text := range f.texts("ip_sans") {
		ip := net.ParseIP(text)
		if ip == nil {
			return nil, nil, refuse("the value %q is not a valid IP address", text)
		}
		ips = append(ips, ip)
	}
	if len(f.texts("uri_sans")) > 0 && len(r.AllowedURISANs) == 0 {
		return nil, nil, refuse("URI Subject Alternative Names are not allowed in this role, but were provided via the API")
	}
	for _, text := range f.texts("uri_sans") {
		if !r.allowsURI(text) {
			return nil, nil, refuse("URI Subject Alternative Names were provided via the API which are not valid for this role")
		}
		uri, err := url.Parse(text)
		if err != nil {
			return nil, nil, refuse("the provided URI Subject Alternative Name %q is not a valid URI", text)
		}
		uris = append(uris, uri)
	}
	return ips, uris, nil
}

// checkAddresses does so for those of a CSR.
func (r *PKIRoleSpec) checkAddresses(csr *x509.CertificateRequest) error {
	switch {
	case len(csr.IPAddresses) > 0 && r.DenyIPSANs:
		return refuse("IP Subject Alternative Names are not allowed in this role, but was provided some via CSR")
	case len(csr.URIs) > 0 && len(r.AllowedURISANs) == 0:
		return refuse("URI Subject Alternative Names are not allowed in this role, but were provided via CSR")
	}
	for _, uri := range csr.URIs {
		if !r.allowsURI(uri.String()) {
			return refuse("URI Subject Alternative Names were provided via CSR which are not valid for this role")
		}
	}
	return nil
}

func (r *PKIRoleSpec) allowsURI(uri string) bool {
	return slices.ContainsFunc(r.AllowedURISANs, func(pattern string) bool { return matches(pattern, uri) })
}

// end is when the certificate shall end. What goes beyond the role's maximum is cut with a warning,
// what goes beyond the authority's own end is refused. A not_after is bounded by the latter alone.
func (r *PKIRoleSpec) end(f fields, now time.Time, ca *x509.Certificate) (end time.Time, warnings []string, err error) {
	ttl, notAfter := f.seconds("ttl"), f.text("not_after")
	if ttl > 0 && notAfter != "" {
		return end, nil, refuse("Either ttl or not_after should be provided. Both should not be provided in the same request.")
	}
	limit := r.MaxTTL
	if limit == 0 {
		limit = systemTTL
	}
	if ttl == 0 {
		ttl = r.TTL
	}
	if ttl == 0 {
		ttl = systemTTL
	}
	if ttl > limit {
		warnings = append(warnings, fmt.Sprintf("TTL %q is longer than permitted maxTTL %q, so maxTTL is being used", ttl, limit))
		ttl = limit
	}
	end = now.Add(ttl)
	if notAfter != "" {
		if end, err = time.Parse(time.RFC3339, notAfter); err != nil {
			return end, nil, refuse("%v", err)
		}
	}
	if end.After(ca.NotAfter) {
		return end, nil, refuse("cannot satisfy request, as TTL would result in notAfter of %s that is beyond the expiration of the CA certificate at %s", timeText(end), timeText(ca.NotAfter))
	}
	return end, warnings, nil
}

// sortedNames trims, sorts and drops what is empty or there already.
func sortedNames(names []string) []string {
	var out []string
	for _, name := range names {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
