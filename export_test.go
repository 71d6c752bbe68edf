package leasehold

import "github.com/seed-f5e1ac40/leasehold/lease"

// SetClock has a client count on clock, for the tests of law 9.
func (c *Config) SetClock(clock lease.Clock) { c.clock = clock }
