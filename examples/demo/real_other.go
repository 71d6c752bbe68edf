//go:build !unix

package main

// newReal says that the real servers cannot be started here.
func newReal(h *host) stage {
	h.Fatalf("-real needs a Unix")
	return nil
}
