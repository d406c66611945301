package fresh

// stub while the package is being written
import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type Router struct{}

type Reader struct{}

func (r *Router) Reader(p Policy) *Reader { return &Reader{} }

func (r *Reader) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) { panic("stub") }
func (r *Reader) Query(context.Context, string, ...any) (pgx.Rows, error)         { panic("stub") }
func (r *Reader) QueryRow(context.Context, string, ...any) pgx.Row                { panic("stub") }

type ReadTx interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
}

type WriteTx interface {
	ReadTx
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error)
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}

func (r *Router) Snapshot(ctx context.Context, p Policy, fn func(context.Context, ReadTx) error) error {
	panic("stub")
}

func (r *Router) Write(ctx context.Context, fn func(context.Context, WriteTx) error) error {
	panic("stub")
}
