package leasehold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/members"
)

var durationType = reflect.TypeFor[time.Duration]()

// relax rewrites what encoding/json would refuse in a value of type t, for vault kv put
// stores strings: a text that is exactly a JSON number or true or false, where t wants that;
// and a duration as Go writes it. A number is refused for a duration: it would be
// nanoseconds to Go and seconds to Vault.
func (f *field) relax(t reflect.Type, raw json.RawMessage, at string) (json.RawMessage, error) {
	if isNull(raw) {
		return raw, nil
	}
	text, isText := textOf(raw)
	switch {
	case t == durationType:
		d, err := time.ParseDuration(text)
		if err != nil || !isText {
			return nil, f.misfit(at, `time.Duration such as "30s"`, raw)
		}
		return json.Marshal(int64(d))
	case decodesItself(t):
		return raw, nil
	}
	switch k := t.Kind(); {
	case k == reflect.Pointer:
		return f.relax(t.Elem(), raw, at)
	case k == reflect.Bool && isText && (text == "true" || text == "false"),
		k >= reflect.Int && k <= reflect.Float64 && isText && isNumber(text):
		return json.RawMessage(text), nil
	case k == reflect.Struct && kindOf(raw) == "object":
		all := members.Of(t)
		return f.relaxEach(raw, func(_ int, name string, value json.RawMessage) (json.RawMessage, error) {
			if m, ok := all.Named(name); ok && !m.Quoted { // which is a text in any case
				return f.relax(m.Type, value, join(at, name))
			}
			return value, nil
		})
	case k == reflect.Map && kindOf(raw) == "object":
		return f.relaxEach(raw, func(_ int, _ string, value json.RawMessage) (json.RawMessage, error) {
			return f.relax(t.Elem(), value, join(at, "[*]"))
		})
	case (k == reflect.Slice || k == reflect.Array) && kindOf(raw) == "array":
		return f.relaxEach(raw, func(i int, _ string, value json.RawMessage) (json.RawMessage, error) {
			return f.relax(t.Elem(), value, join(at, fmt.Sprintf("[%d]", i)))
		})
	}
	return raw, nil
}

// isNumber reports whether text is a JSON number.
func isNumber(text string) bool {
	return text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9') && json.Valid([]byte(text)) && strings.TrimSpace(text) == text
}

// relaxEach calls one for each value in an object or array, and puts together what it
// returns, in the same order: of names that occur twice, the last counts.
func (f *field) relaxEach(raw json.RawMessage, one func(i int, name string, value json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	object := kindOf(raw) == "object"
	if _, err := dec.Token(); err != nil {
		return raw, nil //nolint:nilerr // for the decoder to say
	}
	var out bytes.Buffer
	out.WriteByte(bytes.TrimSpace(raw)[0])
	for n := 0; dec.More(); n++ {
		if n > 0 {
			out.WriteByte(',')
		}
		var name string
		if object {
			token, err := dec.Token()
			if err != nil {
				return raw, nil //nolint:nilerr // for the decoder to say
			}
			name, _ = token.(string)
			quoted, err := json.Marshal(name)
			if err != nil {
				return raw, nil //nolint:nilerr // for the decoder to say
			}
			out.Write(quoted)
			out.WriteByte(':')
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return raw, nil //nolint:nilerr // for the decoder to say
		}
		relaxed, err := one(n, name, value)
		if err != nil {
			return nil, err
		}
		out.Write(relaxed)
	}
	end, err := dec.Token()
	if err != nil {
		return raw, nil //nolint:nilerr // for the decoder to say
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return raw, nil // there is more behind the end, which the decoder refuses
	}
	fmt.Fprint(&out, end)
	return out.Bytes(), nil
}
