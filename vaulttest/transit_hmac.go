package vaulttest

import (
	"crypto"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// unknownHash is Vault's refusal, which names the hash by a number that is always zero.
const unknownHash = `unsupported algorithm '\x00'`

// hmac answers hmac/NAME[/HASH].
func (e *transitEngine) hmac(c *call, name, urlAlgorithm string) reply {
	f, bad := c.fields(schema{
		"name": inPath, "urlalgorithm": inPath, "input": asText, "algorithm": asText, "key_version": asInt, "batch_input": asIs,
	})
	if bad != nil {
		return *bad
	}
	k := e.keys[name]
	if k == nil {
		return noSuchKey()
	}
	version := f.int("key_version")
	switch {
	case version == 0:
		version = k.latest()
	case version == k.latest():
	case k.minEncryption > 0 && version < k.minEncryption:
		return fail(http.StatusBadRequest, "cannot generate HMAC: version is too old (disallowed by policy)")
	}
	v, err := k.macVersion(version)
	if err != nil {
		return failed(err)
	}
	algorithm := urlAlgorithm
	if algorithm == "" {
		algorithm = f.textOr("algorithm", "sha2-256")
	}
	hash, known := transitHashes[algorithm]
	switch {
	case !known:
		return fail(http.StatusBadRequest, unknownHash)
	case hash == 0:
		return unmodelled("HMACs without a hash, on which Vault breaks")
	}
	if !f.has("batch_input") {
		if !f.has("input") {
			return fail(http.StatusBadRequest, "missing input for HMAC")
		}
		text, err := v.hmac(version, hash, map[string]any{"input": f.text("input")})
		if err != nil {
			return failed(err)
		}
		return f.ok("transit", map[string]any{"hmac": text})
	}
	items, err := f.batch(false, textItems)
	if err != nil {
		return failed(err)
	}
	var results []map[string]any
	for _, item := range items {
		result := map[string]any{"reference": fields{values: item}.text("reference"), "valid": false}
		if text, err := v.hmac(version, hash, item); err != nil {
			result["error"] = err.Error()
		} else {
			result["hmac"] = text
		}
		results = append(results, result)
	}
	return f.ok("transit", map[string]any{"batch_results": results})
}

func (k *transitKey) macVersion(n int) (transitVersion, error) {
	switch {
	case n < 0:
		return transitVersion{}, refuse("key version does not exist (cannot be negative)")
	case n > k.latest():
		return transitVersion{}, refuse("key version does not exist; latest key version is %d", k.latest())
	}
	return k.version(n)
}

func (v transitVersion) sum(hash crypto.Hash, input []byte) []byte {
	mac := hmac.New(hash.New, v.mac)
	mac.Write(input)
	return mac.Sum(nil)
}

func (v transitVersion) hmac(version int, hash crypto.Hash, item map[string]any) (string, error) {
	text, has := item["input"].(string)
	if !has {
		return "", refuse("missing input for HMAC")
	}
	input, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", refuse("unable to decode input as base64: %v", err)
	}
	return "vault:v" + strconv.Itoa(version) + ":" + base64.StdEncoding.EncodeToString(v.sum(hash, input)), nil
}

// verifyHMAC answers verify/NAME[/HASH] for HMACs.
func (e *transitEngine) verifyHMAC(f fields, name, urlAlgorithm string) reply {
	algorithm := urlAlgorithm
	switch {
	case algorithm != "":
	case f.has("hash_algorithm"):
		algorithm = f.text("hash_algorithm")
	default:
		algorithm = f.textOr("algorithm", "sha2-256")
	}
	k := e.keys[name]
	if k == nil {
		return noSuchKey()
	}
	hash, known := transitHashes[algorithm]
	switch {
	case !known:
		return fail(http.StatusBadRequest, unknownHash)
	case hash == 0:
		return unmodelled("HMACs without a hash, on which Vault breaks")
	}
	items := []map[string]any{{"input": f.text("input"), "hmac": f.text("hmac")}}
	if f.has("batch_input") {
		var err error
		if items, err = f.batch(false, textItems); err != nil {
			return failed(err)
		}
	}
	return verifyAnswer(f, items, func(item map[string]any) (bool, error) { return k.verifyMAC(hash, item) })
}

func (k *transitKey) verifyMAC(hash crypto.Hash, item map[string]any) (bool, error) {
	text, has := item["input"].(string)
	if !has {
		return false, refuse("missing input")
	}
	input, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return false, refuse("unable to decode input as base64: %v", err)
	}
	text, has = item["hmac"].(string)
	if !has {
		return false, refuse("missing hmac")
	}
	rest, found := strings.CutPrefix(text, "vault:v")
	if !found {
		return false, refuse("invalid HMAC to verify: no prefix")
	}
	number, body, found := strings.Cut(rest, ":")
	if !found {
		return false, refuse("invalid HMAC: wrong number of fields")
	}
	version, err := strconv.Atoi(number)
	if err != nil {
		return false, refuse("invalid HMAC: version number could not be decoded")
	}
	sum, err := base64.StdEncoding.DecodeString(body)
	switch {
	case err != nil:
		return false, refuse("unable to decode verification HMAC as base64: %v", err)
	case version > k.latest():
		return false, refuse("invalid HMAC: version is too new")
	case version < k.minDecryption:
		return false, refuse("cannot verify HMAC: version is too old (disallowed by policy)")
	}
	v, err := k.macVersion(version)
	if err != nil {
		return false, err
	}
	return hmac.Equal(v.sum(hash, input), sum), nil
}

// encodings are the forms in which random and hash answer.
var encodings = map[string]func([]byte) string{
	"hex": hex.EncodeToString, "base64": base64.StdEncoding.EncodeToString,
}

// random answers random[/SOURCE][/BYTES].
func (c *call) random(source, count string) reply {
	f, bad := c.fields(schema{"urlbytes": inPath, "source": inPath, "bytes": asInt, "format": asText})
	if bad != nil {
		return *bad
	}
	n := 32
	if f.has("bytes") {
		n = f.int("bytes")
	}
	isSource := slices.Contains([]string{"", "platform", "seal", "all"}, source)
	if count == "" && !isSource {
		source, count = "platform", source // the number alone
	}
	if count != "" {
		var err error
		if n, err = strconv.Atoi(count); err != nil {
			return fail(http.StatusBadRequest, "error parsing url-set byte count: "+err.Error())
		}
	}
	encode := encodings[f.textOr("format", "base64")]
	switch {
	case n < 1:
		return fail(http.StatusBadRequest, `"bytes" cannot be less than 1`)
	case n > 128*1024:
		return fail(http.StatusBadRequest, fmt.Sprintf(`"bytes" should be less than %d`, 128*1024))
	case encode == nil:
		return fail(http.StatusBadRequest, fmt.Sprintf(`unsupported encoding format %q; must be "hex" or "base64"`, f.text("format")))
	case !slices.Contains([]string{"", "platform", "seal", "all"}, source):
		return fail(http.StatusBadRequest, fmt.Sprintf(`unsupported entropy source %q; must be "platform" or "seal", or "all"`, source))
	}
	var warnings []string
	if source == "seal" {
		warnings = append(warnings, "no seal/entropy augmentation available, using platform entropy source")
	}
	return answer(http.StatusOK, envelope{
		Data: map[string]any{"random_bytes": encode(randomBytes(n))}, Warnings: append(warnings, f.warnings...), MountType: "transit",
	})
}

// hash answers hash[/HASH].
func (c *call) hash(urlAlgorithm string) reply {
	f, bad := c.fields(schema{"urlalgorithm": inPath, "input": asText, "algorithm": asText, "format": asText})
	if bad != nil {
		return *bad
	}
	if !f.has("input") {
		return fail(http.StatusBadRequest, "input missing")
	}
	input, err := base64.StdEncoding.DecodeString(f.text("input"))
	if err != nil {
		return fail(http.StatusBadRequest, "unable to decode input as base64: "+err.Error())
	}
	encode := encodings[f.textOr("format", "hex")]
	if encode == nil {
		return fail(http.StatusBadRequest, "unsupported encoding format "+f.text("format")+`; must be "hex" or "base64"`)
	}
	algorithm := urlAlgorithm
	if algorithm == "" {
		algorithm = f.textOr("algorithm", "sha2-256")
	}
	hash := transitHashes[algorithm]
	if hash == 0 || hash == crypto.SHA1 {
		return fail(http.StatusBadRequest, "unsupported algorithm "+algorithm)
	}
	h := hash.New()
	h.Write(input)
	return f.ok("transit", map[string]any{"sum": encode(h.Sum(nil))})
}
