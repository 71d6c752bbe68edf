package vaulttest

import (
	"net/http"
	"time"
)

// lockout is the user lockout of Vault's approle and userpass methods with its defaults: who fails
// five times is refused for a quarter of an hour, even with the right password. Applications that
// retry a login for ever lock themselves out so.
type lockout map[string]failedLogins // by the alias: the role ID or the name of the user

type failedLogins struct {
	count int
	last  time.Time // in whole seconds
}

const (
	lockoutThreshold = 5
	lockoutDuration  = 15 * time.Minute
)

func (l lockout) locked(alias string, now time.Time) bool {
	f := l[alias]
	return f.count >= lockoutThreshold && now.Truncate(time.Second).Sub(f.last) < lockoutDuration
}

// note counts a failed login; those of a quarter of an hour ago no longer count.
func (l lockout) note(alias string, now time.Time) {
	f := l[alias]
	if now.After(f.last.Add(lockoutDuration)) {
		f.count = 0
	}
	l[alias] = failedLogins{f.count + 1, now.Truncate(time.Second)}
}

// refuse answers what Vault refuses before it looks at a login itself.
func (l lockout) refuse(c *call, alias string) *reply {
	switch {
	case alias == "":
		return refused(http.StatusInternalServerError, "failed to determine alias name from login request")
	case l.locked(alias, c.now):
		return refused(http.StatusForbidden, "permission denied")
	case !c.write:
		return refused(http.StatusMethodNotAllowed, "unsupported operation")
	}
	return nil
}

// brokenLogin stands for a login with a field of the wrong type: it makes Vault drop the connection.
func brokenLogin() reply {
	return unmodelled("a login with a field of the wrong type, at which Vault drops the connection")
}
