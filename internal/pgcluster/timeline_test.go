package pgcluster_test

import (
	"path/filepath"
	"strings"
	"testing"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/pgcluster"
)

// TestASecondFailoverSeesTheTimeline: the control file of a standby that followed a
// promotion names the old timeline for minutes. Whoever chose by that would promote the
// other one, which has received less.
func TestASecondFailoverSeesTheTimeline(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 2, InitSQL: "CREATE TABLE planted ()"})
	old, next, third := node(t, c, "primary"), node(t, c, "replica-1"), node(t, c, "replica-2")
	do(t, old.Kill)
	do(t, next.Promote)
	do(t, third.Rejoin)
	do(t, old.Rejoin)
	do(t, old.Stop)
	execSQL(t, next, "postgres", "INSERT INTO planted DEFAULT VALUES") // acknowledged by the third alone
	do(t, next.Kill)
	do(t, old.Start)
	waitFor(t, "the end of the stream", func() bool {
		return query[int](t, third, "postgres", "SELECT count(*) FROM pg_stat_wal_receiver") == 0
	})
	if file := query[int](t, third, "postgres", "SELECT timeline_id FROM pg_control_checkpoint()"); file != 1 {
		t.Skipf("there was a restartpoint meanwhile: the control file is right, timeline %d", file)
	}
	less, most := status(t, old), status(t, third)
	if most.Received <= less.Received {
		t.Fatalf("nothing is lost with either: %+v, %+v", less, most)
	}
	if less.Timeline != 2 || most.Timeline != 2 {
		t.Errorf("timelines %d and %d, and both followed the second", less.Timeline, most.Timeline)
	}
}

// TestAHistoryFileIsNoTimeline: a standby that has more than the new primary's history
// holds learns of the new timeline, and stays on the old one. When all are started anew it
// would replay what only it has, stream, and pass for a standby.
func TestAHistoryFileIsNoTimeline(t *testing.T) {
	t.Parallel()
	cfg := pgcluster.Config{Dir: filepath.Join(reachable(t), "kept"), Replicas: 2, Async: true, InitSQL: "CREATE TABLE planted ()"}
	c := start(t, cfg)
	next, ahead := dbtest.AheadOfTheFork(t, c, func() {
		execSQL(t, node(t, c, "primary"), "postgres", "INSERT INTO planted DEFAULT VALUES")
	})
	if st := status(t, ahead); st.Timeline != 1 {
		t.Errorf("what it has is timeline 1, and it says %d", st.Timeline)
	}
	do(t, ahead.Kill)
	do(t, next.Kill)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := node(t, start(t, cfg), ahead.Name())
	if st := status(t, again); st.Timeline != 2 || !st.Streaming {
		t.Errorf("reopened: %+v", st)
	}
	if n := query[int](t, again, "postgres", "SELECT count(*) FROM planted"); n != 0 {
		t.Errorf("reopened with %d rows that nobody else has", n)
	}
}

// TestAStandbyPastTheForkHasNotFollowed: it has the stream and the files of the new
// timeline, and the data of the old one.
func TestAStandbyPastTheForkHasNotFollowed(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 2, Async: true, InitSQL: "CREATE TABLE planted ()"})
	next, ahead := dbtest.PastTheFork(t, c, func() {
		execSQL(t, node(t, c, "primary"), "postgres", "INSERT INTO planted DEFAULT VALUES")
	})
	const rows = "SELECT count(*) FROM planted"
	if n := query[int](t, ahead, "postgres", rows); n != 1 {
		t.Fatalf("%d rows: there is nothing to be mistaken", n)
	}
	if st := status(t, ahead); st.Timeline != 1 || st.Received != st.LSN {
		t.Errorf("while it streams: %+v", st)
	}
	do(t, next.Kill)
	waitFor(t, "the end of the stream", func() bool {
		return query[int](t, ahead, "postgres", "SELECT count(*) FROM pg_stat_wal_receiver") == 0
	})
	if st := status(t, ahead); st.Timeline != 1 || st.Received != st.LSN {
		t.Errorf("by its files: %+v", st)
	}
	do(t, next.Start)
	do(t, ahead.Rejoin)
	if n := query[int](t, ahead, "postgres", rows); n != 0 {
		t.Errorf("%d rows: it was not rewound", n)
	}
	if st := status(t, ahead); st.Timeline != 2 {
		t.Errorf("after a rejoin: %+v", st)
	}
}

// TestRejoinKeepsTheNewerHistory: the primary that was promoted last is down, and the one
// before it was started. What was acknowledged is on the newer timeline alone.
func TestRejoinKeepsTheNewerHistory(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 1, Async: true, InitSQL: "CREATE TABLE planted ()"})
	old, next := node(t, c, "primary"), node(t, c, "replica-1")
	do(t, old.Kill)
	do(t, next.Promote)
	execSQL(t, next, "postgres", "INSERT INTO planted DEFAULT VALUES")
	do(t, next.Kill)
	do(t, old.Start)
	if err := next.Rejoin(ctx(t)); err == nil || !strings.Contains(err.Error(), "timeline 2") {
		t.Errorf("rejoin to a former primary: %v", err)
	}
	do(t, old.Stop)
	do(t, next.Start)
	if n := query[int](t, next, "postgres", "SELECT count(*) FROM planted"); n != 1 {
		t.Errorf("%d rows, and one was acknowledged", n)
	}
	do(t, old.Rejoin)
}
