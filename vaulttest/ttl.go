package vaulttest

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// grantTTL is Vault's reckoning of how long a token or lease gets, with its rounding to whole
// seconds and its warnings. A zero start means now.
func grantTTL(now, start time.Time, increment, ttl, period, maxTTL, explicitMax time.Duration) (time.Duration, []string, error) {
	now = now.Truncate(time.Second)
	start = start.Truncate(time.Second)
	if start.IsZero() {
		start = now
	}
	limit := systemTTL
	for _, m := range []time.Duration{maxTTL, explicitMax} {
		if m > 0 && m < limit {
			limit = m
		}
	}
	var warnings []string
	var end time.Time
	grant := systemTTL
	if period > 0 {
		if period > limit {
			warnings = append(warnings, fmt.Sprintf("period of %q exceeded the effective max_ttl of %q; period value is capped accordingly", durationText(period), durationText(limit)))
			period = limit
		}
		grant = period
		if explicitMax > 0 {
			end = start.Add(explicitMax)
		}
	} else {
		if increment > 0 {
			grant = increment
		} else if ttl > 0 {
			grant = ttl
		}
		end = start.Add(limit)
	}
	if !end.IsZero() {
		left := end.Sub(now)
		if left <= 0 {
			return 0, nil, errPastMax
		}
		if grant > left {
			warnings = append(warnings, fmt.Sprintf("TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", durationText(grant), durationText(left)))
			grant = left
		}
	}
	return grant, warnings, nil
}

// durationText prints a duration without the units that are zero, as in Vault's warnings.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if i := strings.Index(s, "h0m"); i > 0 {
		s = s[:i+1] + s[i+3:]
	}
	return s
}

var errPastMax = errors.New("past the max TTL, cannot renew")

// term is a duration of the test's own set-up, with its name there.
type term struct {
	name string
	time.Duration
}

// unfit tells which of the terms Vault, which has whole seconds, cannot have; empty: none. Below a
// second is most often a number of seconds that has become nanoseconds.
func unfit(terms ...term) string {
	for _, t := range terms {
		switch {
		case t.Duration < 0:
			return fmt.Sprintf("%s %v is negative", t.name, t.Duration)
		case t.Duration > 0 && t.Duration < time.Second:
			return fmt.Sprintf("%s %v is less than a second: a time.Duration, such as 3600*time.Second?", t.name, t.Duration)
		}
	}
	return ""
}

// remaining is a time to live as Vault's lookups round it; zero without an end.
func remaining(now, end time.Time) int64 {
	if end.IsZero() {
		return 0
	}
	return int64(end.Sub(now.Round(time.Second)).Seconds())
}
