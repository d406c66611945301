package main

import (
	"context"
	"time"

	"example.com/leeway/internal/shoppers"
)

// hotBatch is how many checkouts may share a transaction in one of the two instances.
// In the other each is alone, so that both kinds meet at the same rows in every fault.
const hotBatch = 64

// hotItem: the standbys are far away, so that many stand before the row of the variant
// that everybody wants, and the primary dies while transactions have several of their
// checkouts.
func hotItem(ctx context.Context, w *world) error {
	for _, n := range w.standbys() {
		w.streams[n.Name()].Delay(15*time.Millisecond, 5*time.Millisecond)
	}
	crowd, home := context.WithCancel(ctx)
	defer home()
	for id := range 4 * shoppers.Clients {
		w.Go(func() { w.Shop(crowd, 2000+id) })
	}
	var shared int64
	w.awaitThat(ctx, "orders share transactions", func() bool {
		n, err := w.sharedTransactions(ctx)
		shared = n
		return err == nil && n >= 10
	})
	w.bit(shared)
	primary := w.node("primary")
	return w.primaryGone(ctx, primary.Kill, func(ctx context.Context) error {
		for _, n := range w.standbys() {
			if err := w.streams[n.Name()].Heal(); err != nil {
				return err
			}
		}
		home()
		return primary.Start(ctx)
	})
}

// sharedTransactions is how many have placed several orders. The first step of an
// order's history never changes, and its xmin is who wrote it.
func (w *world) sharedTransactions(ctx context.Context) (int64, error) {
	return w.ask(ctx, w.node("primary"), `SELECT count(*) FROM (
		SELECT FROM order_history WHERE from_status IS NULL GROUP BY xmin::text HAVING count(*) > 1) shared`)
}
