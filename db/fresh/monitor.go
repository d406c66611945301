package fresh

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A view is what the monitor saw of a node. It may keep a read away from a
// node, and it chooses the primary; its position never makes a read acceptable, because
// the server may have crashed and come back further behind since. Its timeline is that of
// the node for as long as that server runs, see ancestry.
type view struct {
	at      time.Time // when the question was sent
	err     error     // not nil: nothing else is known
	standby bool
	pos     Position // replayed on a standby, flushed on the primary
	run     int64    // of the server, see runSQL
	system  int64    // identifies the cluster; nodes of another one are ignored
	sync    syncView // of a primary
}

// What is replayed is asked first, in a subquery that is not flattened since the function
// is volatile: a standby that receives and replays meanwhile is not taken for one ahead.
//
// pg_current_wal_flush_lsn and not ..._insert_lsn: the latter may point past a
// page header, where no record ends and no idle standby ever gets to.
const observeSQL = `SELECT standby, (CASE WHEN standby THEN replayed
		ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint,
	CASE WHEN standby THEN coalesce((SELECT min_recovery_end_timeline FROM pg_control_recovery()), 0)
		ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::integer END,
	coalesce((SELECT received_tli FROM pg_stat_wal_receiver WHERE flushed_lsn >= replayed), 0),
	` + runSQL + `,
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

// asked is the monitor's connection to a node.
type asked struct {
	conn *pgx.Conn
	ancestry
}

// pause is short if a new timeline wants to be told once more: until then the standby
// answers nobody, and in a failover it is missed.
func (a *asked) pause(period time.Duration, failures int) time.Duration {
	if a.news {
		return period / 10
	}
	return pause(period, failures)
}

func (a *asked) giveUp() {
	closeQuietly(a.conn)
	a.conn = nil
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
	var timeline, stream int32
	err = a.conn.QueryRow(ctx, observeSQL).Scan(&v.standby, &lsn, &timeline, &stream, &v.run, &v.system)
	if err != nil {
		a.giveUp()
		return view{at: v.at, err: err}
	}
	if lsn != nil {
		v.pos = Position{Timeline: uint32(timeline), LSN: LSN(*lsn)}
		if v.standby {
			v.pos.Timeline = a.believe(v.run, v.pos, uint32(stream))
		}
	}
	switch {
	case v.pos.Timeline == 0:
		return view{at: v.at, err: fmt.Errorf("position not known (timeline %d, %d streamed)", timeline, stream)}
	case v.standby:
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
