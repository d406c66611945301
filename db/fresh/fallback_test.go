package fresh_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/pgcluster"
)

// kill kills nodes and brings them back when the test ends.
func (b *bench) kill(t *testing.T, nodes ...*pgcluster.Node) {
	t.Helper()
	for _, n := range nodes {
		t.Cleanup(func() {
			dbtest.Do(t, n.Start)
			b.CatchUpNode(t, n)
		})
		dbtest.Do(t, n.Kill)
	}
}

// With every replica dead, 32 clients read: the primary never sees more of
// them than the cap.
func TestTheBulkheadHoldsWhenAllReplicasDie(t *testing.T) {
	const fallbackCap = 2
	b := setup(t, func(c *fresh.Config) { c.FallbackConns = fallbackCap })
	b.kill(t, b.Replicas()...)

	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if _, _, err := b.tryRead(t, fresh.Bounded(5*second), fresh.Position{}); err != nil && !errors.Is(err, fresh.ErrOverloaded) {
					t.Errorf("read: %v, want success or ErrOverloaded", err)
					return
				}
			}
		})
	}
	admin := b.Admin(t, b.Primary())
	most, full := 0, 0
	until(2*second, func() {
		var conns int
		err := admin.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leeway-fallback' AND datname = current_database()").Scan(&conns)
		if err != nil {
			t.Fatal(err)
		}
		if most = max(most, conns); conns == fallbackCap {
			full++
		}
	})
	stop()
	clients.Wait()
	if most > fallbackCap || full == 0 {
		t.Errorf("the primary had up to %d connections for reads (at the cap %d times), want at most %d, and reached", most, full, fallbackCap)
	}
}

// A read that finds the cap reached and may not be stale fails.
func TestBeyondTheCapSessionReadsFailAndBrowsingIsStale(t *testing.T) {
	b := setup(t, func(c *fresh.Config) { c.FallbackConns, c.FallbackWait = 1, time.Millisecond })
	b.Pause(t)
	token := b.add(t)
	occupied, release := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		ctx, _ := session(t, fresh.Position{})
		done <- b.router.Snapshot(ctx, fresh.Strong(), func(context.Context, fresh.ReadTx) error {
			close(occupied)
			<-release
			return nil
		})
	}()
	<-occupied
	if n, served, err := b.tryRead(t, fresh.Session(), token); !errors.Is(err, fresh.ErrOverloaded) {
		t.Errorf("n = %d from %+v, %v; want ErrOverloaded", n, served, err)
	}
	dbtest.Eventually(t, "browsing is stale", func() bool {
		n, served := b.read(t, fresh.Bounded(200*time.Millisecond).Else(fresh.ServeStale), fresh.Position{})
		return n == 0 && served.Stale
	})
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n, served := b.read(t, fresh.Session(), token); n != 1 || !served.Primary {
		t.Errorf("n = %d from %+v once there is room", n, served)
	}
}

// A replica that is killed costs its readers nothing but the detour.
func TestAKilledReplicaIsNoErrorToAnyone(t *testing.T) {
	b := setup(t)
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if _, _, err := b.tryRead(t, fresh.Bounded(5*second), fresh.Position{}); err != nil {
					t.Errorf("read while a replica dies: %v", err)
				}
			}
		})
	}
	victim := b.Replicas()[0]
	dbtest.Do(t, victim.Kill)
	b.awaitStatus(t, victim, false)
	dbtest.Do(t, victim.Start)
	b.awaitStatus(t, victim, true)
	stop()
	clients.Wait()
	dbtest.Eventually(t, "the victim serves again", func() bool {
		_, served := b.read(t, fresh.Bounded(5*second), fresh.Position{})
		return served.Node == victim.Name()
	})
}

func (b *bench) awaitStatus(t *testing.T, n *pgcluster.Node, up bool) {
	t.Helper()
	dbtest.Eventually(t, n.Name()+" is seen to change", func() bool {
		nodes := b.router.Status().Nodes
		for _, s := range nodes {
			if s.Name == n.Name() {
				return s.Up == up
			}
		}
		return false
	})
}

// A frozen server keeps its connections open and never answers: reads that hang
// on it are cut and go on elsewhere.
func TestReadsLeaveAFrozenReplica(t *testing.T) {
	b := setup(t)
	victim := b.Replicas()[0]
	dbtest.Eventually(t, "the victim serves", func() bool {
		_, served := b.read(t, fresh.Bounded(5*second), fresh.Position{})
		return served.Node == victim.Name()
	})
	t.Cleanup(func() { dbtest.Do(t, victim.Thaw) })
	dbtest.Do(t, victim.Freeze)
	var clients sync.WaitGroup
	for range 64 { // more than one pool holds: some queue for the victim's connections
		clients.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*second)
			defer cancel()
			if err := b.router.Reader(fresh.Bounded(30*second)).QueryRow(ctx, readCounter).Scan(new(int)); err != nil {
				t.Errorf("read: %v", err)
			}
		})
	}
	clients.Wait()
	b.awaitStatus(t, victim, false)
}

// Replay cancels a read that is in its way: the primary answers instead, and
// the replica is not asked again.
func TestARecoveryConflictGoesToThePrimary(t *testing.T) {
	b := setup(t)
	for _, n := range b.Replicas() {
		admin := b.Admin(t, n)
		b.exec(t, admin, "ALTER SYSTEM SET max_standby_streaming_delay = '50ms'")
		b.exec(t, admin, "SELECT pg_reload_conf()")
		t.Cleanup(func() {
			b.exec(t, admin, "ALTER SYSTEM RESET max_standby_streaming_delay")
			b.exec(t, admin, "SELECT pg_reload_conf()")
		})
	}
	ctx, c := session(t, fresh.Position{})
	onReplica, n := 0, 0
	err := b.router.Snapshot(ctx, fresh.Bounded(30*second), func(ctx context.Context, tx fresh.ReadTx) error {
		if err := tx.QueryRow(ctx, readCounter).Scan(&n); err != nil {
			return err
		}
		var standby bool
		if err := tx.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil || !standby {
			return err
		}
		onReplica++
		b.exec(t, b.Admin(t, b.Primary()), "ALTER TABLE counter ADD COLUMN extra int")
		_, err := tx.Exec(ctx, "SELECT pg_sleep(20)") // replay ends it
		return err
	})
	served, _ := c.Served()
	if err != nil || onReplica != 1 || !served.Primary || served.Reason != fresh.ReasonConflict {
		t.Errorf("err = %v, %d runs on a replica, answered by %+v; want one run, then the primary for the conflict", err, onReplica, served)
	}
}

func TestASnapshotSeesOneState(t *testing.T) {
	b := setup(t)
	ctx, _ := session(t, fresh.Position{})
	err := b.router.Snapshot(ctx, fresh.Session(), func(ctx context.Context, tx fresh.ReadTx) error {
		var first, second int
		if err := tx.QueryRow(ctx, readCounter).Scan(&first); err != nil {
			return err
		}
		b.add(t)
		b.CatchUp(t)
		if err := tx.QueryRow(ctx, readCounter).Scan(&second); err != nil {
			return err
		}
		if first != second {
			t.Errorf("%d, then %d", first, second)
		}
		_, err := tx.Exec(ctx, addOne)
		if sqlState(err) != "25006" {
			t.Errorf("a write in a snapshot: %v, want 25006", err)
		}
		return nil
	})
	if err == nil {
		t.Error("a snapshot in which a statement failed reported success")
	}
	if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); n != 1 {
		t.Errorf("n = %d, want 1", n)
	}
}

func TestOneNodeIsEnough(t *testing.T) {
	b := setup(t, func(c *fresh.Config) { c.Nodes = c.Nodes[:1] })
	token := b.add(t)
	for _, p := range []fresh.Policy{fresh.Session(), fresh.Bounded(second).Else(fresh.ServeStale), fresh.Any()} {
		if n, served := b.read(t, p, token); n != 1 || !served.Primary || served.Reason != fresh.ReasonNoReplica {
			t.Errorf("%+v: n = %d from %+v", p, n, served)
		}
	}
}

// Nodes that are unreachable at start cost nothing but themselves.
func TestANodeThatIsDownAtStart(t *testing.T) {
	b := setup(t)
	victim := b.Replicas()[0]
	dbtest.Do(t, victim.Kill)
	router, err := fresh.New(b.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dbtest.CloseRouter(t, router) })
	ctx, c := session(t, fresh.Position{})
	if err := router.AwaitPrimary(ctx); err != nil {
		t.Fatal(err)
	}
	dbtest.Eventually(t, "the other replica serves", func() bool {
		err := router.Reader(fresh.Bounded(5*second)).QueryRow(ctx, readCounter).Scan(new(int))
		served, _ := c.Served()
		return err == nil && served.Node == b.Replicas()[1].Name()
	})
	dbtest.Do(t, victim.Start)
	b.router = router
	dbtest.Eventually(t, "the victim serves too", func() bool {
		_, served := b.read(t, fresh.Bounded(5*second), fresh.Position{})
		return served.Node == victim.Name()
	})
}

// Without a primary nothing can be proven: browsing is labelled, the rest
// fails, and a session whose token a replica has is served.
func TestWithoutAPrimary(t *testing.T) {
	b := setup(t)
	token := b.add(t)
	b.CatchUp(t)
	dbtest.Do(t, b.Primary().Freeze)
	t.Cleanup(func() { dbtest.Do(t, b.Primary().Thaw) })
	b.awaitStatus(t, b.Primary(), false)

	browse := fresh.Bounded(300 * time.Millisecond)
	dbtest.Eventually(t, "nothing is provable any more", func() bool {
		_, served := b.read(t, browse.Else(fresh.ServeStale), fresh.Position{})
		return served.Stale && served.Reason == fresh.ReasonPrimaryDown
	})
	dbtest.Eventually(t, "the rest fails", func() bool {
		_, _, err := b.tryRead(t, browse, fresh.Position{})
		return errors.Is(err, fresh.ErrNoPrimary)
	})
	if n, served := b.read(t, fresh.Session().Within(second), token); n != 1 || served.Primary {
		t.Errorf("n = %d from %+v, want 1 from a replica that has the token", n, served)
	}
	ctx, _ := session(t, fresh.Position{})
	err := b.router.Write(ctx, func(context.Context, fresh.WriteTx) error { return nil })
	if !errors.Is(err, fresh.ErrNoPrimary) {
		t.Errorf("Write: %v, want ErrNoPrimary", err)
	}
}

func TestTokensOfOtherTimelinesGoToThePrimary(t *testing.T) {
	b := setup(t)
	now := b.add(t)
	for name, tt := range map[string]struct {
		token fresh.Position
		want  fresh.Reason
	}{
		"a dead timeline":          {fresh.Position{Timeline: now.Timeline - 1, LSN: 1}, fresh.ReasonTimeline},
		"a dead one, far ahead":    {fresh.Position{Timeline: now.Timeline - 1, LSN: 1 << 60}, fresh.ReasonTimeline},
		"the primary's own future": {fresh.Position{Timeline: now.Timeline, LSN: 1 << 60}, fresh.ReasonToken},
	} {
		for _, p := range []fresh.Policy{fresh.Session(), fresh.Bounded(5 * second).Else(fresh.ServeStale)} {
			ctx, c := session(t, tt.token)
			var n int
			err := b.router.Reader(p).QueryRow(ctx, readCounter).Scan(&n)
			served, _ := c.Served()
			if err != nil || n != 1 || !served.Primary || served.Reason != tt.want {
				t.Errorf("%s: n = %d from %+v, %v; want the primary for %v", name, n, served, err, tt.want)
			}
			// The next read of the session needs the primary no more.
			if healed, raised := c.Token(); !raised || !now.Merge(healed).Reached(now) || healed.LSN >= 1<<60 {
				t.Errorf("%s: the session goes on with the token %v", name, healed)
			}
		}
	}
}

// A token of a timeline not heard of proves that the primary known here has been
// superseded: it may lack what the session wrote, and must not take its writes.
func TestATokenFromTheFutureDisownsThePrimary(t *testing.T) {
	b := setup(t)
	newer := fresh.Position{Timeline: b.add(t).Timeline + 1, LSN: 1}
	for _, p := range []fresh.Policy{fresh.Session(), fresh.Strong(), fresh.Any(), fresh.Bounded(5 * second).Else(fresh.ServeStale)} {
		if n, served, err := b.tryRead(t, p, newer); !errors.Is(err, fresh.ErrNoPrimary) {
			t.Errorf("%+v: n = %d from %+v, %v; want ErrNoPrimary", p, n, served, err)
		}
	}
	ctx, _ := session(t, newer)
	// What its function finds missing there is not missing.
	notFound := errors.New("not found")
	err := b.router.Snapshot(ctx, fresh.Session(), func(context.Context, fresh.ReadTx) error { return notFound })
	if !errors.Is(err, fresh.ErrNoPrimary) {
		t.Errorf("Snapshot: %v, want ErrNoPrimary", err)
	}
	err = b.router.Write(ctx, func(context.Context, fresh.WriteTx) error { return nil })
	if !errors.Is(err, fresh.ErrNoPrimary) {
		t.Errorf("Write: %v, want ErrNoPrimary", err)
	}
}

func TestConfigErrorsNameTheNodeAndNoPassword(t *testing.T) {
	const dsn = "postgres://u:hunter2@127.0.0.1:1/d"
	for name, nodes := range map[string][]fresh.NodeConfig{
		"none":       {},
		"unnamed":    {{Name: "", WriteDSN: dsn, ReadDSN: dsn}},
		"twice":      {{Name: "a", WriteDSN: dsn, ReadDSN: dsn}, {Name: "a", WriteDSN: dsn, ReadDSN: dsn}},
		"no DSN":     {{Name: "a", WriteDSN: "postgres://u:hunter2@:port/", ReadDSN: dsn}},
		"many hosts": {{Name: "a", WriteDSN: "postgres://u:hunter2@h1,h2/d", ReadDSN: dsn}},
	} {
		_, err := fresh.New(fresh.Config{Nodes: nodes})
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if got := err.Error(); strings.Contains(got, "hunter2") {
			t.Errorf("%s: the error repeats a password: %v", name, got)
		}
	}
}
