package vaulttest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// export answers export/KIND/NAME[/VERSION].
func (e *transitEngine) export(kind, name, version string) reply {
	switch kind {
	case "encryption-key", "signing-key", "hmac-key", "public-key":
	case "certificate-chain", "cmac-key":
		return unmodelled("export of " + kind)
	default:
		return fail(http.StatusBadRequest, "invalid export type: "+kind)
	}
	k := e.keys[name]
	switch {
	case k == nil:
		return fail(http.StatusNotFound)
	case !k.spec.Exportable && kind != "public-key":
		return fail(http.StatusBadRequest, "private key material is not exportable")
	case kind == "encryption-key" && !k.typ.encrypts():
		return fail(http.StatusBadRequest, "encryption not supported for the key")
	case kind == "signing-key" && !k.typ.signs:
		return fail(http.StatusBadRequest, "signing not supported for the key")
	}
	first, last := k.minDecryption, k.latest() // what is older has been put away
	if version != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(version, "v"))
		switch {
		case version == "latest":
			n = k.latest()
		case err != nil:
			return fail(http.StatusBadRequest, "invalid key version")
		}
		if n < k.minDecryption {
			return fail(http.StatusBadRequest, "version for export is below minimum decryption version")
		}
		if n > k.latest() {
			return fail(http.StatusBadRequest, "version does not exist or cannot be found")
		}
		first, last = n, n
	}
	keys := map[string]string{}
	for n := first; n <= last; n++ {
		text, err := k.exported(kind, n)
		if err != nil {
			return failed(err)
		}
		keys[strconv.Itoa(n)] = text
	}
	return ok("transit", map[string]any{"name": k.name, "type": k.spec.Type, "keys": keys})
}

func (k *transitKey) exported(kind string, version int) (string, error) {
	v := k.versions[version-1]
	switch private := v.signer.(type) {
	case *ecdsa.PrivateKey:
		switch kind {
		case "signing-key":
			der, err := x509.MarshalECPrivateKey(private)
			return strings.TrimSpace(pemText("EC PRIVATE KEY", der, err)), nil
		case "public-key":
			return strings.TrimSpace(k.publicKey(version, nil)), nil
		}
	case *rsa.PrivateKey:
		switch kind {
		case "signing-key", "encryption-key":
			return pemText("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private), nil), nil
		case "public-key":
			return k.publicKey(version, nil), nil
		}
	case ed25519.PrivateKey:
		switch kind {
		case "signing-key":
			return base64.StdEncoding.EncodeToString(private), nil
		case "public-key":
			public, _ := private.Public().(ed25519.PublicKey)
			return base64.StdEncoding.EncodeToString(public), nil
		}
	}
	switch kind {
	case "hmac-key":
		return base64.StdEncoding.EncodeToString(v.mac), nil
	case "encryption-key":
		return base64.StdEncoding.EncodeToString(v.secret), nil
	}
	return "", break500("unknown key type %s for export type %s", k.spec.Type, kind)
}
