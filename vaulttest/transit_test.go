package vaulttest_test

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

const hello = "aGVsbG8=" // hello

// made returns what the key has made without its prefix, vault:vVERSION:.
func made(t *testing.T, a answer, name string) []byte {
	t.Helper()
	text, _ := a.secret.Data[name].(string)
	parts := strings.SplitN(text, ":", 3)
	require.Len(t, parts, 3)
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	return raw
}

func text(a answer, name string) string { s, _ := a.secret.Data[name].(string); return s }

func TestTransitCiphertextsAreThoseOfTheKey(t *testing.T) {
	s := vaulttest.New(t)
	s.TransitKey("transit", "app", vaulttest.TransitKeySpec{Exportable: true})
	c, root := inProcess(t, s), s.RootToken()
	a := c.want(200, `"key_version":1`, root, "POST", "transit/encrypt/app", `{"plaintext":"`+hello+`"}`)
	c.want(200, `"plaintext":"`+hello+`"`, root, "POST", "transit/decrypt/app", `{"ciphertext":"`+text(a, "ciphertext")+`"}`)

	// AES-GCM with the nonce in front, as anybody can check with the key.
	exported := c.want(200, "", root, "GET", "transit/export/encryption-key/app", "")
	keys, _ := exported.secret.Data["keys"].(map[string]any)
	encoded, _ := keys["1"].(string)
	key, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	sealed := made(t, a, "ciphertext")
	plain, err := aead.Open(nil, sealed[:12], sealed[12:], nil)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(plain))

	for i := range sealed {
		sealed[i] ^= 1
		garbled := "vault:v1:" + base64.StdEncoding.EncodeToString(sealed)
		c.want(400, "cipher: message authentication failed", root, "POST", "transit/decrypt/app", `{"ciphertext":"`+garbled+`"}`)
		sealed[i] ^= 1
	}
}

func TestTransitRotation(t *testing.T) {
	s := vaulttest.New(t)
	s.TransitKey("transit", "app", vaulttest.TransitKeySpec{})
	c, root := inProcess(t, s), s.RootToken()
	old := text(c.want(200, "", root, "POST", "transit/encrypt/app", `{"plaintext":"`+hello+`"}`), "ciphertext")
	assert.Equal(t, 2, s.RotateTransitKey("transit", "app"))
	a := c.want(200, `"key_version":2`, root, "POST", "transit/rewrap/app", `{"ciphertext":"`+old+`"}`)
	assert.Contains(t, text(a, "ciphertext"), "vault:v2:")
	c.want(200, hello, root, "POST", "transit/decrypt/app", `{"ciphertext":"`+old+`"}`)
	c.want(200, "", root, "POST", "transit/keys/app/config", `{"min_decryption_version":2}`)
	c.want(400, "too old", root, "POST", "transit/decrypt/app", `{"ciphertext":"`+old+`"}`)
	c.want(200, hello, root, "POST", "transit/decrypt/app", `{"ciphertext":"`+text(a, "ciphertext")+`"}`)
}

func TestTransitDataKeysAndMACs(t *testing.T) {
	s := vaulttest.New(t)
	s.TransitKey("transit", "app", vaulttest.TransitKeySpec{Exportable: true})
	c, root := inProcess(t, s), s.RootToken()
	a := c.want(200, "", root, "POST", "transit/datakey/plaintext/app", `{"bits":512}`)
	b := c.want(200, "", root, "POST", "transit/decrypt/app", `{"ciphertext":"`+text(a, "ciphertext")+`"}`)
	assert.Equal(t, text(a, "plaintext"), text(b, "plaintext"))
	raw, err := base64.StdEncoding.DecodeString(text(a, "plaintext"))
	require.NoError(t, err)
	assert.Len(t, raw, 64)

	exported := c.want(200, "", root, "GET", "transit/export/hmac-key/app", "")
	keys, _ := exported.secret.Data["keys"].(map[string]any)
	encoded, _ := keys["1"].(string)
	key, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("hello"))
	assert.Equal(t, mac.Sum(nil), made(t, c.want(200, "", root, "POST", "transit/hmac/app", `{"input":"`+hello+`"}`), "hmac"))
}

func TestTransitSignaturesAreVerifiedByThePublicKey(t *testing.T) {
	sum := sha256.Sum256([]byte("hello"))
	for typ, check := range map[string]func(public, signature []byte) bool{
		"ecdsa-p256": func(public, signature []byte) bool {
			key, _ := parsePublic(public).(*ecdsa.PublicKey)
			return ecdsa.VerifyASN1(key, sum[:], signature)
		},
		"rsa-2048": func(public, signature []byte) bool {
			key, _ := parsePublic(public).(*rsa.PublicKey)
			return rsa.VerifyPSS(key, crypto.SHA256, sum[:], signature, nil) == nil
		},
		"ed25519": func(public, signature []byte) bool {
			key, _ := base64.StdEncoding.DecodeString(string(public))
			return ed25519.Verify(key, []byte("hello"), signature)
		},
	} {
		t.Run(typ, func(t *testing.T) {
			s := vaulttest.New(t)
			s.TransitKey("transit", "k", vaulttest.TransitKeySpec{Type: typ})
			c, root := inProcess(t, s), s.RootToken()
			keys, _ := c.want(200, "", root, "GET", "transit/keys/k", "").secret.Data["keys"].(map[string]any)
			first, _ := keys["1"].(map[string]any)
			public, _ := first["public_key"].(string)
			a := c.want(200, "", root, "POST", "transit/sign/k", `{"input":"`+hello+`"}`)
			signature := made(t, a, "signature")
			assert.True(t, check([]byte(public), signature))
			signature[len(signature)-1] ^= 1
			assert.False(t, check([]byte(public), signature))
		})
	}
}

func parsePublic(text []byte) any {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	key, _ := x509.ParsePKIXPublicKey(block.Bytes)
	return key
}

func TestTransitDerivedKeys(t *testing.T) {
	s := vaulttest.New(t)
	s.TransitKey("transit", "derived", vaulttest.TransitKeySpec{Derived: true})
	s.TransitKey("transit", "convergent", vaulttest.TransitKeySpec{Derived: true, Convergent: true})
	c, root := inProcess(t, s), s.RootToken()
	for name, same := range map[string]bool{"derived": false, "convergent": true} {
		encrypt := func(context string) string {
			return text(c.want(200, "", root, "POST", "transit/encrypt/"+name, `{"plaintext":"`+hello+`","context":"`+context+`"}`), "ciphertext")
		}
		first := encrypt("YQ==")
		assert.Equal(t, same, first == encrypt("YQ=="))
		assert.NotEqual(t, first, encrypt("Yg=="))
		c.want(200, hello, root, "POST", "transit/decrypt/"+name, `{"ciphertext":"`+first+`","context":"YQ=="}`)
		c.want(400, "authentication failed", root, "POST", "transit/decrypt/"+name, `{"ciphertext":"`+first+`","context":"Yg=="}`)
	}
}

// A token that may not create keys cannot make one by a slip of its name.
func TestTransitEncryptMakesKeysForThoseWhoMay(t *testing.T) {
	s := vaulttest.New(t)
	s.TransitKey("transit", "app", vaulttest.TransitKeySpec{})
	s.Policy("use", vaulttest.Rule{Path: "transit/encrypt/*", Capabilities: []string{"update"}})
	s.Policy("make", vaulttest.Rule{Path: "transit/encrypt/*", Capabilities: []string{"create"}})
	c := inProcess(t, s)
	body := `{"plaintext":"` + hello + `"}`
	use, create := s.CreateToken(vaulttest.TokenSpec{Policies: []string{"use"}}), s.CreateToken(vaulttest.TokenSpec{Policies: []string{"make"}})
	c.want(200, "", use, "POST", "transit/encrypt/app", body)
	c.want(403, "permission denied", use, "POST", "transit/encrypt/ap", body)
	c.want(200, "", create, "POST", "transit/encrypt/ap", body)
	c.want(403, "permission denied", create, "POST", "transit/encrypt/ap", body)
	c.want(200, "", use, "POST", "transit/encrypt/ap", body)
}

func TestTransitAtOnce(t *testing.T) {
	s := vaulttest.New(t)
	s.TransitKey("transit", "app", vaulttest.TransitKeySpec{})
	c, root := inProcess(t, s), s.RootToken()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				a, err := c.try(t.Context(), root, "POST", "transit/encrypt/app", `{"plaintext":"`+hello+`"}`)
				if err != nil {
					t.Error(err)
					return
				}
				s.RotateTransitKey("transit", "app")
				a, err = c.try(t.Context(), root, "POST", "transit/decrypt/app", `{"ciphertext":"`+text(a, "ciphertext")+`"}`)
				if err != nil || text(a, "plaintext") != hello {
					t.Errorf("%v: %d %s", err, a.status, a.text)
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 162, s.RotateTransitKey("transit", "app"))
}

func TestTransitSaysWhatItDoesNotModel(t *testing.T) {
	s := vaulttest.New(t)
	s.TransitKey("transit", "app", vaulttest.TransitKeySpec{})
	c, root := inProcess(t, s), s.RootToken()
	for _, path := range []string{"transit/keys/app/trim", "transit/keys/app/import", "transit/cache-config", "transit/restore/app", "transit/config/keys"} {
		c.want(501, "vaulttest does not model", root, "POST", path, `{}`)
	}
	c.want(501, "vaulttest does not model", root, "POST", "transit/keys/new", `{"type":"chacha20-poly1305"}`)
	c.want(501, "vaulttest does not model", root, "POST", "transit/keys/new", `{"type":"ml-dsa"}`)
	c.want(501, "vaulttest does not model", root, "POST", "transit/keys/app/config", `{"auto_rotate_period":"24h"}`)
	c.want(404, "", root, "GET", "transit/keys/new", "")
}

func TestTransitSetUpThatIsWrong(t *testing.T) {
	key := func(spec vaulttest.TransitKeySpec) func(*vaulttest.Server) {
		return func(s *vaulttest.Server) { s.TransitKey("transit", "x", spec) }
	}
	for name, wrong := range map[string]func(*vaulttest.Server){
		"type":          key(vaulttest.TransitKeySpec{Type: "rot13"}),
		"derivation":    key(vaulttest.TransitKeySpec{Type: "ecdsa-p256", Derived: true}),
		"convergent":    key(vaulttest.TransitKeySpec{Convergent: true}),
		"key size":      key(vaulttest.TransitKeySpec{KeySize: 32}),
		"hmac key size": key(vaulttest.TransitKeySpec{Type: "hmac", KeySize: 16}),
		"other mount":   func(s *vaulttest.Server) { s.TransitKey("secret", "x", vaulttest.TransitKeySpec{}) },
		"no key":        func(s *vaulttest.Server) { s.RotateTransitKey("transit", "x") },
		"no transit":    func(s *vaulttest.Server) { s.RotateTransitKey("secret", "x") },
	} {
		t.Run(name, func(t *testing.T) {
			tb := &notingTB{TB: t}
			wrong(vaulttest.New(tb))
			assert.Len(t, tb.fatal, 1)
		})
	}
}
