package leasehold_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// pemPair returns a new certificate and its key as secrets hold them.
func (s *signer) pemPair(serial int64) (cert, key string) {
	s.t.Helper()
	c, k := s.issue(serial, false)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(s.t, err)
	return pemText("CERTIFICATE", c.Raw), pemText("PRIVATE KEY", der)
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// TestLoadReadsCertificatesAsTheyAreKept. Mutation: the chain of authorities is left out.
func TestLoadReadsCertificatesAsTheyAreKept(t *testing.T) {
	ca := newSigner(t)
	cert, key := ca.pemPair(7)
	_, other := ca.pemPair(8)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.PutKV("secret", "pki", map[string]any{"certificate": cert, "private_key": key, "ca_chain": []any{pemText("CERTIFICATE", ca.cert.Raw)}})
		w.PutKV("secret", "kube", map[string]any{"tls.crt": cert, "tls.key": key, "ca.crt": "x"})
		w.PutKV("secret", "plain", map[string]any{"cert": cert, "key": key, "both": key + cert, "a": map[string]any{"cert": cert, "key": key}})
		var cfg struct {
			PKI    tls.Certificate                `vault:"secret:pki"`
			Kube   *tls.Certificate               `vault:"secret:kube"`
			Plain  *tls.Certificate               `vault:"secret:plain"`
			Both   **tls.Certificate              `vault:"secret:plain#both"`
			Inside *tls.Certificate               `vault:"secret:plain#a"`
			Live   *cache.Value[*tls.Certificate] `vault:"secret:kube"`
			None   *tls.Certificate               `vault:"secret:gone,optional"`
		}
		require.NoError(t, c.Load(t.Context(), &cfg))
		assert.Len(t, cfg.PKI.Certificate, 2, "with its authority")
		for _, c := range []*tls.Certificate{&cfg.PKI, cfg.Kube, cfg.Plain, *cfg.Both, cfg.Inside, cfg.Live.Get()} {
			assert.EqualValues(t, 7, c.Leaf.SerialNumber.Int64())
			assert.NotNil(t, c.PrivateKey)
		}
		assert.Nil(t, cfg.None)

		cert2, key2 := ca.pemPair(9)
		w.PutKV("secret", "kube", map[string]any{"tls.crt": cert2, "tls.key": other})
		require.ErrorContains(t, cfg.Live.Refresh(t.Context()), "the private key that belongs to it")
		assert.EqualValues(t, 7, cfg.Live.Get().Leaf.SerialNumber.Int64())
		time.Sleep(time.Second)
		w.PutKV("secret", "kube", map[string]any{"tls.crt": cert2, "tls.key": key2})
		require.NoError(t, cfg.Live.Refresh(t.Context()))
		assert.EqualValues(t, 9, cfg.Live.Get().Leaf.SerialNumber.Int64())

		w.PutKV("secret", "bad", map[string]any{"certificate": cert, "private_key": other, "text": "-----BEGIN HUNTER2-----\nhunter2\n-----END HUNTER2-----\n", "list": []any{}})
		var bad struct {
			Other   tls.Certificate  `vault:"secret:bad"`
			Text    tls.Certificate  `vault:"secret:bad#text"`
			List    tls.Certificate  `vault:"secret:bad#list"`
			Nothing *tls.Certificate `vault:"secret:app/config"`
		}
		err := c.Load(t.Context(), &bad)
		for _, part := range []string{
			"field Other: leasehold: decode secret/bad: no certificate: want a certificate in PEM", "field Text: leasehold: decode secret/bad#text: no certificate",
			"field List: leasehold: decode secret/bad#list: want JSON object", "field Nothing: leasehold: decode secret/app/config: no certificate: there are none of the fields",
		} {
			require.ErrorContains(t, err, part)
		}
		assert.False(t, bytes.Contains(bytes.ToLower([]byte(err.Error())), []byte("hunter2")))
	})
}
