package suite

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestB1AFailingRenewalMintsOneCredentialALease has no renewal succeed from the first
// lease on: by the database's own doing, as a server's error and as a refusal that
// nobody knows. Clients that take a failure for the end mint one credential after the
// other, or ask for one renewal after the other: 596 and 9,880 in a minute (F25).
func TestB1AFailingRenewalMintsOneCredentialALease(t *testing.T) {
	t.Parallel()
	const ttl, run = 20 * time.Second, 100 * time.Second
	w := newWorld(t)
	lease := map[string]any{"default_ttl": "20s", "max_ttl": "1h"}
	broken := map[string]any{"default_ttl": "20s", "max_ttl": "1h", "renew_statements": []string{"PLEASE ALTER;"}}
	scenes := []*struct {
		*player

		role, figure string
		lease        map[string]any
		status       int // in Vault's place; 0: Vault itself fails
		text         string
	}{
		{role: "badrenew", lease: broken},
		{role: "fivehund", figure: "-500", lease: lease, status: http.StatusInternalServerError, text: "internal error"},
		{role: "fourhund", figure: "-400", lease: lease, status: http.StatusBadRequest, text: "the frobnicator is out of phase"},
	}
	for _, s := range scenes {
		s.player = w.player(t, s.role, s.lease, hour())
		if s.status != 0 {
			rule := testvault.Status(s.status, s.text)
			rule.Path = "sys/leases/renew"
			s.p.Fault(rule)
		}
		s.play(t, workers)
	}
	<-time.After(run)
	for _, s := range scenes {
		s.rest()
	}
	for _, s := range scenes {
		creations := s.creations()
		renewals := perLease(creations, s.renewals())
		most := slices.Max(renewals)
		assert.True(t, figure.AtMost(stdout, "b1-creations"+s.figure, float64(len(creations)), "creations", 9,
			"oracle=audit-log", fmt.Sprintf("seconds=%v", run.Seconds()), fmt.Sprintf("queries=%d", s.log.done)))
		assert.True(t, figure.AtMost(stdout, "b1-renewals-per-lease"+s.figure, float64(most), "renewals", 9,
			"oracle=proxy-log", fmt.Sprintf("each=%v", renewals)))
		assert.GreaterOrEqual(t, len(creations), int(run/ttl), "%s: leases must have ended for this to say anything", s.name)
		assert.Positive(t, most, "%s: renewals must have failed for this to say anything", s.name)
		assert.Equal(t, 1, s.logins(), "%s: no failed renewal is a reason to log in", s.name)
		if s.status == 0 {
			assert.Empty(t, s.answers("update", "sys/leases/renew"), "%s: renewals that Vault granted", s.name)
		}
		s.unharmed(t)
		s.leave(t)
	}
}
