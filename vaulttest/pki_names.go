package vaulttest

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

const dnsLabel = `([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9])`

var (
	hostname = regexp.MustCompile(`^(\*\.)?(` + dnsLabel + `\.)*` + dnsLabel + `\.?$`)
	wildcard = regexp.MustCompile(`^(\*|\*` + dnsLabel + `|` + dnsLabel + `\*|` + dnsLabel + `\*` + dnsLabel + `)$`)
)

// allows tells whether certificates of the role may carry a DNS name, an email address or a common
// name. Vault lets only the first label of a name hold a wildcard.
func (r *PKIRoleSpec) allows(name string) bool {
	_, host, isEmail := strings.Cut(name, "@")
	if !isEmail {
		host = name
	}
	if strings.Contains(host, "@") {
		return false
	}
	reduced, isWildcard := host, strings.Contains(host, "*")
	if isWildcard {
		var label string
		label, reduced, _ = strings.Cut(host, ".")
		if r.DenyWildcards || isEmail || strings.Count(host, "*") > 1 || !wildcard.MatchString(label) {
			return false
		}
	}
	if _, bad := badLabel(reduced); reduced != "" && (bad || !hostname.MatchString(reduced)) {
		return false
	}
	if r.AllowAnyName {
		return true
	}
	for _, domain := range []string{"localhost", "localdomain"} {
		if !r.DenyLocalhost && (reduced == domain || r.AllowSubdomains && strings.HasSuffix(reduced, "."+domain)) {
			return true
		}
	}
	return slices.ContainsFunc(r.AllowedDomains, func(domain string) bool {
		switch {
		case domain == "":
			return false
		case r.AllowBareDomains && (strings.EqualFold(name, domain) || isEmail && strings.EqualFold(host, domain)):
			return true
		case r.AllowSubdomains && (strings.HasSuffix(reduced, "."+domain) || isWildcard && strings.EqualFold(reduced, domain)):
			return true
		}
		return r.AllowGlobDomains && strings.Contains(domain, "*") && matches(strings.ToLower(domain), strings.ToLower(name))
	})
}

// badLabel finds a label of a name that is empty or too long.
func badLabel(name string) (label string, bad bool) {
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > 63 {
			return label, true
		}
	}
	return "", false
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}

// matches tells whether text fits a pattern, in which "*" stands for anything.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return strings.HasSuffix(text, parts[last])
}
