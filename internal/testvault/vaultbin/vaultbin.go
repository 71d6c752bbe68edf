//go:build vaultbin

// Package vaultbin pins the Vault server that the integration suite runs.
//
// The module exists so that `go build github.com/hashicorp/vault` resolves to
// one known version with checksums. Vault 1.21.0 with sdk v0.20.0 is the newest
// pair that compiles from the module proxy: later releases require an sdk that
// was never tagged. Vault is licensed under the BUSL; it is a test tool here.
package vaultbin

import _ "github.com/hashicorp/vault"
