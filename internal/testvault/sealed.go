package testvault

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// unsealKeyLine begins the line with which a dev server prints its only key.
const unsealKeyLine = "Unseal Key: "

// Seal seals the server: until Unseal it answers 503 to nearly everything, and
// keeps all that it holds.
func (s *Server) Seal() {
	s.tb.Helper()
	s.key() // or the seal would be for ever
	s.Write("sys/seal", nil)
	s.awaitSealed(true)
}

// Unseal ends a Seal. Leases and tokens whose time is up meanwhile are revoked
// soon after it.
func (s *Server) Unseal() {
	s.tb.Helper()
	s.Write("sys/unseal", map[string]any{"key": s.key()})
	s.awaitSealed(false)
}

func (s *Server) awaitSealed(want bool) {
	s.tb.Helper()
	Poll(s.tb, startWithin, func() bool {
		status, body, err := s.TryRead("sys/seal-status")
		return err == nil && status == http.StatusOK && body["sealed"] == want
	}, "the server's seal to open or close")
}

// UnsealKey is the key that opens the server's seal. Print it nowhere.
func (s *Server) UnsealKey() string {
	s.tb.Helper()
	return s.key()
}

// key returns the unseal key. Nobody prints it: see process.tail.
func (s *Server) key() string {
	s.tb.Helper()
	if s.unsealKey != "" {
		return s.unsealKey
	}
	// A dev server prints its key before its listener answers, but the two reach
	// us on different ways.
	Poll(s.tb, 10*time.Second, func() bool {
		output, err := os.ReadFile(filepath.Join(s.process.dir, outputFile))
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(output)) {
			if key, found := strings.CutPrefix(line, unsealKeyLine); found && strings.HasSuffix(key, "\n") {
				s.unsealKey = strings.TrimSpace(key)
			}
		}
		return s.unsealKey != ""
	}, "the dev server to print its unseal key")
	return s.unsealKey
}
