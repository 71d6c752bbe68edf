package vaulttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"strconv"
	"time"
)

// transitType is what keys of a type can do.
type transitType struct {
	aead, derives, signs bool
	bytes                int            // of an AES key
	curve                elliptic.Curve // of an ECDSA key
	bits                 int            // of an RSA key
}

func (t transitType) encrypts() bool { return t.aead || t.bits > 0 }

// hashes tells whether an input is hashed before it is signed.
func (t transitType) hashes() bool { return t.curve != nil || t.bits > 0 }

var transitTypes = map[string]transitType{
	"aes128-gcm96": {aead: true, derives: true, bytes: 16},
	"aes256-gcm96": {aead: true, derives: true, bytes: 32},
	"ecdsa-p256":   {signs: true, curve: elliptic.P256()},
	"ecdsa-p384":   {signs: true, curve: elliptic.P384()},
	"ecdsa-p521":   {signs: true, curve: elliptic.P521()},
	"ed25519":      {signs: true, derives: true},
	"hmac":         {},
	"rsa-2048":     {signs: true, bits: 2048},
	"rsa-3072":     {signs: true, bits: 3072},
	"rsa-4096":     {signs: true, bits: 4096},
}

type transitKey struct {
	name                         string
	spec                         TransitKeySpec
	typ                          transitType
	versions                     []transitVersion // version 1 first
	minDecryption, minEncryption int              // the latter is zero while it is not set
	backup, deletable            bool
}

type transitVersion struct {
	created time.Time
	secret  []byte // of an AES or hmac key
	mac     []byte // what hmac/ uses
	signer  crypto.Signer
}

func (k *transitKey) latest() int { return len(k.versions) }

func (k *transitKey) rotate(now time.Time) {
	v := transitVersion{created: now, mac: randomBytes(32)}
	var err error
	switch {
	case k.spec.Type == "hmac":
		v.mac = randomBytes(k.spec.KeySize)
		v.secret = v.mac
	case k.typ.aead:
		v.secret = randomBytes(k.typ.bytes)
	case k.typ.curve != nil:
		v.signer, err = ecdsa.GenerateKey(k.typ.curve, rand.Reader)
	case k.typ.bits > 0:
		v.signer, err = rsa.GenerateKey(rand.Reader, k.typ.bits)
	default:
		_, v.signer, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		panic("vaulttest: no key could be made: " + err.Error()) // only for want of random numbers
	}
	k.versions = append(k.versions, v)
}

// version finds a version by its number. Those below the least for decryption are put away.
func (k *transitKey) version(n int) (transitVersion, error) {
	if n < max(k.minDecryption, 1) || n > k.latest() {
		return transitVersion{}, refuse("no such key version")
	}
	return k.versions[n-1], nil
}

// derive makes n bytes from a version and a context.
func (k *transitKey) derive(version int, context []byte, n int) ([]byte, error) {
	if len(context) == 0 {
		return nil, refuse("missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key")
	}
	v, err := k.version(version)
	if err != nil {
		return nil, err
	}
	secret := v.secret
	if private, isEd25519 := v.signer.(ed25519.PrivateKey); isEd25519 {
		secret = private
	}
	out, err := hkdf.Key(sha256.New, secret, nil, string(context), n)
	if err != nil {
		return nil, break500("error reading returned derived bytes: %v", err)
	}
	return out, nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return b
}

// answer shows the key as keys/NAME does. A derived key has no public key but for a context.
func (k *transitKey) answer(context []byte, warnings []string) reply {
	d := map[string]any{
		"name": k.name, "type": k.spec.Type, "derived": k.spec.Derived, "deletion_allowed": k.deletable,
		"min_available_version": 0, "min_decryption_version": k.minDecryption, "min_encryption_version": k.minEncryption,
		"latest_version": k.latest(), "exportable": k.spec.Exportable, "allow_plaintext_backup": k.backup,
		"supports_encryption": k.typ.encrypts(), "supports_decryption": k.typ.encrypts(), "supports_signing": k.typ.signs,
		"supports_derivation": k.typ.derives, "auto_rotate_period": 0, "imported_key": false,
	}
	if k.spec.KeySize != 0 {
		d["key_size"] = k.spec.KeySize
	}
	if k.spec.Derived {
		d["kdf"] = "hkdf_sha256"
		d["convergent_encryption"] = k.spec.Convergent
		if k.spec.Convergent {
			d["convergent_encryption_version"] = -1
		}
	}
	keys := map[string]any{}
	for i, v := range k.versions {
		if i+1 < k.minDecryption {
			continue // put away
		}
		n := strconv.Itoa(i + 1)
		if !k.typ.signs {
			keys[n] = v.created.Unix()
			continue
		}
		keys[n] = map[string]any{
			"name": k.publicName(), "public_key": k.publicKey(i+1, context), "creation_time": timeText(v.created),
			"certificate_chain": "", "hybrid_public_key": "",
		}
	}
	if k.spec.Type != "hmac" {
		d["keys"] = keys
	}
	return answer(http.StatusOK, envelope{Data: d, Warnings: warnings, MountType: "transit"})
}

func (k *transitKey) publicName() string {
	if k.typ.curve != nil {
		return k.typ.curve.Params().Name
	}
	return k.spec.Type
}

func (k *transitKey) publicKey(version int, context []byte) string {
	public := k.versions[version-1].signer.Public()
	if raw, isEd25519 := public.(ed25519.PublicKey); isEd25519 {
		if k.spec.Derived {
			private, err := k.ed25519Key(version, context)
			if err != nil {
				return ""
			}
			raw, _ = private.Public().(ed25519.PublicKey)
		}
		return base64.StdEncoding.EncodeToString(raw)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	return pemText("PUBLIC KEY", der, err)
}

// ed25519Key is the version's private key, or the one derived for a context.
func (k *transitKey) ed25519Key(version int, context []byte) (ed25519.PrivateKey, error) {
	if k.spec.Derived {
		seed, err := k.derive(version, context, ed25519.SeedSize)
		if err != nil {
			return nil, err
		}
		return ed25519.NewKeyFromSeed(seed), nil
	}
	v, err := k.version(version)
	if err != nil {
		return nil, err
	}
	private, _ := v.signer.(ed25519.PrivateKey)
	return private, nil
}

func pemText(typ string, der []byte, err error) string {
	if err != nil {
		panic("vaulttest: a key of its own cannot be marshaled: " + err.Error())
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}))
}
