package vaulttest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"net/http"
)

var verifyFields = schema{
	"name": inPath, "urlalgorithm": inPath, "input": asText, "context": asText, "signature_context": asText,
	"signature": asText, "hmac": asText, "cmac": asText, "mac_length": asInt, "hash_algorithm": asText, "algorithm": asText,
	"prehashed": asBool, "signature_algorithm": asText, "marshaling_algorithm": asText, "salt_length": asText, "batch_input": asIs,
}

// verify answers verify/NAME[/HASH] for signatures and HMACs.
func (e *transitEngine) verify(c *call, name, urlAlgorithm string) reply {
	f, bad := c.fields(verifyFields)
	if bad != nil {
		return *bad
	}
	items, err := verifyItems(f)
	if err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	what, refusal := whatToVerify(items, f.has("batch_input"))
	switch {
	case refusal != "":
		return fail(http.StatusBadRequest, refusal)
	case what == "cmac":
		return unmodelled("CMACs, which only Vault Enterprise has")
	case what == "hmac":
		return e.verifyHMAC(f, name, urlAlgorithm)
	}
	o, refusal := newSigning(f, urlAlgorithm)
	if refusal != "" {
		return fail(http.StatusBadRequest, refusal)
	}
	k := e.keys[name]
	if k == nil {
		return fail(http.StatusBadRequest, "signature verification key not found")
	}
	if refusal = o.fits(k); refusal != "" {
		return fail(http.StatusBadRequest, refusal)
	}
	return verifyAnswer(f, items, func(item map[string]any) (bool, error) { return k.verifyItem(o, item) })
}

// verifyItems reads what is to be verified: a batch, or the request's own fields.
func verifyItems(f fields) ([]map[string]any, error) {
	if f.has("batch_input") {
		return f.batch(false, anyItems)
	}
	item := map[string]any{"input": f.text("input"), "context": f.text("context")}
	for _, name := range []string{"signature", "hmac", "cmac", "signature_context"} {
		if f.has(name) {
			item[name] = f.text(name)
		}
	}
	return []map[string]any{item}, nil
}

// whatToVerify tells whether it is signatures or HMACs; they cannot be mixed.
func whatToVerify(items []map[string]any, batch bool) (what, refusal string) {
	found, missing := map[string]bool{}, false
	for _, item := range items {
		kind := ""
		for _, name := range []string{"cmac", "hmac", "signature"} {
			if _, has := item[name]; has {
				kind = name
			}
		}
		if kind == "" {
			missing = true
		} else {
			found[kind], what = true, kind
		}
	}
	switch {
	case len(found) == 0 && !batch:
		return "", "missing one of 'signature', 'hmac' or 'cmac' arguments to verify"
	case len(found) > 1:
		return "", "elements of batch_input must all provide either 'signature', 'hmac' or 'cmac'"
	case len(found) == 0:
		return "", "no batch_input elements have 'signature', 'hmac' or 'cmac'"
	case missing:
		return "", "some elements of batch_input are missing '" + what + "'"
	}
	return what, ""
}

// verifyAnswer verifies each item and puts the results together.
func verifyAnswer(f fields, items []map[string]any, verify func(map[string]any) (bool, error)) reply {
	if !f.has("batch_input") {
		valid, err := verify(items[0])
		if err != nil {
			return failed(err)
		}
		return f.ok("transit", map[string]any{"valid": valid})
	}
	var results []map[string]any
	for _, item := range items {
		reference, _ := convert(item["reference"], asText)
		if reference == nil {
			reference = ""
		}
		valid, err := verify(item)
		result := map[string]any{"valid": valid, "reference": reference}
		if err != nil {
			result["error"] = err.Error()
		}
		results = append(results, result)
	}
	return f.ok("transit", map[string]any{"batch_results": results})
}

func (k *transitKey) verifyItem(o signing, item map[string]any) (bool, error) {
	var decoded [2][]byte
	for i, name := range []string{"input", "context"} {
		value, err := convert(item[name], asText)
		if text, isText := value.(string); isText {
			decoded[i], err = base64.StdEncoding.DecodeString(text)
		}
		if err != nil {
			return false, refuse("failed to parse item: failed to parse %s: %v", name, err)
		}
	}
	value, err := convert(item["signature"], asText)
	signature, isText := value.(string)
	if !isText {
		return false, refuse("failed to parse item: failed to parse signature as a string: %v", err)
	}
	signatureContext, _ := item["signature_context"].(string)
	if refusal := o.fitsItem(k, signatureContext); refusal != "" {
		return false, refuse("failed to parse item: %s", refusal)
	}
	version, body, err := k.versionOf(signature, "signature")
	if err != nil {
		return false, err
	}
	raw, err := o.encoding().DecodeString(body)
	if err != nil {
		return false, refuse("invalid base64 signature value")
	}
	return k.verifyDigest(o, version, o.digest(k, decoded[0]), raw, decoded[1])
}

func (k *transitKey) verifyDigest(o signing, version int, digest, raw, context []byte) (bool, error) {
	v, err := k.version(version)
	if err != nil {
		return false, err
	}
	switch private := v.signer.(type) {
	case *ecdsa.PrivateKey:
		var sig ecdsaSignature
		if o.jws {
			half := len(raw) / 2
			sig.R, sig.S = new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])
		} else if rest, err := asn1.Unmarshal(raw, &sig); err != nil {
			return false, refuse("supplied signature is invalid")
		} else if len(rest) > 0 {
			return false, refuse("supplied signature contains extra data")
		}
		return ecdsa.Verify(&private.PublicKey, digest, sig.R, sig.S), nil
	case *rsa.PrivateKey:
		switch o.algorithm {
		case "", "pss":
			if !o.saltFits(private) {
				return false, refuse("requested salt length %d is invalid", o.salt)
			}
			return rsa.VerifyPSS(&private.PublicKey, o.hash, digest, raw, &rsa.PSSOptions{SaltLength: o.salt}) == nil, nil
		case "pkcs1v15":
			return rsa.VerifyPKCS1v15(&private.PublicKey, o.hash, digest, raw) == nil, nil
		}
		return false, break500("unsupported rsa signature algorithm %s", o.algorithm)
	}
	key, err := k.ed25519Key(version, context)
	if err != nil {
		return false, break500("error deriving key: %v", err)
	}
	public, _ := key.Public().(ed25519.PublicKey)
	return ed25519.Verify(public, digest, raw), nil
}
