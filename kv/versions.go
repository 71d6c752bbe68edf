package kv

import (
	"context"
	"fmt"
	"net/http"
)

// noVersions is what KV version 1 says to all that is about versions.
const noVersions = "keeps no versions"

// Versions returns the versions that Vault keeps of the secret at path, the oldest first,
// also those that are deleted or destroyed. Errors: [ErrNotFound], [ErrNoMount], or a
// leasehold.Error. It needs the capability "read" on the metadata, not on the secret.
func (s *Store) Versions(ctx context.Context, path string) ([]Metadata, error) {
	m, err := s.Metadata(ctx, path)
	return m.Versions, err
}

// DeleteVersions deletes those versions of the secret at path: reads of them give
// [ErrDeleted] until they are undeleted. Versions that do not exist are passed over. It may be
// called again after a failure.
func (s *Store) DeleteVersions(ctx context.Context, path string, versions ...int) error {
	return s.change(ctx, "delete", path, versions)
}

// Undelete makes deleted versions of the secret at path readable again, unless they are
// destroyed or gone. Versions that do not exist are passed over. It may be called again
// after a failure.
func (s *Store) Undelete(ctx context.Context, path string, versions ...int) error {
	return s.change(ctx, "undelete", path, versions)
}

// Destroy removes the data of those versions of the secret at path for good: reads of them
// give [ErrDestroyed]. Versions that do not exist are passed over. It may be called again
// after a failure. To remove a secret with all its versions there is
// [Store.DeleteMetadata].
func (s *Store) Destroy(ctx context.Context, path string, versions ...int) error {
	return s.change(ctx, "destroy", path, versions)
}

// change does what area says to some versions.
func (s *Store) change(ctx context.Context, area, path string, versions []int) error {
	a := action{
		op: area + " versions of", method: http.MethodPost, area: area, may: []string{"update"}, lacks: noVersions,
		body: func(engine) (any, error) { return map[string][]int{"versions": versions}, nil },
	}
	if err := s.check(path, a); err != nil {
		return err
	}
	if len(versions) == 0 {
		return fmt.Errorf("leasehold: %s %s: name at least one version", a.op, s.where(path))
	}
	for _, n := range versions {
		if n < 1 {
			return fmt.Errorf("leasehold: %s %s: there is no version %d", a.op, s.where(path), n)
		}
	}
	_, _, err := s.do(ctx, path, a)
	return err
}
