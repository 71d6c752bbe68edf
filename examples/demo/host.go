package main

import (
	"context"
	"fmt"
	"os"
	"sync"
)

// host stands in for the test that the in-memory Vault and the real servers
// otherwise belong to.
type host struct {
	ctx context.Context

	mu       sync.Mutex // guards cleanups
	cleanups []func()
}

func (h *host) Helper() {}

func (h *host) Context() context.Context { return h.ctx }

// Cleanup has f run at the end, the last one first.
func (h *host) Cleanup(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cleanups = append(h.cleanups, f)
}

// end runs the clean-ups, once.
func (h *host) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.cleanups) > 0 {
		last := len(h.cleanups) - 1
		f := h.cleanups[last]
		h.cleanups = h.cleanups[:last]
		f()
	}
}

// Fatalf ends the program, from whatever goroutine, and the servers with it.
func (h *host) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "demo: "+format+"\n", args...)
	h.end()
	os.Exit(1)
}

// Skipf is how a missing component is told; a demo without it has failed.
func (h *host) Skipf(format string, args ...any) { h.Fatalf(format, args...) }
