package orders

import (
	"context"
	"fmt"

	"example.com/leeway/db/fresh"
	"example.com/leeway/db/readq"
	"example.com/leeway/internal/id"
)

// Order reads one order. Errors: ErrNotFound. A snapshot, because two statements on
// two nodes could show an order as paid above a history that does not say so.
func (s *Store) Order(ctx context.Context, who Shopper, key id.ID) (Order, error) {
	var order Order
	err := s.db.Snapshot(ctx, s.config.OrderRead, func(ctx context.Context, q *readq.Queries) error {
		rows, err := q.OrderLines(ctx, readq.OrderLinesParams{OrderID: key, TokenDigest: who.digest[:]})
		if err != nil {
			return fmt.Errorf("read order: %w", err)
		}
		if len(rows) == 0 {
			return ErrNotFound
		}
		history, err := q.OrderHistory(ctx, key)
		if err != nil {
			return fmt.Errorf("read history: %w", err)
		}
		order, err = orderOf(key, rows, history)
		return err
	})
	return order, err
}

// OrderList asks for a page of a shopper's orders. Status "" is any.
type OrderList struct {
	Shopper Shopper
	Status  string
	Limit   int    // 1..100
	Cursor  string // "" is the first page
}

// Orders returns a page, newest first, and the cursor of the next one, which is
// empty on the last. Errors: web.InvalidCursor, ErrUnauthorized when nobody
// holds the token.
func (s *Store) Orders(ctx context.Context, list OrderList) ([]Summary, string, error) {
	from, err := parseCursor(list.Cursor, list.Shopper, list.Status)
	if err != nil {
		return nil, "", err
	}
	if err := from.resume(ctx); err != nil {
		return nil, "", err
	}
	q, digest := s.db.Read(s.config.OrderRead), list.Shopper.digest[:]
	rows, err := q.ShopperOrders(ctx, readq.ShopperOrdersParams{
		TokenDigest: digest, BeforeAt: from.createdAt, BeforeID: from.id,
		Status: list.Status, MaxRows: int32(list.Limit) + 1, // one more tells whether there is a next page
	})
	if err != nil {
		return nil, "", fmt.Errorf("list orders: %w", err)
	}
	if len(rows) == 0 {
		// Only an empty page asks: joined into the list, it would cost every page.
		known, err := q.ShopperKnown(ctx, digest)
		if err == nil && !known {
			err = ErrUnauthorized
		}
		return nil, "", err
	}
	next := ""
	if len(rows) > list.Limit {
		rows = rows[:list.Limit]
		last := rows[len(rows)-1]
		next = place{last.CreatedAt, last.ID, fresh.CarrierFrom(ctx).Bookmark()}.cursor(list.Shopper, list.Status)
	}
	page := make([]Summary, len(rows))
	for i, r := range rows {
		page[i] = summaryOf(r)
	}
	return page, next, nil
}
