package leasehold

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

var certificateType = reflect.TypeFor[tls.Certificate]()

// pairs are the names that a certificate and its key have in secrets: as Vault's PKI engine
// answers, as Kubernetes keeps them, and as people write.
var pairs = [][2]string{{"certificate", "private_key"}, {"tls.crt", "tls.key"}, {"cert", "key"}}

// certificateOf reads a certificate from the data of a secret.
func (f *field) certificateOf(data json.RawMessage) (tls.Certificate, error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return tls.Certificate{}, f.misfit("", "JSON object", data)
	}
	for _, names := range pairs {
		chain, ok := textOf(fields[names[0]])
		key, hasKey := textOf(fields[names[1]])
		if !ok || !hasKey {
			continue
		}
		for _, ca := range authorities(fields["ca_chain"]) {
			if !strings.Contains(chain, strings.TrimSpace(ca)) {
				chain += "\n" + ca
			}
		}
		return f.certificate(chain, key)
	}
	return tls.Certificate{}, f.noCertificate("there are none of the fields certificate and private_key, tls.crt and tls.key, cert and key")
}

// authorities reads PKI's ca_chain, which is a list, or a text where a human put it.
func authorities(raw json.RawMessage) []string {
	var list []string
	if text, ok := textOf(raw); ok {
		return []string{text}
	}
	if len(raw) > 0 && json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list
}

// certificate reads a chain and its key, which may be in one text.
func (f *field) certificate(chain, key string) (tls.Certificate, error) {
	c, err := tls.X509KeyPair([]byte(chain), []byte(key))
	if err != nil { // its text is not told: it may name what it found
		return tls.Certificate{}, f.noCertificate("want a certificate in PEM, first in its chain, and the private key that belongs to it")
	}
	return c, nil
}

func (f *field) noCertificate(why string) error {
	where := f.mount + "/" + f.path
	if f.key != "" {
		where += "#" + f.key
	}
	return fmt.Errorf("leasehold: decode %s: no certificate: %s", where, why)
}
