package session

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

const vaultURL = "https://vault.test:8200"

// network leads to one server, by pipes, so that a bubble's clock goes on.
type network struct {
	t      *testing.T
	conf   *tls.Config
	accept chan net.Conn
	frozen atomic.Bool // what the server says is lost
	dials  atomic.Int32
}

// serve starts a server with HTTP/2 that answers with h, and returns the way to it.
func serve(t *testing.T, conf *tls.Config, h http.HandlerFunc) *network {
	t.Helper()
	n := &network{t: t, conf: conf, accept: make(chan net.Conn)}
	server := &http.Server{Handler: h, TLSConfig: conf, ReadHeaderTimeout: time.Hour}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(listener{n.accept, make(chan struct{}), &sync.Once{}}, "", "")
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return n
}

func (n *network) dial(context.Context, string, string) (net.Conn, error) {
	n.dials.Add(1)
	client, server := net.Pipe()
	n.accept <- lossy{server, &n.frozen}
	return client, nil
}

// transport returns a transport of ours that dials here.
func (n *network) transport(files TLS, report func(lease.Event)) *transport {
	n.t.Helper()
	s := &Session{cfg: Config{Address: vaultURL, TLS: files, OnEvent: report}, clock: lease.SystemClock()}
	tr, err := newTransport(s)
	require.NoError(n.t, err)
	tr.conns.open = func(conf *tls.Config) *http.Transport {
		h := ownTransport(conf)
		h.DialContext = n.dial
		return h
	}
	tr.conns.anew(s.clock())
	n.t.Cleanup(tr.closeIdle)
	return tr
}

// get asks once, within d.
func get(t *testing.T, tr *transport, d time.Duration, path string) (string, error) {
	t.Helper()
	return ask(t.Context(), tr, d, path, &call{})
}

func ask(ctx context.Context, tr *transport, d time.Duration, path string, c *call) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, callKey{}, c), d)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, vaultURL+path, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := readBody(resp)
	return string(body), err
}

type listener struct {
	accept chan net.Conn
	closed chan struct{}
	once   *sync.Once
}

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l listener) Addr() net.Addr { return &net.TCPAddr{} }

// lossy is the server's end of a connection, which looks alive on both sides when what it
// writes is lost.
type lossy struct {
	net.Conn

	frozen *atomic.Bool
}

func (c lossy) Write(p []byte) (int, error) {
	if c.frozen.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, last: 1}
	a.key = a.newKey()
	template := a.template("authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	return key
}

func (a *authority) template(name string) *x509.Certificate {
	a.last++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
}

// issue returns a certificate for name and its key, as PEM.
func (a *authority) issue(name string) (cert, key []byte) {
	a.t.Helper()
	k := a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, a.template(name), a.cert, &k.PublicKey, a.key)
	require.NoError(a.t, err)
	keyDER, err := x509.MarshalECPrivateKey(k)
	require.NoError(a.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// server returns the configuration of a server that a signed.
func (a *authority) server() *tls.Config {
	a.t.Helper()
	pair, err := tls.X509KeyPair(a.issue("vault.test"))
	require.NoError(a.t, err)
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

// write writes a file into dir and returns its name.
func write(t *testing.T, dir, name string, text []byte) string {
	t.Helper()
	name = filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(name, text, 0o600))
	return name
}

func hello(rw http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(rw, r.Proto) }
