package orders

import (
	"context"
	"fmt"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

const (
	// keyLife is how long an Idempotency-Key is remembered. A client that still
	// repeats a request after a day does not do so because an answer was lost.
	keyLife = 24 * time.Hour

	// What one transaction of a sweep takes. An order has up to MaxLines variants,
	// whose rows stay locked until the commit is on a standby.
	expireBatch = 50
	forgetBatch = 1000
)

// ExpireOrders expires orders whose time to pay is over, returns their stock, and
// reports how many there were. It works in transactions of a bounded size until
// nothing is left to do, and on an error has done what it reports. Any number of
// processes may run it at once: each takes orders that no other has, and none that is
// being paid or cancelled at the moment. Errors: ErrBusy, and those of
// fresh.Router.Write.
func (s *Store) ExpireOrders(ctx context.Context) (int, error) {
	return sweep(ctx, expireBatch, s.expireBatch)
}

// ForgetKeys removes the Idempotency-Keys that are older than a day, in the same
// manner, and reports how many there were.
func (s *Store) ForgetKeys(ctx context.Context) (int, error) {
	return sweep(ctx, forgetBatch, s.forgetBatch)
}

// sweep runs batches until one is not full.
func sweep(ctx context.Context, limit int, batch func(context.Context, int) (int, error)) (total int, err error) {
	for {
		n, err := batch(ctx, limit)
		total += n
		if err != nil || n < limit {
			return total, err
		}
	}
}

// expireBatch takes the orders first and their stock after, like everybody else. All
// of the stock is returned at once, or the batch would lock variants, then products,
// then variants again, and two sweepers could wait for each other.
func (s *Store) expireBatch(ctx context.Context, limit int) (expired int, err error) {
	err = s.write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		rows, err := q.ExpireOrders(ctx, writeq.ExpireOrdersParams{MaxOrders: int32(limit), Reason: reasonExpired})
		if err != nil {
			return fmt.Errorf("expire orders: %w", err)
		}
		orders, lines := map[id.ID]bool{}, make([]catalog.OrderLine, len(rows))
		for i, r := range rows {
			orders[r.OrderID] = true
			lines[i] = catalog.OrderLine{
				OrderID:   r.OrderID,
				StockLine: catalog.StockLine{VariantID: r.VariantID, Quantity: int(r.Quantity)},
			}
		}
		expired = len(orders)
		return catalog.RestockTx(ctx, q, catalog.ReturnExpired, lines)
	})
	if err != nil {
		return 0, err
	}
	return expired, nil
}

func (s *Store) forgetBatch(ctx context.Context, limit int) (forgotten int, err error) {
	err = s.write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		n, err := q.ForgetKeys(ctx, writeq.ForgetKeysParams{KeptSeconds: keyLife.Seconds(), MaxKeys: int32(limit)})
		if err != nil {
			return fmt.Errorf("forget keys: %w", err)
		}
		forgotten = int(n)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return forgotten, nil
}
