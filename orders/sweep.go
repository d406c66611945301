package orders

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
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

	// maxStuck orders that fail, each alone: it is then not the orders.
	maxStuck = 100
)

// ExpireOrders expires orders whose time to pay is over, returns their stock, and
// reports how many there were. It works in transactions of a bounded size until
// nothing is left to do, and on an error has done what it reports. Any number of
// processes may run it at once: each takes orders that no other has, and none that is
// being paid or cancelled at the moment.
//
// One order that cannot be expired, since its stock is locked or does not fit, keeps
// no other waiting. The batch that it spoils is taken by halves until it stands alone,
// and then goes on without it. The error tells of it, and the next call tries again.
//
// Errors: ErrBusy, catalog.ErrReturned, and those of fresh.Router.Write.
func (s *Store) ExpireOrders(ctx context.Context) (expired int, err error) {
	stuck := []id.ID{} // not nil, which SQL takes for unknown
	for limit := expireBatch; ; {
		taken, failed := s.expireBatch(ctx, limit, stuck)
		switch {
		case failed == nil:
			expired += len(taken)
			if len(taken) < limit { // there are no more
				return expired, err
			}
			limit = min(2*limit, expireBatch)
		case len(taken) == 0 || len(stuck) == maxStuck || !spoilt(ctx, failed):
			return expired, errors.Join(err, failed)
		case len(taken) > 1:
			limit = len(taken) / 2
		default:
			if stuck = append(stuck, taken[0]); err == nil { // one for all of them: there may be many
				err = fmt.Errorf("passed over order %s, and perhaps others: %w", taken[0], failed)
			}
		}
	}
}

// spoilt reports whether an error may be that of one order of the batch. What is the
// database's would meet a smaller batch as well.
func spoilt(ctx context.Context, err error) bool {
	return ctx.Err() == nil && !errors.Is(err, fresh.ErrCommitUnknown) && !errors.Is(err, fresh.ErrNoPrimary) &&
		!errors.Is(err, fresh.ErrNoSynchronousStandby) && (!errors.Is(err, fresh.ErrUnavailable) || errors.Is(err, ErrBusy))
}

// expireBatch takes the orders first and their stock after, like everybody else. All
// of the stock is returned at once, or the batch would lock variants, then products,
// then variants again, and two sweepers could wait for each other. The orders that it
// took are told also when it failed.
func (s *Store) expireBatch(ctx context.Context, limit int, but []id.ID) (taken []id.ID, err error) {
	err = s.write(ctx, func(ctx context.Context, q *writeq.Queries) (err error) {
		taken, err = q.LockDueOrders(ctx, writeq.LockDueOrdersParams{But: but, MaxOrders: int32(limit)})
		if err != nil || len(taken) == 0 {
			return err
		}
		rows, err := q.ExpireOrders(ctx, writeq.ExpireOrdersParams{Ids: taken, Reason: reasonExpired})
		if err != nil {
			return fmt.Errorf("expire orders: %w", err)
		}
		lines := make([]catalog.OrderLine, len(rows))
		for i, r := range rows {
			lines[i] = catalog.OrderLine{
				OrderID:   r.OrderID,
				StockLine: catalog.StockLine{VariantID: r.VariantID, Quantity: int(r.Quantity)},
			}
		}
		return catalog.RestockTx(ctx, q, catalog.ReturnExpired, lines)
	})
	return taken, err
}

// ForgetKeys removes the Idempotency-Keys that are older than a day, in the same
// manner, and reports how many there were.
func (s *Store) ForgetKeys(ctx context.Context) (forgotten int, err error) {
	for {
		n, err := s.forgetBatch(ctx)
		forgotten += n
		if err != nil || n < forgetBatch {
			return forgotten, err
		}
	}
}

func (s *Store) forgetBatch(ctx context.Context) (forgotten int, err error) {
	err = s.write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		n, err := q.ForgetKeys(ctx, writeq.ForgetKeysParams{KeptSeconds: keyLife.Seconds(), MaxKeys: forgetBatch})
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
