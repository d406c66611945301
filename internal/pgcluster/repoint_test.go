package pgcluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/pgcluster"
)

// A standby that has nothing of its own is told whom to follow, and its sessions
// go on. One that is ahead of the fork is rewound, which ends them.
func TestRejoinOfARunningStandby(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 2, InitSQL: "CREATE TABLE planted (what text)"})
	old, next, third := node(t, c, "primary"), node(t, c, "replica-1"), node(t, c, "replica-2")
	const rows = "SELECT count(*) FROM planted"
	session := func() *pgx.Conn {
		conn, err := pgx.Connect(ctx(t), third.DSN("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}

	execSQL(t, old, "postgres", "INSERT INTO planted VALUES ('everywhere')")
	waitFor(t, "the row on the next primary", func() bool { return query[int](t, next, "postgres", rows) == 1 })
	waitFor(t, "the row on the third node", func() bool { return query[int](t, third, "postgres", rows) == 1 })
	do(t, old.Kill)
	do(t, next.Promote)
	open := session()
	began := time.Now()
	do(t, third.Rejoin)
	t.Logf("told whom to follow: %v", time.Since(began))
	if err := open.Ping(ctx(t)); err != nil {
		t.Errorf("a session of a standby that had nothing to lose: %v", err)
	}
	execSQL(t, next, "postgres", "INSERT INTO planted VALUES ('new')")
	waitFor(t, "the new row", func() bool { return query[int](t, third, "postgres", rows) == 2 })

	// Now replica-2 gets a row that the next primary does not have.
	do(t, old.Rejoin)
	do(t, old.Stop)
	execSQL(t, next, "postgres", "INSERT INTO planted VALUES ('phantom')")
	waitFor(t, "the phantom", func() bool { return query[int](t, third, "postgres", rows) == 3 })
	do(t, next.Kill)
	do(t, old.Start)
	do(t, old.Promote)
	open = session()
	do(t, third.Rejoin)
	if err := open.Ping(ctx(t)); err == nil {
		t.Error("a standby ahead of the fork kept its sessions: it was not rewound")
	}
	if n := query[int](t, third, "postgres", rows); n != 2 {
		t.Errorf("%d rows, want 2: the phantom is still there", n)
	}
}

func TestFreezeProcess(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 1, InitSQL: "CREATE TABLE planted (n int)"})
	primary, replica := node(t, c, "primary"), node(t, c, "replica-1")
	const count = "SELECT count(*) FROM planted"
	insert := func() error {
		short, cancel := context.WithTimeout(ctx(t), 300*time.Millisecond)
		defer cancel()
		_, err := tryQuery[int](short, primary, "postgres", "INSERT INTO planted VALUES (1) RETURNING n")
		return err
	}
	freeze := func(which pgcluster.Process) {
		do(t, func(ctx context.Context) error { return replica.FreezeProcess(ctx, which) })
	}

	freeze(pgcluster.Startup)
	before := query[int](t, replica, "postgres", count)
	if err := insert(); err != nil {
		t.Errorf("the standby does not confirm: %v", err)
	}
	if n := query[int](t, replica, "postgres", count); n != before {
		t.Errorf("%d rows, want %d: it replays", n, before)
	}
	do(t, replica.Thaw)
	waitFor(t, "the row", func() bool { return query[int](t, replica, "postgres", count) == before+1 })

	freeze(pgcluster.WALReceiver)
	if err := insert(); err == nil {
		t.Error("a commit was confirmed without the WAL receiver")
	}
	do(t, replica.Thaw)

	freeze(pgcluster.Postmaster)
	short, cancel := context.WithTimeout(ctx(t), 300*time.Millisecond)
	defer cancel()
	if _, err := tryQuery[int](short, replica, "postgres", count); err == nil {
		t.Error("a new session was let in")
	}
	if err := insert(); err != nil {
		t.Errorf("the standby does not confirm: %v", err)
	}
	do(t, replica.Thaw)
	if err := primary.FreezeProcess(ctx(t), pgcluster.WALReceiver); err == nil {
		t.Error("the WAL receiver of a primary was frozen")
	}
}
