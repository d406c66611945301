package pgcluster_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/pgcluster"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 1, InitSQL: "CREATE TABLE planted (n int); GRANT SELECT ON planted TO shop_ro"})
	primary, replica := node(t, c, "primary"), node(t, c, "replica-1")
	const count = "SELECT count(*) FROM planted"

	t.Run("pause and resume", func(t *testing.T) {
		do(t, replica.PauseReplay)
		before := query[int](t, replica, "shop_ro", count)
		execSQL(t, primary, "postgres", "INSERT INTO planted VALUES (1)")
		// The row is on the standby's disk, for the commit waited for that.
		st, err := replica.Status(ctx(t))
		if err != nil || !st.ReplayPaused || st.Received <= st.LSN {
			t.Fatalf("status of a paused standby: %+v, %v", st, err)
		}
		if got := query[int](t, replica, "shop_ro", count); got != before {
			t.Errorf("a paused standby went from %d to %d rows", before, got)
		}
		do(t, replica.ResumeReplay)
		waitFor(t, "the row", func() bool { return query[int](t, replica, "shop_ro", count) == before+1 })
	})

	t.Run("pause waits until replay stands", func(t *testing.T) {
		startup := query[int](t, replica, "postgres", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'")
		if err := syscall.Kill(startup, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx(t), 300*time.Millisecond)
		defer cancel()
		if err := replica.PauseReplay(short); err == nil {
			t.Error("PauseReplay returned though the startup process cannot have agreed")
		}
		if err := syscall.Kill(startup, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		do(t, replica.ResumeReplay)
	})

	for _, n := range []*pgcluster.Node{replica, primary} {
		t.Run("freeze and thaw "+n.Name(), func(t *testing.T) {
			pid := status(t, n).Pid
			// An open session must hang too: freezing the postmaster alone would only
			// keep new ones out.
			open, err := pgx.Connect(ctx(t), n.DSN("shop_ro"))
			if err != nil {
				t.Fatal(err)
			}
			defer open.Close(context.Background())
			do(t, n.Freeze)
			if diff := cmp.Diff(pgcluster.Status{Role: pgcluster.RoleFrozen, Pid: pid}, status(t, n)); diff != "" {
				t.Error(diff)
			}
			short, cancel := context.WithTimeout(ctx(t), 200*time.Millisecond)
			defer cancel()
			if _, err := tryQuery[int](short, n, "shop_ro", count); err == nil {
				t.Error("a frozen server let a session in")
			}
			short, cancel = context.WithTimeout(ctx(t), 200*time.Millisecond)
			defer cancel()
			if _, err := open.Exec(short, "SELECT 1"); err == nil {
				t.Error("a session of a frozen server answered")
			}
			do(t, n.Thaw)
			query[int](t, n, "shop_ro", count)
			if got := status(t, n).Pid; got != pid {
				t.Errorf("pid %d became %d: it was restarted, not thawed", pid, got)
			}
		})
		t.Run("kill and start "+n.Name(), func(t *testing.T) {
			before, addr, data := status(t, n), n.Addr(), filepath.Join(c.Dir(), n.Name())
			pids := processesIn(t, data)
			if len(pids) < 5 {
				t.Fatalf("only processes %v are known: Kill could leave others", pids)
			}
			do(t, n.Kill)
			if left := running(t, pids); len(left) > 0 {
				t.Errorf("processes %v outlived Kill", left)
			}
			if diff := cmp.Diff(pgcluster.Status{Role: pgcluster.RoleDown}, status(t, n)); diff != "" {
				t.Error(diff)
			}
			do(t, n.Start)
			after := status(t, n)
			if after.Role != before.Role || after.Pid == before.Pid || n.Addr() != addr {
				t.Errorf("before %+v, after %+v at %s, was %s", before, after, n.Addr(), addr)
			}
		})
	}

	t.Run("stop a primary whose standby is frozen", func(t *testing.T) {
		do(t, replica.Freeze)
		do(t, primary.Stop)
		do(t, replica.Stop)
		do(t, primary.Start)
		do(t, replica.Start)
		execSQL(t, primary, "postgres", "INSERT INTO planted VALUES (2)")
	})

	t.Run("start twice", func(t *testing.T) {
		if err := primary.Start(ctx(t)); err == nil || !strings.Contains(err.Error(), "already running") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a server that cannot start shows its log", func(t *testing.T) {
		do(t, replica.Stop)
		conf := filepath.Join(c.Dir(), "replica-1", "postgresql.auto.conf")
		kept, err := os.ReadFile(conf)
		if err != nil {
			t.Fatal(err)
		}
		write(t, conf, "no_such_setting = 1\n")
		if err := replica.Start(ctx(t)); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
			t.Errorf("got %v", err)
		}
		write(t, conf, string(kept))
		do(t, replica.Start)
	})
	t.Run("verbs respect their context", func(t *testing.T) {
		ended, cancel := context.WithCancel(ctx(t))
		cancel()
		if err := replica.PauseReplay(ended); err == nil {
			t.Error("a verb ran on an ended context")
		}
	})
}

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
	if log, err := os.ReadFile(filepath.Join(c.Dir(), "primary", "backup_label.old")); err != nil || !strings.Contains(string(log), "pg_rewind") {
		t.Errorf("primary was not rewound but copied: %v\n%s", err, log)
	}
}

// TestRejoinWithoutRewind takes away the WAL that pg_rewind needs.
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
}

func status(t *testing.T, n *pgcluster.Node) pgcluster.Status {
	t.Helper()
	st, err := n.Status(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// write keeps the owner and mode of an existing file.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
