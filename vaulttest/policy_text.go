package vaulttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// unmodelledError is something in a policy's text that Vault knows and vaulttest does not.
type unmodelledError string

func (e unmodelledError) Error() string { return "vaulttest does not model " + string(e) }

// unmodelledKeys are what a policy may say of a path besides its capabilities.
var unmodelledKeys = []string{
	"allowed_parameters", "denied_parameters", "required_parameters", "min_wrapping_ttl", "max_wrapping_ttl",
	"mfa_methods", "control_group", "subscribe_event_types",
}

// oldPolicies are the names that were there before the capabilities.
var oldPolicies = map[string][]string{
	"deny":  {"deny"},
	"read":  {"read", "list"},
	"write": {"create", "read", "update", "delete", "list"},
	"sudo":  {"create", "read", "update", "delete", "list", "sudo"},
}

// parsePolicy reads a policy in HCL or JSON.
func parsePolicy(text string) ([]Rule, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		return parseJSONPolicy(text)
	}
	p := &hclParser{tokens: hclTokens(text)}
	var rules []Rule
	for p.at() != "" {
		key := p.take()
		switch {
		case key == "name" && p.at() == "=":
			p.take()
			p.take()
			continue
		case key != "path" && key != `"path"`:
			return nil, failedErrors{fmt.Sprintf("invalid key %q on line 0", strings.Trim(key, `"`))}
		}
		path := "path" // so Vault takes it where there is none
		if p.at() != "{" {
			var quoted bool
			if path, quoted = unquote(p.take()); !quoted {
				return nil, errors.New("a path's rule begins with the path in quotes")
			}
		}
		block, err := p.block()
		if err != nil {
			return nil, err
		}
		r, err := pathRule(path, block)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parseJSONPolicy(text string) ([]Rule, error) {
	var doc struct {
		Path json.RawMessage `json:"path"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, err
	}
	var list []map[string]map[string]any
	if json.Unmarshal(doc.Path, &list) != nil {
		var one map[string]map[string]any
		if doc.Path != nil && json.Unmarshal(doc.Path, &one) != nil {
			return nil, unmodelledError("a JSON policy of this form")
		}
		list = append(list, one)
	}
	var rules []Rule
	for _, paths := range list {
		for _, path := range sortedKeys(paths) {
			r, err := pathRule(path, paths[path])
			if err != nil {
				return nil, err
			}
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// pathRule makes a rule of what a policy says of a path.
func pathRule(path string, block map[string]any) (Rule, error) {
	r := Rule{Path: strings.TrimPrefix(path, "/")}
	if strings.Contains(path, "{{") {
		return r, unmodelledError("templates in policies")
	}
	for _, key := range sortedKeys(block) {
		switch {
		case key == "comment":
		case key == "capabilities":
			list, isList := block[key].([]any)
			if !isList {
				return r, fmt.Errorf("path %q: capabilities are a list", path)
			}
			for _, c := range list {
				name, _ := c.(string)
				if !slices.Contains(capabilityNames, name) {
					return r, fmt.Errorf("path %q: invalid capability %q", path, name)
				}
				r.Capabilities = append(r.Capabilities, name)
			}
		case key == "policy":
			name, _ := block[key].(string)
			if oldPolicies[name] == nil {
				return r, fmt.Errorf("path %q: invalid policy %q", path, name)
			}
			r.Capabilities = append(r.Capabilities, oldPolicies[name]...)
		case slices.Contains(unmodelledKeys, key):
			return r, unmodelledError(key + " in policies")
		default:
			return r, failedErrors{fmt.Sprintf("path %q: invalid key %q on line 1", path, key)}
		}
	}
	if strings.Contains(r.Path, "+*") {
		return r, fmt.Errorf("path %q: invalid use of wildcards ('+*' is forbidden)", r.Path)
	}
	return r, nil
}

// failedErrors are errors in the form of failList.
type failedErrors []string

func (e failedErrors) Error() string { return listText(e...) }

// hclParser reads the part of HCL in which policies are written.
type hclParser struct{ tokens []string }

// at is the next token; empty at the end.
func (p *hclParser) at() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *hclParser) take() string {
	t := p.at()
	if t != "" {
		p.tokens = p.tokens[1:]
	}
	return t
}

// block reads { key = value ... }.
func (p *hclParser) block() (map[string]any, error) {
	out := map[string]any{}
	if p.at() == "=" {
		p.take()
	}
	if p.take() != "{" {
		return nil, errors.New("a path is followed by a block")
	}
	for p.at() != "}" {
		key, _ := unquote(p.take())
		switch {
		case key == "":
			return nil, errors.New("a block has no end")
		case slices.Contains(unmodelledKeys, key):
			return nil, unmodelledError(key + " in policies")
		case p.take() != "=":
			return nil, fmt.Errorf("%q has no value", key)
		}
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		if _, again := out[key]; again {
			return nil, fmt.Errorf("%q is there twice", key)
		}
		out[key] = value
	}
	p.take()
	return out, nil
}

// value reads a text, or a list of texts.
func (p *hclParser) value() (any, error) {
	t := p.take()
	if text, quoted := unquote(t); quoted {
		return text, nil
	}
	if t != "[" {
		return nil, fmt.Errorf("%q is neither a text nor a list", t)
	}
	list := []any{}
	for p.at() != "]" {
		text, quoted := unquote(p.take())
		if !quoted {
			return nil, errors.New("a list holds texts")
		}
		list = append(list, text)
		if p.at() == "," {
			p.take()
		} else if p.at() != "]" {
			return nil, errors.New("a list has no end")
		}
	}
	p.take()
	return list, nil
}

func unquote(token string) (text string, quoted bool) {
	if strings.HasPrefix(token, `"`) && json.Unmarshal([]byte(token), &text) == nil {
		return text, true
	}
	return token, false
}

// hclTokens cuts a text into words, quoted texts with their quotes, and single signs.
func hclTokens(text string) []string {
	var out []string
	for text = trimHCL(text); text != ""; text = trimHCL(text) {
		n := 1
		if text[0] == '"' {
			for n < len(text) && text[n] != '"' {
				if text[n] == '\\' {
					n++
				}
				n++
			}
			n = min(n+1, len(text))
		} else if isWordRune(rune(text[0])) {
			n = strings.IndexFunc(text, func(r rune) bool { return !isWordRune(r) })
			if n < 0 {
				n = len(text)
			}
		}
		out, text = append(out, text[:n]), text[n:]
	}
	return out
}

func isWordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-.", r)
}

// trimHCL takes white space and comments off the front.
func trimHCL(text string) string {
	for {
		text = strings.TrimSpace(text)
		switch {
		case strings.HasPrefix(text, "#"), strings.HasPrefix(text, "//"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, text, _ = strings.Cut(text, "*/")
		default:
			return text
		}
	}
}

// policyText writes rules as HCL.
func policyText(rules []Rule) string {
	var b strings.Builder
	for _, r := range rules {
		quoted := make([]string, len(r.Capabilities))
		for i, c := range r.Capabilities {
			quoted[i] = fmt.Sprintf("%q", c)
		}
		fmt.Fprintf(&b, "path %q {\n  capabilities = [%s]\n}\n", r.Path, strings.Join(quoted, ", "))
	}
	return b.String()
}
