package session

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// FuzzScrub (law 20): a secret does not survive, whatever text somebody has put around it.
// Mutation: a token counts only where a word begins.
func FuzzScrub(f *testing.F) {
	body := strings.Repeat("Qx7", 8) // 24 letters and digits, of which any part gives it away
	long := strings.Repeat("Qx7-Kw_9", 12)
	canaries := map[string][]string{ // the whole, and the parts that must not be seen
		"hvs." + long:                      {long},
		"hvb." + long:                      {long},
		"hvr." + body:                      {body},
		"s." + body:                        {body},
		"r." + body:                        {body},
		"b." + body:                        {body},
		"b." + long:                        {long},
		"eyJQx7.eyJ" + body + ".Zw" + body: {"eyJQx7", body},
		"database/creds/app/" + body:       {body},
	}
	for _, around := range [][2]string{
		{"", ""}, {"bad token ", ", at vault"}, {"x", "x"}, {"token=", "&y=z"}, {"hvs.abcdefgh", ".tail"}, {"s.aaaaaaaaaaaaaaaaaaaaaaa", "/"},
		{"eyJ.a.", "."}, {"eyJ.", "\x00"}, {"b.", "-_."}, {"\xff", "\xff"}, {"https://h/v1/", "?x"}, {"\n\t\"", "\"\r\n"}, {"hv", "s."}, {"/", "A"},
	} {
		f.Add(around[0], around[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		for canary, parts := range canaries {
			text := before + canary + after
			e := &Error{Op: "read", Path: "p", Vault: vaultTexts([]string{text}), Err: errors.New(text)}
			for _, part := range parts {
				if strings.Contains(before+after, part) {
					return // it has found out
				}
				for _, got := range []string{scrub(text), e.Error()} {
					if strings.Contains(got, part) {
						t.Errorf("%q of %q survives in %q", part, text, got)
					}
				}
			}
		}
	})
}

// logins are answers to a login, or to the lookup of a given token.
var logins = []string{
	`{"auth":{"client_token":"hvs.x","lease_duration":3600,"renewable":true,"token_type":"service","policies":["app"]}}`,
	`{"auth":{"client_token":"hvb.x","lease_duration":1,"token_type":"batch"}}`,
	`{"auth":{"client_token":"hvs.x","lease_duration":3600,"num_uses":5}}`,
	`{"auth":{"client_token":"hvs.x","lease_duration":0,"policies":["root"]}}`,
	`{"auth":{"client_token":"hvs.x","lease_duration":0,"policies":["app"]}}`,
	`{"auth":{"client_token":"hvs.x"}}`, `{"auth":{"client_token":"hvs.x","lease_duration":-1}}`,
	`{"auth":{"client_token":"hvs.x","lease_duration":9223372036854775807}}`,
	`{"auth":{"client_token":""}}`, `{"auth":null}`, `{}`, `{"auth":{"client_token":"x","mfa_requirement":{}}}`,
	`{"auth":{"client_token":"hvs.x","lease_duration":60},"data":{"ttl":60,"creation_ttl":3600,"num_uses":-1,"type":"service"}}`,
	`{"auth":{"client_token":"hvs.x","lease_duration":0},"data":{"ttl":0,"expire_time":null}}`,
	`{"auth":{"client_token":"hvs.x","lease_duration":0},"data":{"ttl":0,"expire_time":"2026-01-01T00:00:00Z"}}`,
	`{"auth":{"client_token":"hvs.x","lease_duration":5},"data":{"ttl":5,"num_uses":"3","creation_ttl":1e99,"type":7}}`,
}

// FuzzNewToken (laws 8, 9): nothing panics, no time is negative, and nothing is endless or
// without limit that does not say so. Mutation: a login that says nothing of an end has none.
func FuzzNewToken(f *testing.F) {
	for _, l := range logins {
		f.Add([]byte(l))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		answer, err := api.ParseSecret(bytes.NewReader(body))
		if err != nil {
			return
		}
		peek := &loginPeek{}
		peek.note(body)
		tok, err := newToken(answer, peek, lease.Instant{Mono: time.Hour}, false)
		if err != nil {
			if tok != nil {
				t.Error("a token and an error")
			}
			return
		}
		l := tok.grant.Lease()
		if l.TTL < 0 || l.Asked < 0 || tok.grant.Left(lease.Instant{Mono: time.Hour}) <= 0 {
			t.Errorf("negative: %+v", l)
		}
		expires, told := answer.Data["expire_time"]
		if l.TTL == 0 && !slices.Contains(tok.policies, "root") && (!told || expires != nil) {
			t.Errorf("endless: %s", body)
		}
		if uses := tok.uses.Load(); uses < 0 || tok.limited != (uses > reservedUses) {
			t.Errorf("%d uses, limited %t", uses, tok.limited)
		}
		if l.Renewable && (tok.limited || tok.kind == "batch") {
			t.Errorf("renewable: %s", body)
		}
		if tok.value.IsZero() {
			t.Error("empty")
		}
	})
}

// FuzzRenewed (law 4): an answer without a number is no answer; nothing that does not say so
// is taken for more time. Mutation: a missing number is taken for none left.
func FuzzRenewed(f *testing.F) {
	for _, l := range logins {
		f.Add([]byte(l))
	}
	f.Add([]byte(`{"auth":{"lease_duration":10,"renewable":true},"warnings":["TTL of \"1h\" exceeded the effective max_ttl of \"10s\"; TTL value is capped accordingly"]}`))
	f.Add([]byte(`{"auth":{}}`))
	f.Add([]byte(`{"auth":{"lease_duration":null}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := renewed(body)
		if l.TTL < 0 || (err != nil && l != lease.Lease{}) {
			t.Errorf("%+v, %v", l, err)
		}
		if err == nil && !bytes.Contains(bytes.ToLower(body), []byte("lease_duration")) && !bytes.Contains(body, []byte(`\u`)) && isASCII(body) {
			t.Errorf("%s has no number", body)
		}
	})
}

// isASCII: encoding/json folds some other letters into those of a field's name.
func isASCII(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 })
}

// FuzzLookedUp (law 9): what is left is never negative, and endless is only what says so.
// Mutation: a TTL of 0 is taken for no end.
func FuzzLookedUp(f *testing.F) {
	for _, s := range []string{
		`{"data":{"ttl":60,"renewable":true,"type":"service","expire_time":"2026-01-01T00:00:00Z"}}`, `{"data":{"ttl":0,"expire_time":null}}`,
		`{"data":{"ttl":0,"expire_time":"2026-01-01T00:00:00Z"}}`, `{"data":{"ttl":0}}`, `{"data":{}}`, `{"data":null}`, `null`, `{"data":{"ttl":-5}}`,
		`{"data":{"ttl":1,"renewable":true,"type":"batch"}}`, `{"data":{"ttl":9223372036854775807}}`, `{"data":{"ttl":"60"}}`, `{"data":{"ttl":1.5}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := lookedUp(body)
		switch {
		case err != nil && l != lease.Lease{}:
			t.Errorf("%+v beside %v", l, err)
		case err != nil:
		case l.TTL < 0, l.Asked != 0:
			t.Errorf("%+v", l)
		case l.TTL == 0 && !bytes.Contains(body, []byte("null")):
			t.Errorf("endless: %s", body)
		}
	})
}
