package main

import (
	"context"
	"time"

	"example.com/leeway/internal/pgcluster"
)

// The faults of replicas and their processes. In all of them browsing goes on, and nobody
// misses what they wrote.

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
