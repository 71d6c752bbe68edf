package vaulttest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// seal encrypts with the version that the item asks for, or the latest.
func (k *transitKey) seal(item cryptItem, context []byte) (text string, version int, err error) {
	plaintext, err := base64.StdEncoding.DecodeString(item.input)
	version = item.version
	switch {
	case !k.typ.encrypts():
		return "", 0, refuse("message encryption not supported for key type %s", k.spec.Type)
	case err != nil:
		return "", 0, refuse("%v", err)
	case version == 0:
		version = k.latest()
	case version < 0:
		return "", 0, refuse("requested version for encryption is negative")
	case version > k.latest():
		return "", 0, refuse("requested version for encryption is higher than the latest key version")
	case version < k.minEncryption:
		return "", 0, refuse("requested version for encryption is less than the minimum encryption key version")
	}
	var sealed []byte
	if k.typ.bits > 0 {
		if sealed, err = k.sealRSA(version, plaintext, item.padding); err != nil {
			return "", 0, err
		}
	} else {
		aead, macKey, err := k.aead(version, context)
		if err != nil {
			return "", 0, err
		}
		associated, err := base64.StdEncoding.DecodeString(item.associated)
		if err != nil {
			return "", 0, break500("unable to get associated_data/additional_data from factory[0]: %v", err)
		}
		nonce := randomBytes(aead.NonceSize())
		if k.spec.Convergent {
			mac := hmac.New(sha256.New, macKey)
			mac.Write(plaintext)
			nonce = mac.Sum(nil)[:aead.NonceSize()]
		}
		sealed = aead.Seal(nonce, nonce, plaintext, associated)
	}
	return "vault:v" + strconv.Itoa(version) + ":" + base64.StdEncoding.EncodeToString(sealed), version, nil
}

func (k *transitKey) sealRSA(version int, plaintext []byte, padding string) ([]byte, error) {
	v, err := k.version(version)
	if err != nil {
		return nil, err
	}
	public, _ := v.signer.Public().(*rsa.PublicKey)
	var sealed []byte
	if padding == "pkcs1v15" {
		sealed, err = rsa.EncryptPKCS1v15(rand.Reader, public, plaintext)
	} else {
		sealed, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, public, plaintext, nil)
	}
	if err != nil {
		return nil, break500("failed to RSA encrypt the plaintext: %v", err)
	}
	return sealed, nil
}

// aead is the cipher of a version, and the key of the nonces of convergent encryption.
func (k *transitKey) aead(version int, context []byte) (aead cipher.AEAD, macKey []byte, err error) {
	var key []byte
	if k.spec.Derived {
		key, err = k.derive(version, context, k.typ.bytes+32)
	} else {
		var v transitVersion
		v, err = k.version(version)
		key = v.secret
	}
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key[:k.typ.bytes])
	if err == nil {
		aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		return nil, nil, break500("%v", err)
	}
	return aead, key[k.typ.bytes:], nil
}

// versionOf splits what the key has made, vault:vVERSION:BODY, and checks that the version may be
// used still.
func (k *transitKey) versionOf(text, what string) (version int, body string, err error) {
	rest, found := strings.CutPrefix(text, "vault:v")
	if !found {
		return 0, "", refuse("invalid %s: no prefix", what)
	}
	number, body, found := strings.Cut(rest, ":")
	if !found {
		return 0, "", refuse("invalid %s: wrong number of fields", what)
	}
	version, err = strconv.Atoi(number)
	switch {
	case err != nil:
		return 0, "", refuse("invalid %s: version number could not be decoded", what)
	case version == 0 && what == "ciphertext":
		version = 1 // of times when versions began at zero
	}
	switch {
	case version > k.latest():
		return 0, "", refuse("invalid %s: version is too new", what)
	case version < k.minDecryption:
		return 0, "", refuse("ciphertext or signature version is disallowed by policy (too old)")
	}
	return version, body, nil
}

func (k *transitKey) unseal(version int, sealed []byte, item cryptItem, context []byte) ([]byte, error) {
	if k.typ.bits > 0 {
		v, err := k.version(version)
		if err != nil {
			return nil, err
		}
		private, _ := v.signer.(*rsa.PrivateKey)
		var plain []byte
		if item.padding == "pkcs1v15" {
			plain, err = rsa.DecryptPKCS1v15(nil, private, sealed)
		} else {
			plain, err = rsa.DecryptOAEP(sha256.New(), nil, private, sealed, nil)
		}
		if err != nil {
			return nil, break500("failed to RSA decrypt the ciphertext: %v", err)
		}
		return plain, nil
	}
	aead, _, err := k.aead(version, context)
	if err != nil {
		return nil, err
	}
	associated, err := base64.StdEncoding.DecodeString(item.associated)
	if err != nil {
		return nil, break500("unable to get associated_data/additional_data from factory[0]: %v", err)
	}
	n := aead.NonceSize()
	if len(sealed) < n {
		return nil, refuse("invalid ciphertext length")
	}
	plain, err := aead.Open(nil, sealed[:n], sealed[n:], associated)
	if err != nil {
		return nil, refuse("%v", err)
	}
	return plain, nil
}
