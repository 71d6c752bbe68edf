package koanfkv

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// convert returns a copy of what Vault holds, made of what koanf knows: koanf keeps and
// changes the maps that it is given.
func (p *Provider) convert(in map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(in))
	for _, key := range slices.Sorted(maps.Keys(in)) { // "db" is before "db.host", so that the outcome is always the same
		value, err := p.plain(in[key])
		if err != nil {
			return nil, err
		}
		into, last := out, key
		for p.delim != "" {
			first, rest, more := strings.Cut(last, p.delim)
			if !more {
				break
			}
			if _, taken := into[first]; !taken {
				into[first] = make(map[string]any)
			}
			below, ok := into[first].(map[string]any)
			if !ok {
				return nil, p.conflict(key)
			}
			into, last = below, rest
		}
		if _, taken := into[last]; taken {
			return nil, p.conflict(key)
		}
		into[last] = value
	}
	return out, nil
}

func (p *Provider) conflict(key string) error {
	return fmt.Errorf("koanfkv: %s: key %q, split at %q, meets another key of the secret: rename one, or give no delimiter", p.path, key, p.delim)
}

func (p *Provider) plain(value any) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		return p.convert(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			var err error
			if list[i], err = p.plain(v[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	case json.Number:
		return number(v.String()), nil
	default:
		return v, nil
	}
}

// number is the first of int64, uint64, float64 and string that loses no digit of it. A
// json.Number is none of them: it is a text to mapstructure, which fails where that meets a
// time.Duration (failure code C4).
func number(text string) any {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return u
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && decimal(strconv.FormatFloat(f, 'e', -1, 64)) == decimal(text) {
		return f
	}
	return text
}

// decimal brings the texts of one number into one form: the digits that count, and the
// power of ten before them.
func decimal(text string) string {
	text, negative := strings.CutPrefix(strings.ToLower(text), "-")
	mantissa, power, _ := strings.Cut(text, "e")
	point, _ := strconv.Atoi(power)
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	point += len(whole) - (len(whole+fraction) - len(digits))
	digits = strings.TrimRight(digits, "0")
	if digits == "" {
		return "0"
	}
	return fmt.Sprintf("%t %s %d", negative, digits, point)
}
