// Package rooms holds the rule of who may import whom in this module, as a test.
//
// The rooms where secrets live (cache, lease, secret) stand on the standard
// library alone, so that they can be read and trusted by themselves; only
// internal/session speaks HTTP to Vault; and a program links what it uses and no
// more. The table is in rooms_test.go: a new package needs a row there.
package rooms
