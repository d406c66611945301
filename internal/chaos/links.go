package main

import (
	"context"
	"time"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/faults"
	"example.com/leeway/internal/pgcluster"
)

// The faults of the links to replicas, from the shops and from the primary. In all of them
// browsing goes on, and nobody misses what they wrote.

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
