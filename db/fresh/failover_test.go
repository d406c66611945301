package fresh_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/pgcluster"
)

// A promoted standby becomes the primary without a restart, the other standby,
// which nobody has told, serves nothing that is guarded, and a token from before
// is answered by the new primary.
func TestFollowsAPromotion(t *testing.T) {
	config := dbtest.Config()
	config.Async = true // a synchronous commit would wait until somebody follows
	b := setupOn(t, dbtest.NewOn(t, config))
	old := b.add(t)
	b.CatchUp(t)
	dbtest.Do(t, b.Primary().Kill)
	successor, stranded := b.Replicas()[0], b.Replicas()[1]
	dbtest.Do(t, successor.Promote)

	dbtest.Eventually(t, "the new primary takes writes", func() bool {
		ctx, _ := session(t, fresh.Position{})
		return b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			_, err := tx.Exec(ctx, addOne)
			return err
		}) == nil
	})
	if n, served := b.read(t, fresh.Session(), old); n != 2 || served.Node != successor.Name() || served.Reason != fresh.ReasonTimeline {
		t.Errorf("n = %d from %+v, want 2 from %s for the timeline", n, served, successor.Name())
	}
	for _, p := range []fresh.Policy{fresh.Session(), fresh.Bounded(5 * second), fresh.Any()} {
		for range 20 {
			if n, served := b.read(t, p, fresh.Position{}); n != 2 || served.Node == stranded.Name() {
				t.Fatalf("%+v: n = %d from %+v", p, n, served)
			}
		}
	}
	dbtest.Do(t, stranded.Rejoin)
	primary := b.Admin(t, successor)
	dbtest.Eventually(t, "the standby serves again, once it has replayed something of the new timeline", func() bool {
		b.writeSomething(t, primary)
		n, served := b.read(t, fresh.Bounded(5*second), fresh.Position{})
		if n != 2 {
			t.Fatalf("n = %d from %+v", n, served)
		}
		return served.Node == stranded.Name()
	})
}

// A standby that followed a promotion, and was not restarted, has a control file that
// names the old timeline for minutes. When the new primary dies as well, it must go on
// serving, also those who wrote on the new timeline: it is all that is left.
func TestServesOnWhenTheNextPrimaryDiesToo(t *testing.T) {
	b := setupOn(t, dbtest.NewOn(t, lateConfig()), func(c *fresh.Config) { c.GuardEvery = 1 }) // each read is guarded
	successor, left := b.failOver(t)
	token := b.add(t)
	primary := b.Admin(t, successor)
	dbtest.Eventually(t, "the one that followed serves", func() bool {
		b.writeSomething(t, primary)
		_, served, err := b.tryRead(t, fresh.Session(), token)
		return err == nil && served.Node == left.Name() && !served.Stale
	})
	dbtest.Do(t, successor.Kill)
	b.awaitEndOfStream(t, left)
	lists := fresh.Bounded(5 * second).Else(fresh.ServeStale)
	until(second/2, func() { // some samples long
		n, served, err := b.tryRead(t, lists, fresh.Position{})
		if err != nil || n < 2 || served.Node != left.Name() {
			t.Fatalf("n = %d from %+v: %v", n, served, err)
		}
		n, served, err = b.tryRead(t, fresh.Session(), token)
		if err != nil || n < 2 || served.Node != left.Name() {
			t.Fatalf("with a token of %s: n = %d from %+v: %v", token, n, served, err)
		}
	})
}

// writeSomething gives standbys something to replay, and changes nothing.
func (b *bench) writeSomething(t *testing.T, primary *pgx.Conn) {
	t.Helper()
	b.exec(t, primary, "SELECT pg_logical_emit_message(true, '', 'something')")
}

// lateConfig keeps the control file of a standby late: each page that is written to disk
// brings it up to date.
func lateConfig() pgcluster.Config {
	config := dbtest.Config()
	config.Settings["bgwriter_lru_maxpages"] = "0"
	return config
}

// failOver kills the primary, promotes a standby, and has the other follow it.
func (b *bench) failOver(t *testing.T) (successor, left *pgcluster.Node) {
	t.Helper()
	b.add(t)
	successor, left = b.Replicas()[0], b.Replicas()[1]
	dbtest.Do(t, b.Primary().Kill)
	dbtest.Do(t, successor.Promote)
	dbtest.Do(t, left.Rejoin)
	dbtest.Eventually(t, "the new primary takes writes", func() bool { return b.tryAdd(dbtest.Limit) == nil })
	return successor, left
}

// awaitEndOfStream returns when the standby receives nothing any more, and its control
// file names the first timeline.
func (b *bench) awaitEndOfStream(t *testing.T, standby *pgcluster.Node) {
	t.Helper()
	admin := b.Admin(t, standby)
	dbtest.Eventually(t, "its stream is cut, and its control file names the old timeline", func() bool {
		var receivers, timeline int
		b.scan(t, admin, "SELECT count(*) FROM pg_stat_wal_receiver", &receivers)
		b.scan(t, admin, "SELECT min_recovery_end_timeline FROM pg_control_recovery()", &timeline)
		return receivers == 0 && timeline == 1
	})
}

func (b *bench) scan(t *testing.T, conn *pgx.Conn, sql string, dest any) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql).Scan(dest); err != nil {
		t.Fatal(err)
	}
}

// See dbtest.PastTheFork.
func TestAStandbyPastTheForkIsNotOneThatFollows(t *testing.T) {
	config := lateConfig()
	config.Async = true
	b := setupOn(t, dbtest.NewOn(t, config))
	successor, ahead := dbtest.PastTheFork(t, b.Cluster, func() { b.add(t) })
	dbtest.Eventually(t, "the new primary takes writes", func() bool { return b.tryAdd(dbtest.Limit) == nil })
	admin := b.Admin(t, ahead)
	token := b.add(t)
	var lsn int64
	var rows int
	b.scan(t, admin, "SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint", &lsn)
	b.scan(t, admin, readCounter, &rows)
	answeredBy := func(want int) {
		t.Helper()
		if token.Timeline != 2 || fresh.LSN(lsn) <= token.LSN || rows != 1 {
			t.Fatalf("the standby at %s has n = %d, the token is %s: there is nothing to be mistaken", fresh.LSN(lsn), rows, token)
		}
		until(second, func() { // some samples long
			for _, p := range []fresh.Policy{fresh.Session(), fresh.Bounded(5 * second)} {
				if n, served := b.read(t, p, token); n < want || served.Node != successor.Name() {
					t.Fatalf("%+v: n = %d from %+v", p, n, served)
				}
			}
		})
	}
	answeredBy(2)

	b.exec(t, admin, "SELECT pg_wal_replay_pause()")
	token = b.add(t)
	b.exec(t, b.Admin(t, successor), "SELECT pg_logical_emit_message(true, '', repeat('x', 5000000))")
	dbtest.Eventually(t, "it has received more than it has replayed, and nobody finds out", func() bool {
		var streams int
		b.scan(t, admin, "SELECT count(*) FROM pg_stat_wal_receiver WHERE flushed_lsn > pg_last_wal_replay_lsn()", &streams)
		return streams == 1
	})
	answeredBy(3)
	b.exec(t, admin, "SELECT pg_wal_replay_resume()")
	b.awaitEndOfStream(t, ahead)
	answeredBy(3)
}

// The new primary is down, and so is whatever had seen the other standby follow it: what
// is left is a control file that names the old timeline. The remedy is a CHECKPOINT.
func TestARestartedShopAfterTheNextPrimaryDied(t *testing.T) {
	b := setupOn(t, dbtest.NewOn(t, lateConfig()))
	successor, left := b.failOver(t)
	token := b.add(t)
	dbtest.Do(t, successor.Kill)
	b.awaitEndOfStream(t, left)
	router, err := fresh.New(b.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dbtest.CloseRouter(t, router) })
	b.router = router
	lists := fresh.Bounded(5 * second).Else(fresh.ServeStale)
	dbtest.Eventually(t, "who has no token is served", func() bool {
		n, served, err := b.tryRead(t, lists, fresh.Position{})
		return err == nil && n >= 2 && served.Node == left.Name()
	})
	if _, served, err := b.tryRead(t, fresh.Session(), token); !errors.Is(err, fresh.ErrNoPrimary) {
		t.Errorf("%+v, %v: nothing proves that it followed", served, err)
	}
	b.exec(t, b.Admin(t, left), "CHECKPOINT")
	dbtest.Eventually(t, "who has one is", func() bool {
		n, served, err := b.tryRead(t, fresh.Session(), token)
		return err == nil && n >= 2 && served.Node == left.Name()
	})
}
