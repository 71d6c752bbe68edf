package sqldb_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
)

// trace notes what a driver is asked, in order.
type trace struct {
	mu    sync.Mutex
	lines []string
}

func (t *trace) addf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

// The pieces that the connections of the test are put together from, one for each
// optional interface.
type (
	base struct {
		*trace
		stmt func(t *trace, n int) driver.Stmt
	}
	withPing       struct{ *trace }
	withPrepareCtx struct{ base }
	withBeginTx    struct{ *trace }
	withExec       struct{ *trace }
	withExecCtx    struct{ *trace }
	withQuery      struct{ *trace }
	withQueryCtx   struct{ *trace }
	withSkip       struct{ *trace }
	withChecker    struct{ *trace }
	withReset      struct{ *trace }
	withValid      struct{ *trace }
)

func (b base) Prepare(q string) (driver.Stmt, error) {
	b.addf("prepare %s", q)
	if q == "FORBIDDEN" {
		return nil, errPermission
	}
	return b.stmt(b.trace, len(q)%3), nil
}
func (b base) Close() error              { b.addf("close"); return nil }
func (b base) Begin() (driver.Tx, error) { b.addf("begin"); return traceTx{b.trace}, nil }

func (w withPing) Ping(context.Context) error { w.addf("ping"); return nil }

func (w withPrepareCtx) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	w.addf("prepare with %v", ctx.Err())
	return w.Prepare(q)
}

func (w withBeginTx) BeginTx(_ context.Context, o driver.TxOptions) (driver.Tx, error) {
	w.addf("begin %+v", o)
	return traceTx(w), nil
}

func (w withExec) Exec(q string, args []driver.Value) (driver.Result, error) {
	w.addf("exec %s %#v", q, args)
	return driver.RowsAffected(1), nil
}

func (w withExecCtx) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	w.addf("exec %s %#v with %v", q, args, ctx.Err())
	return driver.RowsAffected(1), nil
}

func (w withQuery) Query(q string, args []driver.Value) (driver.Rows, error) {
	w.addf("query %s %#v", q, args)
	return &oneRow{value: q}, nil
}

func (w withQueryCtx) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	w.addf("query %s %#v with %v", q, args, ctx.Err())
	return &oneRow{value: q}, nil
}

func (w withSkip) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	w.addf("skip exec")
	return nil, driver.ErrSkip
}

func (w withSkip) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	w.addf("skip query")
	return nil, driver.ErrSkip
}

// check is what the checkers of the test do: take a special type as it is, leave out
// booleans, refuse floats, and pass the rest.
func check(t *trace, who string, nv *driver.NamedValue) error {
	t.addf("%s checks %d %q %v", who, nv.Ordinal, nv.Name, nv.Value)
	switch v := nv.Value.(type) {
	case special:
		nv.Value = "special " + v[0]
		return nil
	case bool:
		return driver.ErrRemoveArgument
	case float64:
		return errors.New("no floats")
	}
	return driver.ErrSkip
}

// special is a type that database/sql cannot convert.
type special []string

func (w withChecker) CheckNamedValue(nv *driver.NamedValue) error {
	return check(w.trace, "connection", nv)
}

func (w withReset) ResetSession(context.Context) error { w.addf("reset"); return nil }
func (w withValid) IsValid() bool                      { w.addf("valid?"); return true }

type traceTx struct{ *trace }

func (t traceTx) Commit() error   { t.addf("commit"); return nil }
func (t traceTx) Rollback() error { t.addf("rollback"); return nil }

type (
	stmtBase struct {
		*trace
		n int
	}
	stmtWithCtx     struct{ *trace }
	stmtWithChecker struct{ *trace }
	stmtWithColumns struct{ *trace }
)

func (s stmtBase) Close() error  { s.addf("close statement"); return nil }
func (s stmtBase) NumInput() int { return s.n }

func (s stmtBase) Exec(args []driver.Value) (driver.Result, error) {
	s.addf("statement exec %#v", args)
	return driver.RowsAffected(1), nil
}

func (s stmtBase) Query(args []driver.Value) (driver.Rows, error) {
	s.addf("statement query %#v", args)
	return &oneRow{value: "row"}, nil
}

func (s stmtWithCtx) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.addf("statement exec %#v with %v", args, ctx.Err())
	return driver.RowsAffected(1), nil
}

func (s stmtWithCtx) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.addf("statement query %#v with %v", args, ctx.Err())
	return &oneRow{value: "row"}, nil
}

func (s stmtWithChecker) CheckNamedValue(nv *driver.NamedValue) error {
	return check(s.trace, "statement", nv)
}

func (s stmtWithColumns) ColumnConverter(i int) driver.ValueConverter {
	s.addf("column %d", i)
	return column{i}
}

// column converts numbers only, and passes special on as text.
type column struct{ i int }

func (c column) ConvertValue(v any) (driver.Value, error) {
	switch v := v.(type) {
	case special:
		return "column " + v[0], nil
	case string:
		return nil, fmt.Errorf("column %d takes no text", c.i)
	}
	return driver.DefaultParameterConverter.ConvertValue(v)
}

// The statements of the test.
var statements = map[string]func(t *trace, n int) driver.Stmt{
	"plain":   func(t *trace, n int) driver.Stmt { return stmtBase{t, n} },
	"unknown": func(t *trace, _ int) driver.Stmt { return stmtBase{t, -1} },
	"context": func(t *trace, n int) driver.Stmt {
		return struct {
			stmtBase
			ctxStmt
		}{stmtBase{t, n}, ctxStmt{stmtWithCtx{t}}}
	},
	"checker": func(t *trace, n int) driver.Stmt {
		return struct {
			stmtBase
			checkerStmt
		}{stmtBase{t, n}, checkerStmt{stmtWithChecker{t}}}
	},
	"columns": func(t *trace, n int) driver.Stmt {
		return struct {
			stmtBase
			columnsStmt
		}{stmtBase{t, n}, columnsStmt{stmtWithColumns{t}}}
	},
	"checker and columns": func(t *trace, n int) driver.Stmt {
		return struct {
			stmtBase
			checkerStmt
			columnsStmt
		}{stmtBase{t, n}, checkerStmt{stmtWithChecker{t}}, columnsStmt{stmtWithColumns{t}}}
	},
}

// One more level of embedding each, so that only the trace of stmtBase is promoted.
type (
	ctxStmt     struct{ stmtWithCtx }
	checkerStmt struct{ stmtWithChecker }
	columnsStmt struct{ stmtWithColumns }
)

// The connections of the test.
var connections = map[string]func(b base) driver.Conn{
	"bare": func(b base) driver.Conn { return b },
	"of old": func(b base) driver.Conn {
		return struct {
			base
			withExec
			withQuery
		}{b, withExec{b.trace}, withQuery{b.trace}}
	},
	"exec only": func(b base) driver.Conn {
		return struct {
			base
			withExecCtx
		}{b, withExecCtx{b.trace}}
	},
	"query only": func(b base) driver.Conn {
		return struct {
			base
			withQueryCtx
		}{b, withQueryCtx{b.trace}}
	},
	"checker": func(b base) driver.Conn {
		return struct {
			base
			withChecker
		}{b, withChecker{b.trace}}
	},
	"resets": func(b base) driver.Conn {
		return struct {
			base
			withReset
		}{b, withReset{b.trace}}
	},
	"skips": func(b base) driver.Conn {
		return struct {
			base
			withSkip
			withReset
			withValid
		}{b, withSkip{b.trace}, withReset{b.trace}, withValid{b.trace}}
	},
	"everything": func(b base) driver.Conn {
		return struct {
			base
			withPing
			prepareOnly
			withBeginTx
			withExecCtx
			withQueryCtx
			withChecker
			withReset
			withValid
		}{
			b, withPing{b.trace}, prepareOnly{withPrepareCtx{b}}, withBeginTx{b.trace}, withExecCtx{b.trace},
			withQueryCtx{b.trace}, withChecker{b.trace}, withReset{b.trace}, withValid{b.trace},
		}
	},
}

// prepareOnly is a level of embedding, so that the methods of its base do not compete.
type prepareOnly struct{ withPrepareCtx }
