package session

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const aDate = "Fri, 31 Dec 1999 23:59:59 GMT"

// TestE2RetryAfterIsReadInBothForms (law 9): a date counts from the server's own, never from our
// clock, and what makes no sense is no pause. Mutations: a date is no pause; a date is compared
// with our clock; any number is believed.
func TestE2RetryAfterIsReadInBothForms(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		after, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"7", "", 7 * time.Second},
		{"0", "", 0},
		{"-7", "", 0},
		{"1.5", "", 0},
		{"7 s", "", 0},
		{"soon", "", 0},
		{"99999", "", 24 * time.Hour},
		{"9223372036854775807", "", 24 * time.Hour},
		{"99999999999999999999999", "", 24 * time.Hour},
		{"Sat, 01 Jan 2000 00:00:09 GMT", aDate, 10 * time.Second},
		{"Saturday, 01-Jan-00 00:00:09 GMT", aDate, 10 * time.Second},
		{"Sat Jan  1 00:00:09 2000", aDate, 10 * time.Second},
		{"Sat, 01 Jan 2000 00:00:09 GMT", "", 0},
		{"Sat, 01 Jan 2000 00:00:09 GMT", "yesterday", 0},
		{"Fri, 31 Dec 1999 23:59:00 GMT", aDate, 0},
		{"Fri, 31 Dec 9999 23:59:00 GMT", aDate, 24 * time.Hour},
		{"Sat, 32 Jan 2000 00:00:09 GMT", aDate, 0},
	} {
		h := http.Header{"Retry-After": {tt.after}, "Date": {tt.date}}
		assert.Equal(t, tt.want, retryAfter(h), "%q at %q", tt.after, tt.date)
	}
}

// FuzzRetryAfterIsBounded: no header makes a pause that is negative or longer than a day.
func FuzzRetryAfterIsBounded(f *testing.F) {
	for _, v := range []string{"", "7", "-7", "99999999999999999999", "Sat, 01 Jan 2000 00:00:09 GMT", "Sat Jan  1 00:00:09 2000"} {
		f.Add(v, aDate)
		f.Add(aDate, v)
	}
	f.Fuzz(func(t *testing.T, after, date string) {
		d := retryAfter(http.Header{"Retry-After": {after}, "Date": {date}})
		require.GreaterOrEqual(t, d, time.Duration(0))
		require.LessOrEqual(t, d, longestRetryAfter)
	})
}
