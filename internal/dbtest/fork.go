package dbtest

import (
	"context"
	"strings"
	"testing"

	"example.com/leeway/internal/pgcluster"
)

// AheadOfTheFork fails over to the first standby while the second has received more, and
// then tells the second to follow, as a virtual address does that moves. It returns when
// that has fetched the new timeline's history, by which it refuses to follow. What lost
// writes on the first primary is with the second standby alone.
//
// The cluster must be Async: commits would wait for one that follows.
func AheadOfTheFork(tb testing.TB, cluster *pgcluster.Cluster, lost func()) (successor, ahead *pgcluster.Node) {
	tb.Helper()
	old, successor, ahead := cluster.Nodes()[0], cluster.Nodes()[1], cluster.Nodes()[2]
	// A page on disk past the fork would keep it from starting again.
	exec(tb, ahead, "ALTER SYSTEM SET bgwriter_lru_maxpages = 0", "SELECT pg_reload_conf()")
	// From the start of a segment of 16 MB, so that the standby's position and the new
	// primary's are in the same one, for as long as that writes less than the last message.
	exec(tb, old, "SELECT pg_switch_wal()", "SELECT pg_logical_emit_message(true, '', 'the first')")
	catchUp(tb, old, successor)
	Do(tb, successor.Stop)
	lost()
	exec(tb, old, "SELECT pg_logical_emit_message(true, '', repeat('x', 4000000))")
	catchUp(tb, old, ahead)
	Do(tb, old.Kill)
	Do(tb, successor.Start)
	Do(tb, successor.Promote)

	var follow string
	query(tb, connect(tb, ahead.DSN("postgres"), "postgres"), "SHOW primary_conninfo", &follow)
	follow = strings.Replace(follow, portOf(old), portOf(successor), 1)
	exec(tb, ahead, "ALTER SYSTEM SET primary_conninfo = '"+follow+"'", "SELECT pg_reload_conf()")
	await(tb, ahead, "it has the new timeline's history", "SELECT count(*) = 1 FROM pg_ls_waldir() WHERE name = '00000002.history'")
	return successor, ahead
}

// PastTheFork is AheadOfTheFork and a crash of the second standby, which then looks as if
// it followed: with the history at hand it replays its own log past the fork all the same
// (shown on PostgreSQL 15), and receives the new timeline from there on. It has rows that
// nobody else has, lacks what was acknowledged since, and its LSN is above both.
func PastTheFork(tb testing.TB, cluster *pgcluster.Cluster, lost func()) (successor, ahead *pgcluster.Node) {
	tb.Helper()
	successor, ahead = AheadOfTheFork(tb, cluster, lost)
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
