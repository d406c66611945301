package fresh_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// The facts about PostgreSQL on which the guard rests. A reader is held between
// its first and its second step by an advisory lock, while a commit is replayed.

// held starts batch on a standby, waits until it hangs on the lock, replays a
// commit, and lets it go on.
func held(t *testing.T, b *bench, batch *pgx.Batch) pgx.BatchResults {
	t.Helper()
	standby := b.Replicas()[0]
	reader, holder := b.Admin(t, standby), b.Admin(t, standby)
	b.exec(t, holder, "SELECT pg_advisory_lock(1)")
	b.Pause(t, standby)
	b.add(t)

	results := make(chan pgx.BatchResults)
	go func() { results <- reader.SendBatch(context.Background(), batch) }()
	dbtest.Eventually(t, "the reader hangs on the lock", func() bool {
		var waiting bool
		err := holder.QueryRow(context.Background(),
			"SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = $1)", reader.PgConn().PID()).Scan(&waiting)
		return err == nil && waiting
	})
	b.Resume(t, standby)
	b.CatchUp(t)
	b.exec(t, holder, "SELECT pg_advisory_unlock(1)")
	return <-results
}

func TestEachStatementOfAPipelineTakesItsOwnSnapshot(t *testing.T) {
	b := setup(t)
	batch := &pgx.Batch{}
	batch.Queue("SELECT pg_advisory_lock(1)")
	batch.Queue(readCounter)
	results := held(t, b, batch)
	defer results.Close()
	if _, err := results.Exec(); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := results.QueryRow().Scan(&n); err != nil || n != 1 {
		t.Errorf("n = %d, %v: the query did not see what was replayed after the guard", n, err)
	}
}

// The tempting shape, which this package must never take: the check passes and
// the row is not there, because the snapshot is older than the function's call.
func TestACheckInsideTheQueryIsUnsound(t *testing.T) {
	b := setup(t)
	batch := &pgx.Batch{}
	batch.Queue(`SELECT pg_advisory_lock(1)::text, pg_last_wal_replay_lsn()::text, n FROM counter WHERE id = 1`)
	var target string
	results := held(t, b, batch)
	defer results.Close()
	var lock, lsn string
	var n int
	if err := results.QueryRow().Scan(&lock, &lsn, &n); err != nil {
		t.Fatal(err)
	}
	if err := b.Admin(t, b.Primary()).QueryRow(context.Background(), "SELECT pg_current_wal_flush_lsn()::text").Scan(&target); err != nil {
		t.Fatal(err)
	}
	shown, _ := fresh.ParseLSN(lsn)
	current, _ := fresh.ParseLSN(target)
	if n != 0 || shown < current {
		t.Errorf("the check showed %v of %v and the statement read n = %d; want the check passed and the row missed", shown, current, n)
	}
}

func TestAGuardInsideRepeatableReadIsUnsound(t *testing.T) {
	b := setup(t)
	batch := &pgx.Batch{}
	batch.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
	batch.Queue("SELECT pg_advisory_lock(1)")
	batch.Queue(readCounter)
	batch.Queue("COMMIT")
	results := held(t, b, batch)
	defer results.Close()
	for range 2 {
		if _, err := results.Exec(); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := results.QueryRow().Scan(&n); err != nil || n != 0 {
		t.Errorf("n = %d, %v: the first statement no longer fixes the snapshot", n, err)
	}
}
