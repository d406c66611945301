package fresh

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A view is what the monitor saw of a node. It may keep a read away from a
// node, and it chooses the primary; it never makes a read acceptable, because
// the server may have crashed and come back further behind since.
type view struct {
	at      time.Time // when the question was sent
	err     error     // not nil: nothing else is known
	standby bool
	pos     Position // replayed on a standby, flushed on the primary
	system  int64    // identifies the cluster; nodes of another one are ignored
	sync    syncView // of a primary
}

// The timeline of a standby that has replayed up to "replayed" is that of the log it
// receives, if it has received as much as it has replayed. One that is ahead of the fork
// and crashes may replay its own log past the fork once more, and then ask for the new
// timeline; it receives that from the start of a segment, below what it has replayed.
//
// Without a receiver (cut off, or the primary is down) it is the one up to which the
// control file says that recovery must go, which may be too old, by minutes, but never
// too new: it is that of the records that were replayed. See believe.
const timelineSQL = `coalesce((SELECT received_tli FROM pg_stat_wal_receiver WHERE written_lsn >= replayed),
	(SELECT nullif(min_recovery_end_timeline, 0) FROM pg_control_recovery()), 0)`

// What is replayed is asked first, in a subquery that is not flattened since the function
// is volatile: a standby that receives and replays meanwhile is not taken for one ahead.
//
// pg_current_wal_flush_lsn and not ..._insert_lsn: the latter may point past a
// page header, where no record ends and no idle standby ever gets to.
const observeSQL = `SELECT standby, (CASE WHEN standby THEN replayed
		ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint,
	CASE WHEN standby THEN ` + timelineSQL + `
		ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::integer END,
	(SELECT system_identifier FROM pg_control_system())
FROM (SELECT pg_is_in_recovery() AS standby, pg_last_wal_replay_lsn() AS replayed) AS node`

// watch observes one node until ctx ends, on a connection of its own: taken
// from a pool that is exhausted it would be blind exactly when it is needed.
func (r *Router) watch(ctx context.Context, n *node, config *pgx.ConnConfig) {
	defer r.watchers.Done()
	var a asked
	defer func() { closeQuietly(a.conn) }()
	failures := 0
	for {
		v := r.observe(ctx, &a, config)
		if ctx.Err() != nil {
			return
		}
		r.publish(n, v)
		if failures++; v.err == nil {
			failures = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-n.kick:
			// Under a storm of errors everybody kicks; the node is not asked in step.
			time.Sleep(r.config.SampleEvery / 10)
		case <-time.After(a.pause(r.config.SampleEvery, failures)):
		}
	}
}

// pause is the period of the monitor, stretched up to fivefold and jittered
// while a node does not answer, so that many processes do not dial in step.
func pause(period time.Duration, failures int) time.Duration {
	if failures <= 1 {
		return period
	}
	longest := period * time.Duration(min(failures, 5))
	return longest/2 + rand.N(longest/2)
}

// asked is the monitor's connection to a node, with what that has told of its timeline as
// a standby.
type asked struct {
	conn     *pgx.Conn
	last     uint32 // told by the last answer
	timeline uint32 // the newest that two answers in a row agree on
}

// believe returns the timeline of a standby that now tells this one.
//
// A timeline that it has followed it keeps for as long as the connection lives, and so
// that is known also when the stream ends and the control file is too old: the standby
// that followed one failover serves on when the next primary dies.
//
// One answer is not enough for that. When the log that is received comes to where a
// standby past the fork stands, it looks for milliseconds like one that follows, until
// PostgreSQL finds that no record begins there, and ends the stream.
func (a *asked) believe(told uint32) uint32 {
	a.timeline = max(a.timeline, min(a.last, told))
	a.last = told
	return cmp.Or(a.timeline, told)
}

// pause is short if a new timeline wants to be told once more: until then the standby
// answers nobody, and in a failover it is missed.
func (a *asked) pause(period time.Duration, failures int) time.Duration {
	if a.timeline > 0 && a.last > a.timeline {
		return period / 10
	}
	return pause(period, failures)
}

func (a *asked) giveUp() {
	closeQuietly(a.conn)
	*a = asked{}
}

// observe asks the node once, and connects first if need be. On any error the
// connection is given up: its next answer could be to an older question.
func (r *Router) observe(ctx context.Context, a *asked, config *pgx.ConnConfig) view {
	var err error
	if a.conn == nil {
		if a.conn, err = pgx.ConnectConfig(ctx, config); err != nil { // bounded by connectTimeout
			a.conn = nil
			return view{at: time.Now(), err: err}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.SampleTimeout)
	defer cancel()
	v := view{at: time.Now()}
	var lsn *int64 // NULL on a standby that has replayed nothing yet: unknown, not caught up
	var timeline int32
	err = a.conn.QueryRow(ctx, observeSQL).Scan(&v.standby, &lsn, &timeline, &v.system)
	switch {
	case err != nil:
		a.giveUp()
		return view{at: v.at, err: err}
	case lsn == nil || timeline == 0:
		return view{at: v.at, err: fmt.Errorf("position not known (timeline %d)", timeline)}
	}
	v.pos = Position{Timeline: uint32(timeline), LSN: LSN(*lsn)}
	if v.standby {
		if !r.config.Pooler { // behind one the next answer may be another server's
			v.pos.Timeline = a.believe(v.pos.Timeline)
		}
		return v
	}
	// Without an answer nothing is known of its standbys, and only a COMMIT can tell.
	if v.sync, err = observeSync(ctx, a.conn); err != nil {
		a.giveUp()
		v.sync = syncView{}
	}
	return v
}

func closeQuietly(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = conn.Close(ctx) // it is being given up, whatever it says
}

func monitorConfig(nc NodeConfig) (*pgx.ConnConfig, error) {
	pool, err := pgxpool.ParseConfig(nc.ReadDSN) // which takes pool_... settings out
	if err != nil {
		return nil, fmt.Errorf("node %s: its DSN cannot be parsed", nc.Name)
	}
	config := pool.ConnConfig
	config.ConnectTimeout = connectTimeout
	config.RuntimeParams["application_name"] = "leeway-monitor"
	config.DialFunc = dial
	return config, nil
}
