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
	Name    string // application_name
	State   string // "streaming" when it follows closely; empty: not allowed to know
	Sync    string // "sync" and "quorum" are waited for, "potential" and "async" are not
	Flushed LSN    // what it has confirmed to be on its disk
}

// syncView is what a primary says of the standbys that its COMMITs wait for.
type syncView struct {
	names    string // synchronous_standby_names
	standbys []Standby
}

const syncSQL = `SELECT current_setting('synchronous_standby_names'), coalesce(application_name, ''), coalesce(state, ''),
	coalesce(sync_state, ''), coalesce(flush_lsn - '0/0', 0)::bigint
FROM (SELECT) AS always LEFT JOIN pg_stat_replication ON true ORDER BY application_name`

func observeSync(ctx context.Context, conn *pgx.Conn) (s syncView, err error) {
	rows, err := conn.Query(ctx, syncSQL)
	if err != nil {
		return s, err
	}
	var standby Standby
	_, err = pgx.ForEachRow(rows, []any{&s.names, &standby.Name, &standby.State, &standby.Sync, &standby.Flushed}, func() error {
		if standby != (Standby{}) {
			s.standbys = append(s.standbys, standby)
		}
		return nil
	})
	return s, err
}

// waitedFor matches the number in synchronous_standby_names: "ANY 2 (...)",
// "FIRST 2 (...)", "2 (...)"; a plain list means one (manual, section 20.6.2).
var waitedFor = regexp.MustCompile(`(?i)^\s*(?:any\s+|first\s+)?(\d+)\s*\(`)

// quorum is the number of standbys that a COMMIT waits for; 0: none.
func (s syncView) quorum() int {
	if s.names == "" {
		return 0
	}
	if match := waitedFor.FindStringSubmatch(s.names); match != nil {
		n, _ := strconv.Atoi(match[1])
		return n
	}
	return 1
}

// confirmed is the LSN up to which a COMMIT is acknowledged: as many standbys as
// the quorum have flushed it. The zero LSN: there are not that many. known is
// false when the role may not see it; then only a COMMIT can tell.
func (s syncView) confirmed() (lsn LSN, known bool) {
	var flushed []LSN
	for _, standby := range s.standbys {
		switch {
		case standby.State == "":
			return 0, false
		case standby.State == "streaming" && (standby.Sync == "sync" || standby.Sync == "quorum"):
			flushed = append(flushed, standby.Flushed)
		}
	}
	n := s.quorum()
	if n == 0 || len(flushed) < n {
		return 0, true
	}
	slices.SortFunc(flushed, func(a, b LSN) int { return cmp.Compare(b, a) })
	return flushed[n-1], true
}

// publishSync decides whether a COMMIT on the primary would wait in vain: too few
// synchronous standbys stream, or they stream and have not confirmed what the
// primary had written SyncWait ago, as when a standby is frozen: the server itself
// notices that only after wal_sender_timeout, a minute.
func (r *Router) publishSync(v view) {
	confirmed, known := v.sync.confirmed()
	written, old := r.history.samples().longAgo(time.Now(), r.config.SyncWait)
	unsynced := known && v.sync.quorum() > 0 && (confirmed == 0 || old && confirmed < written.LSN)
	if was := r.topology.unsynced.Swap(unsynced); was == unsynced {
		return
	}
	if unsynced {
		r.config.Log.Error("no synchronous standby confirms what the primary writes: transactions are refused until one does",
			"synchronous_standby_names", v.sync.names, "standbys", len(v.sync.standbys))
		return
	}
	r.config.Log.Info("synchronous standbys confirm again: transactions are accepted")
}

// mayCommit refuses a transaction whose COMMIT would wait for a standby that does
// not come: it would hold its rows, and others their connections, for as long.
// Synchronous replication is never switched off instead (promise G6).
func (r *Router) mayCommit(primary *node) error {
	if r.topology.unsynced.Load() && primary.level.Load() == levelStandby {
		return ErrNoSynchronousStandby
	}
	return nil
}
