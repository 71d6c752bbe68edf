package vaulttest

import (
	"errors"
	"net/http"
	"strings"
)

var renewFields = schema{"token": asText, "accessor": asText, "increment": asSeconds}

// renewToken extends a token as auth/token/renew and its like do.
func (c *call) renewToken(t *token, f fields, showID bool) reply {
	switch {
	case t == nil || t.spent:
		return fail(http.StatusBadRequest, "token not found")
	case t.batch:
		return fail(http.StatusBadRequest, "batch tokens cannot be renewed")
	case !t.renewable:
		return fail(http.StatusBadRequest, "lease is not renewable")
	}
	if t.refresh != nil {
		if err := t.refresh(t); errors.Is(err, errNothingToRenew) {
			return noContent()
		} else if err != nil {
			return failList(http.StatusInternalServerError, "failed to renew entry: "+err.Error())
		}
	}
	granted, warnings, err := grantTTL(c.now, t.issued, f.seconds("increment"), t.ttl, t.period, t.maxTTL, t.explicitMax)
	if err != nil {
		return failList(http.StatusInternalServerError, err.Error())
	}
	if strings.HasPrefix(t.path, "auth/token/") {
		t.ttl = granted // the next renewal's, if that names no increment; a login's role names its own
	}
	t.renewed, t.expires = c.now, c.now.Add(granted)
	c.s.soon(t.expires)
	auth := t.auth(granted)
	if !showID {
		auth.ClientToken = ""
	}
	return answer(http.StatusOK, envelope{Warnings: append(warnings, f.warnings...), Auth: auth, MountType: "token"})
}
