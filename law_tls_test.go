package leasehold_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// signer is a certificate authority.
type signer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	s := &signer{t: t}
	s.cert, s.key = s.issue(1, true)
	return s
}

// issue signs a certificate for 127.0.0.1; the first one signs itself.
func (s *signer) issue(serial int64, authority bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(s.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	parent, parentKey := s.cert, s.key
	if authority {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	require.NoError(s.t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(s.t, err)
	return cert, key
}

// pair returns a certificate as a server has it.
func (s *signer) pair(serial int64) *tls.Certificate {
	cert, key := s.issue(serial, false)
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (s *signer) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.cert)
	return pool
}

// put replaces a file as a whole.
func put(t *testing.T, name, kind string, der ...[]byte) {
	t.Helper()
	var text []byte
	for _, d := range der {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: d})...)
	}
	require.NoError(t, os.WriteFile(name+".new", text, 0o600))
	require.NoError(t, os.Rename(name+".new", name))
}

// TestE7FilesAreRotatedUnderLoad: the authority of the server and our own certificate are replaced
// while many read, over sockets, and no request
// fails. A certificate whose key has not come yet is an event and no failure.
// Mutation: the files are read once.
func TestE7FilesAreRotatedUnderLoad(t *testing.T) {
	w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	before, after := newSigner(t), newSigner(t)
	var serving atomic.Pointer[signer]
	var shown atomic.Int64
	serving.Store(before)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		shown.Store(r.TLS.PeerCertificates[0].SerialNumber.Int64())
		w.ServeHTTP(rw, r)
	}))
	serverBefore, serverAfter := before.pair(2), after.pair(3)
	server.EnableHTTP2, server.Config.ErrorLog = true, slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := serving.Load()
		conf := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: now.pool()}
		if conf.Certificates = []tls.Certificate{*serverBefore}; now == after {
			conf.Certificates = []tls.Certificate{*serverAfter}
		}
		return conf, nil
	}}
	server.StartTLS()
	defer server.Close()

	dir := t.TempDir()
	files := leasehold.TLSConfig{CACert: filepath.Join(dir, "ca"), ClientCert: filepath.Join(dir, "cert"), ClientKey: filepath.Join(dir, "key")}
	cert, key := before.issue(10, false)
	newCert, newKey := after.issue(11, false)
	putKey := func(key *ecdsa.PrivateKey) {
		der, err := x509.MarshalECPrivateKey(key)
		require.NoError(t, err)
		put(t, files.ClientKey, "EC PRIVATE KEY", der)
	}
	// Both authorities, as the rotation of one begins.
	put(t, files.CACert, "CERTIFICATE", before.cert.Raw, after.cert.Raw)
	put(t, files.ClientCert, "CERTIFICATE", cert.Raw)
	putKey(key)
	c := w.start(func(c *leasehold.Config) { c.Address, c.HTTPClient, c.TLS = server.URL, nil, files })

	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				_, err := kv.Get[settings](context.Background(), c.KV("secret"), "app/config")
				assert.NoError(t, err)
			}
		})
	}
	until := func(what string, reached func() bool) {
		assert.Eventually(t, reached, 20*time.Second, 10*time.Millisecond, what)
	}
	until("requests", func() bool { return w.reads() > 10 })
	put(t, files.ClientCert, "CERTIFICATE", newCert.Raw)
	until("an event", func() bool { return len(w.events.of(lease.ReadFailed, "TLS")) > 0 })
	assert.EqualValues(t, 10, shown.Load())
	putKey(newKey)
	serving.Store(after) // for connections to come
	until("the new certificate", func() bool { return shown.Load() == 11 })
	put(t, files.CACert, "CERTIFICATE", after.cert.Raw)
	w.open(c)
	close(done)
	wg.Wait()
	assert.Empty(t, w.events.of(lease.ReadFailed, configPath))
	require.ErrorContains(t, w.events.of(lease.ReadFailed, "TLS")[0].Err, "stays in use")
	require.NoError(t, c.Close(t.Context()))
}

// TestLaw19NoVariableWeakensTLS: an unknown authority is refused, whatever the environment says.
// Mutation: no server is verified.
func TestLaw19NoVariableWeakensTLS(t *testing.T) {
	w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	s, ca := overHTTP2(t, w)
	t.Setenv("VAULT_SKIP_VERIFY", "true")
	t.Setenv("VAULT_CACERT", ca)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := leasehold.New(ctx, w.config(func(c *leasehold.Config) {
		c.HTTPClient, c.Address = nil, s.URL
		c.OnEvent = func(leasehold.Event) { cancel() } // after the first failure
	}))
	require.ErrorContains(t, err, "x509: certificate signed by unknown authority")
	require.ErrorContains(t, err, "check TLS.CACert")
	require.Zero(t, w.logins())
}
