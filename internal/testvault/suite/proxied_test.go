package suite

import (
	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// via has a client reach Vault through the proxy.
func via(p *testvault.Proxy) func(*leasehold.Config) {
	return func(c *leasehold.Config) { c.Address = p.Addr() }
}
