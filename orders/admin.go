package orders

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
	"example.com/leeway/db/readq"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

// ErrTransition means that an order does not go from where it is to where it was sent.
var ErrTransition = errors.New("orders: no such transition")

// TransitionError is an ErrTransition that tells from where.
type TransitionError struct{ From, To Status }

func (e *TransitionError) Error() string {
	return fmt.Sprintf("%v: %s to %s", ErrTransition, e.From, e.To)
}

// Unwrap makes it an ErrTransition.
func (e *TransitionError) Unwrap() error { return ErrTransition }

// isFulfilment: these steps are theirs who run the shop. The others move money or
// stock, and have requests of their own.
func (s Status) isFulfilment() bool { return s == Shipped || s == Delivered }

// AdminList asks for a page of everybody's orders. Status "" is any.
type AdminList struct {
	Status string
	Limit  int    // 1..100
	Cursor string // "" is the first page
}

// AllOrders returns a page, newest first, and the cursor of the next one, which is
// empty on the last. Errors: web.InvalidCursor.
func (s *Store) AllOrders(ctx context.Context, list AdminList) ([]Summary, string, error) {
	from, err := parseCursor(list.Cursor, everybody, list.Status)
	if err != nil {
		return nil, "", err
	}
	if err := from.resume(ctx); err != nil {
		return nil, "", err
	}
	rows, err := s.adminPage(ctx, list.Status, from, list.Limit+1) // one more tells whether there is a next page
	if err != nil {
		return nil, "", fmt.Errorf("list all orders: %w", err)
	}
	next := ""
	if len(rows) > list.Limit {
		rows = rows[:list.Limit]
		last := rows[len(rows)-1]
		next = place{last.CreatedAt, last.ID, fresh.CarrierFrom(ctx).Bookmark()}.cursor(everybody, list.Status)
	}
	page := make([]Summary, len(rows))
	for i, r := range rows {
		page[i] = summaryOf(readq.ShopperOrdersRow(r))
	}
	return page, next, nil
}

// everybody is whose list the back office reads. Nobody's digest is all zero.
var everybody Shopper

func (s *Store) adminPage(ctx context.Context, status string, from place, rows int) ([]readq.AdminOrdersRow, error) {
	q := s.db.Read(s.config.OrderRead)
	if status == "" {
		return q.AdminOrders(ctx, readq.AdminOrdersParams{BeforeAt: from.createdAt, BeforeID: from.id, MaxRows: int32(rows)})
	}
	found, err := q.AdminOrdersByStatus(ctx, readq.AdminOrdersByStatusParams{
		Status: status, BeforeAt: from.createdAt, BeforeID: from.id, MaxRows: int32(rows),
	})
	same := make([]readq.AdminOrdersRow, len(found))
	for i, r := range found {
		same[i] = readq.AdminOrdersRow(r)
	}
	return same, err
}

// Advance brings an order to a status of its fulfilment; version 0 is any. Errors:
// ErrNotFound, ErrVersionMismatch, a *TransitionError, ErrBusy.
func (s *Store) Advance(ctx context.Context, order id.ID, version int64, to Status) (o Order, err error) {
	err = s.write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		current, err := q.AdminLockOrder(ctx, order)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return ErrNotFound
		case err != nil:
			return fmt.Errorf("lock order: %w", err)
		case version != 0 && version != current.Version:
			return ErrVersionMismatch
		case !to.isFulfilment() || !Status(current.Status).CanBecome(to):
			return &TransitionError{Status(current.Status), to}
		}
		if err := moveTx(ctx, q, order, Status(current.Status), to, "fulfilment"); err != nil {
			return err
		}
		o, err = adminOrderTx(ctx, q, order)
		return err
	})
	return o, err
}

func adminOrderTx(ctx context.Context, q *writeq.Queries, order id.ID) (Order, error) {
	lines, err := q.AdminOrderLines(ctx, order)
	if err != nil {
		return Order{}, fmt.Errorf("read order: %w", err)
	}
	rows := make([]readq.OrderLinesRow, len(lines))
	for i, row := range lines {
		rows[i] = readq.OrderLinesRow(row)
	}
	return withHistoryTx(ctx, q, order, rows)
}

// AdjustStockOnce adjusts stock exactly once under a key. It stands here and not in
// the catalog, because the memory of keys does. render makes the bytes that are
// kept; it may run more than once. Errors: those of catalog.AdjustTx, ErrKeyReused,
// ErrKeyInProgress, ErrBusy.
func (s *Store) AdjustStockOnce(ctx context.Context, k Key, a catalog.Adjustment,
	render func(catalog.Movement) (Answer, error),
) (Answer, error) {
	work := func(ctx context.Context, q *writeq.Queries) (Answer, error) {
		movement, err := catalog.AdjustTx(ctx, q, a)
		if err != nil {
			return Answer{}, err
		}
		return render(movement)
	}
	return s.once(ctx, k, work, nothingMore)
}

// staff is the caller of an admin's idempotency keys, by the name of the admin key
// and not by its secret: a retry is the same one after the secret was rotated.
func staff(name string) Shopper { return Shopper{sha256.Sum256([]byte("admin key " + name))} }
