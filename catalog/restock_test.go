package catalog_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"example.com/leeway/catalog"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

func (s *shop) restock(ctx context.Context, kind catalog.ReturnKind, lines ...catalog.OrderLine) error {
	return s.DB.Write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		return catalog.RestockTx(ctx, q, kind, lines)
	})
}

func back(order, variant id.ID, quantity int) catalog.OrderLine {
	return catalog.OrderLine{OrderID: order, StockLine: catalog.StockLine{VariantID: variant, Quantity: quantity}}
}

// The ledger tells the orders of one batch apart, and goes on from what was there.
func TestRestockWritesTheLedger(t *testing.T) {
	t.Parallel()
	s, a, b := newStockShop(t)
	orders := []id.ID{s.order(t), s.order(t), s.order(t)}
	slices.SortFunc(orders, func(x, y id.ID) int { return slices.Compare(x[:], y[:]) })
	err := s.restock(t.Context(), catalog.ReturnExpired,
		back(orders[2], a, 5), back(orders[0], a, 1), back(orders[1], b, 2), back(orders[1], a, 3))
	if err != nil {
		t.Fatal(err)
	}
	if s.stock(t, a) != 19 || s.stock(t, b) != 12 {
		t.Errorf("stock %d and %d, want 19 and 12", s.stock(t, a), s.stock(t, b))
	}
	ledger := func(variant id.ID) string {
		return scan[string](t, s, `SELECT string_agg(concat_ws(' ', kind, delta, before, after), ', ' ORDER BY order_id)
			FROM stock_movements WHERE variant_id = $1 AND order_id IS NOT NULL`, variant)
	}
	if got, want := ledger(a), "expired 1 10 11, expired 3 11 14, expired 5 14 19"; got != want {
		t.Errorf("ledger %q, want %q", got, want)
	}
	if got, want := ledger(b), "expired 2 10 12"; got != want {
		t.Errorf("ledger %q, want %q", got, want)
	}
}

func TestRestockHappensOnce(t *testing.T) {
	t.Parallel()
	s, a, b := newStockShop(t)
	order := s.order(t)
	if err := s.restock(t.Context(), catalog.ReturnCancelled, back(order, a, 1)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []catalog.ReturnKind{catalog.ReturnCancelled, catalog.ReturnExpired} {
		if err := s.restock(t.Context(), kind, back(order, b, 1), back(order, a, 1)); !errors.Is(err, catalog.ErrReturned) {
			t.Errorf("again as %s: %v, want ErrReturned", kind, err)
		}
	}
	for name, line := range map[string]catalog.OrderLine{
		"nothing of it": back(order, b, 0), "a negative quantity": back(order, b, -1), "an unknown variant": back(order, id.New(), 1),
	} {
		if err := s.restock(t.Context(), catalog.ReturnCancelled, line); err == nil || errors.Is(err, catalog.ErrReturned) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	if s.stock(t, a) != 11 || s.stock(t, b) != 10 {
		t.Errorf("stock %d and %d, want 11 and 10", s.stock(t, a), s.stock(t, b))
	}
}

// Buyers and returners of the same two variants, of two products that are sold out
// and come back again and again: variants first, then products, and no deadlock.
func TestRestockAmongBuyers(t *testing.T) {
	t.Parallel()
	s, a, b := newStockShop(t)
	s.exec(t, "UPDATE variants SET stock_quantity = 1 WHERE id IN ($1, $2)", a, b)
	var wait sync.WaitGroup
	for n := range 12 {
		order, batch := s.order(t), []id.ID{s.order(t), s.order(t)}
		wait.Go(func() {
			first, second := a, b
			if n%2 == 0 {
				first, second = b, a
			}
			for {
				err := s.reserve(t.Context(), order, catalog.StockLine{VariantID: first, Quantity: 1}, catalog.StockLine{VariantID: second, Quantity: 1})
				if err == nil {
					break
				}
				if !errors.Is(err, catalog.ErrInsufficientStock) {
					t.Errorf("reserve: %v", err)
					return
				}
				if len(batch) == 0 {
					continue
				}
				err = s.restock(t.Context(), catalog.ReturnExpired, back(batch[0], second, 1), back(batch[0], first, 1))
				if err != nil {
					t.Errorf("restock: %v", err)
				}
				batch = batch[1:]
			}
			for _, o := range batch {
				if err := s.restock(t.Context(), catalog.ReturnExpired, back(o, second, 1), back(o, first, 1)); err != nil {
					t.Errorf("restock: %v", err)
				}
			}
			if err := s.restock(t.Context(), catalog.ReturnCancelled, back(order, first, 1), back(order, second, 1)); err != nil {
				t.Errorf("restock: %v", err)
			}
		})
	}
	wait.Wait()
	if s.stock(t, a) != 25 || s.stock(t, b) != 25 {
		t.Errorf("stock %d and %d, want 25", s.stock(t, a), s.stock(t, b))
	}
	if deadlocks := scan[int](t, s, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); deadlocks != 0 {
		t.Errorf("%d deadlocks", deadlocks)
	}
}
