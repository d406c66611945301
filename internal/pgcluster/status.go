package pgcluster

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Role is what a node does right now.
type Role string

// The roles of a node.
const (
	RolePrimary Role = "primary"
	RoleStandby Role = "standby"
	RoleFrozen  Role = "frozen"
	RoleDown    Role = "down"
)

// LSN is a position in the write-ahead log: bytes since its beginning. Two of
// them compare only within one timeline.
type LSN uint64

// String is PostgreSQL's notation, "0/16B3748".
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// Status is one observation of a node. Of a frozen or dead one only Role and Pid
// are known.
type Status struct {
	Role     Role
	Pid      int    // of the postmaster; 0 when down
	Timeline uint32 // of what was replayed, on a standby
	// LSN is flushed on a primary, and replayed on a standby.
	LSN LSN
	// Received is what a standby has flushed of its timeline, replayed or not; its LSN if
	// none arrived since it started.
	Received     LSN
	ReplayPaused bool
	// Streaming and SyncState ("quorum", "sync", "async", "potential" or "") are
	// what the primary says: a standby that was cut off believes in its stream for
	// a while.
	Streaming bool
	SyncState string
}

// Status observes the node. Down and frozen are answers, not errors. It takes
// up to a few seconds when servers hang.
func (n *Node) Status(ctx context.Context) (Status, error) {
	if n.c.closed.Load() {
		return Status{}, errClosed
	}
	procs, err := serverProcs(n.data)
	if err != nil {
		return Status{}, err
	}
	if len(procs) == 0 {
		return Status{Role: RoleDown}, nil
	}
	st := Status{Role: RoleFrozen, Pid: n.pid()}
	for _, p := range procs {
		if p.pid == st.Pid && p.stopped {
			return st, nil
		}
	}
	f, err := n.ask(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("pgcluster: status of %s: %w", n.name, err)
	}
	st.Role, st.Timeline, st.LSN, st.Received, st.ReplayPaused = RolePrimary, f.timeline, f.lsn, f.received, f.paused
	if f.recovery {
		st.Role = RoleStandby
		n.askPrimary(ctx, &st)
	}
	return st, nil
}

// facts are what a server says about itself.
type facts struct {
	recovery      bool
	timeline      uint32
	lsn, received LSN
	paused        bool
}

// ask reads the timeline of a primary from its current WAL file: the control file names
// the old one until the first checkpoint after its promotion. That of a standby is the
// one that it has replayed, see identify.
func (n *Node) ask(ctx context.Context) (facts, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := n.connect(ctx, superuser)
	if err != nil {
		return facts{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `SELECT pg_is_in_recovery(),
		CASE WHEN NOT pg_is_in_recovery() THEN ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int END,
		CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn,
		CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() = 'paused' END`)
	if err != nil {
		return facts{}, err
	}
	f, err := pgx.CollectExactlyOneRow(rows, scanFacts)
	if err == nil && f.recovery {
		f.timeline, f.received, err = n.identify(ctx)
		f.received = max(f.received, f.lsn)
	}
	return f, err
}

func scanFacts(row pgx.CollectableRow) (f facts, err error) {
	var timeline, lsn *int64
	var paused *bool
	err = row.Scan(&f.recovery, &timeline, &lsn, &paused)
	if timeline != nil {
		f.timeline = uint32(*timeline)
	}
	if lsn != nil {
		f.lsn = LSN(*lsn)
	}
	f.paused = paused != nil && *paused
	return f, err
}

// askPrimary fills in what only the primary knows; without one it stays unknown.
func (n *Node) askPrimary(ctx context.Context, st *Status) {
	primary, err := n.c.Primary(ctx)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := primary.connect(ctx, superuser)
	if err != nil {
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_ = conn.QueryRow(ctx, `SELECT state = 'streaming', sync_state FROM pg_stat_replication
		WHERE application_name = $1`, n.name).Scan(&st.Streaming, &st.SyncState)
}
