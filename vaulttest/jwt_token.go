package vaulttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// SignJWT returns a JWT with these claims, signed by key: RS256 for an RSA key, ES256, ES384 or ES512
// for an ECDSA key by its curve, EdDSA for an Ed25519 key. No claim is added: one without exp, nbf
// and iat is refused by the JWT method.
func (s *Server) SignJWT(key crypto.Signer, claims map[string]any) string {
	s.tb.Helper()
	text, err := signJWT(key, claims)
	if err != nil {
		s.tb.Fatalf("vaulttest: SignJWT: %v", err)
	}
	return text
}

func signJWT(key crypto.Signer, claims map[string]any) (string, error) {
	alg := ""
	switch key := key.(type) {
	case *rsa.PrivateKey:
		alg = "RS256"
	case *ecdsa.PrivateKey:
		alg = map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[key.Curve]
	case ed25519.PrivateKey:
		alg = "EdDSA"
	}
	if alg == "" {
		return "", fmt.Errorf("there is no algorithm for a key of type %T", key)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("the claims are no JSON: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"`+alg+`","typ":"JWT"}`)) + "." + encode(payload)
	signature, err := sign(key, jwtHashes[alg[2:]], []byte(text))
	return text + "." + encode(signature), err
}

// jwtHashes are the hashes by the last part of an algorithm's name.
var jwtHashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}

func sign(key crypto.Signer, hash crypto.Hash, text []byte) ([]byte, error) {
	digest := text // Ed25519 hashes by itself
	if hash != 0 {
		digest = digestOf(hash, text)
	}
	ec, isEC := key.(*ecdsa.PrivateKey)
	if !isEC {
		return key.Sign(rand.Reader, digest, hash)
	}
	r, s, err := ecdsa.Sign(rand.Reader, ec, digest)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 2*jwtHalf(hash))
	r.FillBytes(out[:len(out)/2])
	s.FillBytes(out[len(out)/2:])
	return out, nil
}

func digestOf(hash crypto.Hash, text []byte) []byte {
	h := hash.New()
	h.Write(text)
	return h.Sum(nil)
}

// jwtHalf is the length of each of the two numbers in an ECDSA signature.
func jwtHalf(hash crypto.Hash) int {
	if hash == crypto.SHA512 {
		return 66 // P-521
	}
	return hash.Size()
}

// signedToken is a JWT taken apart. Nothing in it is to be believed before verified has said so.
type signedToken struct {
	alg                string
	critical           bool // names headers that it must not be accepted without
	signed             string
	payload, signature []byte
}

// parseJWT reads the compact form with the errors of the library that Vault uses.
func parseJWT(text string) (*signedToken, error) {
	text = strings.Join(strings.Fields(text), "")
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, errors.New("go-jose/go-jose: compact JWS format must have three parts")
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "=")); err != nil {
			return nil, err
		}
	}
	t := &signedToken{payload: raw[1], signature: raw[2]}
	for i := range raw[:2] {
		parts[i] = base64.RawURLEncoding.EncodeToString(raw[i])
	}
	t.signed = parts[0] + "." + parts[1]
	if len(raw[0]) == 0 {
		return t, nil // without an algorithm no key verifies it
	}
	var header map[string]json.RawMessage
	err := json.Unmarshal(raw[0], &header)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return nil, fmt.Errorf("json: cannot unmarshal %s into Go value of type jose.rawHeader", wrong.Value)
	} else if err != nil {
		return nil, err
	}
	_, t.critical = header["crit"]
	if alg, found := header["alg"]; found {
		if err := json.Unmarshal(alg, &t.alg); err != nil {
			return nil, fmt.Errorf("failed to unmarshal algorithm: %w: %#v", err, string(alg))
		}
	}
	return t, nil
}

// verified tells whether one of the keys made the signature. "none" and the symmetric algorithms fit
// no key: with them anybody could sign who knows the public key.
func (t *signedToken) verified(keys []crypto.PublicKey) bool {
	return !t.critical && slices.ContainsFunc(keys, t.verifiedBy)
}

func (t *signedToken) verifiedBy(key crypto.PublicKey) bool {
	family, hash := "", crypto.Hash(0)
	if len(t.alg) == 5 {
		family, hash = t.alg[:2], jwtHashes[t.alg[2:]]
	}
	switch key := key.(type) {
	case ed25519.PublicKey:
		return t.alg == "EdDSA" && ed25519.Verify(key, []byte(t.signed), t.signature)
	case *rsa.PublicKey:
		switch {
		case hash == 0:
		case family == "RS":
			return rsa.VerifyPKCS1v15(key, hash, digestOf(hash, []byte(t.signed)), t.signature) == nil
		case family == "PS":
			return rsa.VerifyPSS(key, hash, digestOf(hash, []byte(t.signed)), t.signature, nil) == nil
		}
	case *ecdsa.PublicKey:
		if hash == 0 || family != "ES" || len(t.signature) != 2*jwtHalf(hash) {
			return false
		}
		r := new(big.Int).SetBytes(t.signature[:len(t.signature)/2])
		s := new(big.Int).SetBytes(t.signature[len(t.signature)/2:])
		return ecdsa.Verify(key, digestOf(hash, []byte(t.signed)), r, s)
	}
	return false
}

// claims reads the payload. Numbers are floats, as in Vault.
func (t *signedToken) claims() (map[string]any, error) {
	if err := checkJSON(t.payload); err != nil {
		return nil, err
	}
	var claims map[string]any
	err := json.Unmarshal(t.payload, &claims)
	return claims, err
}

// unusableKey tells why a key verifies no JWT; empty: it can.
func unusableKey(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return ""
	case ed25519.PublicKey:
		if len(key) == ed25519.PublicKeySize {
			return ""
		}
	}
	return fmt.Sprintf("a public key of type %T; *rsa.PublicKey, *ecdsa.PublicKey and ed25519.PublicKey are known", key)
}
