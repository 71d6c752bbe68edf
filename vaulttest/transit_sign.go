package vaulttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"

	_ "crypto/sha1" //nolint:gosec // Vault has it, for old verifiers.
	_ "crypto/sha3"
	_ "crypto/sha512"
)

// transitHashes are Vault's names of the hash functions. "none" is for inputs that are hashed
// already.
var transitHashes = map[string]crypto.Hash{
	"none": 0, "sha1": crypto.SHA1,
	"sha2-224": crypto.SHA224, "sha2-256": crypto.SHA256, "sha2-384": crypto.SHA384, "sha2-512": crypto.SHA512,
	"sha3-224": crypto.SHA3_224, "sha3-256": crypto.SHA3_256, "sha3-384": crypto.SHA3_384, "sha3-512": crypto.SHA3_512,
}

var signFields = schema{
	"name": inPath, "urlalgorithm": inPath, "input": asText, "context": asText, "signature_context": asText,
	"hash_algorithm": asText, "algorithm": asText, "key_version": asInt, "prehashed": asBool,
	"signature_algorithm": asText, "marshaling_algorithm": asText, "salt_length": asText, "batch_input": asIs,
}

// signing is how a request wants its inputs signed or verified.
type signing struct {
	hash           crypto.Hash
	prehashed, jws bool
	algorithm      string // of RSA
	salt           int
	version        int
}

// newSigning reads it, or tells what Vault refuses.
func newSigning(f fields, urlAlgorithm string) (o signing, refusal string) {
	name := urlAlgorithm
	if name == "" {
		// The older field counts only where the newer one is there and empty.
		if name = f.textOr("hash_algorithm", "sha2-256"); name == "" {
			if name = f.textOr("algorithm", "sha2-256"); name == "" {
				name = "sha2-256"
			}
		}
	}
	hash, known := transitHashes[name]
	if !known {
		return o, fmt.Sprintf("invalid hash algorithm %q", name)
	}
	marshaling := f.textOr("marshaling_algorithm", "asn1")
	if marshaling != "asn1" && marshaling != "jws" {
		return o, fmt.Sprintf("invalid marshaling type %q", marshaling)
	}
	o = signing{
		hash: hash, prehashed: f.bool("prehashed"), jws: marshaling == "jws", algorithm: f.text("signature_algorithm"),
		version: f.int("key_version"),
	}
	switch salt := f.textOr("salt_length", "auto"); strings.ToLower(salt) {
	case "auto":
		o.salt = rsa.PSSSaltLengthAuto
	case "hash":
		o.salt = rsa.PSSSaltLengthEqualsHash
	default:
		n, err := strconv.Atoi(salt)
		if err != nil {
			return o, "salt length neither 'auto', 'hash', nor an int: " + salt
		}
		if n < rsa.PSSSaltLengthEqualsHash {
			return o, fmt.Sprintf("salt length is invalid: %d", n)
		}
		o.salt = n
	}
	return o, ""
}

// fits tells what stands against using a key so.
func (o signing) fits(k *transitKey) (refusal string) {
	switch {
	case !k.typ.signs:
		return "key type " + k.spec.Type + " does not support signing"
	case o.hash == 0 && (!o.prehashed || o.algorithm != "pkcs1v15"):
		return "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15"
	}
	return ""
}

// fitsItem does so for a single input.
func (o signing) fitsItem(k *transitKey, signatureContext string) (refusal string) {
	if k.spec.Type != "ed25519" {
		return ""
	}
	switch {
	case o.prehashed:
		return "failed to parse batch item: only Pure Ed25519 signatures supported, prehashed must be false"
	case o.hash == crypto.SHA512:
		return "failed to parse batch item: only Pure Ed25519 signatures supported, hash_alogithm should not be set"
	case signatureContext != "":
		return "failed to parse batch item: only Pure Ed25519 signatures supported, signature_context must be empty"
	}
	return ""
}

// digest is what is signed: the input's hash, or the input itself.
func (o signing) digest(k *transitKey, input []byte) []byte {
	if !k.typ.hashes() || o.prehashed || o.hash == 0 {
		return input
	}
	h := o.hash.New()
	h.Write(input)
	return h.Sum(nil)
}

// sign answers sign/NAME[/HASH]. A batch is answered with 200 whatever becomes of its items.
func (e *transitEngine) sign(c *call, name, urlAlgorithm string) reply {
	f, bad := c.fields(signFields)
	if bad != nil {
		return *bad
	}
	o, refusal := newSigning(f, urlAlgorithm)
	if refusal != "" {
		return fail(http.StatusBadRequest, refusal)
	}
	k := e.keys[name]
	if k == nil {
		return fail(http.StatusBadRequest, "signing key not found")
	}
	if refusal = o.fits(k); refusal != "" {
		return fail(http.StatusBadRequest, refusal)
	}
	if !f.has("batch_input") {
		signature, public, version, err := k.signItem(o, map[string]any{
			"input": f.text("input"), "context": f.text("context"), "signature_context": f.text("signature_context"),
		})
		if err != nil {
			return failed(err)
		}
		data := map[string]any{"signature": signature, "key_version": version}
		if public != nil {
			data["public_key"] = public
		}
		return f.ok("transit", data)
	}
	items, err := f.batch(false, textItems)
	if err != nil {
		return failed(err)
	}
	var results []map[string]any
	for _, item := range items {
		result := map[string]any{"reference": fields{values: item}.text("reference")}
		signature, public, version, err := k.signItem(o, item)
		result["key_version"] = version
		if err != nil {
			result["error"] = err.Error()
		} else {
			result["signature"] = signature
		}
		if public != nil {
			result["publickey"] = public
		}
		results = append(results, result)
	}
	return f.ok("transit", map[string]any{"batch_results": results})
}

// signItem signs one input. A derived key's public half comes with it.
func (k *transitKey) signItem(o signing, item map[string]any) (signature string, public []byte, version int, err error) {
	f := fields{values: item}
	if !f.has("input") {
		return "", nil, 0, refuse("missing input")
	}
	input, err := base64.StdEncoding.DecodeString(f.text("input"))
	if err != nil {
		return "", nil, 0, refuse("unable to decode input: %v", err)
	}
	context, err := base64.StdEncoding.DecodeString(f.text("context"))
	if err != nil {
		return "", nil, 0, refuse("failed to base64-decode context")
	}
	if refusal := o.fitsItem(k, f.text("signature_context")); refusal != "" {
		return "", nil, 0, refuse("%s", refusal)
	}
	version = o.version
	switch {
	case version == 0:
		version = k.latest()
	case version < 0:
		return "", nil, 0, break500("requested version for signing is negative")
	case version > k.latest():
		return "", nil, 0, break500("requested version for signing is higher than the latest key version")
	case k.minEncryption > 0 && version < k.minEncryption:
		return "", nil, 0, break500("requested version for signing is less than the minimum encryption key version")
	}
	v, err := k.version(version)
	if err != nil {
		return "", nil, 0, break500("%v", err)
	}
	raw, err := k.signDigest(o, v, version, o.digest(k, input), context)
	if err != nil {
		return "", nil, 0, err
	}
	if k.spec.Derived {
		private, _ := k.ed25519Key(version, context)
		public, _ = private.Public().(ed25519.PublicKey)
	}
	return "vault:v" + strconv.Itoa(version) + ":" + o.encoding().EncodeToString(raw), public, version, nil
}

// encoding is that of signatures.
func (o signing) encoding() *base64.Encoding {
	if o.jws {
		return base64.RawURLEncoding
	}
	return base64.StdEncoding
}

func (k *transitKey) signDigest(o signing, v transitVersion, version int, digest, context []byte) (raw []byte, err error) {
	switch private := v.signer.(type) {
	case *ecdsa.PrivateKey:
		raw, err = ecdsa.SignASN1(rand.Reader, private, digest)
		if err == nil && o.jws {
			raw, err = jwsSignature(raw, (private.Curve.Params().BitSize+7)/8)
		}
	case *rsa.PrivateKey:
		switch o.algorithm {
		case "", "pss":
			if !o.saltFits(private) {
				return nil, break500("requested salt length %d is invalid", o.salt)
			}
			raw, err = rsa.SignPSS(rand.Reader, private, o.hash, digest, &rsa.PSSOptions{SaltLength: o.salt})
		case "pkcs1v15":
			raw, err = rsa.SignPKCS1v15(rand.Reader, private, o.hash, digest)
		default:
			return nil, break500("unsupported rsa signature algorithm %s", o.algorithm)
		}
	default:
		var key ed25519.PrivateKey
		if key, err = k.ed25519Key(version, context); err != nil {
			return nil, break500("error deriving key: %v", err)
		}
		raw = ed25519.Sign(key, digest)
	}
	if err != nil {
		return nil, break500("%v", err)
	}
	return raw, nil
}

// saltFits tells whether the signature has room for the salt.
func (o signing) saltFits(key *rsa.PrivateKey) bool {
	return o.salt <= (key.N.BitLen()-1+7)/8-2-o.hash.Size()
}

type ecdsaSignature struct{ R, S *big.Int }

// jwsSignature makes of an ASN.1 signature the two numbers side by side that JWS has.
func jwsSignature(der []byte, size int) ([]byte, error) {
	var sig ecdsaSignature
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, err
	}
	out := make([]byte, 2*size)
	sig.R.FillBytes(out[:size])
	sig.S.FillBytes(out[size:])
	return out, nil
}
