package fresh_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

const second = time.Second

func TestCaughtUpReplicasAnswer(t *testing.T) {
	b := setup(t)
	for _, p := range []fresh.Policy{fresh.Bounded(5 * second), fresh.Any(), fresh.Session(), fresh.Session().Within(second)} {
		n, served := b.read(t, p, fresh.Position{})
		if n != 0 || served.Primary || served.Stale || served.Reason != fresh.ReasonReplica {
			t.Errorf("%+v: n = %d from %+v, want 0 from a replica", p, n, served)
		}
	}
	if _, served := b.read(t, fresh.Strong(), fresh.Position{}); !served.Primary || served.Reason != fresh.ReasonPolicy {
		t.Errorf("Strong was answered by %+v", served)
	}
	if _, served := b.read(t, fresh.Policy{}, fresh.Position{}); !served.Primary {
		t.Errorf("the zero Policy was answered by %+v, want the strictest", served)
	}
}

// Every contract that meets a token keeps it, also those that allow staleness.
func TestOwnWritesAreReadWhileReplayIsPaused(t *testing.T) {
	b := setup(t)
	b.Pause(t)
	token := b.add(t)
	for name, p := range map[string]fresh.Policy{
		"session":       fresh.Session(),
		"bounded":       fresh.Bounded(time.Hour),
		"bounded stale": fresh.Bounded(time.Hour).Else(fresh.ServeStale),
		"any":           fresh.Any(),
		"any stale":     fresh.Any().Else(fresh.ServeStale),
	} {
		n, served := b.read(t, p, token)
		if n != 1 || !served.Primary || served.Reason != fresh.ReasonToken {
			t.Errorf("%s: n = %d from %+v, want 1 from the primary for the token", name, n, served)
		}
	}
	if n, served := b.read(t, fresh.Any(), fresh.Position{}); n != 0 || served.Primary {
		t.Errorf("n = %d from %+v: the fault is not there, a replica has replayed", n, served)
	}
	if _, _, err := b.tryRead(t, fresh.Session().Else(fresh.Fail), token); !errors.Is(err, fresh.ErrUnprovable) {
		t.Errorf("err = %v, want ErrUnprovable", err)
	}
}

func TestSnapshotReadsOwnWritesWhileReplayIsPaused(t *testing.T) {
	b := setup(t)
	b.Pause(t)
	token := b.add(t)
	for _, p := range []fresh.Policy{fresh.Session(), fresh.Bounded(time.Hour)} {
		ctx, c := session(t, token)
		var n int
		err := b.router.Snapshot(ctx, p, func(ctx context.Context, tx fresh.ReadTx) error {
			return tx.QueryRow(ctx, readCounter).Scan(&n)
		})
		if served, _ := c.Served(); err != nil || n != 1 || !served.Primary {
			t.Errorf("%+v: n = %d from %+v, %v; want 1 from the primary", p, n, served, err)
		}
	}
}

// A stale answer is still not older than the session's own token: with only a
// replica left that lacks it, the primary answers.
func TestStaleIsNeverBelowTheToken(t *testing.T) {
	b := setup(t)
	without, with := b.Replicas()[0], b.Replicas()[1]
	b.Pause(t, without)
	token := b.add(t)
	b.CatchUpNode(t, with)
	b.Pause(t, with)
	b.add(t)
	stale := fresh.Bounded(300 * time.Millisecond).Else(fresh.ServeStale)
	dbtest.Eventually(t, "the replica with the token serves stale", func() bool {
		n, served := b.read(t, stale, token)
		if n < 1 {
			t.Fatalf("n = %d from %+v", n, served)
		}
		return served.Stale && served.Node == with.Name()
	})
	b.kill(t, with)
	if n, served := b.read(t, stale, fresh.Position{}); n != 0 || !served.Stale {
		t.Fatalf("n = %d from %+v: the fault is not there", n, served)
	}
	for range 20 {
		if n, served := b.read(t, stale, token); n != 2 || !served.Primary {
			t.Fatalf("n = %d from %+v, want 2 from the primary", n, served)
		}
	}
}

// With one replica behind, the other serves, and the one behind never shows an
// old value (gitlab#413203: one caught-up replica was taken for all).
func TestALaggardIsNeverTakenForItsNeighbour(t *testing.T) {
	b := setup(t)
	laggard := b.Replicas()[0]
	b.Pause(t, laggard)
	token := b.add(t)
	dbtest.Eventually(t, "the other replica has the write", func() bool {
		n, served := b.read(t, fresh.Session(), token)
		if n != 1 {
			t.Fatalf("n = %d from %+v", n, served)
		}
		return !served.Primary
	})
	for range 200 {
		n, served := b.read(t, fresh.Session(), token)
		if n != 1 || served.Node == laggard.Name() {
			t.Fatalf("n = %d from %+v", n, served)
		}
	}
	b.Resume(t, laggard)
	b.CatchUp(t)
	seen := map[string]bool{}
	dbtest.Eventually(t, "both replicas serve", func() bool {
		_, served := b.read(t, fresh.Session(), token)
		seen[served.Node] = true
		return seen["replica-1"] && seen["replica-2"]
	})
}

func TestLagBeyondTheBudgetDegrades(t *testing.T) {
	b := setup(t)
	const budget = 300 * time.Millisecond
	b.Pause(t)
	b.add(t)
	dbtest.Eventually(t, "the lag exceeds the budget", func() bool {
		n, served := b.read(t, fresh.Bounded(budget), fresh.Position{})
		if !served.Primary && served.Bound > budget {
			t.Fatalf("%+v claims more than its budget", served)
		}
		return served.Primary && served.Reason == fresh.ReasonLag && n == 1
	})
	n, served := b.read(t, fresh.Bounded(budget).Else(fresh.ServeStale), fresh.Position{})
	if n != 0 || served.Primary || !served.Stale || served.Reason != fresh.ReasonLag {
		t.Errorf("n = %d from %+v, want the old value, labelled", n, served)
	}
	if served.Bound <= budget {
		t.Errorf("a stale answer claims to be %v old, within the budget", served.Bound)
	}
	if _, _, err := b.tryRead(t, fresh.Bounded(budget).Else(fresh.Fail), fresh.Position{}); !errors.Is(err, fresh.ErrUnprovable) {
		t.Errorf("err = %v, want ErrUnprovable", err)
	}
	b.Resume(t)
	b.awaitReplica(t, fresh.Bounded(budget))
}

// now() - pg_last_xact_replay_timestamp() grows without end here, and would send
// everything to the primary of a shop that sleeps.
func TestAnIdlePrimaryKeepsItsReplicas(t *testing.T) {
	b := setup(t)
	const budget = time.Second
	reads := 0
	until(5*budget/2, func() {
		reads++
		if _, served := b.read(t, fresh.Bounded(budget), fresh.Position{}); served.Primary {
			t.Fatalf("read %d of an idle shop was answered by %+v", reads, served)
		}
	})
}

// A session never goes back: what it saw on one replica it still sees when the
// next one is behind.
func TestReadsAreMonotonic(t *testing.T) {
	b := setup(t)
	ahead, behind := b.Replicas()[0], b.Replicas()[1]
	b.Pause(t, behind)
	b.add(t)
	b.CatchUpNode(t, ahead)

	ctx, c := session(t, fresh.Position{})
	var n int
	dbtest.Eventually(t, "the session sees the write on a replica", func() bool {
		if err := b.router.Reader(fresh.Session()).QueryRow(ctx, readCounter).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == 1
	})
	token, raised := c.Token()
	if !raised || token.IsZero() {
		t.Fatal("a session read did not stamp what it saw")
	}
	dbtest.Do(t, ahead.PauseReplay)
	t.Cleanup(func() { b.Resume(t, ahead) })
	for range 100 {
		if n, served := b.read(t, fresh.Session(), token); n != 1 {
			t.Fatalf("n = %d from %+v after it was 1", n, served)
		}
	}
}

// The replica is a commit behind when the read arrives, and replays within the
// wait: no need for the primary.
func TestASessionReadWaitsForAReplicaJustBehind(t *testing.T) {
	b := setup(t, func(c *fresh.Config) { c.SessionWait = dbtest.Limit })
	b.Pause(t)
	token := b.add(t)
	got := make(chan fresh.Served)
	go func() {
		_, served, err := b.tryRead(t, fresh.Session(), token)
		if err != nil {
			t.Error(err)
		}
		got <- served
	}()
	select {
	case served := <-got:
		t.Fatalf("answered by %+v while every replica was behind", served)
	case <-time.After(50 * time.Millisecond): // it waits, as it should
	}
	b.Resume(t)
	if served := <-got; served.Primary {
		t.Errorf("answered by %+v, want a replica", served)
	}
}

func TestAReadHandleDoesNotWrite(t *testing.T) {
	b := setup(t)
	ctx, _ := session(t, fresh.Position{})
	if _, err := b.router.Reader(fresh.Strong()).Exec(ctx, addOne); !errors.Is(err, fresh.ErrReadOnly) {
		t.Errorf("Exec: %v, want ErrReadOnly", err)
	}
	// The role has no grant, on the primary either.
	err := b.router.Reader(fresh.Strong()).QueryRow(ctx, addOne+" RETURNING n").Scan(new(int))
	if code := sqlState(err); code != "25006" && code != "42501" {
		t.Errorf("UPDATE through a read handle: %v, want 25006 or 42501", err)
	}
}

func TestNoRowsIsTheCallersAffair(t *testing.T) {
	b := setup(t)
	ctx, c := session(t, fresh.Position{})
	err := b.router.Reader(fresh.Bounded(second)).QueryRow(ctx, "SELECT n FROM counter WHERE id = 99").Scan(new(int))
	if served, _ := c.Served(); !errors.Is(err, pgx.ErrNoRows) || served.Primary {
		t.Errorf("err = %v from %+v, want ErrNoRows from a replica", err, served)
	}
}

func TestRowsKeepTypesAndNulls(t *testing.T) {
	b := setup(t)
	ctx, _ := session(t, fresh.Position{})
	rows, err := b.router.Reader(fresh.Session()).Query(ctx,
		"SELECT i, CASE WHEN i = 2 THEN NULL ELSE repeat('x', i) END, ARRAY[i, i + 1], '', repeat('ö', i) FROM generate_series(1, 3) AS i WHERE i > $1", 0)
	if err != nil {
		t.Fatal(err)
	}
	type line struct {
		I     int64
		Text  *string
		List  []int32
		Empty string
		Whole string
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[line])
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	if got[1].Text != nil || *got[2].Text != "xxx" || got[2].List[1] != 4 || got[0].Empty != "" ||
		got[0].Whole != "ö" || got[1].Whole != "öö" || got[2].Whole != "ööö" {
		t.Errorf("rows came out as %+v", got)
	}
	if err := b.router.Reader(fresh.Session()).QueryRow(ctx, "SELECT 1, 2").Scan(new(int)); err == nil {
		t.Error("two columns were scanned into one destination")
	}
	null, err := b.router.Reader(fresh.Session()).Query(ctx, "SELECT NULL::text")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.CollectRows(null, pgx.RowTo[string]); err == nil {
		t.Error("a NULL was scanned into a string")
	}
}

func TestChangedPlansAreAbsorbedInSnapshots(t *testing.T) {
	b := setup(t)
	for range 2 {
		ctx, _ := session(t, fresh.Position{})
		err := b.router.Snapshot(ctx, fresh.Strong(), func(ctx context.Context, tx fresh.ReadTx) error {
			rows, err := tx.Query(ctx, "SELECT * FROM counter")
			rows.Close()
			return errors.Join(err, rows.Err())
		})
		if err != nil {
			t.Fatal(err)
		}
		b.exec(t, b.Admin(t, b.Primary()), "ALTER TABLE counter ADD COLUMN IF NOT EXISTS extra int")
	}
}

// A search that takes too long is not pushed on to the primary.
func TestATimeOutIsToldAsOne(t *testing.T) {
	b := setup(t, func(c *fresh.Config) {
		for i := range c.Nodes {
			c.Nodes[i].ReadDSN += "&options=-cstatement_timeout%3D50ms"
		}
	})
	for _, p := range []fresh.Policy{fresh.Bounded(5 * second), fresh.Any().Else(fresh.ServeStale), fresh.Strong()} {
		ctx, c := session(t, fresh.Position{})
		err := b.router.Reader(p).QueryRow(ctx, "SELECT pg_sleep(20)::text").Scan(new(string))
		served, _ := c.Served()
		if !errors.Is(err, fresh.ErrUnavailable) || served.Primary != (p == fresh.Strong()) {
			t.Errorf("%+v: %v from %+v, want ErrUnavailable from the node that was asked first", p, err, served)
		}
	}
}

// DDL turns the plans of pooled connections stale (SQLSTATE 0A000); nobody sees it.
func TestChangedPlansAreAbsorbed(t *testing.T) {
	b := setup(t)
	for _, p := range []fresh.Policy{fresh.Bounded(5 * second), fresh.Session(), fresh.Strong()} {
		for range 2 {
			ctx, c := session(t, fresh.Position{})
			rows, err := b.router.Reader(p).Query(ctx, "SELECT * FROM counter")
			if err != nil {
				t.Fatalf("%+v: %v", p, err)
			}
			rows.Close()
			if served, _ := c.Served(); served.Primary != (p == fresh.Strong()) {
				t.Errorf("%+v: answered by %+v", p, served)
			}
			b.exec(t, b.Admin(t, b.Primary()), "ALTER TABLE counter ADD COLUMN extra int; ALTER TABLE counter DROP COLUMN extra")
			b.exec(t, b.Admin(t, b.Primary()), "ALTER TABLE counter ADD COLUMN c"+itoa(len(rows.FieldDescriptions()))+" int")
			b.CatchUp(t)
		}
	}
}
