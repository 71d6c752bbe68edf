package secret_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/secret"
)

// echo is a database whose one row has the arguments of the query as its columns, or what
// answer says, and which keeps what it was sent.
type echo struct {
	answer []driver.Value
	got    []driver.Value
}

var errEcho = errors.New("echo: queries only")

func (e *echo) Connect(context.Context) (driver.Conn, error) { return e, nil }
func (e *echo) Driver() driver.Driver                        { return nil }
func (e *echo) Prepare(string) (driver.Stmt, error)          { return nil, errEcho }
func (e *echo) Begin() (driver.Tx, error)                    { return nil, errEcho }
func (e *echo) Close() error                                 { return nil }

func (e *echo) QueryContext(_ context.Context, _ string, args []driver.NamedValue) (driver.Rows, error) {
	e.got = nil
	for _, arg := range args {
		e.got = append(e.got, arg.Value)
	}
	if e.answer != nil {
		return &row{values: e.answer}, nil
	}
	return &row{values: e.got}, nil
}

type row struct {
	values []driver.Value
	read   bool
}

func (r *row) Columns() []string { return make([]string, len(r.values)) }
func (r *row) Close() error      { return nil }
func (r *row) Next(dest []driver.Value) error {
	if r.read {
		return io.EOF
	}
	r.read = true
	copy(dest, r.values)
	return nil
}

func database(t *testing.T, answer ...driver.Value) (*sql.DB, *echo) {
	t.Helper()
	e := &echo{answer: answer}
	db := sql.OpenDB(e)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db, e
}

// TestLaw20ADatabaseIsGivenTheSecretItself, not "[redacted]", which it would keep as the
// value. Mutation: let Value return what is printed.
func TestLaw20ADatabaseIsGivenTheSecretItself(t *testing.T) {
	t.Parallel()
	db, e := database(t)
	s, b := secret.NewString(canary), secret.NewBytes([]byte{0, 255})
	var gotS secret.String
	var gotB secret.Bytes
	var none *secret.String
	var nothing *secret.Bytes
	var zeroS, nullS, nullAgain any
	var zeroB, nullB []byte
	args := []any{s, &b, none, nothing, secret.String{}, secret.Bytes{}, sql.Null[secret.String]{V: s, Valid: false}}
	require.NoError(t, db.QueryRowContext(t.Context(), "", args...).Scan(&gotS, &gotB, &nullS, &nullB, &zeroS, &zeroB, &nullAgain))
	assert.Equal(t, []driver.Value{canary, []byte{0, 255}, nil, nil, "", []byte{}, nil}, e.got)
	assert.Equal(t, s, gotS, "the text came back")
	assert.Equal(t, b, gotB, "the bytes came back")
	assert.NotNil(t, zeroB)
	assert.Nil(t, nullB)
}

func TestASecretComesInFromADatabase(t *testing.T) {
	t.Parallel()
	shared := []byte("bytes")
	db, _ := database(t, "text", shared, "text", shared, nil, nil, nil, "some", nil)
	s, b := secret.NewString("of an earlier row"), secret.NewBytes([]byte("of an earlier row"))
	var s1, s2 secret.String
	var b1, b2 secret.Bytes
	var null, some sql.Null[secret.String]
	p := new(secret.String)
	require.NoError(t, db.QueryRowContext(t.Context(), "").Scan(&s1, &s2, &b1, &b2, &s, &b, &null, &some, &p))
	shared[0] = 'X'
	assert.Equal(t, "text", s1.Reveal())
	assert.Equal(t, "bytes", s2.Reveal())
	assert.Equal(t, "text", string(b1.Reveal()))
	assert.Equal(t, "bytes", string(b2.Reveal()), "a driver uses its buffer again")
	assert.True(t, s.IsZero(), "what an earlier row held is gone")
	assert.True(t, b.IsZero())
	assert.False(t, null.Valid)
	assert.Equal(t, "some", some.V.Reveal())
	assert.Nil(t, p)
}

// TestLaw20WhatADatabaseCannotBeScannedIntoIsNotShown. Mutation: let scan's error quote
// what came.
func TestLaw20WhatADatabaseCannotBeScannedIntoIsNotShown(t *testing.T) {
	t.Parallel()
	for _, v := range []driver.Value{int64(86753091), 8675309.5, true, time.Unix(86753091, 0)} {
		db, _ := database(t, v)
		for _, into := range []any{new(secret.String), new(secret.Bytes), new(sql.Null[secret.String]), new(*secret.Bytes)} {
			err := db.QueryRowContext(t.Context(), "").Scan(into)
			require.ErrorContains(t, err, fmt.Sprintf("a database's %T is no secret.", v))
			assert.NotContains(t, err.Error(), "8675309")
			assert.NotContains(t, err.Error(), "1972")
		}
	}
	for _, s := range []sql.Scanner{new(secret.String), new(secret.Bytes)} {
		err := s.Scan([]string{canary})
		require.ErrorContains(t, err, "a database's []string is no secret.")
		hides(t, "what no driver gives", fmt.Sprintf("%v %+v %#v", err, err, err))
	}
	for name, v := range map[string]any{
		"null of a string": sql.Null[secret.String]{V: secret.NewString(canary), Valid: true},
		"null of bytes":    sql.Null[secret.Bytes]{V: secret.NewBytes([]byte(canary)), Valid: true},
		"named argument":   sql.Named("password", secret.NewString(canary)),
	} {
		hides(t, name, fmt.Sprintf("%v %+v %#v %s %x", v, v, v, v, v))
	}
}
