package authtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func showsNoSecret(t *testing.T, h Harness) error {
	t.Helper()
	if h.Secrets == nil {
		return errors.New("Harness.Secrets is nil: without it nothing is found")
	}
	errs := []error{h.logIn(t.Context())}
	if h.Spoil != nil {
		h.Spoil(t)
		errs = append(errs, h.logIn(t.Context()))
	}
	away := h
	away.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return nil, errAway })
	err := away.logIn(t.Context())
	if err == nil {
		return errors.New("no error although no request got through")
	}
	errs = append(errs, err)

	texts := map[string]string{}
	for _, err := range errs {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if err != nil {
				texts["an error as "+verb+" "+strconv.Itoa(len(texts))] = fmt.Sprintf(verb, err)
			}
		}
	}
	type wrapper struct {
		m any // formatters do not call methods of unexported fields
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		texts["the method as "+verb] = fmt.Sprintf(verb, h.Method)
		texts["the method in a struct as "+verb] = fmt.Sprintf(verb, wrapper{h.Method})
	}
	if b, err := json.Marshal(h.Method); err == nil {
		texts["the method as JSON"] = string(b)
	}
	for what, text := range texts {
		if err := h.shows(text, what); err != nil {
			return err
		}
	}
	return nil
}

// shows returns an error if text holds a secret.
func (h Harness) shows(text, what string) error {
	if h.Secrets == nil {
		return nil
	}
	for i, secret := range h.Secrets() {
		if secret != "" && strings.Contains(text, secret) {
			return fmt.Errorf("%s holds secret number %d", what, i)
		}
	}
	return nil
}
