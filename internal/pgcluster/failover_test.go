package pgcluster_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/leeway/internal/pgcluster"
)

func TestFailover(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 2, InitSQL: "CREATE TABLE planted (what text)"})
	old, next, third := node(t, c, "primary"), node(t, c, "replica-1"), node(t, c, "replica-2")
	const rows = "SELECT coalesce(string_agg(what, ',' ORDER BY what), '') FROM planted"

	execSQL(t, old, "postgres", "INSERT INTO planted VALUES ('kept')")
	waitFor(t, "the row on the next primary", func() bool { return query[string](t, next, "postgres", rows) == "kept" })
	// Stopped standbys make the old primary's last row divergent for certain.
	do(t, next.Stop)
	do(t, third.Stop)
	execSQL(t, old, "postgres", "SET synchronous_commit = local; INSERT INTO planted VALUES ('phantom')")
	do(t, old.Kill)
	do(t, next.Start)
	do(t, next.Promote)
	if st := status(t, next); st.Role != pgcluster.RolePrimary || st.Timeline != 2 {
		t.Fatalf("after promotion: %+v", st)
	}
	if p, err := c.Primary(ctx(t)); err != nil || p != next {
		t.Fatalf("Primary = %v, %v", p, err)
	}

	// The hazard itself: the old primary, started as it is, still has the row.
	do(t, old.Start)
	if got := query[string](t, old, "postgres", rows); got != "kept,phantom" {
		t.Fatalf("the old primary holds %q: nothing to rewind", got)
	}
	if p, err := c.Primary(ctx(t)); err != nil || p != next {
		t.Fatalf("of two primaries %v was chosen, %v", p, err)
	}
	if err := next.Rejoin(ctx(t)); err == nil || !strings.Contains(err.Error(), "it is the primary") {
		t.Errorf("the primary may not rejoin itself: %v", err)
	}
	do(t, old.Kill) // pg_rewind has to recover it first
	do(t, old.Rejoin)
	do(t, third.Start)
	do(t, third.Kill)
	do(t, third.Rejoin)
	// Would hang if the promoted node had no synchronous standby, or did not ask for one.
	execSQL(t, next, "postgres", "INSERT INTO planted VALUES ('new')")
	if got := query[string](t, next, "postgres", "SHOW synchronous_standby_names"); !strings.Contains(got, "ANY 1") {
		t.Errorf("the promoted node degraded to %q", got)
	}
	for _, n := range []*pgcluster.Node{old, third} {
		waitFor(t, "the new row", func() bool { return query[string](t, n, "postgres", rows) == "kept,new" })
		st := status(t, n)
		if st.Role != pgcluster.RoleStandby || !st.Streaming || st.SyncState != "quorum" || st.Timeline != 2 {
			t.Errorf("%s after rejoin: %+v", n.Name(), st)
		}
	}
	// Slots from its time as the primary would retain WAL for ever.
	if n := query[int](t, old, "postgres", "SELECT count(*) FROM pg_replication_slots WHERE restart_lsn IS NOT NULL"); n != 0 {
		t.Errorf("the old primary still holds %d used slots", n)
	}
	for _, n := range []*pgcluster.Node{old, third} {
		if label, _ := os.ReadFile(filepath.Join(c.Dir(), n.Name(), "backup_label.old")); strings.Contains(string(label), "pg_basebackup") {
			t.Errorf("%s was not rewound but copied:\n%s", n.Name(), label)
		}
	}
}

// TestRejoinWithoutRewind takes away what pg_rewind needs.
func TestRejoinWithoutRewind(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 1, Async: true, InitSQL: "CREATE TABLE planted (what text)"})
	old, next := node(t, c, "primary"), node(t, c, "replica-1")
	do(t, old.Stop)
	do(t, next.Promote)
	if err := os.Remove(filepath.Join(c.Dir(), "primary", "global", "pg_control")); err != nil {
		t.Fatal(err)
	}
	do(t, old.Rejoin)
	execSQL(t, next, "postgres", "INSERT INTO planted VALUES ('new')")
	waitFor(t, "the new row", func() bool { return query[int](t, old, "postgres", "SELECT count(*) FROM planted") == 1 })

	// And back in order: nothing to rewind, so nothing but Rejoin renews the slots.
	do(t, next.Stop)
	do(t, old.Promote)
	do(t, next.Rejoin)
	if n := query[int](t, next, "postgres", "SELECT count(*) FROM pg_replication_slots WHERE restart_lsn IS NOT NULL"); n != 0 {
		t.Errorf("the former primary still holds %d used slots", n)
	}
}
