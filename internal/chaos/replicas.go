package main

import (
	"context"
	"math/rand/v2"
	"time"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/faults"
	"example.com/leeway/internal/pgcluster"
)

// The faults of replicas and of the links to them. In all of them browsing goes
// on, and nobody misses what they wrote.

// fewBrowse is enough reads to see that browsing goes on.
const fewBrowse = 30

// recoveredReads is how soon a replica must answer again (or another one, after
// its neighbour died).
const recoveredReads = time.Second

func (w *world) standbys() []*pgcluster.Node { return w.cluster.Nodes()[1:] }

func each(nodes []*pgcluster.Node, verb func(*pgcluster.Node) error) error {
	for _, n := range nodes {
		if err := verb(n); err != nil {
			return err
		}
	}
	return nil
}

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

// postmasterFrozen: sessions still answer, new ones are not let in.
func postmasterFrozen(ctx context.Context, w *world) error {
	victim := w.node("replica-1")
	began := w.Record.Mark()
	if err := victim.FreezeProcess(ctx, pgcluster.Postmaster); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := w.connect(short, victim); err != nil {
		w.bit(1)
	}
	w.await(ctx, began, "browsing goes on", 4*fewBrowse, isBrowsing)
	w.await(ctx, began, "checkouts go on", 20, acknowledged)
	w.browsingWentOn(began)
	return victim.Thaw(ctx)
}

// replicaFrozen: it accepts connections and answers nothing.
func replicaFrozen(ctx context.Context, w *world) error {
	victim := w.node("replica-1")
	began := w.Record.Mark()
	if err := victim.Freeze(ctx); err != nil {
		return err
	}
	w.goneFor(ctx, victim)
	w.browsingWentOn(began)
	w.browsingWasHeldUp(began, recoveredReads)
	healed := w.Record.Mark()
	if err := victim.Thaw(ctx); err != nil {
		return err
	}
	w.recovers(ctx, healed, "thawed", 5*time.Second, fromNode(victim.Name()))
	return nil
}

// goneFor waits until a node has been missed, and counts what the others answered
// meanwhile.
func (w *world) goneFor(ctx context.Context, victim *pgcluster.Node) {
	m := w.Record.Mark()
	w.await(ctx, m, "browsing goes on", 4*fewBrowse, isBrowsing)
	w.await(ctx, m, "checkouts go on", 20, acknowledged)
	settled := w.Record.Mark()
	w.await(ctx, settled, "browsing goes on", fewBrowse, isBrowsing)
	ops := w.Record.Since(settled)
	w.expect("eligible", count(ops, fromNode(victim.Name())) == 0, "%s answered though it is gone", victim.Name())
	w.bit(int64(count(ops, isBrowsing)))
}

func replicaKilled(ctx context.Context, w *world) error {
	victim := w.node("replica-1")
	began := w.Record.Mark()
	if err := victim.Kill(ctx); err != nil {
		return err
	}
	w.goneFor(ctx, victim)
	w.browsingWasHeldUp(began, recoveredReads)
	healed := w.Record.Mark()
	if err := victim.Start(ctx); err != nil {
		return err
	}
	w.recovers(ctx, healed, "restarted", 5*time.Second, fromNode(victim.Name()))
	w.browsingWentOn(began) // 57P03 while it starts is nobody's business
	return nil
}

// replicaCutOff: the shops lose their way to one replica, in each way that a link
// can be lost.
func replicaCutOff(ctx context.Context, w *world) error {
	victim := w.node("replica-1")
	began := w.Record.Mark()
	for _, cut := range []func(*faults.PGLink) error{
		func(l *faults.PGLink) error { l.BlackHole(); return nil },
		func(l *faults.PGLink) error { l.OneWay(faults.ClientToServer); return nil },
		refuse,
	} {
		if err := w.eachLink(victim, cut); err != nil {
			return err
		}
		missing := w.Record.Mark()
		w.goneFor(ctx, victim)
		w.browsingWasHeldUp(missing, recoveredReads)
		if err := w.eachLink(victim, (*faults.PGLink).Heal); err != nil {
			return err
		}
		w.await(ctx, w.Record.Mark(), "it answers again", 1, fromNode(victim.Name()))
	}
	w.browsingWentOn(began)
	return nil
}

// refuse closes the port and ends what is connected.
func refuse(l *faults.PGLink) error {
	err := l.Refuse()
	l.Reset()
	return err
}

// eachLink does something to every instance's link to a node.
func (w *world) eachLink(n *pgcluster.Node, do func(*faults.PGLink) error) error {
	for _, a := range w.Apps {
		if err := do(w.link(a, n)); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) link(a *app, n *pgcluster.Node) *faults.PGLink { return w.toDB[a.Name+"/"+n.Name()] }

// streamCut: a standby is cut off from its primary and does not know it. What it
// received it has replayed, and still it must drop out.
func streamCut(ctx context.Context, w *world) error {
	victim := w.node("replica-2")
	began := w.Record.Mark()
	w.streams[victim.Name()].BlackHole()
	w.awaitThat(ctx, "nothing comes from it any more", func() bool {
		m := w.Record.Mark()
		return w.await(ctx, m, "browsing goes on", 2*fewBrowse, isBrowsing) &&
			count(w.Record.Since(m), fromNode(victim.Name())) == 0
	})
	w.awaitThat(ctx, "it believes to have caught up", func() bool {
		believes, err := w.ask(ctx, victim, "SELECT count(*) WHERE pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()")
		return err == nil && believes == 1
	})
	w.bit(w.streams[victim.Name()].Counts().DroppedBytes)
	w.browsingWentOn(began)
	healed := w.Record.Mark()
	if err := w.streams[victim.Name()].Heal(); err != nil {
		return err
	}
	w.recovers(ctx, healed, "rejoined", 5*time.Second, fromNode(victim.Name()))
	return nil
}

// slowStream: one standby's stream is slow and narrow. It falls behind and out;
// commits are confirmed by the other.
func slowStream(ctx context.Context, w *world) error {
	victim := w.node("replica-2")
	before := w.Record.Mark()
	w.await(ctx, before, "checkouts", 50, acknowledged)
	rate := float64(50) / (w.Record.Now() - before.At).Seconds()
	link := w.streams[victim.Name()]
	link.Delay(200*time.Millisecond, 50*time.Millisecond)
	link.Bandwidth(50 << 10)
	began := w.Record.Mark()
	w.await(ctx, began, "checkouts go on", 100, acknowledged)
	during := float64(100) / (w.Record.Now() - began.At).Seconds()
	w.recovery += formatRatio("checkouts", during/rate)
	w.await(ctx, began, "own writes are read elsewhere", 20, fromNode("replica-1"))
	w.bit(min(link.Counts().SlowedBytes, 1_000_000))
	w.browsingWentOn(began)
	return link.Heal()
}

// allReplicasKilled: browsing arrives on the primary, and is kept from checkout by
// its cap, even when it is slow there. Replication is asynchronous here: with every
// synchronous standby dead a commit waits, which is another promise.
func allReplicasKilled(ctx context.Context, w *world) error {
	began := w.Record.Mark()
	if err := each(w.standbys(), func(n *pgcluster.Node) error { return n.Kill(ctx) }); err != nil {
		return err
	}
	w.await(ctx, began, "browsing comes from the primary", fewBrowse, because("no_replica"))
	w.bit(int64(count(w.Record.Since(began), because("no_replica"))))
	if err := w.slowBrowsing(ctx); err != nil {
		return err
	}
	healed := w.Record.Mark()
	if err := each(w.standbys(), func(n *pgcluster.Node) error { return n.Start(ctx) }); err != nil {
		return err
	}
	w.recovers(ctx, healed, "replicas", 5*time.Second, fromReplica)
	return nil
}

// slowBrowsing locks a table that only those read who browse. They fill the cap;
// who comes then is told so at once, and checkouts go on.
func (w *world) slowBrowsing(ctx context.Context) error {
	primary := w.node("primary")
	lock, err := w.connect(ctx, primary)
	if err != nil {
		return err
	}
	defer lock.Close(ctx)
	if _, err := lock.Exec(ctx, "BEGIN; LOCK TABLE categories IN ACCESS EXCLUSIVE MODE"); err != nil {
		return err
	}
	locked := w.Record.Mark()
	storm, calm := context.WithCancel(ctx)
	defer calm()
	for id := range 12 {
		w.Go(func() {
			c := w.NewCaller(200 + id)
			for storm.Err() == nil {
				c.Categories(ctx)
			}
		})
	}
	most := int64(0)
	w.awaitThat(ctx, "checkouts go on while readers wait", func() bool {
		n, err := w.ask(ctx, primary, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leeway-fallback'")
		if err == nil {
			most = max(most, n)
		}
		return count(w.Record.Since(locked), acknowledged) >= 30
	})
	shed := count(w.Record.Since(locked), withCode("overloaded"))
	calm()
	if _, err := lock.Exec(ctx, "COMMIT"); err != nil {
		return err
	}
	limit := int64(fallbackConns * len(w.Apps))
	w.expect("cap", most <= limit, "%d connections read from the primary, and the cap is %d", most, limit)
	w.expect("cap", shed > 0, "with the cap full nobody was told to come back")
	return nil
}

// everythingCut: the shops lose the primary, and the standbys lose it too, while
// somebody else goes on writing there. What replicas answer ages, and no claim
// about its age may be younger than it is. Asynchronous, so that there is
// something to miss.
func everythingCut(ctx context.Context, w *world) error {
	primary := w.node("primary")
	for _, n := range w.standbys() {
		w.streams[n.Name()].BlackHole()
	}
	if err := w.eachLink(primary, func(l *faults.PGLink) error { l.BlackHole(); return nil }); err != nil {
		return err
	}
	began := w.Record.Mark()
	stale := func(op checker.Op) bool { return op.Source != nil && op.Source.Stale }
	w.await(ctx, began, "what is too old says so", 2*fewBrowse, stale)
	aged := w.Record.Mark()
	w.awaitThat(ctx, "it ages for two seconds", func() bool { return w.Record.Now()-aged.At > 2*time.Second })
	w.bit(int64(count(w.Record.Since(began), stale)))
	healed := w.Record.Mark()
	if err := w.healLinks(); err != nil {
		return err
	}
	w.recovers(ctx, healed, "write", recoveredWrites, taken)
	w.recovers(ctx, healed, "replica read", 5*time.Second, fromReplica)
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
