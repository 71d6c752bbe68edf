package session

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// guarded is a server that tells the serial number of the certificate that it was shown.
func guarded(t *testing.T, ca *authority) *network {
	t.Helper()
	conf := ca.server()
	conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	conf.ClientCAs.AddCert(ca.cert)
	return serve(t, conf, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(rw, r.TLS.PeerCertificates[0].SerialNumber)
	})
}

// reports keeps events.
type reports struct {
	mu  sync.Mutex
	all []lease.Event
}

func (r *reports) add(e lease.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e)
}

func (r *reports) list() []lease.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// TestE7ASwappedLinkIsFollowed: Kubernetes writes a new folder and swaps the link above the
// files. Requests go on without a failure, and within a second show the new certificate.
// Mutation: the files are read once.
func TestE7ASwappedLinkIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t)
		n := guarded(t, ca)
		dir := t.TempDir()
		mount := func(generation string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, generation), 0o700))
			cert, key := ca.issue("client")
			write(t, filepath.Join(dir, generation), "tls.crt", cert)
			write(t, filepath.Join(dir, generation), "tls.key", key)
			write(t, filepath.Join(dir, generation), "ca.crt", ca.pem())
			require.NoError(t, os.Symlink(generation, filepath.Join(dir, "new")))
			require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "..data")))
		}
		mount("..1")
		data := filepath.Join(dir, "..data")
		files := TLS{CACert: filepath.Join(data, "ca.crt"), ClientCert: filepath.Join(data, "tls.crt"), ClientKey: filepath.Join(data, "tls.key")}
		events := &reports{}
		tr := n.transport(files, events.add)
		first, err := get(t, tr, time.Second, "/v1/x")
		require.NoError(t, err)

		mount("..2")
		for range 11 {
			_, err := get(t, tr, time.Second, "/v1/x")
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond)
		}
		second, err := get(t, tr, time.Second, "/v1/x")
		require.NoError(t, err)
		require.NotEqual(t, first, second)
		require.EqualValues(t, 2, n.dials.Load(), "without a change nothing is dialled")
		require.Empty(t, events.list())
	})
}

// TestE7AHalfWrittenFileKeepsWhatWorked: the certificate comes long before its key, and the
// authorities without their end. No request fails, what is wrong is told once a minute, and
// what is complete is used. Mutations: what cannot be used is not told; a file may end in the
// middle of a certificate.
func TestE7AHalfWrittenFileKeepsWhatWorked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t)
		n := guarded(t, ca)
		dir := t.TempDir()
		cert, key := ca.issue("client")
		files := TLS{CACert: write(t, dir, "ca", ca.pem()), ClientCert: write(t, dir, "cert", cert), ClientKey: write(t, dir, "key", key)}
		events := &reports{}
		tr := n.transport(files, events.add)
		ask := func(d time.Duration) (serial string) {
			for began := time.Now(); time.Since(began) < d; time.Sleep(time.Second) {
				var err error
				serial, err = get(t, tr, time.Second, "/v1/x")
				require.NoError(t, err)
			}
			return serial
		}
		first := ask(5 * time.Second)

		cert, key = ca.issue("client")
		write(t, dir, "cert", cert)
		require.Equal(t, first, ask(90*time.Second))
		told := events.list()
		require.Len(t, told, 2, "at once, and after a minute")
		require.Equal(t, lease.ReadFailed, told[0].Kind)
		require.ErrorContains(t, told[0].Err, "private key does not match")
		require.ErrorContains(t, told[0].Err, "stays in use")
		write(t, dir, "key", key)
		second := ask(2 * time.Second)
		require.NotEqual(t, first, second)
		require.EqualValues(t, 2, n.dials.Load())

		both := slices.Concat(ca.pem(), newAuthority(t).pem())
		write(t, dir, "ca", both[:len(both)-100])
		require.Equal(t, second, ask(2*time.Second))
		require.Len(t, events.list(), 3)
		require.ErrorContains(t, events.list()[2].Err, "in the middle of a certificate")
		require.NoError(t, os.Remove(filepath.Join(dir, "ca")))
		ask(2 * time.Second)
		require.EqualValues(t, 2, n.dials.Load())
		write(t, dir, "ca", both)
		ask(2 * time.Second)
		require.EqualValues(t, 3, n.dials.Load())
		require.Len(t, events.list(), 3, "one spell is told once a minute, whatever is wrong in it")
	})
}

// TestE7WhatCannotBeUsedFailsNew with the field and the file.
func TestE7WhatCannotBeUsedFailsNew(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue("client")
	_, other := ca.issue("client")
	for name, tt := range map[string]struct {
		ca, cert, key []byte
		want          string
	}{
		"no certificate":    {ca: []byte("hello"), want: "TLS.CACert: no certificate in"},
		"a part of one":     {ca: slices.Concat(ca.pem(), ca.pem()[:50]), want: "TLS.CACert"},
		"another's key":     {ca: ca.pem(), cert: cert, key: other, want: "TLS.ClientCert"},
		"a chain cut short": {ca: ca.pem(), cert: slices.Concat(cert, cert[:50]), key: key, want: "TLS.ClientCert"},
	} {
		dir := t.TempDir()
		files := TLS{CACert: write(t, dir, "ca", tt.ca)}
		if tt.cert != nil {
			files.ClientCert, files.ClientKey = write(t, dir, "cert", tt.cert), write(t, dir, "key", tt.key)
		}
		_, err := newTransport(&Session{cfg: Config{Address: vaultURL, TLS: files}, clock: lease.SystemClock()})
		require.ErrorContains(t, err, tt.want, name)
		require.ErrorContains(t, err, dir, name)
	}
	_, err := newTransport(&Session{cfg: Config{Address: vaultURL, TLS: TLS{CACert: "/no/such/file"}}, clock: lease.SystemClock()})
	require.ErrorContains(t, err, "TLS.CACert")
}
