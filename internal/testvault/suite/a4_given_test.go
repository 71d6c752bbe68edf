package suite

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// about is what Vault says of a token when its operator asks, which spends no use of it.
func (w world) about(t *testing.T, value string) map[string]any {
	t.Helper()
	data, _ := w.v.Write("auth/token/lookup", map[string]any{"token": value})["data"].(map[string]any)
	require.NotEmpty(t, data)
	return data
}

func number(t *testing.T, v any) int {
	t.Helper()
	n, err := strconv.Atoi(fmt.Sprint(v))
	require.NoError(t, err)
	return n
}

// TestA4AGivenPeriodicTokenLivesForAsLongAsItIsRenewed, and is its giver's to end.
func TestA4AGivenPeriodicTokenLivesForAsLongAsItIsRenewed(t *testing.T) {
	t.Parallel()
	const period, watched = 6 * time.Second, 27 * time.Second
	w := newVault(t)
	given := w.token(map[string]any{"period": period.String()})
	var told heard
	a, err := w.enter(t, token.New(given), told.listen)
	require.NoError(t, err)
	accessor := a.Status().Token.Accessor
	log, stop := a.load(t.Context())
	<-time.After(watched)
	stop()
	renewals := w.v.Audit().Count("", "auth/token/renew-self")
	assert.Greater(t, log.done, workers*int(watched/queries)/2, "too few reads to say anything")
	assert.Empty(t, log.failed, "failed reads")
	assert.GreaterOrEqual(t, renewals, int(watched/period), "renewals in the audit log")
	assert.LessOrEqual(t, renewals, 4*int(watched/period), "renewals in the audit log: none comes before a third of the period")
	assert.Equal(t, accessor, a.Status().Token.Accessor)
	assert.Zero(t, told.count(lease.Replaced, "token")+told.count(lease.ReplaceFailed, "token"), "events of a replacement")
	require.NoError(t, a.Ready())
	figure.AtMost(stdout, "a4-periodic-failed", float64(len(log.failed)), "reads", 0, "oracle=application",
		fmt.Sprintf("reads=%d", log.done), fmt.Sprintf("renewals=%d", renewals))

	require.NoError(t, a.Close(context.Background()))
	data := w.about(t, given)
	assert.Equal(t, int(period/time.Second), number(t, data["period"]), "its period, by Vault's lookup")
	assert.Positive(t, number(t, data["ttl"]), "what is left of it, by Vault's lookup")
	assert.Zero(t, w.v.Audit().Count("", "auth/token/revoke-self"), "revocations in the audit log")
}

// TestA4AGivenBatchTokenEndsAndIsNotRenewed: nobody can renew it, and there is no other.
func TestA4AGivenBatchTokenEndsAndIsNotRenewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.v.DatabaseRole("database", "a4batch", map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
	given := w.token(map[string]any{"type": "batch", "ttl": "14s"})
	ends := w.endOf(t, given)
	var told heard
	a, err := w.enter(t, token.New(given), told.listen)
	require.NoError(t, err)
	require.Equal(t, "batch", a.Status().Token.Type)
	assert.False(t, a.Status().Token.Expires.After(ends), "the client's idea of the end must not be later than Vault's")
	creds, err := dynamic.Database(t.Context(), a, "a4batch")
	require.NoError(t, err)
	good, late := 0, 0
	testvault.Poll(t, 25*time.Second, func() bool {
		now := time.Now()
		switch _, err := creds.Get(); {
		case err == nil && now.After(ends):
			late++
		case err == nil:
			good++
		default:
			require.ErrorIs(t, err, dynamic.ErrExpired)
		}
		return now.After(ends.Add(2 * time.Second))
	}, "two seconds after the token's end")
	assert.Positive(t, good)
	assert.Zero(t, late, "credentials handed out after their end")
	assert.Equal(t, 1, told.count(lease.Expired, "token"), "events: the token has ended")
	require.ErrorContains(t, a.Ready(), "token expired")
	require.ErrorContains(t, a.fetch(t.Context()), "no valid token")
	_, err = creds.Current(t.Context())
	require.ErrorIs(t, err, dynamic.ErrExpired)
	require.NoError(t, a.Close(context.Background()))
	assert.Zero(t, w.v.Audit().Count("", "auth/token/renew-self"), "renewals in the audit log")
	assert.Zero(t, w.v.Audit().Count("", "auth/token/revoke-self"), "revocations in the audit log")
	lookups := w.v.Audit().Count("", "auth/token/lookup-self")
	assert.LessOrEqual(t, lookups, 6, "lookups in the audit log")
	figure.AtMost(stdout, "a4-batch-handed-out-late", float64(late), "credentials", 0, "oracle=expire_time",
		fmt.Sprintf("good=%d", good), fmt.Sprintf("lookups=%d", lookups))
	w.nothingLeft(t, "a4batch")
}

// TestA4AGivenTokenOfFewUsesIsUsedByItsOwnerAlone: one lookup at the start and no renewal, though it
// is used up when a renewal would have been due. Two uses are left, since Vault revokes a
// token with its last, and its giver has said how many there are.
func TestA4AGivenTokenOfFewUsesIsUsedByItsOwnerAlone(t *testing.T) {
	t.Parallel()
	const uses, reserved = 12, 2
	w := newVault(t)
	given := w.token(map[string]any{"ttl": "20s", "num_uses": uses})
	var told heard
	a, err := w.enter(t, token.New(given), told.listen)
	require.NoError(t, err)
	fetch := func() error { // that does not ask for the mount's version
		_, err := kv.Get[stripe](t.Context(), a.KV("secret", kv.Version2()), "payments/stripe")
		return err
	}
	for range uses - 1 - reserved {
		require.NoError(t, fetch())
		<-time.After(1500 * time.Millisecond)
	}
	require.Equal(t, reserved, number(t, w.about(t, given)["num_uses"]), "what is left, by Vault's lookup")
	for range 5 {
		require.ErrorContains(t, fetch(), "the token was given and cannot be extended or replaced")
	}
	assert.Positive(t, told.count(lease.ReplaceFailed, "token"), "events: there is no other token")
	assert.Equal(t, reserved, number(t, w.about(t, given)["num_uses"]), "what is left, by Vault's lookup")
	testvault.Poll(t, 20*time.Second, func() bool { return a.Ready() != nil }, "the token's end")
	require.NoError(t, a.Close(context.Background()))
	assert.Equal(t, map[string]int{"auth/token/lookup-self": 1, "secret/data/payments/stripe": uses - 1 - reserved},
		w.v.Audit().Paths(), "requests in the audit log")
}
