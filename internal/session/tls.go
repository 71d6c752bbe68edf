package session

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// TLS are the files and settings of a TLS connection.
type TLS struct {
	CACert, ClientCert, ClientKey, ServerName string
}

// How often the files are looked at while requests go out, and how often it is said
// that they cannot be used.
const (
	tlsInterval = time.Second
	tlsRemind   = time.Minute
)

// material is what the files contain. Contents are compared and not times of change:
// the files are small, and Kubernetes swaps a symbolic link above them.
type material struct{ ca, cert, key string }

func (c TLS) read() (m material, err error) {
	for _, f := range []struct {
		field, name string
		into        *string
	}{{"TLS.CACert", c.CACert, &m.ca}, {"TLS.ClientCert", c.ClientCert, &m.cert}, {"TLS.ClientKey", c.ClientKey, &m.key}} {
		if f.name == "" {
			continue
		}
		text, err := os.ReadFile(f.name)
		if err != nil {
			return m, fmt.Errorf("leasehold: %s: %w", f.field, err)
		}
		*f.into = string(text)
	}
	return m, nil
}

// config makes a configuration of m, or says why it cannot be used: a file that is being
// written has no end yet, and a certificate may come before its key.
func (c TLS) config(m material) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CACert != "" {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM([]byte(m.ca)) {
			return nil, fmt.Errorf("leasehold: TLS.CACert: no certificate in %s", c.CACert)
		}
		if cutOff(m.ca) {
			return nil, fmt.Errorf("leasehold: TLS.CACert: %s ends in the middle of a certificate", c.CACert)
		}
	}
	if c.ClientCert != "" {
		pair, err := tls.X509KeyPair([]byte(m.cert), []byte(m.key))
		if err == nil && cutOff(m.cert) {
			err = errors.New("the file ends in the middle of a certificate")
		}
		if err != nil {
			return nil, fmt.Errorf("leasehold: TLS.ClientCert %s, TLS.ClientKey %s: %w", c.ClientCert, c.ClientKey, err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// cutOff reports whether a block of PEM begins in text and does not end.
func cutOff(text string) bool {
	rest := []byte(text)
	for block := new(pem.Block); block != nil; {
		block, rest = pem.Decode(rest)
	}
	return bytes.Contains(rest, []byte("-----BEGIN "))
}

// tlsFiles follows the files of a TLS configuration. What worked stays in use until what
// replaces it can be used (failure code E7). Not for concurrent use.
type tlsFiles struct {
	TLS

	report func(error)
	used   material
	looked lease.Instant
	told   lease.Instant // of a failure; zero: there is none
}

// due reports whether it is time to look at the files again.
func (f *tlsFiles) due(now lease.Instant) bool { return passed(f.looked, now, tlsInterval) }

// reload returns a configuration if the files have changed and can be used, else nil.
func (f *tlsFiles) reload(now lease.Instant) *tls.Config {
	if f.TLS == (TLS{ServerName: f.ServerName}) {
		return nil
	}
	f.looked = now
	m, err := f.read()
	if err == nil && m == f.used {
		f.told = lease.Instant{}
		return nil
	}
	var conf *tls.Config
	if err == nil {
		conf, err = f.config(m)
	}
	if err != nil {
		if f.told == (lease.Instant{}) || passed(f.told, now, tlsRemind) {
			f.told = now
			f.report(fmt.Errorf("%w: what was read before stays in use", err))
		}
		return nil
	}
	f.used, f.told = m, lease.Instant{}
	return conf
}

// passed reports whether d has passed since then, by whichever clock went further: one of
// them stands still while a machine sleeps.
func passed(then, now lease.Instant, d time.Duration) bool {
	return now.Mono-then.Mono >= d || now.Wall.Sub(then.Wall) >= d
}
