package main

import (
	"context"
	"math/rand/v2"
	"time"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/faults"
	"example.com/leeway/internal/pgcluster"
)

// The faults of replay: it stops, lags, or comes back behind. In all of them browsing goes
// on, and nobody misses what they wrote.

func replayPaused(ctx context.Context, w *world) error {
	return w.standStill(ctx,
		func(n *pgcluster.Node) error { return n.PauseReplay(ctx) },
		func(n *pgcluster.Node) error { return n.ResumeReplay(ctx) })
}

func startupFrozen(ctx context.Context, w *world) error {
	return w.standStill(ctx,
		func(n *pgcluster.Node) error { return n.FreezeProcess(ctx, pgcluster.Startup) },
		func(n *pgcluster.Node) error { return n.Thaw(ctx) })
}

// standStill: replay stops on every standby. Own writes are then read on the
// primary, and what is older than its budget says so.
func (w *world) standStill(ctx context.Context, stop, goOn func(*pgcluster.Node) error) error {
	began := w.Record.Mark()
	if err := each(w.standbys(), stop); err != nil {
		return err
	}
	w.await(ctx, began, "own writes are read on the primary", 20, because("token"))
	w.await(ctx, began, "what is too old says so", 20, because("lag"))
	ops := w.Record.Since(began)
	w.bit(int64(count(ops, because("token")) + count(ops, because("lag"))))
	healed := w.Record.Mark()
	if err := each(w.standbys(), goOn); err != nil {
		return err
	}
	w.recovers(ctx, healed, "replica read", recoveredReads, fromReplica)
	return nil
}

// unequalLag: one standby stands still again and again, for less than the budget.
// Both go on answering, and a session is never sent to the one that is behind its
// own writes.
func unequalLag(ctx context.Context, w *world) error {
	near, far := w.node("replica-1"), w.node("replica-2")
	began := w.Record.Mark()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	for id := range 4 {
		w.Go(func() { w.watch(watching, 700+id) })
	}
	for range 6 {
		if err := far.PauseReplay(ctx); err != nil {
			return err
		}
		paused := w.Record.Mark()
		w.await(ctx, paused, "the nearer one answers", 10, fromNode(near.Name()))
		w.await(ctx, paused, "writes go on", 10, taken)
		if err := far.ResumeReplay(ctx); err != nil {
			return err
		}
		resumed := w.Record.Mark()
		w.await(ctx, resumed, "the farther one answers again", 3, fromNode(far.Name()))
		w.bit(int64(count(w.Record.Since(paused), func(op checker.Op) bool { // whom the farther one would have misled
			return fromNode(near.Name())(op) && op.Session != ""
		})))
	}
	w.browsingWentOn(began)
	return nil
}

// restartedBehind: a standby crashes and comes back further behind than it was,
// and stays there. Nothing that was known of it before may count.
func restartedBehind(ctx context.Context, w *world) error {
	victim := w.node("replica-1")
	// What it comes back to: a state that has the schema and the catalog.
	if err := w.exec(ctx, w.node("primary"), "CHECKPOINT"); err != nil {
		return err
	}
	if err := w.awaitReplay(ctx, w.node("primary"), victim); err != nil {
		return err
	}
	if err := w.exec(ctx, victim, "CHECKPOINT"); err != nil {
		return err
	}
	// Nobody writes meanwhile, so that its past is all that is asked of it.
	w.Stop()
	owners, carts, err := w.fullCarts(ctx, 16)
	if err != nil {
		return err
	}
	// A commit, so that the log is flushed to its end and rests there.
	if err := w.exec(ctx, w.node("primary"), "SELECT pg_logical_emit_message(true, 'chaos', 'rest')"); err != nil {
		return err
	}
	if err := w.awaitReplay(ctx, w.node("primary"), victim); err != nil {
		return err
	}
	before, err := w.ask(ctx, victim, "SELECT pg_last_wal_replay_lsn() - '0/0'")
	if err != nil {
		return err
	}
	w.awaitSeen(ctx, victim, before)
	// It replays what it needs to be consistent, and then nothing that is younger
	// than an hour: it stands where its last flush of data left it.
	if err := w.exec(ctx, victim, "ALTER SYSTEM SET recovery_min_apply_delay = '1h'"); err != nil {
		return err
	}
	if err := victim.Kill(ctx); err != nil {
		return err
	}
	if err := victim.Start(ctx); err != nil {
		return err
	}
	after, err := w.ask(ctx, victim, "SELECT pg_last_wal_replay_lsn() - '0/0'")
	if err != nil {
		return err
	}
	w.expect("behaviour", after < before, "it came back at %d, not behind %d", after, before)
	w.bit(before - after)
	w.awaitSeen(ctx, victim, after)
	other := w.node("replica-2") // who could answer instead
	if err := w.eachLink(other, refuse); err != nil {
		return err
	}
	for i, owner := range owners {
		owner.ReadCart(ctx, carts[i])
	}
	if err := w.eachLink(other, (*faults.PGLink).Heal); err != nil {
		return err
	}
	back := w.Record.Mark()
	w.startLoad(ctx)
	w.await(ctx, back, "browsing goes on", 4*fewBrowse, isBrowsing)
	w.await(ctx, back, "checkouts go on", 40, acknowledged)
	w.browsingWentOn(back)
	if err := w.exec(ctx, victim, "ALTER SYSTEM RESET recovery_min_apply_delay"); err != nil {
		return err
	}
	healed := w.Record.Mark()
	if err := w.exec(ctx, victim, "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	w.recovers(ctx, healed, "caught up", 5*time.Second, fromNode(victim.Name()))
	return nil
}

// guardRace: sixteen readers of carts that change, while replay stops and goes on
// all the time, so that it overtakes some of them between query and guard.
func guardRace(ctx context.Context, w *world) error {
	began := w.Record.Mark()
	racing, stop := context.WithCancel(ctx)
	defer stop()
	for id := range 8 {
		w.Go(func() { w.changeAndRead(racing, 400+id) })
	}
	for range 40 {
		for _, n := range w.standbys() {
			if err := w.exec(ctx, n, "SELECT pg_wal_replay_pause()"); err != nil {
				return err
			}
		}
		m := w.Record.Mark()
		w.await(ctx, m, "writes go on", 3, taken)
		for _, n := range w.standbys() {
			if err := w.exec(ctx, n, "SELECT pg_wal_replay_resume()"); err != nil {
				return err
			}
		}
		w.await(ctx, w.Record.Mark(), "replicas answer", 2, fromReplica)
	}
	w.bit(int64(count(w.Record.Since(began), because("token"))))
	return nil
}

// watch changes a cart on one device and looks at it on another, which has only
// its own reads to hold it where it was.
func (w *world) watch(ctx context.Context, id int) {
	c := w.NewCaller(id)
	random := rand.New(rand.NewPCG(w.seed, uint64(id)))
	variant := w.Cold[id%len(w.Cold)]
	cart := c.CreateCart(ctx, line{Variant: variant, Quantity: 1})
	if cart.Outcome != checker.OK {
		return
	}
	other := c.OtherDevice(id + 10)
	w.Go(func() {
		for ctx.Err() == nil {
			other.ReadCart(ctx, cart.Cart)
		}
	})
	for ctx.Err() == nil {
		c.SetItem(ctx, cart.Cart, line{Variant: variant, Quantity: 1 + random.IntN(9)})
		pause(ctx, 20*time.Millisecond, random)
	}
}

// changeAndRead changes a cart and looks at it, over and over; a new cart now and
// then, since what the checker has to put in order grows with each.
func (w *world) changeAndRead(ctx context.Context, id int) {
	c := w.NewCaller(id)
	random := rand.New(rand.NewPCG(w.seed, uint64(id)))
	variant := w.Cold[id%len(w.Cold)]
	for ctx.Err() == nil {
		cart := c.CreateCart(ctx, line{Variant: variant, Quantity: 1})
		for range 40 {
			if cart.Outcome != checker.OK || ctx.Err() != nil {
				break
			}
			c.SetItem(ctx, cart.Cart, line{Variant: variant, Quantity: 1 + random.IntN(9)})
			c.ReadCart(ctx, cart.Cart)
		}
	}
}
