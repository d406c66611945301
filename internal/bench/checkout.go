package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/load"
)

// stocked is how much there is of what is bought before a round: more than can be sold.
const stocked = 10_000_000

// perClient is how many carts a client finds for a second; more than it can order.
const perClient = 600

// checkout holds POST checkout of two lines against pgbench sending the same transaction.
// Each client buys two variants of its own: nobody waits for another's row.
func (w *world) checkout(ctx context.Context) ([]Figure, error) {
	database, _, err := w.fill(ctx, w.Products)
	if err != nil {
		return nil, err
	}
	app, s, err := w.open(ctx, "checkout", database, 2)
	if err != nil {
		return nil, err
	}
	defer app.Stop()
	pairs, catalog, err := w.variants(ctx, database, w.Clients, 2)
	if err != nil {
		return nil, err
	}
	sample, err := w.sample(ctx, database, s, pairs, catalog)
	if err != nil {
		return nil, err
	}
	sides := []side{
		{"shop", func(ctx context.Context) (float64, error) {
			rate, err := w.ordering(ctx, database, s, pairs, perClient)
			return rate.PerSec, err
		}},
		{"pgbench", func(ctx context.Context) (float64, error) { return w.transactions(ctx, database, pairs, sample, ";\n") }},
		{"pgbench in one message", func(ctx context.Context) (float64, error) {
			return w.transactions(ctx, database, pairs, sample, "\\;\n")
		}},
	}
	all, err := w.rounds(ctx, "checkout", sides...)
	if err != nil {
		return nil, err
	}
	first := compare("checkout of two lines", sides, all, 1)
	first.AtLeast = new(0.70)
	first.Detail += fmt.Sprintf(", %d statements", len(sample[0]))
	second := compare("the same, all statements in one message", sides, all, 2)
	return []Figure{first, second}, w.balanced(ctx, database)
}

// variants chooses distinct ones, so many for each of so many kinds of carts, and fills
// their stock up. catalog has every variant's and product's id.
func (w *world) variants(ctx context.Context, database string, kinds, each int) (all [][]string, catalog map[string]bool, err error) {
	conn, err := pgx.Connect(ctx, dsn(w.primary(), "postgres", database))
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close(ctx)
	var ids, every []string
	err = conn.QueryRow(ctx, `WITH chosen AS (
			SELECT DISTINCT ON (p.id) v.id FROM products p JOIN variants v ON v.product_id = p.id AND v.active WHERE p.listed
			ORDER BY p.id, v.id LIMIT $1::bigint
		), ledger AS (
			INSERT INTO stock_movements (variant_id, kind, delta, before, after, reason)
			SELECT v.id, 'adjustment', $2::integer - v.stock_quantity, v.stock_quantity, $2, 'bench' FROM variants v JOIN chosen USING (id)
		), filled AS (
			UPDATE variants v SET stock_quantity = $2 FROM chosen c WHERE c.id = v.id
		)
		SELECT array(SELECT id::text FROM chosen), array(SELECT id::text FROM variants UNION SELECT id::text FROM products)`,
		kinds*each, stocked).Scan(&ids, &every)
	catalog = map[string]bool{}
	for _, id := range every {
		catalog[id] = true
	}
	for i := 0; i+each <= len(ids); i += each {
		all = append(all, ids[i:i+each])
	}
	return all, catalog, err
}

// sample is what a checkout sends for each kind of cart, with :n for the cart's number.
func (w *world) sample(ctx context.Context, database string, s *shop, kinds [][]string, catalog map[string]bool) ([][]statement, error) {
	const tries = 201 // see capture
	conn, err := load.DialLean(ctx, s.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var all [][]statement
	for _, kind := range kinds {
		n, err := w.makeCarts(ctx, database, [][]string{kind}, tries, true)
		if err != nil {
			return nil, err
		}
		n--
		sent, err := w.capture(ctx, w.primary(), func() error {
			n++
			a, err := conn.Do(order(n))
			if err == nil && a.Status != 201 {
				err = fmt.Errorf("checkout was answered %d %.200s", a.Status, a.Body)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, numbered(sent, n, catalog))
	}
	return all, alike(all)
}

// alike finds the log of something else in a sample: a sweep runs on the same connections
// every 15 s, and pgbench would have to do it again and again.
func alike(sample [][]statement) error {
	for k, one := range sample {
		if !slices.EqualFunc(one, sample[0], func(a, b statement) bool { return a.sql == b.sql }) {
			return fmt.Errorf("checkouts 0 and %d did not send the same, %d and %d statements; try again", k, len(sample[0]), len(one))
		}
	}
	return nil
}

// ordering orders prepared carts over HTTP, with a client for each kind, who finds so many
// carts a second.
func (w *world) ordering(ctx context.Context, database string, s *shop, kinds [][]string, aSecond int) (load.Rate, error) {
	each := aSecond * (1 + int(w.Seconds))
	first, err := w.makeCarts(ctx, database, kinds, each, true)
	if err != nil {
		return load.Rate{}, err
	}
	requests := make([][]byte, len(kinds)*each)
	for i := range requests {
		requests[i] = order(first + int64(i))
	}
	if err := w.settle(ctx, database); err != nil {
		return load.Rate{}, err
	}
	var none atomic.Bool
	rate, err := load.Busy{
		Addr: s.addr, Clients: len(kinds), WarmUp: time.Second / 2, Duration: w.span(), Want: 201,
		Next: func(client, n int) []byte {
			if n == each {
				none.Store(true)
				return nil
			}
			return requests[client*each+n]
		},
	}.Run(ctx)
	if err == nil && none.Load() {
		err = errors.New("there were not enough carts")
	}
	return rate, err
}

// transactions has pgbench send the same for carts of its own. between is what stands
// between two statements: ";" sends them one by one, "\;" all in one message.
func (w *world) transactions(ctx context.Context, database string, kinds [][]string, sample [][]statement, between string) (float64, error) {
	each := perClient * (2 + int(w.Seconds+0.5))
	first, err := w.makeCarts(ctx, database, kinds, each, false)
	if err != nil {
		return 0, err
	}
	if err := w.settle(ctx, database); err != nil {
		return 0, err
	}
	return w.selling(ctx, database, len(kinds), first, ordersScript(sample, first, each, between))
}

// selling runs pgbench, and counts the orders that it says to have placed: a script that
// does nothing is the fastest of all.
func (w *world) selling(ctx context.Context, database string, clients int, first int64, s script) (float64, error) {
	rate, transactions, err := w.pgbench(ctx, dsn(w.primary(), "shop_rw", database), clients, 2, s)
	if err != nil {
		return 0, err
	}
	var orders int
	err = w.query(ctx, database, "SELECT count(*) FROM orders WHERE cart_id >= $1::uuid AND cart_id <= $2::uuid",
		[]any{fmt.Sprint(cartID, first), fmt.Sprint(cartID, w.carts)}, &orders)
	if err == nil && orders != transactions {
		err = fmt.Errorf("pgbench says that it made %d transactions, and there are %d orders", transactions, orders)
	}
	return rate, err
}

// ordersScript takes one cart after the other. A client has a sample of its own, or there
// is one for all.
func ordersScript(sample [][]statement, first int64, each int, between string) script {
	p := &preparer{names: map[string]string{}}
	var b strings.Builder
	for k, all := range sample {
		if len(sample) > 1 {
			fmt.Fprintf(&b, "\\%s :client_id = %d\n", map[bool]string{true: "if", false: "elif"}[k == 0], k)
		}
		var lines []string
		for _, s := range all {
			lines = append(lines, p.execute(s))
		}
		b.WriteString(strings.Join(lines, between) + ";\n")
	}
	if len(sample) > 1 {
		b.WriteString("\\endif\n")
	}
	text := p.once() + fmt.Sprintf("\\set n %d + :client_id * %d + :i\n\\set i :i + 1\n\\set s 10000000 + (:n * 618033) %% 1000003\n", first, each) + b.String()
	return script{mode: "simple", files: []weighted{{text, 1}}, vars: []string{"ready=0", "i=0"}}
}

// balanced is the proof that both sides did what they were asked for, and that nothing was
// oversold: the ledger tells what stock there is, and each order has its lines in it.
func (w *world) balanced(ctx context.Context, database string) error {
	var wrong, unsold int
	err := w.query(ctx, database, `SELECT
		(SELECT count(*) FROM variants v WHERE v.stock_quantity < 0 OR v.stock_quantity <>
			(SELECT sum(m.delta) FROM stock_movements m WHERE m.variant_id = v.id)),
		(SELECT count(*) FROM order_lines l LEFT JOIN stock_movements m
			ON (m.order_id, m.variant_id, m.kind) = (l.order_id, l.variant_id, 'checkout') WHERE m.delta IS DISTINCT FROM -l.quantity)`,
		nil, &wrong, &unsold)
	if err == nil && wrong+unsold > 0 {
		err = fmt.Errorf("the books are wrong: %d variants differ from their ledger, %d lines of orders are not in it", wrong, unsold)
	}
	return err
}
