package kv

import (
	"context"
	"fmt"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
)

// APIPath returns the path of Vault's API that Get asks for path: what a policy must name. It may
// have to ask for the engine's version first, for as long as Get would; known is false if Vault
// does not tell, and the path is then that of version 2. An error is one that no policy cures,
// [ErrNoMount], or why Vault could not be asked.
func (s *Store) APIPath(ctx context.Context, path string) (api string, known bool, err error) {
	e := s.engine(ctx)
	if e.version == 0 && e.within == "" && e.other == "" && !e.denied { // it was asked once, and nobody waited for it
		if e, err = s.asked(ctx); session.MayPass(err) {
			return "", false, err
		}
	}
	switch {
	case e.within != "" || e.other != "":
		return "", false, fmt.Errorf("leasehold: read %s: %w (%s)", s.named(path), ErrNoMount, s.otherwise(path, e))
	case e.kv() == 1:
		return s.where(path), true, nil
	}
	return s.mount + "/data/" + path, e.version != 0, nil
}
