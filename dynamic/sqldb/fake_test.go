package sqldb_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"sync"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// fake is a Source of credentials that do not end, for what has nothing to do with Vault.
type fake struct {
	mu       sync.Mutex
	snap     dynamic.Snapshot[dynamic.UserPass]
	changed  chan struct{}
	suspects []uint64
}

func newFake(user string) *fake {
	f := &fake{changed: make(chan struct{})}
	f.rotate(user)
	return f
}

func (f *fake) rotate(user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snap.Value = dynamic.UserPass{Username: user, Password: secret.NewString("canary p@ss " + user)}
	f.snap.Generation++
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) Snapshot() dynamic.Snapshot[dynamic.UserPass] {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snap
}

func (f *fake) Current(context.Context) (dynamic.UserPass, error) { return f.Snapshot().Value, nil }

func (f *fake) Wait(ctx context.Context, after uint64) (dynamic.Snapshot[dynamic.UserPass], error) {
	for {
		f.mu.Lock()
		snap, changed := f.snap, f.changed
		f.mu.Unlock()
		if snap.Generation > after {
			return snap, nil
		}
		select {
		case <-ctx.Done():
			return snap, ctx.Err()
		case <-changed:
		}
	}
}

func (f *fake) Invalidate(uint64) {}

func (f *fake) Suspect(generation uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.suspects = append(f.suspects, generation)
}

func (f *fake) suspected() []uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.suspects)
}

// only is a connector that dials by calling a function.
type only struct{ dial func() driver.Conn }

func (o only) Connect(context.Context) (driver.Conn, error) { return o.dial(), nil }
func (only) Driver() driver.Driver                          { return toyDriver{} }

// over returns the function for sqldb.Connector that dials by calling dial.
func over(dial func() driver.Conn) func(dynamic.UserPass) (driver.Connector, error) {
	return func(dynamic.UserPass) (driver.Connector, error) { return only{dial}, nil }
}

// bareConn is a connection with none of the optional interfaces.
type bareConn struct{}

func (bareConn) Prepare(string) (driver.Stmt, error) { return nil, errors.New("cannot prepare") }
func (bareConn) Close() error                        { return nil }
func (bareConn) Begin() (driver.Tx, error)           { return nil, errors.New("cannot begin") }
