package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/leeway/internal/load"
)

// hotClients all want the same.
const hotClients = 64

// hotCarts is how many carts each of them finds for a second.
const hotCarts = 400

// hot holds POST checkout of one variant that everybody wants against the three
// statements that such an order takes at least, in both orders.
func (w *world) hot(ctx context.Context) ([]Figure, error) {
	database, _, err := w.fill(ctx, w.Products)
	if err != nil {
		return nil, err
	}
	app, s, err := w.open(ctx, "hot", database, 2, "SHOP_HOT_BATCH=64")
	if err != nil {
		return nil, err
	}
	defer app.Stop()
	wanted, _, err := w.variants(ctx, database, 2, 1)
	if err != nil {
		return nil, err
	}
	shops, pgbenchs := wanted[0][0], wanted[1][0]
	var p50, p99 []float64
	sides := []side{
		{"shop", func(ctx context.Context) (float64, error) {
			rate, err := w.rush(ctx, database, s, shops)
			p50, p99 = append(p50, rate.Latency.P50), append(p99, rate.Latency.P99)
			return rate.PerSec, err
		}},
		{"pgbench", func(ctx context.Context) (float64, error) { return w.three(ctx, database, pgbenchs, false) }},
		{"pgbench, row last", func(ctx context.Context) (float64, error) { return w.three(ctx, database, pgbenchs, true) }},
	}
	all, err := w.rounds(ctx, "hot item", sides...)
	if err != nil {
		return nil, err
	}
	if err := w.sold(ctx, database, pgbenchs); err != nil {
		return nil, err
	}
	f := compare("orders of one variant", sides, all, 1)
	f.AtLeast = new(8.0)
	late := compare("the same, with pgbench's row locked last", sides, all, 2)
	tail := figure("p99 / p50 of the shop", ratios(p99, p50))
	tail.AtMost, tail.Detail = new(10.0), fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", median(p50), median(p99))
	last, err := w.sellOut(ctx, database, s, shops)
	if err != nil {
		return nil, err
	}
	return []Figure{f, late, tail, last}, w.balanced(ctx, database)
}

// rush has everybody order prepared carts with one of the variant.
func (w *world) rush(ctx context.Context, database string, s *shop, variant string) (load.Rate, error) {
	kinds := make([][]string, hotClients)
	for i := range kinds {
		kinds[i] = []string{variant}
	}
	return w.ordering(ctx, database, s, kinds, hotCarts)
}

// three runs BEGIN, the guarded UPDATE, the order and its line, COMMIT, on the tables of
// the shop with all their keys. It locks the variant's row first, as who looks for stock
// before they sell; or last, and then holds it through the COMMIT alone.
func (w *world) three(ctx context.Context, database, variant string, rowLast bool) (float64, error) {
	each := 60 * (2 + int(w.Seconds+0.5))
	first, err := w.makeCarts(ctx, database, [][]string{{variant}}, hotClients*each, false)
	if err != nil {
		return 0, err
	}
	if err := w.settle(ctx, database); err != nil {
		return 0, err
	}
	id := "'00000000" + madeID + ":n'"
	variant = "'" + variant + "'"
	take := statement{"UPDATE variants SET stock_quantity = stock_quantity - $1 WHERE id = $2 AND stock_quantity >= $1", []string{"1", variant}}
	order := statement{`INSERT INTO orders (id, cart_id, shopper_id, email, shipping_address, currency, total, expires_at)
		VALUES ($1, $2, $3, $4, $5, 'EUR', $6, now() + interval '15 minutes')`, []string{
		id, "'" + cartID + ":n'", "'" + shopperID + ":n'", "'bench@example.com'", "'{}'", "100",
	}}
	line := statement{`INSERT INTO order_lines (order_id, variant_id, product_slug, name, sku, options, quantity, unit_price)
		VALUES ($1, $2, 'slug', 'name', 'sku', '{}', $3, $4)`, []string{id, variant, "1", "100"}}
	all := []statement{{"BEGIN", nil}, take, order, line, {"COMMIT", nil}}
	if rowLast {
		all = []statement{{"BEGIN", nil}, order, line, take, {"COMMIT", nil}}
	}
	return w.selling(ctx, database, hotClients, first, ordersScript([][]statement{all}, first, each, ";\n"))
}

// sold checks what pgbench has sold, and writes it into the ledger, which it has not.
func (w *world) sold(ctx context.Context, database, variant string) error {
	var orders, gone int
	err := w.query(ctx, database, `WITH sold AS (
			SELECT sum(l.quantity)::integer AS n, $1::uuid AS variant FROM order_lines l WHERE l.variant_id = $1::uuid AND l.sku = 'sku'
		), ledger AS (
			INSERT INTO stock_movements (variant_id, order_id, kind, delta, before, after)
			SELECT l.variant_id, l.order_id, 'checkout', -l.quantity, $2::integer, $2::integer - l.quantity
			FROM order_lines l WHERE l.variant_id = $1::uuid AND l.sku = 'sku'
		)
		SELECT coalesce(s.n, 0), $2::integer - v.stock_quantity FROM sold s JOIN variants v ON v.id = s.variant`, []any{variant, stocked}, &orders, &gone)
	if err == nil && (orders != gone || orders == 0) {
		err = fmt.Errorf("pgbench has %d orders, and the stock fell by %d", orders, gone)
	}
	return err
}

// sellOut has everybody want what there is not enough of, and counts.
func (w *world) sellOut(ctx context.Context, database string, s *shop, variant string) (Figure, error) {
	const left, each = 500, 20
	err := w.query(ctx, database, `WITH ledger AS (
			INSERT INTO stock_movements (variant_id, kind, delta, before, after, reason)
			SELECT id, 'adjustment', $2::integer - stock_quantity, stock_quantity, $2, 'bench' FROM variants WHERE id = $1::uuid
		) UPDATE variants SET stock_quantity = $2 WHERE id = $1::uuid RETURNING stock_quantity`, []any{variant, left}, new(int))
	if err != nil {
		return Figure{}, err
	}
	first, err := w.makeCarts(ctx, database, [][]string{{variant}}, hotClients*each, true)
	if err != nil {
		return Figure{}, err
	}
	rate, err := load.Busy{
		Addr: s.addr, Clients: hotClients, Duration: time.Minute, Want: 201, Also: 409,
		Next: func(client, n int) []byte {
			if n == each {
				return nil
			}
			return order(first + int64(client*each+n))
		},
	}.Run(ctx)
	if err != nil {
		return Figure{}, err
	}
	var stock, orders int
	err = w.query(ctx, database, `SELECT v.stock_quantity, (SELECT count(*) FROM orders o WHERE o.cart_id >= $2::uuid AND o.cart_id < $3::uuid)
		FROM variants v WHERE v.id = $1::uuid`, []any{variant, fmt.Sprint(cartID, first), fmt.Sprint(cartID, first+hotClients*each)}, &stock, &orders)
	w.say("of %d there were %d for %d carts: %d were acknowledged, %d refused, %d are orders, %d are left",
		left, left, hotClients*each, rate.Answers, rate.Refused, orders, stock)
	over := float64(orders - left)
	if err == nil && (rate.Answers != left || rate.Refused != hotClients*each-left || orders != left || stock != 0) {
		err = errors.New("what was sold is not what there was")
	}
	return Figure{
		Name: "sold beyond the stock", Unit: "orders", Median: over, Min: over, Max: over, AtMost: new(0.0),
		Detail: fmt.Sprintf("%d carts for %d pieces: %d answered 201, %d answered 409", hotClients*each, left, rate.Answers, rate.Refused),
	}, err
}
