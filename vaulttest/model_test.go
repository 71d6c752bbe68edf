package vaulttest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// life is a token or a lease as Vault's documentation describes them: it ends at its time, by
// revocation, or with what it hangs on.
type life struct {
	id               string // empty for a request that was refused
	under            *life  // dies with it; nil: nothing
	cap              *life  // does not last longer than it, a batch token; nil: none
	issued, ends     time.Time
	ttl, max, period time.Duration
	fixed            bool // can be neither renewed nor, as a batch token, revoked
	role             string
	revoked          bool
}

func (l *life) dead(now time.Time) bool {
	return l.revoked || !now.Before(l.ends) || l.under != nil && l.under.dead(now)
}

// end is when it dies if nobody does anything.
func (l *life) end() time.Time {
	if l.under != nil {
		if end := l.under.end(); end.Before(l.ends) {
			return end
		}
	}
	return l.ends
}

// extend gives it more time, as at its beginning and at a renewal, and tells whether there was any.
func (l *life) extend(now time.Time, asked time.Duration) bool {
	const most = 32 * 24 * time.Hour
	limit := most
	if l.max > 0 {
		limit = min(limit, l.max)
	}
	grant, left := most, l.issued.Add(limit).Sub(now)
	switch {
	case l.period > 0:
		grant = min(l.period, limit)
		if l.max == 0 {
			left = grant // a periodic token goes on for ever
		}
	case asked > 0:
		grant = asked
	case l.ttl > 0:
		grant = l.ttl
	}
	if left <= 0 {
		return false
	}
	l.ends = now.Add(min(grant, left))
	if l.cap != nil && l.cap.ends.Before(l.ends) {
		l.ends = l.cap.ends
	}
	return true
}

// lives is a server with a model of what must be alive on it.
type lives struct {
	caller

	s              *vaulttest.Server
	tokens, leases []*life
	told           map[string]int // how often the end of a lease was told, by user
	users          map[*life]string
}

var roles = map[string]vaulttest.RoleSpec{
	"0": {},
	"1": {DefaultTTL: time.Minute, MaxTTL: 2 * time.Minute},
	"2": {DefaultTTL: time.Hour, MaxTTL: 24 * time.Hour},
	"3": {DefaultTTL: 90 * time.Second, MaxTTL: 200 * time.Second, NotRenewable: true},
}

func newLives(t *testing.T) *lives {
	t.Helper()
	s := vaulttest.New(t)
	l := &lives{caller: inProcess(t, s), s: s, told: map[string]int{}, users: map[*life]string{}}
	s.Policy("all", vaulttest.Rule{Path: "database/creds/*", Capabilities: []string{"read"}})
	for name, spec := range roles {
		spec.Revoke = func(data map[string]any) { l.told[data["username"].(string)]++ }
		s.DynamicRole("database", name, spec)
	}
	return l
}

// choose returns one of all, or nil of none.
func choose(all []*life, n byte) *life {
	if len(all) == 0 {
		return nil
	}
	return all[int(n)%len(all)]
}

// length makes a byte into a time: none, or from seconds to more than the system's maximum.
func length(n byte) time.Duration {
	return time.Duration(n%16) * []time.Duration{time.Second, time.Minute, time.Hour, 100 * time.Hour}[n>>6]
}

func (l *lives) createToken(who, kind, n byte) {
	t := &life{issued: time.Now(), ttl: length(n)}
	spec := vaulttest.TokenSpec{Policies: []string{"all"}, TTL: t.ttl}
	if parent := choose(l.tokens, who); kind&1 != 0 && parent != nil && parent.id != "" && !parent.fixed && !parent.dead(t.issued) {
		t.under, spec.Parent = parent, parent.id
	}
	switch kind >> 1 % 4 {
	case 1:
		t.fixed, spec.Batch = true, true
	case 2:
		t.period, spec.Period = length(n^0x55), length(n^0x55)
	case 3:
		t.max, spec.ExplicitMaxTTL = length(n^0x55), length(n^0x55)
		t.period, spec.Period = length(n^0x33), length(n^0x33)
	}
	t.extend(t.issued, 0)
	t.id = l.s.CreateToken(spec)
	l.tokens = append(l.tokens, t)
}

func (l *lives) createLease(who, role byte) {
	now, owner := time.Now(), choose(l.tokens, who)
	if owner == nil {
		return
	}
	name := strconv.Itoa(int(role % 4))
	if owner.dead(now) {
		l.want(403, "permission denied", owner.id, "GET", "database/creds/"+name, "")
		return
	}
	spec := roles[name]
	made := &life{under: owner, role: name, issued: now, ttl: spec.DefaultTTL, max: spec.MaxTTL, fixed: spec.NotRenewable}
	if owner.fixed { // a batch token is stored nowhere: nothing hangs on it, and Vault renews all
		made.under, made.cap, made.fixed = owner.under, owner, false
	}
	made.extend(now, 0)
	a := l.want(200, "lease_id", owner.id, "GET", "database/creds/"+name, "")
	made.id = a.secret.LeaseID
	l.users[made] = a.secret.Data["username"].(string)
	l.leases = append(l.leases, made)
}

// renew renews by the root token, whoever is chosen.
func (l *lives) renew(path, field string, of *life, n byte) {
	if of == nil {
		return
	}
	status, now, asked := 400, time.Now(), length(n)
	if !of.fixed && !of.dead(now) && of.extend(now, asked) {
		status = 200
		if of.role == "" {
			of.ttl = of.ends.Sub(now) // a token's next renewal gives as much again; a lease has its role
		}
	}
	l.want(status, "", l.s.RootToken(), "POST", path, fmt.Sprintf(`{%q:%q,"increment":%d}`, field, of.id, int(asked.Seconds())))
}

func (l *lives) revoke(path, field string, of *life, can bool) {
	switch {
	case of == nil:
		return
	case can:
		of.revoked = true
		l.want(204, "", l.s.RootToken(), "POST", path, fmt.Sprintf(`{%q:%q}`, field, of.id))
	case !of.dead(time.Now()):
		l.want(400, "cannot be revoked", l.s.RootToken(), "POST", path, fmt.Sprintf(`{%q:%q}`, field, of.id))
	}
}

// revokeOrphan ends a token without its children, but for those that are stored nowhere.
func (l *lives) revokeOrphan(of *life) {
	if of == nil || of.fixed || of.dead(time.Now()) {
		return
	}
	l.revoke("auth/token/revoke-orphan", "token", of, true)
	for _, child := range l.tokens {
		if child.under == of && !child.fixed {
			child.under = nil
		}
	}
}

// revokeRole ends all leases of a role.
func (l *lives) revokeRole(role string) {
	for _, made := range l.leases {
		made.revoked = made.revoked || made.role == role
	}
	l.want(204, "", l.s.RootToken(), "PUT", "sys/leases/revoke-prefix/database/creds/"+role, `{"sync":true}`)
}

// step does what three bytes say.
func (l *lives) step(op, who, n byte) {
	switch op % 8 {
	case 0:
		l.createToken(who, op>>3, n)
	case 1, 2:
		l.createLease(who, n)
	case 3:
		l.renew("auth/token/renew", "token", choose(l.tokens, who), n)
	case 4:
		l.renew("sys/leases/renew", "lease_id", choose(l.leases, who), n)
	case 5: // not always, or soon nothing would be alive
		switch t := choose(l.tokens, who); op >> 3 % 4 {
		case 0:
			l.revoke("auth/token/revoke", "token", t, t != nil && !t.fixed)
		case 1:
			l.revokeOrphan(t)
		}
	case 6:
		if op>>3%4 == 0 {
			l.revokeRole(strconv.Itoa(int(who % 4)))
		} else {
			l.revoke("sys/leases/revoke", "lease_id", choose(l.leases, who), true)
		}
	case 7:
		time.Sleep(length(n))
	}
}

// check compares the server with the model.
func (l *lives) check() {
	l.t.Helper()
	now := time.Now()
	var expires, ends, got, gotEnds []time.Time
	for _, t := range l.tokens {
		if !t.dead(now) {
			expires = append(expires, t.ends.UTC())
		}
	}
	for _, t := range l.s.Tokens() {
		got = append(got, t.Expires.UTC())
	}
	sortTimes(expires, got)
	require.Equal(l.t, expires, got, "tokens")

	expires, got = nil, nil
	for _, made := range l.leases {
		user := l.users[made]
		require.Equal(l.t, !made.dead(now), l.s.Alive(user))
		if made.dead(now) {
			require.Equal(l.t, 1, l.told[user], "each end is told once")
			continue
		}
		require.Zero(l.t, l.told[user])
		expires, ends = append(expires, made.ends.UTC()), append(ends, made.end().UTC())
	}
	for _, made := range l.s.Leases() {
		got, gotEnds = append(got, made.Expires.UTC()), append(gotEnds, made.Ends.UTC())
	}
	sortTimes(expires, ends, got, gotEnds)
	require.Equal(l.t, expires, got, "leases")
	require.Equal(l.t, ends, gotEnds, "leases, with what they hang on")
}

func sortTimes(lists ...[]time.Time) {
	for _, list := range lists {
		slices.SortFunc(list, time.Time.Compare)
	}
}

// FuzzLives plays lives of tokens and leases: created, used, renewed, revoked, left to time. What
// is alive and until when is compared after each step with a model that knows only the rules.
func FuzzLives(f *testing.F) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0)) // the same each time
		script := make([]byte, 3*60)
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		f.Add(script)
	}
	f.Add([]byte{0, 0, 0x4a, 3, 0, 0x45, 3, 0, 0}) // renewed for less, and then for as much as before
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) {
			l := newLives(t)
			script := script[:min(len(script), 3*200)]
			for ; len(script) >= 3; script = script[3:] {
				l.step(script[0], script[1], script[2])
				l.check()
			}
			for _, tok := range l.tokens {
				status := map[bool]int{true: 403, false: 200}[tok.dead(time.Now())]
				l.want(status, "", tok.id, "GET", "auth/token/lookup-self", "")
			}
			time.Sleep(100 * 24 * time.Hour)
			l.check()
			require.Empty(t, l.s.Tokens())
			require.Empty(t, l.s.Leases())
		})
	})
}
