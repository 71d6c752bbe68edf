package kv

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// text writes a string.
func (e *encoder) text(t reflect.Type, text, at string, quoted bool) error {
	switch {
	case !utf8.ValidString(text):
		return e.refuse(t, at, "the text is not UTF-8 and JSON would change it: use secret.Bytes or []byte")
	case text == redacted:
		return e.refuse(t, at, `it is the word that stands for a secret, not the secret; was it encoded, or printed, on its way here?`)
	}
	b, err := json.Marshal(text)
	if err == nil && quoted {
		b, err = json.Marshal(string(b))
	}
	if err != nil {
		return e.refuse(t, at, "JSON has no form for it")
	}
	e.out = append(e.out, b...)
	return nil
}

// scalar writes what is one value to JSON, and refuses what JSON has no form for.
func (e *encoder) scalar(v reflect.Value, at string, quoted bool) error {
	b, err := json.Marshal(v.Interface())
	switch {
	case err != nil && (v.CanFloat() || v.Type() == numberType):
		return e.refuse(v.Type(), at, "it is not a number that JSON has a form for")
	case err != nil:
		return e.refuse(v.Type(), at, "JSON has no form for this type")
	case quoted:
		b = []byte(strconv.Quote(string(b)))
	}
	if err := e.number(v.Type(), string(b), at, quoted); err != nil {
		return err
	}
	e.out = append(e.out, b...)
	return nil
}

// number notes a literal that Vault would not give back as it was. A fraction is a float to
// whoever reads it. What is too large even for that Vault refuses, and quotes.
func (e *encoder) number(t reflect.Type, literal, at string, quoted bool) error {
	if quoted || strings.Trim(literal, "0123456789-+.eE") != "" {
		return nil
	}
	f, err := strconv.ParseFloat(literal, 64)
	switch {
	case err != nil:
		return e.refuse(t, at, "the number is larger than Vault takes")
	case strings.ContainsAny(literal, ".eE"), math.Abs(f) < 1e21 && literal == strconv.FormatFloat(f, 'f', -1, 64):
	case e.inexact == nil:
		e.inexact = e.refuse(t, at, "KV version 2 gives numbers back as 64-bit floats, which do not hold this one: write it as text, as with `json:\",string\"`")
	}
	return nil
}

// marshaler writes what a type's own encoder makes of v.
func (e *encoder) marshaler(v reflect.Value, at string) error {
	b, err := json.Marshal(method[json.Marshaler](v))
	switch {
	case err != nil || bytes.Contains(b, []byte(redacted)):
		return e.marshalled(v.Type(), at, err)
	case !utf8.Valid(b):
		return e.refuse(v.Type(), at, "its encoder wrote what is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	for token, err := dec.Token(); err == nil; token, err = dec.Token() {
		if n, ok := token.(json.Number); ok {
			if err := e.number(v.Type(), n.String(), at, false); err != nil {
				return err
			}
		}
	}
	e.out = append(e.out, b...)
	return nil
}

// marshalled refuses what a type's own encoder did. The text of its error may hold anything.
func (e *encoder) marshalled(t reflect.Type, at string, err error) error {
	if err != nil {
		return e.refuse(t, at, "its own encoder failed")
	}
	return e.refuse(t, at, "its own encoder hides a secret: "+redacted+" would be written over it. Write a type without that encoder")
}
