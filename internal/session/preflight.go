package session

import "github.com/seed-f5e1ac40/leasehold/auth"

// Upkeep is what kind of upkeep the current token gets.
type Upkeep struct {
	Namespace string // of the token
	Absent    bool   // the token is not ours to know: a proxy's
	Revoked   bool   // at Close, and everything obtained with it
	Kept      bool   // Close gives nothing back
	Renewable bool
}

// Upkeep tells what the policy of the current token should allow for the token's own sake.
func (s *Session) Upkeep() Upkeep {
	u := Upkeep{Namespace: s.cfg.AuthNamespace, Absent: auth.IsNone(s.cfg.Auth), Kept: s.cfg.KeepOnClose}
	if t := s.current(); t != nil && !u.Absent {
		u.Revoked = t.owned && t.kind != "batch"
		u.Renewable = t.grant.Lease().Renewable && !s.held() // which is looked at instead
	}
	return u
}
