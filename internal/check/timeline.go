package check

import (
	"context"
	"time"
)

// newestSQL is the newest timeline among the files of the log that have such names. A
// standby fetches the history file of a timeline before it knows whether it can follow.
const (
	newestSQL  = `SELECT coalesce(max(('x' || left(name, 8))::bit(32)::integer), 0) FROM pg_ls_waldir() WHERE name ~ $1::text`
	heardFiles = `^[0-9A-F]{8}(\.history|[0-9A-F]{16})$`
	heldFiles  = `^[0-9A-F]{24}$`
)

// provenSQL is the timeline of what a standby has replayed, 0 if that is not proven: that
// of the log it receives, if it has received as much as it has replayed and goes on to
// replay; else that of its control file, if that is up to date. (db/fresh looks for longer,
// and wants to see that something of it is replayed.) What is replayed is asked first, in a
// subquery that is not flattened since the function is volatile.
const provenSQL = `SELECT coalesce((SELECT received_tli FROM pg_stat_wal_receiver WHERE flushed_lsn >= replayed AND NOT pg_is_wal_replay_paused()),
	(SELECT min_recovery_end_timeline FROM pg_control_recovery() WHERE min_recovery_end_lsn >= replayed), 0)
FROM (SELECT pg_last_wal_replay_lsn() AS replayed) AS node`

// askAgain is between two answers that must agree. A standby past the fork looks for some
// milliseconds like one that follows, when the new log comes to where it stands: until
// PostgreSQL finds that no record begins there.
const askAgain = 20 * time.Millisecond

// place finds out on which timeline a standby is, and of which it has heard. The answer
// lies between that of the control file, which is late by minutes on a standby that
// followed, and the newest of which it has a file of WAL, which says too much of one that
// was ahead of the fork and crashed: that replays its own log past the fork once more, and
// receives the new timeline below. If neither they nor provenSQL settle it, it is not
// known. The files are asked for in statements of their own: without the right they are
// errors, in a CASE too.
func (p *probe) place(ctx context.Context, timeout time.Duration, n *Node) {
	var held, proven, again uint32
	if p.query(ctx, timeout, &n.Heard, newestSQL, heardFiles) != nil || p.query(ctx, timeout, &held, newestSQL, heldFiles) != nil {
		n.Timeline = 0
		return
	}
	if held <= n.Timeline {
		return
	}
	_ = p.query(ctx, timeout, &proven, provenSQL) // 0 on an error: nothing is proven
	select {
	case <-ctx.Done():
	case <-time.After(askAgain):
	}
	_ = p.query(ctx, timeout, &again, provenSQL)
	n.Timeline = min(proven, again)
}
