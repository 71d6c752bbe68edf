package vaulttest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"time"
)

var transitKeyFields = schema{
	"name": inPath, "type": asText, "derived": asBool, "convergent_encryption": asBool, "exportable": asBool,
	"allow_plaintext_backup": asBool, "context": asText, "auto_rotate_period": asSeconds, "key_size": asInt,
	"managed_key_name": asText, "managed_key_id": asText, "parameter_set": asText, "hybrid_key_type_pqc": asText, "hybrid_key_type_ec": asText,
}

// keyRoute answers keys/NAME and what is below it.
func (e *transitEngine) keyRoute(c *call, m *mount, name, below string) reply {
	k := e.keys[name]
	switch {
	case slices.Contains([]string{"trim", "import", "import_version", "csr", "set-certificate"}, below):
		return unmodelled(m.path + "keys/" + name + "/" + below)
	case below != "" && below != "config" && below != "rotate":
		return unsupportedPath()
	case below != "" && !c.write:
		return unsupportedOperation()
	case below == "config":
		return e.configure(c, name)
	case below == "rotate":
		return e.rotate(c, name)
	case c.write:
		return e.createRoute(c, name)
	case c.method == http.MethodDelete && k == nil:
		return fail(http.StatusBadRequest, "error deleting policy "+name+": could not delete key; not found")
	case c.method == http.MethodDelete && !k.deletable:
		return fail(http.StatusBadRequest, "error deleting policy "+name+": deletion is not allowed for this key")
	case c.method == http.MethodDelete:
		delete(e.keys, name)
		return noContent()
	case c.method != http.MethodGet:
		return unsupportedOperation()
	case k == nil:
		return fail(http.StatusNotFound)
	}
	context, err := base64.StdEncoding.DecodeString(c.query.Get("context"))
	if err != nil {
		return fail(http.StatusBadRequest, "failed to base64-decode context")
	}
	return k.answer(context, nil)
}

func (e *transitEngine) createRoute(c *call, name string) reply {
	f, bad := c.fields(transitKeyFields)
	if bad != nil {
		return *bad
	}
	spec := TransitKeySpec{
		Type: f.textOr("type", "aes256-gcm96"), Derived: f.bool("derived"), Convergent: f.bool("convergent_encryption"),
		Exportable: f.bool("exportable"), KeySize: f.int("key_size"),
	}
	typ, known := transitTypes[spec.Type]
	rotation := f.seconds("auto_rotate_period")
	switch {
	case rotation != 0 && rotation < time.Hour:
		return fail(http.StatusBadRequest, "auto rotate period must be 0 to disable or at least an hour")
	case spec.Convergent && !spec.Derived:
		return fail(http.StatusBadRequest, "convergent encryption requires derivation to be enabled")
	case spec.Type == "chacha20-poly1305" || rotation != 0:
		return unmodelled("keys of type chacha20-poly1305, nor rotation by the clock")
	case !known && enterpriseTypes[spec.Type]:
		return unmodelled("the key types of Vault Enterprise")
	case !known:
		return fail(http.StatusBadRequest, "unknown key type "+spec.Type)
	case spec.KeySize != 0 && spec.Type != "hmac":
		return fail(http.StatusBadRequest, "key_size is not valid for algorithm "+spec.Type)
	case spec.KeySize != 0 && (spec.KeySize < 32 || spec.KeySize > 512):
		return fail(http.StatusBadRequest, fmt.Sprintf("invalid key_size %d", spec.KeySize))
	}
	if k := e.keys[name]; k != nil {
		return k.answer(nil, f.warnings)
	}
	switch {
	case spec.Convergent && spec.Type == "ed25519":
		return failList(http.StatusInternalServerError, "convergent encryption not supported for keys of type "+spec.Type)
	case spec.Derived && !typ.derives:
		return failList(http.StatusInternalServerError, "key derivation and convergent encryption not supported for keys of type "+spec.Type)
	case spec.Type == "hmac" && spec.KeySize == 0:
		return failList(http.StatusInternalServerError, "invalid key size for HMAC key, must be between 32 and 512 bytes")
	}
	k := e.create(name, spec, c.now)
	k.backup = f.bool("allow_plaintext_backup")
	return k.answer(nil, f.warnings)
}

// enterpriseTypes are the key types that the community edition knows by name only.
var enterpriseTypes = map[string]bool{
	"managed_key": true, "aes128-cmac": true, "aes192-cmac": true, "aes256-cmac": true, "ml-dsa": true,
	"hybrid": true, "slh-dsa": true, "aes128-cbc": true, "aes256-cbc": true,
}

func (e *transitEngine) rotate(c *call, name string) reply {
	f, bad := c.fields(schema{"name": inPath, "managed_key_name": asText, "managed_key_id": asText})
	if bad != nil {
		return *bad
	}
	k := e.keys[name]
	if k == nil {
		return fail(http.StatusBadRequest, "key not found")
	}
	k.rotate(c.now)
	return k.answer(nil, f.warnings)
}

var transitConfigFields = schema{
	"name": inPath, "min_decryption_version": asInt, "min_encryption_version": asInt, "deletion_allowed": asBool,
	"exportable": asBool, "allow_plaintext_backup": asBool, "auto_rotate_period": asSeconds,
}

// configure answers keys/NAME/config. Nothing is changed where a part of it is refused.
func (e *transitEngine) configure(c *call, name string) reply {
	f, bad := c.fields(transitConfigFields)
	if bad != nil {
		return *bad
	}
	k := e.keys[name]
	if k == nil {
		return fail(http.StatusBadRequest, "no existing key named "+name+" could be found")
	}
	minDecryption, minEncryption := k.minDecryption, k.minEncryption
	var warnings []string
	if f.has("min_decryption_version") {
		minDecryption = f.int("min_decryption_version")
		if minDecryption == 0 {
			minDecryption = 1
			warnings = append(warnings, "since Vault 0.3, transit key numbering starts at 1; forcing minimum to 1")
		}
	}
	if f.has("min_encryption_version") {
		minEncryption = f.int("min_encryption_version")
	}
	rotation := f.seconds("auto_rotate_period")
	switch {
	case minDecryption < 0:
		return fail(http.StatusBadRequest, "min decryption version cannot be negative")
	case minDecryption > k.latest():
		return fail(http.StatusBadRequest, fmt.Sprintf("cannot set min decryption version of %d, latest key version is %d", minDecryption, k.latest()))
	case minEncryption < 0:
		return fail(http.StatusBadRequest, "min encryption version cannot be negative")
	case minEncryption > k.latest():
		return fail(http.StatusBadRequest, fmt.Sprintf("cannot set min encryption version of %d, latest key version is %d", minEncryption, k.latest()))
	case minEncryption > 0 && minEncryption < minDecryption:
		return fail(http.StatusBadRequest, fmt.Sprintf("cannot set min encryption/decryption values; min encryption version of %d must be greater than or equal to min decryption version of %d", minEncryption, minDecryption))
	case rotation != 0 && rotation < time.Hour:
		return fail(http.StatusBadRequest, "auto rotate period must be 0 to disable or at least an hour")
	case rotation != 0:
		return unmodelled("rotation by the clock")
	}
	k.minDecryption, k.minEncryption = minDecryption, minEncryption
	if f.has("deletion_allowed") {
		k.deletable = f.bool("deletion_allowed")
	}
	k.spec.Exportable = k.spec.Exportable || f.bool("exportable") // there is no way back
	k.backup = k.backup || f.bool("allow_plaintext_backup")
	return k.answer(nil, append(warnings, f.warnings...))
}
