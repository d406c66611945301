package fresh

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ReadTx is a read transaction, as generated code sees it.
type ReadTx interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Snapshot runs fn in a REPEATABLE READ, READ ONLY transaction on one node that
// satisfies the policy: its statements see one state of the database. fn may
// run again on another node; it must keep its effects to itself until Snapshot
// returns nil, and must not use tx afterwards.
func (r *Router) Snapshot(ctx context.Context, p Policy, fn func(context.Context, ReadTx) error) error {
	if r.config.Pooler {
		p = Strong()
	}
	_, err := r.route(ctx, p, task{Work: Work{Kind: WorkSnapshot}, fn: fn})
	return err
}

func (l *lease) snapshot(ctx context.Context) error {
	// Before BEGIN: the transaction's first statement fixes its snapshot.
	if err := l.guard(ctx); err != nil {
		return err
	}
	err := l.transaction(ctx, l.demand.task.fn)
	if planChanged(err) {
		if err = l.forgetStatements(ctx); err == nil {
			err = l.transaction(ctx, l.demand.task.fn)
		}
	}
	if err != nil || !l.demand.stamp {
		return err
	}
	return l.send(ctx, steps{stamp: true}, l)
}

func (l *lease) transaction(ctx context.Context, fn func(context.Context, ReadTx) error) error {
	if _, err := l.conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"); err != nil {
		return err
	}
	if err := fn(ctx, l.conn); err != nil {
		_, ended := rollback(ctx, l.conn, "ROLLBACK")
		return errors.Join(err, ended)
	}
	tag, err := l.conn.Exec(ctx, "COMMIT")
	if err == nil && tag.String() == "ROLLBACK" {
		return errSwallowed
	}
	return err
}

const (
	// rollbackGrace is how much longer than its caller a ROLLBACK may take. It is
	// sent even when the caller's context has ended: the connection is worth
	// keeping, but not worth a missed deadline.
	rollbackGrace   = 100 * time.Millisecond
	rollbackTimeout = 2 * time.Second // for a caller without a deadline
)

// rollback sends sql, whose first statement is ROLLBACK. An error of the statements
// behind it is none of the rollback. It returns nil when the connection is gone: then
// so is the transaction.
func rollback(ctx context.Context, conn *pgx.Conn, sql string) ([]*pgconn.Result, error) {
	if conn.IsClosed() {
		return nil, nil
	}
	limit := rollbackTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(0, time.Until(deadline)) + rollbackGrace
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if len(results) > 0 && !conn.IsClosed() {
		return results, nil
	}
	return nil, err
}
