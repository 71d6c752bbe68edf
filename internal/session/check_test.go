package session

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	given "github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// looker is a session whose token is looked up.
type looker struct {
	*vaulttest.Server
	t *testing.T
	s *Session
}

func newLooker(t *testing.T, m auth.Method, v *vaulttest.Server, faults ...vaulttest.Fault) *looker {
	t.Helper()
	for _, f := range faults {
		v.Fail(f)
	}
	s, err := New(t.Context(), Config{Address: "http://vault.test:8200", Auth: m, Base: &http.Client{Transport: v.Client().Transport}, Requests: 4})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return &looker{v, t, s}
}

func withRole(t *testing.T, spec vaulttest.AppRoleSpec, faults ...vaulttest.Fault) *looker {
	t.Helper()
	v := vaulttest.New(t)
	roleID, secretID := v.AppRole("app", spec)
	return newLooker(t, approle.New(roleID, approle.SecretIDString(secretID)), v, faults...)
}

func (l *looker) check() (lease.Lease, error) {
	return tokenKeeper{l.s}.Check(l.t.Context(), l.s.tokens.Grant())
}

const lookupPath = "auth/token/lookup-self"

// TestLaw09CheckReturnsWhatIsLeft: of any kind of token. Mutation: Check believes the lookup to the second.
func TestLaw09CheckReturnsWhatIsLeft(t *testing.T) {
	t.Run("service", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := withRole(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
			time.Sleep(10 * time.Minute)
			got, err := l.check()
			require.NoError(t, err)
			require.Equal(t, lease.Lease{TTL: 50*time.Minute - time.Second, Sent: l.s.clock(), Renewable: true}, got)
		})
	})
	t.Run("batch", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := withRole(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, TokenType: "batch"})
			got, err := l.check()
			require.NoError(t, err)
			require.False(t, got.Renewable)
			require.InDelta(t, time.Hour-time.Second, got.TTL, float64(time.Second))
		})
	})
	t.Run("without an end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := vaulttest.New(t)
			l := newLooker(t, given.New(v.RootToken()), v)
			require.Zero(t, l.s.tokens.Grant().Lease().TTL)
			got, err := l.check()
			require.NoError(t, err)
			require.Zero(t, got.TTL)
		})
	})
}

// TestA10CheckSpendsNoUse: a token of limited uses is judged by the clocks.
// Mutation: Check asks about it like about any other.
func TestA10CheckSpendsNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := withRole(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, TokenNumUses: 10})
		g := l.s.tokens.Grant()
		asked := len(l.Requests())
		time.Sleep(10 * time.Minute)
		got, err := l.check()
		require.NoError(t, err)
		require.Equal(t, lease.Lease{TTL: 50 * time.Minute, Sent: l.s.clock()}, got)
		require.Len(t, l.Requests(), asked)
		l.Seal()
		time.Sleep(50 * time.Minute)
		_, err = tokenKeeper{l.s}.Check(t.Context(), g)
		require.Equal(t, lease.Dead, classOf(err))
		require.Zero(t, l.Count("", lookupPath))
	})
}

// TestLaw06CheckTellsADeadTokenFromWhatProvesNothing. Mutation: a lookup that is refused always
// means that the token is dead.
func TestLaw06CheckTellsADeadTokenFromWhatProvesNothing(t *testing.T) {
	policy := vaulttest.Fault{Path: lookupPath, Status: 403, Body: `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`}
	unreached := vaulttest.Fault{Path: lookupPath, Refuse: true, Count: 1}
	for _, tc := range []struct {
		name  string
		first []vaulttest.Fault // at the login
		then  func(l *looker)
		want  lease.Class
	}{
		{"revoked", nil, func(l *looker) { l.RevokeToken(l.Tokens()[0].Accessor) }, lease.Dead},
		{"refused, allowed before", nil, func(l *looker) { l.Fail(policy) }, lease.Dead},
		{"refused as ever", []vaulttest.Fault{policy}, func(*looker) {}, lease.Refused},
		{"refused, never answered before", []vaulttest.Fault{unreached}, func(l *looker) { l.Fail(policy) }, lease.Refused},
		{"sealed", nil, func(l *looker) { l.Seal() }, lease.Transient},
		{"not reached", nil, func(l *looker) { l.Fail(vaulttest.Fault{Refuse: true}) }, lease.Transient},
		{"hanging", nil, func(l *looker) { l.Fail(vaulttest.Fault{Hang: true}) }, lease.Transient},
		{"no answer that one can read", nil, func(l *looker) { l.Fail(vaulttest.Fault{Status: 200, Body: "{}"}) }, lease.Unknown},
		{"in its last second", nil, func(l *looker) {
			l.Fail(vaulttest.Fault{Status: 200, Body: `{"data":{"ttl":0,"expire_time":"2026-01-01T00:00:00Z"}}`})
		}, lease.Dead},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := withRole(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour}, tc.first...)
				tc.then(l)
				began := time.Now()
				_, err := l.check()
				require.Error(t, err)
				require.Equal(t, tc.want, classOf(err))
				require.LessOrEqual(t, time.Since(began), attemptTimeout)
				l.ClearFaults()
			})
		})
	}
}

func TestAGrantThatIsNotKnownIsNeitherCheckedNorRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := withRole(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		asked := len(l.Requests())
		g := lease.NewGrant(lease.Lease{TTL: time.Hour, Sent: l.s.clock()}, nil)
		_, err := tokenKeeper{l.s}.Check(t.Context(), g)
		require.ErrorContains(t, err, "replaced meanwhile")
		_, err = tokenKeeper{l.s}.Renew(t.Context(), g)
		require.ErrorContains(t, err, "replaced meanwhile")
		require.Len(t, l.Requests(), asked)
	})
}

func TestWhatIsRegisteredIsListedUntilItIsUndoneAndNotAfterTheEnd(t *testing.T) {
	t.Parallel()
	var r registry[string]
	undoA, ok := r.add("a")
	require.True(t, ok)
	_, ok = r.add("b")
	require.True(t, ok)
	require.ElementsMatch(t, []string{"a", "b"}, r.list())
	undoA()
	undoA()
	require.Equal(t, []string{"b"}, r.list())
	require.Equal(t, []string{"b"}, r.end())
	undoC, ok := r.add("c")
	require.False(t, ok)
	undoC()
	require.Equal(t, []string{"b"}, r.list())
}
