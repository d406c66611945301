package fresh_test

import (
	"context"
	"testing"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
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
	dbtest.Eventually(t, "the standby serves again", func() bool {
		n, served := b.read(t, fresh.Bounded(5*second), fresh.Position{})
		if n != 2 {
			t.Fatalf("n = %d from %+v", n, served)
		}
		return served.Node == stranded.Name()
	})
}

// A standby that followed a promotion, and was not restarted, has a control file that
// names the old timeline for minutes. When the new primary dies as well, it must go on
// serving: it is all that is left.
func TestServesOnWhenTheNextPrimaryDiesToo(t *testing.T) {
	b := setupOn(t, dbtest.NewOn(t, dbtest.Config()))
	b.add(t)
	dbtest.Do(t, b.Primary().Kill)
	successor, left := b.Replicas()[0], b.Replicas()[1]
	dbtest.Do(t, successor.Promote)
	dbtest.Do(t, left.Rejoin)
	dbtest.Eventually(t, "the one that followed serves", func() bool {
		_, served, err := b.tryRead(t, fresh.Bounded(5*second), fresh.Position{})
		return err == nil && served.Node == left.Name() && !served.Stale
	})
	dbtest.Do(t, successor.Kill)
	admin := b.Admin(t, left)
	dbtest.Eventually(t, "its stream is cut", func() bool {
		var n int
		err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_wal_receiver").Scan(&n)
		return err == nil && n == 0
	})
	lists := fresh.Bounded(5 * second).Else(fresh.ServeStale)
	until(second/2, func() { // some samples long
		n, served, err := b.tryRead(t, lists, fresh.Position{})
		if err != nil || n != 1 || served.Node != left.Name() {
			t.Fatalf("n = %d from %+v: %v", n, served, err)
		}
	})
}
