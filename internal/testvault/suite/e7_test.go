package suite

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// authority issues certificates for loopback.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
	file string // with its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	var der []byte
	der, a.key = issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	var err error
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, a.file, a.pem)
	return a
}

// issue makes a certificate, signed by parent or else by itself.
func issue(t *testing.T, template *x509.Certificate, parent *authority) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template.Subject = pkix.Name{CommonName: template.SerialNumber.String()}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	signer, by := template, key
	if parent != nil {
		signer, by = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, by)
	require.NoError(t, err)
	return der, key
}

// leaf makes a certificate for both ends of a connection on loopback.
func (a *authority) leaf(t *testing.T) (cert, key []byte) {
	t.Helper()
	der, k := issue(t, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature,
	}, a)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// server is the TLS side of a proxy. Clients show a certificate of one of trust, if any
// is given.
func (a *authority) server(t *testing.T, trust ...*authority) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(a.leaf(t))
	require.NoError(t, err)
	conf := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if len(trust) > 0 {
		conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		for _, ca := range trust {
			conf.ClientCAs.AddCert(ca.cert)
		}
	}
	return conf
}

// write replaces a file in one step, as those who rotate certificates do.
func write(t *testing.T, file string, parts ...[]byte) {
	t.Helper()
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	require.NoError(t, os.WriteFile(file+".new", all, 0o600))
	require.NoError(t, os.Rename(file+".new", file))
}

// TestE7CertificatesRotateUnderLoad moves server, client and trust from one authority to
// another in the order that those who rotate follow, while eight readers go on. Every
// connection is new from time to time, so that one that was made before proves nothing.
// Clients that read their files once fail from the day on which the old authority goes.
func TestE7CertificatesRotateUnderLoad(t *testing.T) {
	t.Parallel()
	const settle = 2500 * time.Millisecond // the files are looked at once a second
	w := newVault(t)
	before, after := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	ca, cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	show := func(a *authority) {
		c, k := a.leaf(t)
		write(t, key, k) // for a moment the two do not fit
		write(t, cert, c)
	}
	write(t, ca, before.pem)
	show(before)

	var conf atomic.Pointer[tls.Config]
	conf.Store(before.server(t, before))
	front := before.server(t)
	front.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return conf.Load(), nil }
	p := testvault.NewProxy(t, w.v.Addr(), testvault.ProxyTLS(front))
	var shown sync.Map // who issued the certificates that clients showed, by the moment
	p.Fault(testvault.Rule{Status: http.StatusTeapot, Match: func(r *http.Request) bool {
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			shown.Store(r.TLS.PeerCertificates[0].Issuer.CommonName, time.Now())
		}
		return false
	}})
	a := w.start(t, "approle-mtls", hour(), via(p), func(c *leasehold.Config) {
		c.TLS = leasehold.TLSConfig{CACert: ca, ClientCert: cert, ClientKey: key}
	})

	var failed, reads atomic.Int64
	var first atomic.Pointer[error]
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				reads.Add(1)
				if _, err := kv.Get[stripe](t.Context(), a.KV("secret"), "payments/stripe"); err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	for _, step := range []func(){
		func() { write(t, ca, before.pem, after.pem); conf.Store(before.server(t, before, after)) },
		func() { show(after) },
		func() { conf.Store(after.server(t, before, after)) },
		func() { write(t, ca, after.pem); conf.Store(after.server(t, after)) },
	} {
		<-time.After(settle)
		step()
		<-time.After(settle)
		p.Cut() // whoever has only old connections is found out
	}
	<-time.After(settle)
	cut := time.Now()
	close(stop)
	wg.Wait()
	if err := first.Load(); err != nil {
		t.Errorf("the first failure: %v", *err)
	}
	assert.True(t, figure.AtMost(stdout, "e7-failed", float64(failed.Load()), "reads", 0, "oracle=application", fmt.Sprintf("reads=%d", reads.Load())))
	assert.Positive(t, reads.Load())
	last, ok := shown.Load(after.cert.Subject.CommonName)
	require.True(t, ok, "no client showed a certificate of the new authority")
	assert.Less(t, cut.Sub(last.(time.Time)), settle, "the new certificate is in use at the end")
	old, ok := shown.Load(before.cert.Subject.CommonName)
	require.True(t, ok)
	assert.Greater(t, cut.Sub(old.(time.Time)), 3*settle, "the old certificate went out of use")
	for _, s := range p.Log() {
		require.NotEqual(t, http.StatusTeapot, s.Status)
	}
	require.NoError(t, a.Close(t.Context()))
}
