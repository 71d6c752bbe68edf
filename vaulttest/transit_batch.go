package vaulttest

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// batchReader reads one element of a batch_input, and says what of it cannot be read. Vault has a
// way of its own for each kind of request, and of each its own messages.
type batchReader func(i int, from map[string]any) (item map[string]any, bad []string)

// batch reads the request's batch_input, which is there. The strict way is that of encrypt and
// decrypt.
func (f fields) batch(strict bool, read batchReader) ([]map[string]any, error) {
	raw := f.values["batch_input"]
	list, isList := raw.([]any)
	switch {
	case isList:
	case strict:
		return nil, break500("failed to parse batch input: source data must be an array or slice, got %T", raw)
	default:
		return nil, break500("failed to parse batch input: '': source data must be an array or slice, got %s", goKind(raw))
	}
	var out []map[string]any
	var bad decodeErrors
	for i, element := range list {
		from, isObject := element.(map[string]any)
		switch {
		case isObject:
		case strict:
			return nil, break500("failed to parse batch input: [%d] expected a map, got '%T'", i, element)
		case element != nil:
			bad = append(bad, fmt.Sprintf("'[%d]' expected a map, got '%s'", i, goKind(element)))
		}
		item, wrong := read(i, from)
		out, bad = append(out, item), append(bad, wrong...)
	}
	switch {
	case bad != nil:
		return nil, break500("failed to parse batch input: %v", bad)
	case out == nil:
		return nil, refuse("missing batch input to process")
	}
	return out, nil
}

// goKind names the type of a JSON value as Vault's decoder does.
func goKind(v any) string {
	switch v.(type) {
	case map[string]any:
		return "map"
	case []any:
		return "slice"
	case bool:
		return "bool"
	}
	return "string"
}

func encryptItems(i int, from map[string]any) (map[string]any, []string) {
	return strictItem(i, from, "plaintext", "missing plaintext to encrypt")
}

func decryptItems(i int, from map[string]any) (map[string]any, []string) {
	return strictItem(i, from, "ciphertext", "missing ciphertext to decrypt")
}

// strictItem takes texts for texts only, not numbers.
func strictItem(i int, from map[string]any, input, missing string) (item map[string]any, bad []string) {
	item = map[string]any{}
	for _, name := range []string{"context", "ciphertext", "plaintext", "padding_scheme", "nonce", "associated_data", "reference", "iv"} {
		value, has := from[name]
		text, isText := value.(string)
		switch {
		case !has && name == input:
			bad = append(bad, fmt.Sprintf("'[%d].%s' %s", i, input, missing))
		case !has, value == nil && name != "plaintext" && name != "padding_scheme":
		case isText:
			item[name] = text
		default:
			bad = append(bad, fmt.Sprintf("'[%d].%s' expected type 'string', got unconvertible type '%T'", i, name, value))
		}
	}
	switch n := from["key_version"].(type) {
	case nil:
	case json.Number:
		version, err := strconv.Atoi(n.String())
		if err != nil {
			bad = append(bad, fmt.Sprintf("error decoding %T into [%d].key_version: strconv.ParseInt: parsing %q: invalid syntax", n, i, n))
		}
		item["key_version"] = version
	default:
		bad = append(bad, fmt.Sprintf("'[%d].key_version' expected type 'int', got unconvertible type '%T'", i, n))
	}
	return item, bad
}

func rewrapItems(i int, from map[string]any) (item map[string]any, bad []string) {
	item = map[string]any{}
	for _, name := range []string{
		"context", "ciphertext", "nonce", "associated_data", "reference", "encrypt_padding_scheme", "decrypt_padding_scheme",
	} {
		if text, wrong := itemText(fmt.Sprintf("[%d].%s", i, name), from[name]); wrong != "" {
			bad = append(bad, wrong)
		} else {
			item[name] = text
		}
	}
	name := fmt.Sprintf("[%d].key_version", i)
	switch n := from["key_version"].(type) {
	case nil:
	case json.Number:
		version, err := n.Int64()
		if err != nil {
			bad = append(bad, fmt.Sprintf("error decoding json.Number into %s: %v", name, err))
		}
		item["key_version"] = int(version)
	default:
		bad = append(bad, fmt.Sprintf("'%s' expected type 'int', got unconvertible type '%T', value: '%v'", name, n, n))
	}
	return item, bad
}

// textItems reads the items of sign and hmac, of which everything must be text.
func textItems(i int, from map[string]any) (item map[string]any, bad []string) {
	item = map[string]any{}
	for name, value := range from {
		if text, wrong := itemText(fmt.Sprintf("[%d][%s]", i, name), value); wrong != "" {
			bad = append(bad, wrong)
		} else {
			item[name] = text
		}
	}
	return item, bad
}

// anyItems reads the items of verify, which are looked at one by one.
func anyItems(_ int, from map[string]any) (map[string]any, []string) { return from, nil }

func itemText(name string, value any) (text, bad string) {
	switch value := value.(type) {
	case nil:
		return "", ""
	case string:
		return value, ""
	case json.Number:
		return value.String(), ""
	}
	return "", fmt.Sprintf("'%s' expected type 'string', got unconvertible type '%T', value: '%v'", name, value, value)
}
