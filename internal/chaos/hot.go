package main

import (
	"context"
	"sync"
	"time"

	"example.com/leeway/internal/checker"
)

// hotBatch is how many checkouts may share a transaction in one of the two instances.
// In the other each is alone, so that both kinds meet at the same rows in every fault.
const hotBatch = 64

const (
	fewShared = 3 // transactions with several orders
	// A crowd comes in two waves: the first makes the variant hot, and the second finds
	// it so. Together they want more than there is.
	firstWave, secondWave = 14, 28
	eachWants             = 3
)

// hotItem: crowds stand before one variant, and of the last of them the primary dies.
func hotItem(ctx context.Context, w *world) error {
	var shared int64
	for crowds := range w.Hot {
		if err := w.crowd(ctx, w.Hot[len(w.Hot)-1-crowds]); err != nil {
			return err
		}
		if shared >= fewShared {
			break // and this was one more
		}
		var err error
		if shared, err = w.sharedTransactions(ctx); err != nil {
			return err
		}
	}
	w.bit(shared)
	primary := w.node("primary")
	return w.primaryGone(ctx, primary.Kill, primary.Start)
}

// crowd has many carts with the variant checked out at once: its row is kept locked
// until they are there.
func (w *world) crowd(ctx context.Context, variant string) error {
	checkouts := make([]func(), firstWave+secondWave)
	var all sync.WaitGroup
	for i := range checkouts {
		all.Go(func() {
			c := w.NewCaller(2000 + i)
			cart := c.CreateCart(ctx, line{Variant: variant, Quantity: eachWants})
			if cart.Outcome == checker.OK {
				checkouts[i] = func() { c.Checkout(ctx, cart.Cart) }
			}
		})
	}
	all.Wait()
	lock, err := w.connect(ctx, w.node("primary"))
	if err != nil {
		return err
	}
	defer lock.Close(ctx) // which lets them go
	if _, err := lock.Exec(ctx, "BEGIN"); err != nil {
		return err
	}
	if _, err := lock.Exec(ctx, "SELECT FROM variants WHERE id = $1::text::uuid FOR NO KEY UPDATE", variant); err != nil {
		return err
	}
	for at, wave := range [][]func(){checkouts[:firstWave], checkouts[firstWave:]} {
		for _, checkout := range wave {
			if checkout != nil {
				w.Go(checkout)
			}
		}
		w.gathers(ctx, firstWave*(at+1)*3/4)
	}
	return nil
}

// gathers waits until so many transactions wait for a lock, but not for long: after
// lock_timeout (2 s) they would give up.
func (w *world) gathers(ctx context.Context, n int) {
	short, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
	defer cancel()
	_ = poll(short, func() bool { // a crowd that is smaller is one as well
		waiting, err := w.ask(ctx, w.node("primary"), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
		return err == nil && waiting >= int64(n)
	})
}

// sharedTransactions is how many have placed several orders. The first step of an
// order's history never changes, and its xmin is who wrote it.
func (w *world) sharedTransactions(ctx context.Context) (int64, error) {
	return w.ask(ctx, w.node("primary"), `SELECT count(*) FROM (
		SELECT FROM order_history WHERE from_status IS NULL GROUP BY xmin::text HAVING count(*) > 1) shared`)
}
