package likeness

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestAnswersMayBeSecondsApartOnlyWhereTheRequestsWere: a renewal is cut to what is left of a maximum, which counts
// down between a request to one server and that to the other. Vault does not always warn of it.
func TestAnswersMayBeSecondsApartOnlyWhereTheRequestsWere(t *testing.T) {
	t.Parallel()
	warned := func(left string) []any {
		return []any{`TTL of "16m" exceeded the effective max_ttl of "` + left + `"; TTL value is capped accordingly`}
	}
	given := func(duration json.Number, warnings []any) *answer {
		return &answer{body: map[string]any{"lease_duration": duration, "warnings": warnings}}
	}
	for name, tc := range map[string]struct {
		want, got    *answer
		inOne, apart int
	}{
		"the same":     {given("900", warned("15m")), given("900", warned("15m")), 0, 0},
		"a second":     {given("900", warned("15m")), given("899", warned("14m59s")), 2, 0},
		"two seconds":  {given("900", warned("15m")), given("898", warned("14m58s")), 2, 2},
		"no warning":   {given("900", []any{}), given("899", []any{}), 1, 0},
		"one warns":    {given("900", warned("15m")), given("899", []any{}), 2, 1},
		"another text": {given("900", warned("15m")), given("900", []any{`TTL of "17m" exceeded the effective max_ttl of "15m"; TTL value is capped accordingly`}), 1, 1},
	} {
		assert.Len(t, compare(tc.want, tc.got, nil, 0), tc.inOne, name)
		assert.Len(t, compare(tc.want, tc.got, nil, 1), tc.apart, name)
		if name == "two seconds" {
			assert.Empty(t, compare(tc.want, tc.got, nil, 2), name)
		}
	}
}

// TestOutputsAreTheSameButForTime: of what counts down a few seconds' difference is none, wherever they lie.
func TestOutputsAreTheSameButForTime(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		vaults, fakes string
		same          bool
	}{
		"equal":           {"ttl 4h", "ttl 4h", true},
		"either side":     {"max_ttl of \"3h59m55s\"", "max_ttl of \"3h59m54s\"", true},
		"of the hour":     {"ttl 4h", "ttl 3h59m56s", true},
		"too far apart":   {"ttl 10m", "ttl 9m54s", false},
		"another text":    {"ttl 10m a", "ttl 10m b", false},
		"one has no time": {"ttl 10m", "ttl", false},
	} {
		assert.Equal(t, tc.same, sameButForTime(tc.vaults, tc.fakes), name)
	}
}
