package vaulttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// convert gives a value of a JSON body the type that a field has, as forgivingly as Vault.
func convert(v any, typ fieldType) (any, error) {
	if n, isNumber := v.(json.Number); isNumber && typ != asIs {
		v = n.String() // Vault, too, keeps numbers as written
	}
	text, isText := v.(string)
	switch typ {
	case asText:
		switch v := v.(type) {
		case nil:
			return "", nil
		case string:
			return v, nil
		case bool:
			return bit(v), nil
		}
		return nil, fmt.Errorf("'' expected type 'string', got unconvertible type '%T', value: '%v'", v, v)
	case asInt:
		switch {
		case v == nil:
			return 0, nil
		case v == true:
			return 1, nil
		case v == false, text == "" && isText:
			return 0, nil
		case !isText:
			return nil, fmt.Errorf("'' expected type 'int', got unconvertible type '%T', value: '%v'", v, v)
		}
		n, err := strconv.ParseInt(text, 0, 64)
		if err != nil {
			return nil, fmt.Errorf("cannot parse '' as int: %w", err)
		}
		return int(n), nil
	case asBool:
		b, isBool := v.(bool)
		switch {
		case v == nil, isText && text == "":
			return false, nil
		case isBool:
			return b, nil
		case !isText:
			return nil, fmt.Errorf("'' expected type 'bool', got unconvertible type '%T', value: '%v'", v, v)
		}
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("cannot parse '' as bool: %w", err)
		}
		return b, nil
	case asSeconds, asSignedSeconds:
		if v == nil {
			return nil, nil //nolint:nilnil // null is the same as no field.
		}
		d, err := convertSeconds(v)
		if err == nil && d < 0 && typ == asSeconds {
			err = fmt.Errorf("cannot provide negative value '%d'", int64(d.Seconds()))
		}
		return d, err
	case asTexts:
		return convertTexts(v)
	case asList:
		return convertList(v)
	case asPairs:
		return convertPairs(v)
	case asInts:
		return convertInts(v)
	case asObject:
		return convertObject(v, "")
	case asIs, inPath:
	}
	return v, nil
}

func convertTexts(v any) (any, error) {
	var out []string
	var bad decodeErrors
	switch v := v.(type) {
	case nil:
	case string:
		if v != "" {
			out = strings.Split(v, ",")
		}
	case bool:
		out = []string{bit(v)}
	case []any:
		for i, e := range v {
			if value, _ := convert(e, asText); value == nil {
				bad = append(bad, fmt.Sprintf("'[%d]' expected type 'string', got unconvertible type '%T', value: '%v'", i, e, e))
			} else {
				out = append(out, fmt.Sprint(value))
			}
		}
	case map[string]any:
		if len(v) > 0 {
			bad = append(bad, fmt.Sprintf("'[0]' expected type 'string', got unconvertible type '%T', value: '%v'", v, v))
		}
	}
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	if bad != nil {
		return nil, bad
	}
	return out, nil
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// decodeErrors has the form in which Vault's decoder reports all that it could not convert.
type decodeErrors []string

func (e decodeErrors) Error() string {
	points := slices.Sorted(slices.Values(e))
	return fmt.Sprintf("%d error(s) decoding:\n\n* %s", len(e), strings.Join(points, "\n* "))
}

// convertObject also takes a list of objects, which it makes one of.
func convertObject(v any, name string) (map[string]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil //nolint:nilnil // null is no object, but no error either.
	case map[string]any:
		return v, nil
	case bool:
		return nil, fmt.Errorf("'%s' expected a map, got 'bool'", name)
	case []any:
		out := map[string]any{}
		for i, e := range v {
			object, err := convertObject(e, fmt.Sprintf("%s[%d]", name, i))
			if err != nil {
				return nil, err
			}
			maps.Copy(out, object)
		}
		return out, nil
	}
	return nil, fmt.Errorf("'%s' expected a map, got 'string'", name) // numbers, too, are texts to Vault
}

// convertInts takes a list, one number, or a text of numbers with commas.
func convertInts(v any) ([]int, error) {
	list := []any{v}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		list = v
	case map[string]any:
		if len(v) == 0 {
			return nil, nil
		}
	case string:
		list = nil
		if v != "" {
			for text := range strings.SplitSeq(v, ",") {
				list = append(list, text)
			}
		}
	}
	var out []int
	var bad decodeErrors
	for i, e := range list {
		n, err := convert(e, asInt)
		if err != nil {
			bad = append(bad, strings.Replace(err.Error(), "''", fmt.Sprintf("'[%d]'", i), 1))
			continue
		}
		number, _ := n.(int)
		out = append(out, number)
	}
	if bad != nil {
		return nil, bad
	}
	return out, nil
}

// convertSeconds reads a duration, of which Vault keeps whole seconds: a number of them, or a text
// with or without a unit. It may be negative.
func convertSeconds(v any) (time.Duration, error) {
	if n, isNumber := v.(json.Number); isNumber {
		v = n.String()
	}
	text, isText := v.(string)
	switch {
	case v == nil, isText && text == "":
		return 0, nil
	case !isText:
		return 0, errors.New("could not parse duration from input")
	}
	d, err := durationOf(text)
	return d.Truncate(time.Second), err
}

// convertList reads a list of texts; a single text is a list of one.
func convertList(v any) (any, error) {
	if text, isText := v.(string); isText && text != "" {
		v = []any{text}
	}
	return convertTexts(v)
}

// convertPairs reads an object of texts, or a list of texts such as "key=value".
func convertPairs(v any) (any, error) {
	out := map[string]string{}
	var pairs []any
	switch v := v.(type) {
	case nil:
		return nil, nil //nolint:nilnil // null is the same as no field.
	case map[string]any:
		for k, e := range v {
			text, err := convertText(e)
			if err != nil {
				return nil, decodeErrors{fmt.Sprintf("'[0]' expected type 'string', got unconvertible type '%T', value: '%v'", v, v)}
			}
			out[k] = text
		}
		return out, nil
	case []any:
		pairs = v
	default:
		pairs = []any{v}
	}
	for _, pair := range pairs {
		text, err := convertText(pair)
		if err != nil {
			return nil, err
		}
		key, value, found := strings.Cut(text, "=")
		if !found {
			return nil, fmt.Errorf("invalid key pair %q", text)
		}
		out[key] = value
	}
	return out, nil
}

func convertText(v any) (string, error) {
	converted, err := convert(v, asText)
	text, _ := converted.(string)
	return text, err
}
