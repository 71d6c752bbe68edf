// Package secret has string and byte types that cannot be printed by accident.
//
// A [String] or [Bytes] shows as "[redacted]" wherever a value is formatted,
// logged or encoded: fmt with any verb, log/slog, encoding/json, encoding/gob,
// encoding/xml. That also holds inside a struct of yours and in an unexported
// field, where fmt does not call methods: the value is kept behind a pointer
// that fmt prints as an address and does not follow. The way out is Reveal; and
// database/sql, which is for values, gets the real one as a query's argument.
//
// Both types are filled by what fills other types: encoding/json, flag (flag.Var and
// flag.TextVar), Scan of database/sql, and each decoder of YAML, TOML or the environment
// that knows [encoding.TextUnmarshaler]. What none of these can take is refused by an
// error that names types and never the value.
//
// A debugger, unsafe, and printers that follow unexported pointers by
// reflection (go-spew, which test diffs use) do see the value.
package secret

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"log/slog"
	"unique"
)

// redacted is what every formatter and encoder gets to see.
const redacted = "[redacted]"

// String is a secret text. The zero value is the empty string. Values compare
// with == by their text, and may be copied and used by many goroutines at once.
type String struct {
	// A unique.Handle is one pointer, comparable by content. A plain *string
	// would hide as well, but two equal secrets would then differ under ==,
	// and a configuration could not be compared with its predecessor.
	h unique.Handle[string]
}

// NewString returns s as a secret.
func NewString(s string) String {
	if s == "" {
		return String{}
	}
	return String{h: unique.Make(s)}
}

// Reveal returns the text. Do not log it.
func (s String) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.h.Value()
}

// IsZero reports whether the text is empty.
func (s String) IsZero() bool { return s == String{} }

// String returns "[redacted]".
func (s String) String() string { return redacted }

// GoString returns "[redacted]", for %#v.
func (s String) GoString() string { return redacted }

// Format writes "[redacted]" whatever the verb: %x and %q included.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns "[redacted]", for log/slog.
func (s String) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON encodes "[redacted]".
func (s String) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// UnmarshalJSON takes a JSON string; null leaves s unchanged.
func (s *String) UnmarshalJSON(b []byte) error {
	var text *string
	if err := json.Unmarshal(b, &text); err != nil {
		return notA(b, String{})
	}
	if text != nil {
		*s = NewString(*text)
	}
	return nil
}

// MarshalText encodes "[redacted]", for encoding/xml, flag and map keys.
func (s String) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText sets the secret to the text, for flag.TextVar and for decoders of
// YAML, TOML and the environment. It never fails.
func (s *String) UnmarshalText(b []byte) error {
	*s = NewString(string(b))
	return nil
}

// Set sets the secret to the text, for flag.Var. It never fails. Remember that others on
// the machine can read a program's arguments.
func (s *String) Set(text string) error {
	*s = NewString(text)
	return nil
}

// Scan takes a text or bytes from database/sql; NULL makes the secret empty, and a
// sql.Null[secret.String] tells the two apart. The error for anything else names its type.
func (s *String) Scan(src any) error {
	text, err := scan(src, String{})
	if err != nil {
		return err
	}
	*s = NewString(text)
	return nil
}

// Value returns the text itself, for database/sql and the drivers: drivers that know
// fmt.Stringer would otherwise store "[redacted]". A secret that is a query's argument is
// seen by whatever logs arguments, and quoted by some drivers' errors where it does not fit
// the column's type. A nil *String is NULL.
func (s String) Value() (driver.Value, error) { return s.Reveal(), nil }

// GobEncode encodes "[redacted]".
func (s String) GobEncode() ([]byte, error) { return []byte(redacted), nil }

// GobDecode refuses: a gob never holds the secret.
func (s *String) GobDecode([]byte) error { return errGob }
