package main

import (
	"context"

	"example.com/leeway/internal/shoppers"
)

// hotBatch is how many checkouts may share a transaction in one of the two instances.
// In the other each is alone, so that both kinds meet at the same rows in every fault.
const hotBatch = 64

const (
	fewShared = 5 // transactions with several orders
	aCrowd    = 8 // backends that wait for one row
)

// hotItem: crowds stand before the variants that everybody wants, again and again, and
// the primary dies with transactions under way that have several of their checkouts.
func hotItem(ctx context.Context, w *world) error {
	crowd, home := context.WithCancel(ctx)
	defer home()
	for id := range 4 * shoppers.Clients {
		w.Go(func() { w.Shop(crowd, 2000+id) })
	}
	var shared int64
	for shared < fewShared {
		if err := w.holdUp(ctx); err != nil {
			return err
		}
		var err error
		if shared, err = w.sharedTransactions(ctx); err != nil {
			return err
		}
	}
	w.bit(shared)
	primary := w.node("primary")
	return w.primaryGone(ctx, primary.Kill, func(ctx context.Context) error {
		home()
		return primary.Start(ctx)
	})
}

// holdUp keeps the hot variants locked until a crowd waits for them.
func (w *world) holdUp(ctx context.Context) error {
	conn, err := w.connect(ctx, w.node("primary"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) // which lets them go
	if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "SELECT FROM variants WHERE id = ANY ($1::text[]::uuid[]) ORDER BY id FOR NO KEY UPDATE", w.Hot); err != nil {
		return err
	}
	return poll(ctx, func() bool {
		n, err := w.ask(ctx, w.node("primary"), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
		return err == nil && n >= aCrowd
	})
}

// sharedTransactions is how many have placed several orders. The first step of an
// order's history never changes, and its xmin is who wrote it.
func (w *world) sharedTransactions(ctx context.Context) (int64, error) {
	return w.ask(ctx, w.node("primary"), `SELECT count(*) FROM (
		SELECT FROM order_history WHERE from_status IS NULL GROUP BY xmin::text HAVING count(*) > 1) shared`)
}
