package fresh

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Reader is a read handle under one policy, for generated code: each statement
// is routed on its own. It is safe for concurrent use.
type Reader struct {
	router *Router
	policy Policy
}

// Query routes one statement and returns its rows, read whole.
func (r *Reader) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	res, err := r.read(ctx, sql, args)
	if err != nil {
		return failedRows(err), err
	}
	return newRows(res), nil
}

// QueryRow routes one statement; its error, or pgx.ErrNoRows, is Scan's.
func (r *Reader) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	res, err := r.read(ctx, sql, args)
	return row{res, err}
}

// Exec returns ErrReadOnly. sqlc's interface asks for the method.
func (r *Reader) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, ErrReadOnly
}

func (r *Reader) read(ctx context.Context, sql string, args []any) (*result, error) {
	return r.router.route(ctx, r.policy, task{Work: Work{WorkRead, sql}, args: args})
}
