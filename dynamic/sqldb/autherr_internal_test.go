package sqldb

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-f5e1ac40/leasehold/secret"
)

// TestLaw20APasswordIsTakenOutInEveryFormThatErrorsShow: as it is, quoted, as a URL has
// it, and in fragments. Mutation: quoted forms are not looked for.
func TestLaw20APasswordIsTakenOutInEveryFormThatErrorsShow(t *testing.T) {
	t.Parallel()
	for _, password := range []string{`can"ary\1`, "can:ary+1", "canary\x01é", "can:ary+1/x"} {
		_, parse := url.Parse("postgres://u:" + password + "@h/%zz")
		dsn := (&url.URL{Scheme: "postgres", User: url.UserPassword("u", password), Host: "h"}).String()
		for _, err := range []error{parse, fmt.Errorf("cannot parse %q", dsn), fmt.Errorf("no login with %q", password)} {
			if text := withoutPassword(err, secret.NewString(password)).Error(); strings.Contains(text, "ary") {
				t.Error(text)
			}
		}
	}
}
