package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// screen writes one line per thing that happens, with the time since the
// beginning.
type screen struct {
	began time.Time

	mu  sync.Mutex // guards out
	out io.Writer
}

func (s *screen) textf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

func (s *screen) headingf(format string, args ...any) { s.textf("\n"+format, args...) }

func (s *screen) linef(who, what, format string, args ...any) {
	at := time.Since(s.began).Seconds()
	line := fmt.Sprintf("%5.1fs  %-8s  %-12s  %s", at, who, what, fmt.Sprintf(format, args...))
	s.textf("%s", strings.TrimRight(line, " "))
}

// wording puts the library's events into words.
var wording = map[lease.EventKind]string{
	lease.Lost:          "found dead",
	lease.ObtainFailed:  "not obtained",
	lease.RenewFailed:   "not renewed",
	lease.RenewRefused:  "not renewable",
	lease.ReplaceFailed: "not replaced",
	lease.ReadFailed:    "not read",
}

// event shows what the library reports.
func (s *screen) event(e leasehold.Event) {
	what, ok := wording[e.Kind]
	if !ok {
		what = string(e.Kind)
	}
	var details []string
	who := "lease"
	switch {
	case e.Name == "token":
		who = "token"
	case e.Kind == lease.ReadFailed:
		who = "value"
		details = append(details, e.Name)
	default:
		details = append(details, e.Name)
	}
	if e.Err != nil {
		details = append(details, reason(e.Err))
	}
	if !e.Expires.IsZero() && e.Kind != lease.Lost && e.Kind != lease.Expired {
		word := "good for"
		if e.Err != nil {
			word = "still good for"
		}
		left := e.Expires.Sub(e.Time)
		if left > 0 {
			details = append(details, fmt.Sprintf("%s %.1fs", word, left.Seconds()))
		}
	}
	s.linef(who, what, "%s", strings.Join(details, "  "))
}

// reason shortens an error for the screen. A program should log it whole.
func reason(err error) string {
	var e *leasehold.Error
	switch {
	case !errors.As(err, &e):
		return err.Error()
	case e.Status == 0:
		return "Vault does not answer"
	case len(e.Vault) > 0:
		return fmt.Sprintf("Vault says %d %s", e.Status, strings.Join(e.Vault, "; "))
	default:
		return fmt.Sprintf("Vault says %d", e.Status)
	}
}

// short cuts a user name so that a line stays a line.
func short(user string) string {
	const enough = 26
	if len(user) > enough {
		return user[:enough] + "..."
	}
	return user
}
