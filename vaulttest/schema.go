package vaulttest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// schema names the fields that one of Vault's paths takes, and the type of each.
type schema map[string]fieldType

type fieldType int

const (
	asText fieldType = iota
	asInt
	asBool
	asSeconds
	asTexts // a list of texts, or one text with commas
	asInts
	asObject
	asSignedSeconds
	asList // a list of texts, or one text with its commas
	asPairs
	asIs   // looked at by the path itself
	inPath // part of the path, which the body cannot set
)

// fields are a request's fields as the schema has them. What it does not name is ignored with
// Vault's warning, and what has a wrong type is refused before anything else is looked at.
type fields struct {
	values   map[string]any
	warnings []string
}

func (c *call) fields(of schema) (fields, *reply) {
	f := fields{values: map[string]any{}}
	var ignored, replaced []string
	for _, name := range slices.Sorted(maps.Keys(c.params)) {
		typ, known := of[name]
		if !known {
			ignored = append(ignored, name)
			continue
		}
		if typ == inPath {
			if c.params[name] != nil {
				replaced = append(replaced, name)
			}
			continue
		}
		value, err := convert(c.params[name], typ)
		if err != nil {
			r := fail(http.StatusBadRequest, fmt.Sprintf("Field validation failed: error converting input for field %q: %v", name, err))
			return f, &r
		}
		if value != nil {
			f.values[name] = value
		}
	}
	if ignored != nil {
		f.warnings = append(f.warnings, fmt.Sprintf("Endpoint ignored these unrecognized parameters: %v", ignored))
	}
	if replaced != nil {
		f.warnings = append(f.warnings, fmt.Sprintf("Endpoint replaced the value of these parameters with the values captured from the endpoint's path: %v", replaced))
	}
	return f, nil
}

func (f fields) has(name string) bool { _, found := f.values[name]; return found }

func (f fields) text(name string) string { s, _ := f.values[name].(string); return s }

// textOr is the field's text, or another where it is missing.
func (f fields) textOr(name, absent string) string {
	if f.has(name) {
		return f.text(name)
	}
	return absent
}

func (f fields) int(name string) int { n, _ := f.values[name].(int); return n }

func (f fields) bool(name string) bool { b, _ := f.values[name].(bool); return b }

func (f fields) seconds(name string) time.Duration {
	d, _ := f.values[name].(time.Duration)
	return d
}

func (f fields) texts(name string) []string { list, _ := f.values[name].([]string); return list }

// object is a field's object; nil for null.
func (f fields) object(name string) map[string]any {
	object, _ := f.values[name].(map[string]any)
	return object
}

func (f fields) ints(name string) []int { list, _ := f.values[name].([]int); return list }

// ok answers with the warnings that the fields have earned.
func (f fields) ok(mountType string, data map[string]any) reply {
	return answer(http.StatusOK, envelope{Data: data, Warnings: f.warnings, MountType: mountType})
}

// list answers with keys. Without any it is a 404, unless there is something to warn of.
func (f fields) list(mountType string, keys []string) reply {
	data := map[string]any{}
	if len(keys) > 0 {
		data["keys"] = keys
	} else if len(f.warnings) == 0 {
		return fail(http.StatusNotFound)
	}
	return f.ok(mountType, data)
}

// validate refuses fields of a wrong type where Vault looks at them before it asks the policies.
func (c *call) validate(of schema) *reply {
	for _, name := range slices.Sorted(maps.Keys(c.params)) {
		typ, known := of[name]
		if !known || typ == inPath {
			continue
		}
		if _, err := convert(c.params[name], typ); err != nil {
			return refused(http.StatusBadRequest, fmt.Sprintf("error converting input for field %q: %v", name, err))
		}
	}
	return nil
}

// listOf answers LIST; an empty list is not found.
func listOf(mountType string, names []string) reply { return fields{}.list(mountType, names) }
