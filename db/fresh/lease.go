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
//
// What is replayed is asked first, in a subquery that is not flattened since the function is
// volatile: a standby that goes on to another timeline meanwhile says so behind it. What
// timeline it is on is the monitor's to know, see ancestry and timelineOf.
const (
	guardSQL = `SELECT (replayed - '0/0')::bigint,
		coalesce((SELECT received_tli FROM pg_stat_wal_receiver), 0), ` + runSQL + `
		FROM (SELECT pg_last_wal_replay_lsn() AS replayed) AS node`
	// The stamp is taken after the query, for the same reason turned round: what
	// the query saw is not newer than what is replayed now. (Except for the moment
	// in which a commit is visible and its record not yet counted as replayed; see
	// doc.go.) The timeline is the one that a guard on the connection has told; if
	// the standby has just followed a promotion it is the old one, and a token of
	// an old timeline goes to the primary.
	stampSQL = `SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint, 0`
	// On the primary the flush position stands for it: with synchronous_commit
	// on or local, a commit is on disk before anyone sees it.
	primaryStampSQL = `SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint,
		('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::integer`
)

// A lease is one try of a read on one node.
type lease struct {
	demand *demand
	floor  Position
	served Served
	proven Position // shown by the connection before the query
	stamp  Position // shown after it
	result *result  // of a statement
	err    error    // of the read, beside others of one message

	wire // only while run, or a trip, holds the connection: another read may have it afterwards

	statement *statement // as sent in a message
	passenger            // if it waits to be taken along
}

// A wire is a node's connection in the hands of one goroutine.
type wire struct {
	router  *Router
	node    *node
	primary bool
	conn    *pgx.Conn
	state   *connState
}

// hold takes what the pool has handed out.
func (w *wire) hold(conn *pgxpool.Conn) { w.conn, w.state = conn.Conn(), stateOf(conn.Conn().PgConn()) }

func (r *Router) lease(n *node, d *demand, floor Position, served Served) *lease {
	return &lease{demand: d, floor: floor, served: served, wire: wire{router: r, node: n, primary: served.Primary}}
}

// onReplica runs the read on a connection of its own, or on one that it shares. A session
// read does not: it may have to wait for the replica.
func (l *lease) onReplica(ctx context.Context, wait time.Duration) error {
	l.node.inUse.Add(1)
	defer l.node.inUse.Add(-1)
	if p := l.demand.policy; p.shared && p.kind != kindSession && l.demand.task.fn == nil {
		return l.node.trips.carry(ctx, l)
	}
	return l.run(ctx, l.node.read, wait)
}

// run takes a connection and runs the read on it. If the node turns out to be just
// behind, it waits up to wait for it and tries once more.
func (l *lease) run(ctx context.Context, pool *pgxpool.Pool, wait time.Duration) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	l.demand.tries++
	l.hold(conn)
	l.proven = l.state.pos
	err = l.read(ctx)
	if wait > 0 && errors.Is(err, errBehind) && l.catchUp(ctx, wait) {
		err = l.read(ctx)
	}
	return errors.Join(err, l.checkRole(ctx, l.demand.stamp))
}

// read does what the demand is about.
func (l *lease) read(ctx context.Context) error {
	if l.demand.task.fn != nil {
		return l.snapshot(ctx)
	}
	return l.query(ctx)
}

// checkRole looks at in_hot_standby, which PostgreSQL reports by itself (since
// 14; manual, section 55.2.7). A replica that was promoted meanwhile still holds
// everything that it had proven, but its replay position, the stamp, stands still;
// a primary that was demoted may lack what another has acknowledged.
func (w *wire) checkRole(ctx context.Context, stamped bool) error {
	status := w.conn.PgConn().ParameterStatus("in_hot_standby")
	if status == "" || (status == "on") != w.primary { // a pooler may not pass it on
		return nil
	}
	closeQuietly(w.conn) // the pool drops it on release
	w.router.rediscover()
	if w.primary || stamped {
		return errDemoted
	}
	return nil
}

// needsTimeline: a stamp without a timeline is no position, and only a guard
// tells it.
func (w *wire) needsTimeline(l *lease) bool {
	return l.demand.stamp && !w.primary && w.state.pos.Timeline == 0
}

// guarded reports whether the connection itself has seen the floor, lately: a
// backend never outlives its server, so it is still at or past it.
func (w *wire) guarded(l *lease) bool {
	return l.primary || l.floor.IsZero() || !w.router.config.Pooler &&
		w.state.pos.Reached(l.floor) && l.demand.start.Sub(w.state.seen) < w.router.config.GuardEvery
}

// needs returns the steps that a read takes on the wire.
func (w *wire) needs(l *lease) steps {
	return steps{guard: !w.guarded(l) || w.needsTimeline(l), stamp: l.demand.stamp}
}

// seen takes in what this backend has shown. A position without a timeline is
// on the one that the connection is known to be on, and without one it is none:
// unknown is never fresh.
func (w *wire) seen(lsn LSN, timeline uint32) Position {
	if timeline == 0 {
		timeline = w.state.pos.Timeline
	}
	if timeline == 0 {
		return Position{}
	}
	pos := Position{timeline, lsn}
	w.state.pos, w.state.seen = w.state.pos.Merge(pos), time.Now()
	return pos
}

func (w *wire) stampSQL() string {
	if w.primary {
		return primaryStampSQL
	}
	return stampSQL
}

// guard proves the floor in a round trip of its own, before a transaction.
func (l *lease) guard(ctx context.Context) error {
	if !l.needs(l).guard {
		return nil
	}
	return l.send(ctx, steps{guard: true}, l)
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
