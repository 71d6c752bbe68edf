package session

import (
	"fmt"
	"os"
	"strings"
)

// parsed are the variables that the official client parses when it is made, whatever it is
// given, and by which of its words it is told that it could not. Those without words are
// the files of a TLS connection that nobody makes, and a proxy that nobody uses.
var parsed = []struct{ name, words string }{
	{"VAULT_MAX_RETRIES", "ParseUint"},
	{"VAULT_RATE_LIMIT", "VAULT_RATE_LIMIT"},
	{"VAULT_CLIENT_TIMEOUT", "VAULT_CLIENT_TIMEOUT"},
	{"VAULT_SKIP_VERIFY", "VAULT_SKIP_VERIFY"},
	{"VAULT_SRV_LOOKUP", "VAULT_SRV_LOOKUP"},
	{"VAULT_DISABLE_REDIRECTS", "VAULT_DISABLE_REDIRECTS"},
	{"VAULT_HEADERS", "eaders"},
	{"VAULT_CACERT", ""},
	{"VAULT_CACERT_BYTES", ""},
	{"VAULT_CAPATH", ""},
	{"VAULT_CLIENT_CERT", ""},
	{"VAULT_CLIENT_KEY", ""},
	{"VAULT_HTTP_PROXY", ""},
	{"VAULT_PROXY_ADDR", ""},
}

// notMade is the error of an official client that could not be made. Address was checked,
// so the reason is a variable that is of no use to us; there is no way to keep that client
// from reading it. Its own error is left out: it may repeat a value, such as the password
// of a proxy.
func notMade(err error) error {
	var suspects []string
	for _, v := range parsed {
		if v.words != "" && strings.Contains(err.Error(), v.words) {
			suspects = []string{v.name}
			break
		}
		//nolint:forbidigo // not to use it, but to say which one is in the way
		if value := os.Getenv(v.name); value != "" && v.words == "" {
			suspects = append(suspects, v.name)
		}
	}
	if len(suspects) == 0 {
		return fmt.Errorf("leasehold: the official client: %w", err)
	}
	return fmt.Errorf("leasehold: the official client reads %s from the environment and cannot use it: correct or unset it, although leasehold takes nothing from there", strings.Join(suspects, " or "))
}
