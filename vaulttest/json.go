package vaulttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Vault's default limits of a JSON body.
const (
	maxJSONDepth   = 300
	maxJSONText    = 1 << 20
	maxJSONEntries = 10000
	maxJSONTokens  = 500000
)

// checkJSON refuses a body that goes beyond Vault's limits, names a key twice, or ends too early.
// What does not begin as an object or array passes.
func checkJSON(body []byte) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '{' && body[0] != '[' {
		return nil
	}
	var levels []*jsonLevel
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	for tokens := 1; ; tokens++ {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("malformed JSON, unclosed containers")
		case err != nil:
			return err
		case tokens > maxJSONTokens:
			return errors.New("JSON payload exceeds allowed token count")
		}
		delim, _ := token.(json.Delim)
		if delim == '}' || delim == ']' {
			if levels = levels[:len(levels)-1]; len(levels) > 0 {
				continue
			}
			if rest := bytes.TrimSpace(body[d.InputOffset():]); len(rest) > 0 {
				return fmt.Errorf("invalid character '%c' after top-level value", rest[0])
			}
			return nil
		}
		if len(levels) > 0 {
			if err := levels[len(levels)-1].add(token); err != nil {
				return err
			}
		}
		if delim != 0 {
			levels = append(levels, &jsonLevel{object: delim == '{', keys: map[string]bool{}})
		}
		if len(levels) > maxJSONDepth {
			return errors.New("JSON input exceeds allowed nesting depth")
		}
	}
}

// jsonLevel is an object or an array that is being read.
type jsonLevel struct {
	object, onValue bool // onValue: the key has been read
	keys            map[string]bool
	entries         int
}

// add counts what comes next in the object or array.
func (l *jsonLevel) add(token json.Token) error {
	text, isText := token.(string)
	if isText && len(text) > maxJSONText {
		return errors.New("JSON string value exceeds allowed length")
	}
	if l.onValue {
		l.onValue = false
		return nil
	}
	l.entries++
	switch {
	case l.object && l.keys[text]:
		return fmt.Errorf("duplicate key '%s' in object", text)
	case l.object && l.entries > maxJSONEntries:
		return errors.New("JSON object exceeds allowed entry count")
	case l.entries > maxJSONEntries:
		return errors.New("JSON array exceeds allowed element count")
	case l.object:
		l.keys[text], l.onValue = true, true
	}
	return nil
}

// decodeObject reads one JSON object and keeps its numbers as written: a float64 would spoil those
// above 2^53.
func decodeObject(body []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		return nil, err
	}
	if out == nil {
		out = map[string]any{}
	}
	return out, nil
}

func textField(params map[string]any, name string) string {
	s, _ := params[name].(string)
	return s
}
