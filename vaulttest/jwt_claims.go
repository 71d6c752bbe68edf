package vaulttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// expectedClaims are what a JWT must say. Empty fields ask nothing. A leeway of zero is Vault's
// default, a negative one none at all.
type expectedClaims struct {
	issuer, subject                                    string
	audiences                                          []string
	expirationLeeway, notBeforeLeeway, clockSkewLeeway time.Duration
	timeless                                           bool // may come without exp, nbf and iat
}

// registeredClaims are those that every JWT library knows.
type registeredClaims struct {
	Issuer    string      `json:"iss"`
	Subject   string      `json:"sub"`
	Audience  jwtAudience `json:"aud"`
	Expiry    jwtDate     `json:"exp"`
	NotBefore jwtDate     `json:"nbf"`
	IssuedAt  jwtDate     `json:"iat"`
	ID        string      `json:"jti"`
}

func registered(claims map[string]any) (c registeredClaims, err error) {
	text, err := json.Marshal(claims)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		wrong.Struct = "Claims" // as Vault's has it
	}
	return c, err
}

// jwtDate is a time in seconds since 1970; zero: none.
type jwtDate int64

func (d jwtDate) time() time.Time { return time.Unix(int64(d), 0) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *jwtDate) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return errors.New("go-jose/go-jose/jwt: expected number value to unmarshal NumericDate")
	}
	*d = jwtDate(f)
	return nil
}

type jwtAudience []string

// UnmarshalJSON implements json.Unmarshaler: one audience may stand without a list.
func (a *jwtAudience) UnmarshalJSON(text []byte) error {
	var one *string
	if json.Unmarshal(text, &one) == nil && one != nil {
		*a = jwtAudience{*one}
		return nil
	}
	var many []*string
	if json.Unmarshal(text, &many) != nil || many == nil || slices.Contains(many, nil) {
		return errors.New("go-jose/go-jose/jwt: expected string or array value to unmarshal to Audience")
	}
	for _, e := range many {
		*a = append(*a, *e)
	}
	return nil
}

// check is what Vault checks of any JWT, in its order and words. Its leeways are generous: a token
// counts for a minute after its exp.
func (e expectedClaims) check(claims map[string]any, now time.Time) error {
	c, err := registered(claims)
	fits := func(a string) bool { return slices.Contains(c.Audience, a) }
	timeless := c.Expiry == 0 && c.NotBefore == 0 && c.IssuedAt == 0
	switch {
	case err != nil:
		return err
	case e.issuer != "" && e.issuer != c.Issuer:
		return errors.New("invalid issuer (iss) claim")
	case e.subject != "" && e.subject != c.Subject:
		return errors.New("invalid subject (sub) claim")
	case len(e.audiences) > 0 && !slices.ContainsFunc(e.audiences, fits):
		return errors.New("invalid audience (aud) claim: audience claim does not match any expected audience")
	case timeless && e.timeless:
		return nil
	case timeless:
		return errors.New("no issued at (iat), not before (nbf), or expiration time (exp) claims in token")
	}
	if c.Expiry == 0 {
		c.Expiry = max(c.IssuedAt, c.NotBefore) + jwtDate(seconds(leeway(e.expirationLeeway, 150*time.Second)))
	}
	switch {
	case c.NotBefore == 0 && c.IssuedAt != 0:
		c.NotBefore = c.IssuedAt
	case c.NotBefore == 0:
		c.NotBefore = c.Expiry - jwtDate(seconds(leeway(e.notBeforeLeeway, 150*time.Second)))
	}
	skew := leeway(e.clockSkewLeeway, time.Minute)
	switch {
	case now.Add(skew).Before(c.NotBefore.time()):
		return errors.New("invalid not before (nbf) claim: token not yet valid")
	case now.Add(-skew).After(c.Expiry.time()):
		return errors.New("invalid expiration time (exp) claim: token is expired")
	case now.Add(skew).Before(c.IssuedAt.time()):
		return errors.New("invalid issued at (iat) claim: token issued in the future")
	}
	return nil
}

func leeway(given, standard time.Duration) time.Duration {
	if given == 0 {
		return standard
	}
	return max(given, 0)
}

// claimAt is the claim of that name, or at that place: a name that begins with a slash is a JSON
// pointer. Nil if there is none.
func claimAt(claims map[string]any, name string) any {
	var value any = claims
	if path, isPointer := strings.CutPrefix(name, "/"); isPointer {
		for key := range strings.SplitSeq(path, "/") {
			key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
			switch v := value.(type) {
			case map[string]any:
				value = v[key]
			case []any:
				i, err := strconv.Atoi(key)
				if err != nil || i < 0 || i >= len(v) {
					return nil
				}
				value = v[i]
			default:
				return nil
			}
		}
	} else {
		value = claims[name]
	}
	if n, isNumber := value.(float64); isNumber {
		return json.Number(strconv.Itoa(int(n))) // as Vault compares numbers; those in a list it does not
	}
	return value
}

// boundClaims checks the claims that a role binds.
func boundClaims(bound, claims map[string]any, globs bool) error {
	for _, name := range sortedKeys(bound) {
		claim := claimAt(claims, name)
		if claim == nil {
			return fmt.Errorf("claim %q is missing", name)
		}
		actual, isList := listOfClaims(claim)
		if !isList {
			return fmt.Errorf("received claim is not a string, bool, int or list: %v", claim)
		}
		expected, isList := listOfClaims(bound[name])
		if !isList {
			return fmt.Errorf("bound claim is not a string, bool, int or list: %v", bound[name])
		}
		if !slices.ContainsFunc(expected, func(e any) bool {
			return slices.ContainsFunc(actual, func(a any) bool { return claimFits(e, a, globs) })
		}) {
			return fmt.Errorf("claim %q does not match any associated bound claim values", name)
		}
	}
	return nil
}

func claimFits(expected, actual any, globs bool) bool {
	if !globs {
		return reflect.DeepEqual(expected, actual)
	}
	pattern, _ := expected.(string)
	text, isText := actual.(string)
	return isText && globFits(pattern, text)
}

func listOfClaims(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case string, bool, json.Number:
		return []any{v}, true
	}
	return nil, false
}

// globFits tells whether text is as the pattern has it, in which each "*" stands for anything.
func globFits(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return text == pattern
	}
	last := len(parts) - 1
	for i, part := range parts[:last] {
		at := strings.Index(text, part)
		if at < 0 || i == 0 && at != 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return strings.HasSuffix(text, parts[last])
}
