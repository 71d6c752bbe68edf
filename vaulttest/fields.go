package vaulttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// secondsField reads a duration as Vault's fields take it: a number of seconds, or text with or
// without a unit. Absent is zero.
func secondsField(params map[string]any, name string) (time.Duration, *reply) {
	d, err := parseSeconds(params[name])
	if err != nil {
		r := fail(http.StatusBadRequest, fmt.Sprintf("Field validation failed: error converting input for field %q: %v", name, err))
		return 0, &r
	}
	return d, nil
}

var errNegative = errors.New("cannot provide negative value")

func parseSeconds(v any) (time.Duration, error) {
	var text string
	switch v := v.(type) {
	case nil:
		return 0, nil
	case json.Number:
		text = v.String()
	case string:
		text = v
	default:
		return 0, fmt.Errorf("could not parse duration from input")
	}
	if text == "" {
		return 0, nil
	}
	var d time.Duration
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		// Beyond any TTL the exact figure no longer matters, and the product would overflow.
		d = time.Duration(max(min(n, 1e9), -1e9)) * time.Second
	} else if days, found := strings.CutSuffix(text, "d"); found {
		n, err := strconv.ParseInt(days, 10, 16)
		if err != nil {
			return 0, err
		}
		d = time.Duration(n) * 24 * time.Hour
	} else if d, err = time.ParseDuration(text); err != nil {
		return 0, err
	}
	if d < 0 {
		return 0, fmt.Errorf("%w '%s'", errNegative, text)
	}
	return d, nil
}

func textField(params map[string]any, name string) string {
	s, _ := params[name].(string)
	return s
}

func intField(params map[string]any, name string) int {
	switch v := params[name].(type) {
	case json.Number:
		n, _ := v.Int64()
		return int(n)
	case string:
		n, _ := strconv.Atoi(v)
		return n
	}
	return 0
}

func boolField(params map[string]any, name string, absent bool) bool {
	switch v := params[name].(type) {
	case bool:
		return v
	case string:
		if b, err := strconv.ParseBool(v); err == nil {
			return b
		}
	}
	return absent
}

// listField reads a list of texts, which Vault also takes as one text with commas.
func listField(params map[string]any, name string) []string {
	var out []string
	switch v := params[name].(type) {
	case string:
		for s := range strings.SplitSeq(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	case []any:
		for _, e := range v {
			if s, isText := e.(string); isText {
				out = append(out, s)
			}
		}
	}
	return out
}

// versionsField reads a list of version numbers.
func versionsField(params map[string]any) ([]int, *reply) {
	var texts []string
	switch v := params["versions"].(type) {
	case nil:
		return nil, nil
	case []any:
		for _, e := range v {
			texts = append(texts, fmt.Sprint(e))
		}
	default:
		texts = strings.Split(fmt.Sprint(v), ",")
	}
	var out []int
	for i, text := range texts {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			r := fail(http.StatusBadRequest, fmt.Sprintf("Field validation failed: error converting input for field \"versions\": 1 error(s) decoding:\n\n* cannot parse '[%d]' as int: strconv.ParseInt: parsing %q: invalid syntax", i, text))
			return nil, &r
		}
		out = append(out, n)
	}
	return out, nil
}

// jsonKind names a value's type as Vault's messages do.
func jsonKind(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "bool"
	case json.Number:
		return "string" // Vault keeps numbers as text here, too
	}
	return "slice"
}
