package dbtest

import (
	"context"
	"strings"
	"testing"

	"example.com/leeway/internal/pgcluster"
)

// PastTheFork fails over to the first standby and makes the second one that does not
// follow and looks as if it did: it has received, and crashed, ahead of the fork.
//
// Such a standby refuses the new timeline, unless it crashes: then it reads the history
// that it has fetched meanwhile, replays its own log past the fork all the same (shown on
// PostgreSQL 15), and receives the new timeline from there on. It has rows that nobody
// else has, lacks what was acknowledged since, and its LSN is above both.
//
// The cluster must be Async, for commits would wait for the one that does not follow.
// What lost writes on the first primary is with the second standby alone.
func PastTheFork(tb testing.TB, cluster *pgcluster.Cluster, lost func()) (successor, ahead *pgcluster.Node) {
	tb.Helper()
	old, successor, ahead := cluster.Nodes()[0], cluster.Nodes()[1], cluster.Nodes()[2]
	// A page on disk past the fork would keep it from starting.
	exec(tb, ahead, "ALTER SYSTEM SET bgwriter_lru_maxpages = 0", "SELECT pg_reload_conf()")
	// From the start of a segment of 16 MB, so that the standby's position and the new
	// primary's are in the same one, for as long as that writes less than this message.
	exec(tb, old, "SELECT pg_switch_wal()", "SELECT pg_logical_emit_message(true, '', 'the first')")
	catchUp(tb, old, successor)
	Do(tb, successor.Stop)
	lost()
	exec(tb, old, "SELECT pg_logical_emit_message(true, '', repeat('x', 4000000))")
	catchUp(tb, old, ahead)
	former := portOf(old)
	Do(tb, old.Kill)
	Do(tb, successor.Start)
	Do(tb, successor.Promote)

	var follow string
	query(tb, connect(tb, ahead.DSN("postgres"), "postgres"), "SHOW primary_conninfo", &follow)
	follow = strings.Replace(follow, former, portOf(successor), 1) // as a virtual address moves
	exec(tb, ahead, "ALTER SYSTEM SET primary_conninfo = '"+follow+"'", "SELECT pg_reload_conf()")
	await(tb, ahead, "it has the new timeline's history", "SELECT count(*) = 1 FROM pg_ls_waldir() WHERE name = '00000002.history'")
	Do(tb, ahead.Kill)
	Do(tb, ahead.Start)
	await(tb, ahead, "it receives the new timeline, and has files of it", `SELECT count(*) = 1 FROM pg_stat_wal_receiver, pg_ls_waldir()
		WHERE received_tli = 2 AND name ~ '^00000002[0-9A-F]{16}$'`)
	return successor, ahead
}

func portOf(n *pgcluster.Node) string { return "port=" + n.Addr()[strings.LastIndex(n.Addr(), ":")+1:] }

func exec(tb testing.TB, n *pgcluster.Node, statements ...string) {
	tb.Helper()
	conn := connect(tb, n.DSN("postgres"), "postgres")
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			tb.Fatalf("%s on %s: %v", sql, n.Name(), err)
		}
	}
}

func await(tb testing.TB, n *pgcluster.Node, what, sql string) {
	tb.Helper()
	conn := connect(tb, n.DSN("postgres"), "postgres")
	Eventually(tb, what, func() (holds bool) {
		query(tb, conn, sql, &holds)
		return holds
	})
}
