package fresh_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/faults"
	"example.com/leeway/internal/pgcluster"
)

// tryAdd commits one more, within limit.
func (b *bench) tryAdd(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		_, err := tx.Exec(ctx, addOne)
		return err
	})
}

// Without a synchronous standby a COMMIT waits for ever, with its rows locked and
// its connection taken. So the first of them end in doubt, and the others are
// refused at once, whether the standbys are gone or only silent. What was in
// doubt is committed as soon as one is back: nothing was switched off.
func TestWithoutASynchronousStandbyWritesAreRefused(t *testing.T) {
	for name, fault := range map[string]struct {
		begin, end func(*pgcluster.Node) func(context.Context) error
	}{
		"silent": {
			func(n *pgcluster.Node) func(context.Context) error { return n.Freeze },
			func(n *pgcluster.Node) func(context.Context) error { return n.Thaw },
		},
		"gone": {
			func(n *pgcluster.Node) func(context.Context) error { return n.Kill },
			func(n *pgcluster.Node) func(context.Context) error { return n.Start },
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.add(t)
			for _, n := range b.Replicas() {
				t.Cleanup(func() {
					if t.Failed() { // the other tests need it back
						dbtest.Do(t, fault.end(n))
					}
				})
				dbtest.Do(t, fault.begin(n))
			}
			doubts := 0
			dbtest.Eventually(t, "a write is refused", func() bool {
				err := b.tryAdd(100 * time.Millisecond)
				switch {
				case errors.Is(err, fresh.ErrCommitUnknown):
					doubts++ // the standbys were not missed yet
				case err == nil:
					t.Fatal("a COMMIT was acknowledged that no standby has")
				}
				return errors.Is(err, fresh.ErrNoSynchronousStandby)
			})
			if status := b.router.Status(); status.Writable {
				t.Error("Status says writable")
			}
			if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); n != 1 {
				t.Errorf("n = %d, want 1: a row is visible that no standby has", n)
			}
			for _, n := range b.Replicas() {
				dbtest.Do(t, fault.end(n))
			}
			dbtest.Eventually(t, "writes are taken again", func() bool { return b.tryAdd(time.Second) == nil })
			if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); n != 2+doubts {
				t.Errorf("n = %d, want 2 and the %d that were in doubt", n, doubts)
			}
			t.Logf("%d in doubt before writes were refused", doubts)
		})
	}
}

// A role that does not wait for standbys does not need them.
func TestALocalCommitNeedsNoStandby(t *testing.T) {
	b := setup(t, func(c *fresh.Config) {
		for i := range c.Nodes {
			c.Nodes[i].WriteDSN += "&options=-csynchronous_commit%3Dlocal"
		}
	})
	withoutStandbys(t, b)
	until(1500*time.Millisecond, func() { b.add(t) }) // longer than SyncWait
}

// Replay stands still: for remote_apply that is no confirmation.
func TestRemoteApplyWaitsForReplay(t *testing.T) {
	b := setup(t, func(c *fresh.Config) {
		for i := range c.Nodes {
			c.Nodes[i].WriteDSN += "&options=-csynchronous_commit%3Dremote_apply"
		}
	})
	b.add(t)
	b.Pause(t)
	dbtest.Eventually(t, "a write is refused", func() bool {
		return errors.Is(b.tryAdd(100*time.Millisecond), fresh.ErrNoSynchronousStandby)
	})
	b.Resume(t)
	dbtest.Eventually(t, "writes are taken again", func() bool { return b.tryAdd(second) == nil })
}

// Standbys that are late confirm in the end, and are waited for.
func TestALateStandbyIsNotAMissingOne(t *testing.T) {
	config := dbtest.Config()
	links := map[string]*faults.Link{}
	var mu sync.Mutex
	config.Upstream = func(standby, primary string) string {
		mu.Lock()
		defer mu.Unlock()
		if links[standby] == nil {
			links[standby] = dbtest.Link(t, primary)
		}
		return links[standby].Addr()
	}
	b := setupOn(t, dbtest.NewOn(t, config))
	b.add(t)
	for _, link := range links {
		link.Bandwidth(4 << 20)
	}
	b.exec(t, b.Admin(t, b.Primary()), "SET synchronous_commit = local; CREATE TABLE burst AS SELECT repeat('x', 1000) FROM generate_series(1, 15000)")
	start := time.Now()
	for time.Since(start) < 1500*time.Millisecond { // longer than SyncWait
		if err := b.tryAdd(10 * second); err != nil {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
	}
	if time.Since(start) < 2*second {
		t.Errorf("the standbys were late by %v only", time.Since(start))
	}
}

// Two nodes that accept writes: the newer timeline wins, the alarm is there, and
// the old one is not followed again, not even when the newer one is gone.
func TestASplitBrainIsSeenAndTheOldSideNeverFollowed(t *testing.T) {
	config := dbtest.Config()
	config.Async = true // or neither side could write
	registry := prometheus.NewRegistry()
	var log bytes.Buffer
	b := setupOn(t, dbtest.NewOn(t, config), func(c *fresh.Config) {
		c.Metrics, c.Log = registry, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	b.add(t)
	b.CatchUp(t)
	old, successor := b.Primary(), b.Replicas()[0]
	dbtest.Do(t, successor.Promote)
	dbtest.Eventually(t, "the split is seen", func() bool { return len(b.router.Status().Split()) == 2 })
	if n := gauge(t, registry, "leeway_writable_nodes"); n != 2 {
		t.Errorf("leeway_writable_nodes is %v, want 2", n)
	}
	if status := b.router.Status(); status.Primary != successor.Name() {
		t.Errorf("the primary is %q, want %s", status.Primary, successor.Name())
	}
	b.add(t)
	if n, served := b.read(t, fresh.Strong(), fresh.Position{}); n != 2 || served.Node != successor.Name() {
		t.Errorf("n = %d from %+v", n, served)
	}
	dbtest.Do(t, successor.Kill)
	dbtest.Eventually(t, "the split is over", func() bool { return b.router.Status().Split() == nil })
	until(3*second, func() { // longer than the grace of a primary that fell silent
		if err := b.tryAdd(second); err == nil {
			t.Fatalf("%s was followed again: its timeline is the older one", old.Name())
		}
	})
	if err := b.tryAdd(second); !errors.Is(err, fresh.ErrNoPrimary) {
		t.Errorf("err = %v, want ErrNoPrimary", err)
	}
	dbtest.CloseRouter(t, b.router) // nobody writes to the log any more
	if text := log.String(); strings.Count(text, "two nodes accept writes") != 1 {
		t.Errorf("the log does not raise the alarm once: %q", text)
	}
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// Of two primaries that are there from the start the newer one is followed,
// whichever answers first.
func TestAStartChoosesTheNewerPrimary(t *testing.T) {
	config := dbtest.Config()
	config.Async = true
	b := setupOn(t, dbtest.NewOn(t, config))
	b.CatchUp(t)
	dbtest.Do(t, b.Replicas()[0].Promote)
	for range 20 {
		router, err := fresh.New(b.Config())
		if err != nil {
			t.Fatal(err)
		}
		ctx, _ := session(t, fresh.Position{})
		if err := router.AwaitPrimary(ctx); err != nil {
			t.Fatal(err)
		}
		if status := router.Status(); status.Timeline != 2 {
			t.Errorf("it begins with %s on timeline %d", status.Primary, status.Timeline)
		}
		dbtest.CloseRouter(t, router)
	}
}

// A node of another cluster is used for nothing, claims nothing, and is no split.
func TestAForeignNodeIsNobody(t *testing.T) {
	b := setup(t)
	other := dbtest.NewOn(t, dbtest.Config())
	c := b.Config()
	for i, name := range []string{"foreign-primary", "foreign-standby"} {
		nc := other.Config().Nodes[i]
		nc.Name = name
		c.Nodes = append(c.Nodes, nc)
	}
	router, err := fresh.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dbtest.CloseRouter(t, router) })
	var status fresh.Status
	dbtest.Eventually(t, "every node was seen", func() bool {
		status = router.Status()
		for _, n := range status.Nodes {
			if !n.Up {
				return false
			}
		}
		return status.Primary != ""
	})
	foreign := 0
	for _, n := range status.Nodes {
		if n.Foreign {
			foreign++
		}
		if n.Foreign && (n.Primary || n.Bound >= 0) {
			t.Errorf("%+v", n)
		}
	}
	if (foreign != 2 && foreign != 3) || status.Split() != nil { // either cluster may have been first
		t.Errorf("%d foreign nodes, split %v", foreign, status.Split())
	}
}

// Sessions answer and no new one is let in: what is there is not thrown away
// because of a dial that failed.
func TestADialThatFailsCostsNoOtherConnection(t *testing.T) {
	b := setup(t, func(c *fresh.Config) { c.WriteConns = 4 })
	b.add(t)
	dbtest.Do(t, func(ctx context.Context) error { return b.Primary().FreezeProcess(ctx, pgcluster.Postmaster) })
	t.Cleanup(func() { dbtest.Do(t, b.Primary().Thaw) })
	release := b.holdWriter(t)
	if err := b.tryAdd(3 * second); err == nil {
		t.Error("there was a second connection: the fault is not there")
	}
	release()
	for range 5 {
		if err := b.tryAdd(second); err != nil {
			t.Errorf("the connection that was there is gone: %v", err)
		}
	}
}

// holdWriter keeps a writing connection in use until release is called.
func (b *bench) holdWriter(t *testing.T) (release func()) {
	t.Helper()
	held, free, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ctx, _ := session(t, fresh.Position{})
		ended <- b.router.Write(ctx, func(context.Context, fresh.WriteTx) error {
			close(held)
			<-free
			return nil
		})
	}()
	select {
	case <-held:
	case err := <-ended:
		t.Fatalf("no writing connection can be held: %v", err)
	}
	return sync.OnceFunc(func() {
		close(free)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// The server hangs while a transaction is rolled back: its caller is not kept.
func TestARollbackKeepsTheDeadline(t *testing.T) {
	b := setup(t)
	b.add(t)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	t.Cleanup(func() { dbtest.Do(t, b.Primary().Thaw) })
	start := time.Now()
	mine := errors.New("mine")
	err := b.router.Write(ctx, func(context.Context, fresh.WriteTx) error {
		dbtest.Do(t, b.Primary().Freeze)
		return mine
	})
	if took := time.Since(start); !errors.Is(err, mine) || took > 1500*time.Millisecond { // it was 2 s
		t.Errorf("%v after %v, want the function's own within the deadline of 300 ms and a little", err, took)
	}
}
