package catalog_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"example.com/leeway/catalog"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
)

// order makes the row that stock movements refer to.
func (s *shop) order(t *testing.T) id.ID {
	t.Helper()
	order, cart, shopper := id.New(), id.New(), id.New()
	s.exec(t, "INSERT INTO shoppers (id, token_digest) VALUES ($1, sha256($1::uuid::text::bytea))", shopper)
	s.exec(t, "INSERT INTO carts (id, shopper_id) VALUES ($1, $2)", cart, shopper)
	s.exec(t, `INSERT INTO orders (id, cart_id, shopper_id, email, shipping_address, currency, total, expires_at)
		VALUES ($1, $2, $3, 'a@example.com', '{}', 'EUR', 0, now())`, order, cart, shopper)
	return order
}

func (s *shop) reserve(ctx context.Context, order id.ID, lines ...catalog.StockLine) error {
	return s.DB.Write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		return catalog.ReserveTx(ctx, q, order, lines)
	})
}

func (s *shop) stock(t *testing.T, variant id.ID) int {
	t.Helper()
	return scan[int](t, s, "SELECT stock_quantity FROM variants WHERE id = $1", variant)
}

// newStockShop has two variants with ten of each.
func newStockShop(t *testing.T) (s *shop, first, second id.ID) {
	t.Helper()
	s, in := newLoadedShop(t, 2)
	first, second = in.Products[0].Variants[0].ID, in.Products[1].Variants[0].ID
	s.exec(t, "UPDATE variants SET stock_quantity = 10 WHERE id IN ($1, $2)", first, second)
	return s, first, second
}

func TestReserveTakesAllOrNothing(t *testing.T) {
	t.Parallel()
	s, a, b := newStockShop(t)
	order := s.order(t)
	if err := s.reserve(t.Context(), order, catalog.StockLine{VariantID: a, Quantity: 10}, catalog.StockLine{VariantID: b, Quantity: 3}); err != nil {
		t.Fatal(err)
	}
	if s.stock(t, a) != 0 || s.stock(t, b) != 7 {
		t.Errorf("stock %d and %d, want 0 and 7", s.stock(t, a), s.stock(t, b))
	}
	ledger := scan[string](t, s, `SELECT string_agg(concat_ws(' ', kind, delta, before, after), ', ' ORDER BY delta)
		FROM stock_movements WHERE order_id = $1`, order)
	if want := "checkout -10 10 0, checkout -3 10 7"; ledger != want {
		t.Errorf("ledger %q, want %q", ledger, want)
	}

	unknown := id.New()
	err := s.reserve(t.Context(), s.order(t),
		catalog.StockLine{VariantID: unknown, Quantity: 1},
		catalog.StockLine{VariantID: b, Quantity: 7},
		catalog.StockLine{VariantID: a, Quantity: 1})
	var short *catalog.ShortageError
	if !errors.As(err, &short) || !errors.Is(err, catalog.ErrInsufficientStock) {
		t.Fatalf("err = %v, want a ShortageError", err)
	}
	want := []catalog.Shortage{{VariantID: unknown, Requested: 1}, {VariantID: a, Requested: 1}}
	if diff := gocmp.Diff(want, short.Lines); diff != "" {
		t.Errorf("shortages (-want +got):\n%s", diff)
	}
	if s.stock(t, b) != 7 {
		t.Errorf("stock %d after a shortage of another line, want 7", s.stock(t, b))
	}
}

// The cap is on what is told, not on what is sold.
func TestShortageTellsNoMoreThanAProductPage(t *testing.T) {
	t.Parallel()
	s, a, _ := newStockShop(t)
	s.exec(t, "UPDATE variants SET stock_quantity = 500 WHERE id = $1", a)
	err := s.reserve(t.Context(), s.order(t), catalog.StockLine{VariantID: a, Quantity: 501})
	short, ok := errors.AsType[*catalog.ShortageError](err)
	if !ok || short.Lines[0] != (catalog.Shortage{VariantID: a, Requested: 501, Available: 99}) {
		t.Errorf("err = %+v, want a shortage that tells of 99", err)
	}
	if err := s.reserve(t.Context(), s.order(t), catalog.StockLine{VariantID: a, Quantity: 500}); err != nil {
		t.Errorf("all of it cannot be bought: %v", err)
	}
}

// Two plans may find two variants in two orders, and then buyers deadlock unless
// ORDER BY stands between the plan and the locks. The test picks a plan that finds
// the later id first, and asks what is locked while the earlier one is waited for.
func TestReserveLocksInTheOrderOfIDs(t *testing.T) {
	t.Parallel()
	locksInTheOrderOfIDs(t, func(q *writeq.Queries, order, later, first id.ID) error {
		return catalog.ReserveTx(context.Background(), q, order,
			[]catalog.StockLine{{VariantID: later, Quantity: 1}, {VariantID: first, Quantity: 1}})
	})
}

func TestRestockLocksInTheOrderOfIDs(t *testing.T) {
	t.Parallel()
	locksInTheOrderOfIDs(t, func(q *writeq.Queries, order, later, first id.ID) error {
		return catalog.RestockTx(context.Background(), q, catalog.ReturnCancelled,
			[]catalog.OrderLine{back(order, later, 1), back(order, first, 1)})
	})
}

func locksInTheOrderOfIDs(t *testing.T, move func(q *writeq.Queries, order, later, first id.ID) error) {
	t.Helper()
	s, first, _ := newStockShop(t)
	later := id.Max
	s.exec(t, `INSERT INTO variants (id, product_id, sku, options, price, stock_quantity)
		SELECT $1, product_id, 'LATER', '{"size": "other"}', 1, 10 FROM variants WHERE id = $2`, later, first)
	order := s.order(t)
	s.waitsForTheFirst(t, "variants", first, later, func(q *writeq.Queries) error { return move(q, order, later, first) })
}

// Two cancelled orders of the same two products, which had sold out, in opposite order:
// behind their variants they lock the products, and these in the order of their ids too.
func TestRestockLocksProductsInTheOrderOfIDs(t *testing.T) {
	t.Parallel()
	s, a, b := newStockShop(t)
	s.exec(t, "UPDATE variants SET stock_quantity = 0 WHERE product_id IN (SELECT product_id FROM variants WHERE id IN ($1, $2))", a, b)
	product := func(variant id.ID) id.ID {
		return scan[id.ID](t, s, "SELECT product_id FROM variants WHERE id = $1", variant)
	}
	first, later := product(a), product(b)
	if first.String() > later.String() {
		first, later = later, first
	}
	order := s.order(t)
	s.waitsForTheFirst(t, "products", first, later, func(q *writeq.Queries) error {
		return catalog.RestockTx(context.Background(), q, catalog.ReturnCancelled, []catalog.OrderLine{back(order, b, 1), back(order, a, 1)})
	})
}

// waitsForTheFirst has a rival hold the row of the first id, and wants what moves stock
// to wait for it without holding the later one, although its plan finds that first.
func (s *shop) waitsForTheFirst(t *testing.T, table string, first, later id.ID, move func(*writeq.Queries) error) {
	t.Helper()
	s.exec(t, "UPDATE "+table+" SET version = version + 1 WHERE id = $1", first) // a row version behind the later id's
	if !scan[bool](t, s, "SELECT l.ctid < f.ctid FROM "+table+" l, "+table+" f WHERE l.id = $1 AND f.id = $2", later, first) {
		t.Fatal("the table holds the later id second, so the test shows nothing")
	}
	buyer, rival := s.Admin(t, s.Primary()), s.Admin(t, s.Primary())
	begin := func(conn *pgx.Conn, sql string, args ...any) pgx.Tx {
		t.Helper()
		tx, err := conn.Begin(context.Background())
		if err == nil {
			_, err = tx.Exec(context.Background(), sql, args...)
		}
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	held := begin(rival, "SELECT FROM "+table+" WHERE id = $1 FOR UPDATE", first)
	tx := begin(buyer, `SELECT set_config(name, 'off', true) FROM unnest(ARRAY['enable_indexscan', 'enable_bitmapscan',
		'enable_indexonlyscan', 'enable_hashjoin', 'enable_mergejoin']) AS name`)
	done := make(chan error, 1)
	go func() { done <- move(writeq.New(tx)) }()
	dbtest.Eventually(t, "the buyer waits for the rival", func() bool {
		return scan[bool](t, s, "SELECT $1 = ANY (pg_blocking_pids($2))", rival.PgConn().PID(), buyer.PgConn().PID())
	})
	if n := scan[int](t, s, "SELECT count(*) FROM (SELECT FROM "+table+" WHERE id = $1 FOR UPDATE SKIP LOCKED) free", later); n != 1 {
		t.Error("the later id is locked while the earlier one is waited for")
	}
	if err := held.Rollback(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestReserveRefusesWhatIsNotForSale(t *testing.T) {
	t.Parallel()
	s, a, b := newStockShop(t)
	s.exec(t, "UPDATE variants SET active = false WHERE id = $1", a)
	s.exec(t, "UPDATE products SET status = 'archived' WHERE id = (SELECT product_id FROM variants WHERE id = $1)", b)
	for _, variant := range []id.ID{a, b} {
		if err := s.reserve(t.Context(), s.order(t), catalog.StockLine{VariantID: variant, Quantity: 1}); !errors.Is(err, catalog.ErrInsufficientStock) {
			t.Errorf("err = %v, want ErrInsufficientStock", err)
		}
	}
}

func TestReserveRefusesNonsense(t *testing.T) {
	t.Parallel()
	s, a, _ := newStockShop(t)
	for name, lines := range map[string][]catalog.StockLine{
		"a variant twice":     {{VariantID: a, Quantity: 1}, {VariantID: a, Quantity: 2}},
		"nothing of it":       {{VariantID: a}},
		"a negative quantity": {{VariantID: a, Quantity: -1}},
	} {
		if err := s.reserve(t.Context(), s.order(t), lines...); err == nil || errors.Is(err, catalog.ErrInsufficientStock) {
			t.Errorf("%s: err = %v, want an error that is not about stock", name, err)
		}
	}
	if s.stock(t, a) != 10 {
		t.Errorf("stock %d, want 10", s.stock(t, a))
	}
}

// Buyers of the same two variants, each in an order of his own: no deadlock, and
// exactly as many succeed as there is stock.
func TestReserveUnderContention(t *testing.T) {
	t.Parallel()
	s, a, b := newStockShop(t)
	const buyers = 24
	results := make([]error, buyers)
	var wait sync.WaitGroup
	for i := range results {
		lines := []catalog.StockLine{{VariantID: a, Quantity: 1}, {VariantID: b, Quantity: 1}}
		if rand.IntN(2) == 0 {
			slices.Reverse(lines)
		}
		order := s.order(t)
		wait.Go(func() { results[i] = s.reserve(t.Context(), order, lines...) })
	}
	wait.Wait()
	sold := 0
	for _, err := range results {
		if err == nil {
			sold++
		} else if !errors.Is(err, catalog.ErrInsufficientStock) {
			t.Errorf("err = %v, want none or a shortage", err)
		}
	}
	if sold != 10 || s.stock(t, a) != 0 || s.stock(t, b) != 0 {
		t.Errorf("sold %d, left %d and %d; want 10, 0 and 0", sold, s.stock(t, a), s.stock(t, b))
	}
	if n := scan[int](t, s, "SELECT count(*) FROM stock_movements WHERE kind = 'checkout'"); n != 20 {
		t.Errorf("%d rows in the ledger, want 20", n)
	}
	if deadlocks := scan[int](t, s, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); deadlocks != 0 {
		t.Errorf("%d deadlocks", deadlocks)
	}
}
