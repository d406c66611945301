package orders

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestNothingReadsAWholeTable looks at the plans that prepared statements end up with,
// which know no parameter, over tables with some history: 1,000 shoppers of 40 orders
// each. A page of a list, or a batch of a sweep, costs the same whatever came before.
func TestNothingReadsAWholeTable(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	conn := s.Admin(t, s.Primary())
	for _, sql := range []string{
		`INSERT INTO shoppers (id, token_digest) SELECT gen_random_uuid(), sha256(n::text::bytea) FROM generate_series(1, 1000) n`,
		`INSERT INTO carts (id, shopper_id, status) SELECT gen_random_uuid(), s.id, 'ordered' FROM shoppers s, generate_series(1, 40)`,
		`INSERT INTO orders (id, cart_id, shopper_id, status, email, shipping_address, currency, total, expires_at, created_at)
			SELECT gen_random_uuid(), c.id, c.shopper_id, CASE WHEN n % 100 = 0 THEN 'pending_payment' WHEN n % 50 = 1 THEN 'paid' ELSE 'delivered' END,
				'', '{}', 'EUR', 1, now(), now() - n * interval '1 minute'
			FROM (SELECT *, row_number() OVER () AS n FROM carts) c`,
		`INSERT INTO order_lines (order_id, variant_id, product_slug, name, sku, options, quantity, unit_price)
			SELECT o.id, v.id, '', '', '', '{}', 1, 1 FROM orders o, variants v`,
		`INSERT INTO order_history (order_id, version, to_status) SELECT id, 1, status FROM orders`,
		`INSERT INTO stock_movements (variant_id, kind, delta, before, after) SELECT v.id, 'adjustment', 1, n, n + 1 FROM variants v, generate_series(1, 20000) n`,
		`INSERT INTO idempotency_keys (caller, route, key, fingerprint, status, response, created_at)
			SELECT sha256('x'), 'checkout', n::text, '', 200, '', now() - n * interval '10 seconds' FROM generate_series(1, 20000) n`,
		`ANALYZE shoppers, carts, orders, order_lines, order_history, stock_movements, idempotency_keys`,
		`SET plan_cache_mode = force_generic_plan`,
	} {
		s.exec(t, conn, sql)
	}
	if n := one[int](t, s, "SELECT count(*) FROM stock_movements WHERE variant_id = $1", variant); n < 20000 {
		t.Fatalf("%d movements", n)
	}
	for _, tt := range []struct{ file, query, index string }{
		{"read/orders", "ShopperOrders", "orders_shopper"},
		{"read/orders", "OrderLines", "order_lines_pkey"},
		{"read/orders", "OrderHistory", "order_history_pkey"},
		{"read/orders_admin", "AdminOrders", "orders_newest"},
		{"read/orders_admin", "AdminOrdersByStatus", "orders_status"},
		{"read/stock", "StockMovements", "stock_movements_variant"},
		{"write/orders", "LockOrder", "orders_pkey"},
		{"write/orders", "LockDueOrders", "orders_due"},
		{"write/orders", "ExpireOrders", "order_lines_pkey"},
		{"write/orders_admin", "AdminOrderLines", "order_lines_pkey"},
		{"write/idempotency", "ForgetKeys", "idempotency_keys_age"},
		{"write/combine", "LeaveKeys", "idempotency_keys_pkey"},
		{"write/combine", "CloseCarts", "carts_pkey"},
		{"write/combine", "LinesOfCarts", "cart_lines_pkey"},
	} {
		sql, params := querySQL(t, tt.file, tt.query)
		s.exec(t, conn, fmt.Sprintf("PREPARE %s AS %s", tt.query, sql))
		rows, err := conn.Query(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE %s (%s)", tt.query, strings.TrimSuffix(strings.Repeat("NULL, ", params), ", ")))
		if err != nil {
			t.Fatalf("%s: %v", tt.query, err)
		}
		var plan strings.Builder
		for rows.Next() {
			line := ""
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan.WriteString(line + "\n")
		}
		few := tt.query == "ExpireOrders" || tt.query == "OrderLines" // a batch, or an order: at most MaxLines
		sorts := !few && strings.Contains(plan.String(), "Sort")
		if text := plan.String(); rows.Err() != nil || sorts || !strings.Contains(text, tt.index) || strings.Contains(text, "Seq Scan") {
			t.Errorf("%s does not follow %s alone, %v:\n%s", tt.query, tt.index, rows.Err(), text)
		}
	}
}

var param = regexp.MustCompile(`@(\w+)`)

// querySQL reads a query as sqlc does, and returns how many parameters it has.
func querySQL(t *testing.T, file, name string) (sql string, params int) {
	t.Helper()
	text, err := os.ReadFile("../queries/" + file + ".sql")
	if err != nil {
		t.Fatal(err)
	}
	_, sql, found := strings.Cut(string(text), "-- name: "+name+" ")
	if !found {
		t.Fatalf("there is no query %s in %s", name, file)
	}
	_, sql, _ = strings.Cut(sql, "\n")
	sql, _, _ = strings.Cut(sql, "-- name: ")
	numbers := map[string]int{}
	sql = param.ReplaceAllStringFunc(sql, func(p string) string {
		if numbers[p] == 0 {
			numbers[p] = len(numbers) + 1
		}
		return fmt.Sprint("$", numbers[p])
	})
	return strings.TrimSuffix(strings.TrimSpace(sql), ";"), len(numbers)
}
