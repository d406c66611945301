package fresh

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Standby is one row of the primary's pg_stat_replication (manual, section
// 28.2.4).
type Standby struct {
	Name  string // application_name
	State string // "streaming" when it follows closely; empty: not allowed to know
	Sync  string // "sync" and "quorum" are waited for, "potential" and "async" are not
	// What it has confirmed to be on its disk, and to be visible there.
	Flushed, Replayed LSN
}

// syncView is what a primary says of the standbys that its COMMITs wait for.
type syncView struct {
	names    string // synchronous_standby_names
	standbys []Standby
}

const syncSQL = `SELECT current_setting('synchronous_standby_names'), pid IS NOT NULL, coalesce(application_name, ''),
	coalesce(state, ''), coalesce(sync_state, ''),
	coalesce(flush_lsn - '0/0', 0)::bigint, coalesce(replay_lsn - '0/0', 0)::bigint
FROM (SELECT) AS always LEFT JOIN pg_stat_replication ON true ORDER BY application_name`

func observeSync(ctx context.Context, conn *pgx.Conn) (s syncView, err error) {
	rows, err := conn.Query(ctx, syncSQL)
	if err != nil {
		return s, err
	}
	var sb Standby
	var there bool
	_, err = pgx.ForEachRow(rows, []any{&s.names, &there, &sb.Name, &sb.State, &sb.Sync, &sb.Flushed, &sb.Replayed}, func() error {
		if there {
			s.standbys = append(s.standbys, sb)
		}
		return nil
	})
	return s, err
}

// waitedFor matches the number in synchronous_standby_names: "ANY 2 (...)",
// "FIRST 2 (...)", "2 (...)"; a plain list means one (manual, section 20.6.2).
var waitedFor = regexp.MustCompile(`(?i)^\s*(?:any\s+|first\s+)?(\d+)\s*\(`)

// Quorum is the number of standbys that a COMMIT waits for under a value of
// synchronous_standby_names; 0: none.
func Quorum(names string) int {
	if names == "" {
		return 0
	}
	if match := waitedFor.FindStringSubmatch(names); match != nil {
		n, _ := strconv.Atoi(match[1])
		return n
	}
	return 1
}

func (s syncView) quorum() int { return Quorum(s.names) }

// confirmed is the LSN up to which a COMMIT is acknowledged: as many standbys as
// the quorum have flushed it or, for remote_apply, replayed it. The zero LSN: there
// are not that many. known is false when the role may not see it; then only a
// COMMIT can tell.
func (s syncView) confirmed(level int32) (lsn LSN, known bool) {
	var reached []LSN
	for _, standby := range s.standbys {
		switch {
		case standby.State == "":
			return 0, false
		case standby.State != "streaming" || standby.Sync != "sync" && standby.Sync != "quorum":
		case level == levelApply:
			reached = append(reached, standby.Replayed)
		default:
			reached = append(reached, standby.Flushed)
		}
	}
	n := s.quorum()
	if n == 0 || len(reached) < n {
		return 0, true
	}
	slices.SortFunc(reached, func(a, b LSN) int { return cmp.Compare(b, a) })
	return reached[n-1], true
}

// A confirmation is how far a node's standbys are, as of its latest observation.
// Only the node's watcher touches it.
type confirmation struct {
	lsn   LSN
	since time.Time // when it was first seen
}

// publishSync decides whether a COMMIT on the primary would wait in vain: too few
// synchronous standbys stream, or what they confirm has stood still for SyncWait
// and lacks what the primary had written by then, as when a standby is frozen: the
// server itself notices that only after wal_sender_timeout, a minute. Standbys that
// are late and come nearer are waited for.
func (r *Router) publishSync(n *node, v view) {
	lsn, known := v.sync.confirmed(n.level.Load())
	if lsn != n.confirmed.lsn || n.confirmed.since.IsZero() {
		n.confirmed = confirmation{lsn, v.at}
	}
	written, old := r.history.samples().longAgo(v.at, r.config.SyncWait)
	silent := old && lsn < written.LSN && v.at.Sub(n.confirmed.since) >= r.config.SyncWait
	unsynced := known && v.sync.quorum() > 0 && (lsn == 0 || silent)
	if was := n.unsynced.Swap(unsynced); was == unsynced || n.level.Load() == levelLocal {
		return
	}
	if unsynced {
		r.config.Log.Error("no synchronous standby confirms what the primary writes: transactions are refused until one does",
			"node", n.name, "synchronous_standby_names", v.sync.names, "standbys", len(v.sync.standbys))
		return
	}
	r.config.Log.Info("synchronous standbys confirm again: transactions are accepted", "node", n.name)
}

// refuses reports whether transactions are refused because their COMMIT would wait
// for a standby that does not come: it would hold its rows, and others their
// connections, for as long. Synchronous replication is never switched off instead
// (promise G6). Until the first connection has told what the role waits for, the
// answer is that of the server's default.
func (n *node) refuses() bool { return n.unsynced.Load() && n.level.Load() != levelLocal }
