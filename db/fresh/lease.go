package fresh

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The guard. It is a statement of its own, sent before the query on the same
// connection: at READ COMMITTED each statement takes a new snapshot (manual,
// section 13.2.1), and replay only moves forward under a live connection, so
// the query's snapshot is no older than the position that the guard returns.
// Unsound are the same check inside the query's statement, whose snapshot is
// taken before the function runs; after the query; and inside REPEATABLE READ,
// where the first statement fixes the snapshot of the second.
const (
	guardSQL = `SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint, ` + timelineSQL
	// The stamp is taken after the query, for the same reason turned round: what
	// the query saw is not newer than what is replayed now. It follows a guard
	// on the same connection, which has told the timeline.
	stampSQL = `SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint, 0`
	// On the primary the flush position stands for it: with synchronous_commit
	// on or local, a commit is on disk before anyone sees it.
	primaryStampSQL = `SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint,
		('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::integer`
)

// A lease is one try of a read on one node.
type lease struct {
	router  *Router
	node    *node
	demand  *demand
	primary bool
	floor   Position
	served  Served
	stamp   Position

	conn  *pgx.Conn
	state *connState
}

// run takes a connection and runs try on it. If the node turns out to be just
// behind, it waits up to wait for it and tries once more.
func (l *lease) run(ctx context.Context, pool *pgxpool.Pool, wait time.Duration, try func(context.Context, *lease) error) error {
	l.node.inUse.Add(1)
	defer l.node.inUse.Add(-1)
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	l.conn, l.state = conn.Conn(), stateOf(conn.Conn().PgConn())
	err = try(ctx, l)
	if wait > 0 && errors.Is(err, errBehind) && l.catchUp(ctx, wait) {
		err = try(ctx, l)
	}
	return errors.Join(err, l.checkRole(ctx))
}

// checkRole looks at in_hot_standby, which PostgreSQL reports by itself (since
// 14; manual, section 55.2.7). A replica that was promoted meanwhile has not lost
// anything that it showed; a primary that was demoted may have.
func (l *lease) checkRole(ctx context.Context) error {
	standby := l.conn.PgConn().ParameterStatus("in_hot_standby") == "on"
	if standby != l.primary {
		return nil
	}
	_ = l.conn.Close(context.WithoutCancel(ctx)) // the pool drops it on release
	l.router.rediscover()
	if l.primary {
		return errDemoted
	}
	return nil
}

// guarded reports whether the connection itself has seen the floor, lately: a
// backend never outlives its server, so it is still at or past it.
func (l *lease) guarded() bool {
	return l.primary || l.floor.IsZero() ||
		l.state.pos.Reached(l.floor) && l.demand.start.Sub(l.state.seen) < l.router.config.GuardEvery
}

// seen takes in the answer to a guard or a stamp. NULL (nothing replayed, or
// never in recovery) is unknown and proves nothing.
func (l *lease) seen(lsn *int64, timeline int32) {
	pos := Position{Timeline: uint32(timeline)}
	if timeline == 0 {
		pos.Timeline = l.state.pos.Timeline
	}
	if lsn == nil || pos.Timeline == 0 {
		return
	}
	pos.LSN = LSN(*lsn)
	l.state.pos, l.state.seen = l.state.pos.Merge(pos), time.Now()
}

// query runs one statement with the guard and the stamp it needs, all in one
// round trip. errBehind means that the answer was thrown away unseen.
func (l *lease) query(ctx context.Context, sql string, args []any) (*result, error) {
	guarded := l.guarded()
	if guarded && !l.demand.stamp {
		rows, err := l.conn.Query(ctx, sql, args...)
		if err != nil {
			return nil, err
		}
		return readAll(rows)
	}
	batch := &pgx.Batch{}
	if !guarded || l.demand.stamp && !l.primary && l.state.pos.Timeline == 0 {
		batch.Queue(guardSQL)
		guarded = false
	}
	batch.Queue(sql, args...)
	if l.demand.stamp {
		batch.Queue(l.stampSQL())
	}
	answers := l.conn.SendBatch(ctx, batch)
	res, err := l.readBatch(answers, guarded)
	return res, errors.Join(err, answers.Close())
}

func (l *lease) readBatch(answers pgx.BatchResults, guarded bool) (*result, error) {
	if !guarded {
		if err := l.readPosition(answers.QueryRow()); err != nil {
			return nil, err
		}
		if !l.state.pos.Reached(l.floor) {
			return nil, errBehind
		}
	}
	rows, err := answers.Query()
	if err != nil {
		return nil, err
	}
	res, err := readAll(rows)
	if err != nil || !l.demand.stamp {
		return res, err
	}
	return res, l.readStamp(answers.QueryRow())
}

func (l *lease) stampSQL() string {
	if l.primary {
		return primaryStampSQL
	}
	return stampSQL
}

func (l *lease) readPosition(answer pgx.Row) error {
	var lsn *int64
	var timeline int32
	if err := answer.Scan(&lsn, &timeline); err != nil {
		return err
	}
	l.seen(lsn, timeline)
	return nil
}

// readStamp keeps the position that the answer belongs to. On a replica it is
// also the newest that the connection has seen.
func (l *lease) readStamp(answer pgx.Row) error {
	if !l.primary {
		err := l.readPosition(answer)
		l.stamp = l.state.pos
		return err
	}
	var lsn int64
	var timeline int32
	if err := answer.Scan(&lsn, &timeline); err != nil {
		return err
	}
	l.stamp = Position{Timeline: uint32(timeline), LSN: LSN(lsn)}
	return nil
}

// guard proves the floor in a round trip of its own, before a transaction.
func (l *lease) guard(ctx context.Context) error {
	if l.guarded() {
		return nil
	}
	if err := l.readPosition(l.conn.QueryRow(ctx, guardSQL)); err != nil {
		return err
	}
	if !l.state.pos.Reached(l.floor) {
		return errBehind
	}
	return nil
}

// recheckEvery is a little more than a round trip on a local network.
const recheckEvery = 300 * time.Microsecond

// catchUp asks the node again and again until it has replayed the floor.
func (l *lease) catchUp(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		if l.guard(ctx) == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return false
		case <-time.After(recheckEvery):
		}
	}
}

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
		return nil, err
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
	var res *result
	err := r.router.route(ctx, r.policy, func(ctx context.Context, l *lease) (err error) {
		res, err = l.query(ctx, sql, args)
		return err
	})
	return res, err
}
