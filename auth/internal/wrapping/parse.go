package wrapping

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode"
)

// Text is what a source says about a token.
type Text struct {
	Token string
	// Wrapped says that the source calls Token a wrapping token.
	Wrapped bool
	// Path is where the source says that the wrapping token was made; empty: it does not.
	Path string
}

type info struct {
	Token        string `json:"token"`
	CreationPath string `json:"creation_path"`
}

// Parse reads a token as people and tools write it: its text alone, the JSON that Vault Agent
// writes into a sink with wrap_ttl, or Vault's answer as the vault command prints it with
// -format=json. No error contains any of the text. What was cut short is refused where
// that can be seen, so that nobody asks Vault about half a token (failure code A11).
func Parse(text string) (Text, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") {
		return Text{Token: text}, whole(text)
	}
	var doc struct {
		info

		WrapInfo  *info `json:"wrap_info"`
		Encrypted any   `json:"encrypted_payload"`
		Auth      *struct {
			ClientToken string `json:"client_token"`
		} `json:"auth"`
	}
	if json.Unmarshal([]byte(text), &doc) != nil {
		return Text{}, errors.New("it is JSON that is broken or cut short")
	}
	var t Text
	switch {
	case doc.Encrypted != nil:
		return Text{}, errors.New("it is encrypted, which cannot be read here: take dh_type out of Vault Agent's sink")
	case doc.WrapInfo != nil:
		t = Text{Token: doc.WrapInfo.Token, Wrapped: true, Path: doc.WrapInfo.CreationPath}
	case doc.Auth != nil:
		t = Text{Token: doc.Auth.ClientToken}
	case doc.CreationPath != "":
		t = Text{Token: doc.Token, Wrapped: true, Path: doc.CreationPath}
	default:
		return Text{}, errors.New("it is JSON, but neither a sink of Vault Agent nor Vault's answer to a login")
	}
	return t, whole(t.Token)
}

// shortest is the shortest token with a prefix: 24 characters come behind it.
const shortest = len("hvs.") + 24

// whole refuses what was cut short. Whoever makes tokens may choose their text, so that only
// those of Vault's own making tell by their length.
func whole(token string) error {
	for _, prefix := range []string{"hvs.", "hvb.", "hvr."} {
		if token != "" && strings.HasPrefix(prefix, token) || strings.HasPrefix(token, prefix) && len(token) < shortest {
			return errors.New("the token is cut short")
		}
	}
	return Check(token)
}

// Check refuses what cannot be a token.
func Check(token string) error {
	switch {
	case token == "":
		return errors.New("it holds no token")
	case strings.ContainsFunc(token, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return errors.New("it is no token: it has white space or unprintable characters in it")
	}
	return nil
}
