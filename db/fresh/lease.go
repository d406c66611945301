package fresh

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
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
	proven  Position // what the connection had shown when it was let go
	stamp   Position

	// Only while run holds the connection: another read may have it afterwards.
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
	l.proven = l.state.pos
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

// seen takes in what this backend has shown. A position without a timeline is
// on the one that the connection is known to be on.
func (l *lease) seen(lsn LSN, timeline uint32) {
	if timeline == 0 {
		timeline = l.state.pos.Timeline
	}
	if timeline == 0 {
		return // unknown is never fresh
	}
	l.state.pos, l.state.seen = l.state.pos.Merge(Position{timeline, lsn}), time.Now()
}

func (l *lease) stampSQL() string {
	if l.primary {
		return primaryStampSQL
	}
	return stampSQL
}

// guard proves the floor in a round trip of its own, before a transaction.
func (l *lease) guard(ctx context.Context) error {
	if l.guarded() {
		return nil
	}
	_, err := l.send(ctx, steps{guard: true}, "", nil)
	return err
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
