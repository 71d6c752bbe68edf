package vaulttest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// cryptItem is one input of encrypt, decrypt or rewrap.
type cryptItem struct {
	input                 string // the plaintext or ciphertext
	context, nonce, iv    string // base64
	associated, reference string
	padding, repadding    string // of RSA; rewrap has one for each of its halves
	version               int
	rewrap                bool
}

// cryptResult is what came of an item.
type cryptResult struct {
	text    string
	version int
	err     error
}

var (
	encryptFields = schema{
		"name": inPath, "plaintext": asText, "padding_scheme": asText, "context": asText, "nonce": asText, "type": asText,
		"convergent_encryption": asBool, "key_version": asInt, "partial_failure_response_code": asInt,
		"associated_data": asText, "batch_input": asIs, "iv": asText,
	}
	decryptFields = schema{
		"name": inPath, "ciphertext": asText, "padding_scheme": asText, "context": asText, "nonce": asText,
		"partial_failure_response_code": asInt, "associated_data": asText, "batch_input": asIs,
	}
	rewrapFields = schema{
		"name": inPath, "ciphertext": asText, "encrypt_padding_scheme": asText, "decrypt_padding_scheme": asText,
		"context": asText, "nonce": asText, "key_version": asInt, "batch_input": asIs,
	}
)

// cryptItems reads the inputs: those of a batch, or the request's own. Of all or of none of them a
// context is expected.
func cryptItems(f fields, input, missing string, strict bool, read batchReader) (items []cryptItem, bad *reply) {
	refuse := func(r reply) ([]cryptItem, *reply) { return nil, &r }
	raw := []map[string]any{f.values}
	if f.has("batch_input") {
		var err error
		if raw, err = f.batch(strict, read); err != nil {
			return refuse(failed(err))
		}
	} else if !f.has(input) || input == "ciphertext" && f.text(input) == "" {
		return refuse(fail(http.StatusBadRequest, missing))
	}
	for _, values := range raw {
		f := fields{values: values}
		items = append(items, cryptItem{
			input: f.text(input), context: f.text("context"), nonce: f.text("nonce"), iv: f.text("iv"),
			associated: f.text("associated_data"), reference: f.text("reference"), version: f.int("key_version"),
			padding: f.text("padding_scheme") + f.text("decrypt_padding_scheme"), repadding: f.text("encrypt_padding_scheme"),
		})
	}
	for _, item := range items {
		if (item.context == "") != (items[0].context == "") {
			return refuse(fail(http.StatusBadRequest, "context should be set either in all the request blocks or in none"))
		}
	}
	return items, nil
}

// encrypt answers encrypt/NAME. Where there is no such key it makes one, derived if there is a context.
func (e *transitEngine) encrypt(c *call, name string) reply {
	f, bad := c.fields(encryptFields)
	if bad != nil {
		return *bad
	}
	items, bad := cryptItems(f, "plaintext", "missing plaintext to encrypt", true, encryptItems)
	if bad != nil {
		return *bad
	}
	k := e.keys[name]
	if k == nil {
		spec := TransitKeySpec{
			Type: f.textOr("type", "aes256-gcm96"), Derived: items[0].context != "", Convergent: f.bool("convergent_encryption"),
		}
		typ, known := transitTypes[spec.Type]
		switch {
		case spec.Convergent && !spec.Derived:
			return fail(http.StatusBadRequest, "convergent encryption requires derivation to be enabled, so context is required")
		case typ.curve != nil:
			return fail(http.StatusBadRequest, "key type "+spec.Type+" not supported for this operation")
		case spec.Type == "chacha20-poly1305", spec.Type == "managed_key", strings.HasSuffix(spec.Type, "-cbc"):
			return unmodelled("keys of type " + spec.Type)
		case !known, !typ.encrypts():
			return fail(http.StatusBadRequest, "unknown key type "+spec.Type)
		case spec.Derived && !typ.derives:
			return failList(http.StatusInternalServerError, "key derivation and convergent encryption not supported for keys of type "+spec.Type)
		}
		k = e.create(name, spec, c.now)
	}
	results := make([]cryptResult, len(items))
	for i, item := range items {
		results[i] = k.encryptItem(i, item, "padding_scheme")
	}
	return cryptAnswer(f, items, results, "ciphertext")
}

// decrypt answers decrypt/NAME.
func (e *transitEngine) decrypt(c *call, name string) reply {
	f, bad := c.fields(decryptFields)
	if bad != nil {
		return *bad
	}
	items, bad := cryptItems(f, "ciphertext", "missing ciphertext to decrypt", true, decryptItems)
	if bad != nil {
		return *bad
	}
	k := e.keys[name]
	if k == nil {
		return noSuchKey()
	}
	results := make([]cryptResult, len(items))
	for i, item := range items {
		results[i] = k.decryptItem(i, item, "padding_scheme", true)
	}
	return cryptAnswer(f, items, results, "plaintext")
}

// rewrap answers rewrap/NAME: what was encrypted with an older version is encrypted with the latest.
func (e *transitEngine) rewrap(c *call, name string) reply {
	f, bad := c.fields(rewrapFields)
	if bad != nil {
		return *bad
	}
	items, bad := cryptItems(f, "ciphertext", "missing ciphertext to decrypt", false, rewrapItems)
	if bad != nil {
		return *bad
	}
	k := e.keys[name]
	if k == nil {
		return noSuchKey()
	}
	results := make([]cryptResult, len(items))
	for i, item := range items {
		item.associated = "" // rewrap knows none, although a batch may name some
		items[i].rewrap = true
		r := k.decryptItem(i, item, "decrypt_padding_scheme", false)
		if r.err == nil {
			item.input, item.padding = r.text, item.repadding
			r = k.encryptItem(i, item, "encrypt_padding_scheme")
		}
		if isInternal(r.err) {
			return failed(r.err)
		}
		results[i] = r
	}
	return cryptAnswer(f, items, results, "ciphertext")
}

func noSuchKey() reply { return fail(http.StatusBadRequest, "encryption key not found") }

// cryptAnswer puts the results together; output is the name of what they are.
func cryptAnswer(f fields, items []cryptItem, results []cryptResult, output string) reply {
	if f.has("batch_input") {
		return cryptBatch(f, items, results, output)
	}
	if err := results[0].err; err != nil {
		return failed(err)
	}
	return f.ok("transit", results[0].show(map[string]any{}, output))
}

// show puts the result into an object.
func (r cryptResult) show(into map[string]any, output string) map[string]any {
	if into[output] = r.text; output == "ciphertext" {
		into["key_version"] = r.version
	}
	return into
}

// cryptBatch answers a batch: where a part of it has failed with 400, as if all had, or with the
// status that the request wants for it. Rewrap's is 200 always.
func cryptBatch(f fields, items []cryptItem, results []cryptResult, output string) reply {
	status, good := http.StatusOK, false
	var out []map[string]any
	for i, r := range results {
		entry := map[string]any{"reference": items[i].reference}
		out = append(out, entry)
		if r.err == nil {
			good = true
			r.show(entry, output)
			continue
		}
		if entry["error"] = r.err.Error(); output == "plaintext" {
			entry[output] = ""
		}
		switch {
		case items[i].rewrap, isSilent(r.err), status == http.StatusBadRequest:
		case isInternal(r.err):
			status = http.StatusInternalServerError
		default:
			status = http.StatusBadRequest
		}
	}
	data := map[string]any{"batch_results": out}
	if status == http.StatusOK {
		return f.ok("transit", data)
	}
	var warnings []string
	if wanted := f.int("partial_failure_response_code"); good && f.has("partial_failure_response_code") {
		if wanted >= 1 && wanted <= 599 {
			status = wanted
		} else {
			warnings = []string{fmt.Sprintf("invalid HTTP response code override from partial_failure_response_code, reverting to %d", status)}
		}
	}
	return answer(status, envelope{Data: data, Warnings: warnings})
}

// silentError is an error of an item that Vault forgets to count: alone in a batch it is answered
// with 200.
type silentError struct{ text string }

func (e *silentError) Error() string { return e.text }

func isSilent(err error) bool {
	_, silent := err.(*silentError) //nolint:errorlint // never wrapped
	return silent
}

// check decodes the context of an item and looks at what else it names. A nonce is for keys of a
// kind that Vault no longer makes.
func (k *transitKey) check(i int, item cryptItem, paddingName string, nonce bool) (context []byte, err error) {
	if context, err = base64.StdEncoding.DecodeString(item.context); err != nil {
		return nil, refuse("%v", err)
	}
	for _, text := range []string{item.nonce, item.iv} {
		if _, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, refuse("%v", err)
		}
	}
	switch padding := item.padding; {
	case item.nonce != "" && !nonce:
		return nil, refuse("provided nonce not allowed for this key")
	case padding == "":
	case padding != "oaep" && padding != "pkcs1v15":
		return nil, &silentError{fmt.Sprintf("'[%d].%s' invalid: unknown padding scheme: %s", i, paddingName, padding)}
	case k.typ.bits == 0:
		return nil, &silentError{fmt.Sprintf("'[%d].%s' invalid: unsupported key type %s for padding scheme", i, paddingName, k.spec.Type)}
	}
	if item.associated != "" && !k.typ.aead {
		return nil, &silentError{fmt.Sprintf("'[%d].associated_data' provided for non-AEAD cipher suite %s", i, k.spec.Type)}
	}
	return context, nil
}

func (k *transitKey) encryptItem(i int, item cryptItem, paddingName string) cryptResult {
	if _, err := base64.StdEncoding.DecodeString(item.input); err != nil {
		return cryptResult{err: refuse("%v", err)}
	}
	context, err := k.check(i, item, paddingName, false)
	if err != nil {
		return cryptResult{err: err}
	}
	text, version, err := k.seal(item, context)
	return cryptResult{text, version, err}
}

func (k *transitKey) decryptItem(i int, item cryptItem, paddingName string, nonce bool) cryptResult {
	if item.input == "" {
		return cryptResult{err: refuse("missing ciphertext to decrypt")}
	}
	context, err := k.check(i, item, paddingName, nonce)
	if err != nil {
		return cryptResult{err: err}
	}
	if !k.typ.encrypts() {
		return cryptResult{err: refuse("message decryption not supported for key type %s", k.spec.Type)}
	}
	version, body, err := k.versionOf(item.input, "ciphertext")
	if err != nil {
		return cryptResult{err: err}
	}
	sealed, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		return cryptResult{err: refuse("invalid ciphertext: could not decode base64")}
	}
	plain, err := k.unseal(max(version, 1), sealed, item, context)
	return cryptResult{base64.StdEncoding.EncodeToString(plain), 0, err}
}

// dataKey answers datakey/KIND/NAME: a new key for the client's own use, encrypted with this one.
func (e *transitEngine) dataKey(c *call, kind, name string) reply {
	f, bad := c.fields(schema{
		"name": inPath, "plaintext": inPath, "padding_scheme": asText, "context": asText, "nonce": asText, "bits": asInt, "key_version": asInt,
	})
	if bad != nil {
		return *bad
	}
	context, err := base64.StdEncoding.DecodeString(f.text("context"))
	if err != nil {
		return fail(http.StatusBadRequest, "failed to base64-decode context")
	}
	if _, err = base64.StdEncoding.DecodeString(f.text("nonce")); err != nil {
		return fail(http.StatusBadRequest, "failed to base64-decode nonce")
	}
	bits := 256
	if f.has("bits") {
		bits = f.int("bits")
	}
	if bits != 128 && bits != 256 && bits != 512 {
		return fail(http.StatusBadRequest, "invalid bit length")
	}
	if kind != "plaintext" && kind != "wrapped" {
		return fail(http.StatusBadRequest, "Invalid path, must be 'plaintext' or 'wrapped'")
	}
	k := e.keys[name]
	if k == nil {
		return noSuchKey()
	}
	if f.has("padding_scheme") {
		switch padding := f.text("padding_scheme"); {
		case padding != "oaep" && padding != "pkcs1v15":
			return fail(http.StatusBadRequest, "padding_scheme argument invalid: unknown padding scheme: "+padding)
		case k.typ.bits == 0:
			return fail(http.StatusBadRequest, "padding_scheme argument invalid: unsupported key type "+k.spec.Type+" for padding scheme")
		}
	}
	if f.text("nonce") != "" {
		return failList(http.StatusInternalServerError, "provided nonce not allowed for this key")
	}
	plain := base64.StdEncoding.EncodeToString(randomBytes(bits / 8))
	sealed, version, err := k.seal(cryptItem{input: plain, padding: f.text("padding_scheme"), version: f.int("key_version")}, context)
	if err != nil {
		return failed(err)
	}
	data := map[string]any{"ciphertext": sealed, "key_version": version}
	if kind == "plaintext" {
		data["plaintext"] = plain
	}
	return f.ok("transit", data)
}
