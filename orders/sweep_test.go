package orders

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"example.com/leeway/catalog"
	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

func TestExpireOrders(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a, b := s.variant(t, 450, 10), s.variant(t, 100, 1)
	c, late := s.newOrder(t, ItemInput{a, 2}, ItemInput{b, 1})
	_, other := s.newOrder(t, ItemInput{a, 3})
	_, inTime := s.newOrder(t, ItemInput{a, 1})
	payer, paid := s.newOrder(t, ItemInput{a, 1})
	payer.pay(t, paid, "k", "approved").want(200, "")
	if s.stock(t, a) != 3 || s.stock(t, b) != 0 {
		t.Fatalf("%d and %d in stock", s.stock(t, a), s.stock(t, b))
	}
	if one[int64](t, s, "SELECT count(*) FROM products WHERE in_stock") != 1 {
		t.Fatal("the product is not listed as in stock")
	}
	s.overdue(t, late.ID, other.ID, paid.ID)

	if n, err := s.store.ExpireOrders(t.Context()); n != 2 || err != nil {
		t.Errorf("%d orders expired, %v; want 2", n, err)
	}
	if n, err := s.store.ExpireOrders(t.Context()); n != 0 || err != nil {
		t.Errorf("%d orders expired again, %v", n, err)
	}
	if s.stock(t, a) != 8 || s.stock(t, b) != 1 {
		t.Errorf("%d and %d in stock, want 8 and 1", s.stock(t, a), s.stock(t, b))
	}
	s.CatchUp(t)
	r := c.do(t, "GET", orderPath(late), nil).want(200, "")
	order := r.order()
	if order.Status != Expired || order.Version != 2 || r.Header().Get("ETag") != `"2"` || order.ExpiresAt != nil {
		t.Errorf("ETag %s, %+v", r.Header().Get("ETag"), order.Summary)
	}
	if last := order.History[1]; *last.From != PendingPayment || last.To != Expired || last.Reason != "not paid in time" {
		t.Errorf("history %+v", order.History)
	}
	for o, want := range map[id.ID]Status{inTime.ID: PendingPayment, paid.ID: Paid} {
		if got := one[string](t, s, "SELECT status FROM orders WHERE id = $1", o); got != string(want) {
			t.Errorf("an order is %s, want %s", got, want)
		}
	}
	s.audit(t)
}

// TestSoldOutComesBack: what the last order took can be seen and bought again, and
// the same when its product has gone off sale.
func TestSoldOutComesBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	shelf := catalog.New(s.DB, catalog.DefaultConfig())
	variant := s.variant(t, 450, 2)
	available := func(position fresh.Position) catalog.VariantStock {
		t.Helper()
		ctx := fresh.WithCarrier(t.Context(), fresh.NewCarrier(position))
		all, err := shelf.Availability(ctx, []id.ID{variant})
		if err != nil {
			t.Fatal(err)
		}
		return all[0]
	}
	for _, end := range []struct {
		name string
		how  func(*client, Order)
	}{
		{"cancelled", func(c *client, o Order) { c.cancel(t, o).want(200, "") }},
		{"expired", s.moved(t, Expired)},
	} {
		c, placed := s.newOrder(t, ItemInput{variant, 2})
		if got := available(c.position); got.Status != catalog.Out || got.Available != 0 {
			t.Errorf("%s: %+v while the order holds it", end.name, got)
		}
		end.how(c, placed)
		if end.name == "expired" {
			s.CatchUp(t) // the sweeper is not the shopper: no token tells of it
		}
		if got := available(c.position); got.Status != catalog.Low || got.Available != 2 {
			t.Errorf("%s: %+v afterwards, want 2", end.name, got)
		}
		if !one[bool](t, s, "SELECT in_stock FROM products WHERE id = $1", s.product) {
			t.Errorf("%s: the product is not listed as in stock", end.name)
		}
	}
	c, placed := s.newOrder(t, ItemInput{variant, 2})
	s.exec(t, s.Admin(t, s.Primary()), "UPDATE variants SET active = false WHERE id = $1", variant)
	c.cancel(t, placed).want(200, "")
	if got := s.stock(t, variant); got != 2 {
		t.Errorf("%d of what is no longer sold came back, want 2", got)
	}
	s.audit(t)
}

// TestTwoSweepersTakeDisjointBatches stops one sweeper in the middle of its batch,
// which it has locked, and lets another one work meanwhile.
func TestTwoSweepersTakeDisjointBatches(t *testing.T) {
	t.Parallel()
	const all, batch = 7, 3
	s := newShop(t)
	variant := s.variant(t, 450, 100)
	for range all {
		s.newOrder(t, ItemInput{variant, 1})
	}
	s.overdue(t)
	second := New(db.New(s.NewRouter(t, s.Config())), DefaultConfig())
	taken := func(q *writeq.Queries, but []id.ID) []id.ID {
		ids, err := q.LockDueOrders(t.Context(), writeq.LockDueOrdersParams{MaxOrders: batch, But: but})
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	var first, meanwhile []id.ID
	stop := errors.New("stop")
	err := s.DB.Write(t.Context(), func(_ context.Context, q *writeq.Queries) error {
		first = taken(q, []id.ID{})
		if n, err := second.ExpireOrders(t.Context()); n != all-batch || err != nil {
			t.Errorf("beside another sweeper: %d orders expired, %v; want %d", n, err, all-batch)
		}
		meanwhile = taken(q, first)
		return stop // and what it took is free again
	})
	if !errors.Is(err, stop) || len(first) != batch || len(meanwhile) != 0 {
		t.Errorf("%v; a batch of %d, then of %d", err, len(first), len(meanwhile))
	}
	if n := one[int](t, s, "SELECT count(*) FROM orders WHERE status = 'pending_payment' AND id = ANY ($1)", first); n != batch {
		t.Errorf("%d of the first batch of %d are as before", n, batch)
	}
	if n, err := s.store.ExpireOrders(t.Context()); n != batch || err != nil {
		t.Errorf("%d orders expired at last, %v; want %d", n, err, batch)
	}
	if got := s.stock(t, variant); got != 100 {
		t.Errorf("%d in stock, want 100", got)
	}
	s.audit(t)
}

// TestManySweepersShareTheWork: more orders than batches, four instances, orders with
// the same variants in both orders. A deadlock would be retried, so retries are
// counted.
func TestManySweepersShareTheWork(t *testing.T) {
	t.Parallel()
	const orders, sweepers = 120, 4
	s := newShop(t)
	a, b := s.variant(t, 450, 500), s.variant(t, 100, 500)
	together(8, func(int) {
		for n := range orders / 8 {
			items := []ItemInput{{a, 1 + n%3}, {b, 2}}
			if n%2 == 0 {
				items = []ItemInput{{b, 1 + n%3}, {a, 1}}
			}
			s.newOrder(t, items...)
		}
	})
	s.overdue(t)
	instances, retries := make([]*Store, sweepers), make([]func() float64, sweepers)
	for i := range instances {
		instances[i], retries[i] = s.instance(t)
	}
	var expired atomic.Int32
	together(sweepers, func(i int) {
		for {
			taken, err := instances[i].expireBatch(t.Context(), 7, []id.ID{})
			if err != nil {
				t.Error(err)
			}
			expired.Add(int32(len(taken)))
			if len(taken) == 0 {
				return
			}
		}
	})
	if expired.Load() != orders {
		t.Errorf("%d orders expired by all, want %d", expired.Load(), orders)
	}
	for i, n := range retries {
		if n() != 0 {
			t.Errorf("instance %d ran %v transactions again: locks are taken in different orders", i, n())
		}
	}
	if s.stock(t, a) != 500 || s.stock(t, b) != 500 {
		t.Errorf("%d and %d in stock, want 500", s.stock(t, a), s.stock(t, b))
	}
	s.audit(t)
}

func TestForgetKeys(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c, placed := s.newOrder(t, ItemInput{s.variant(t, 450, 10), 1})
	c.pay(t, placed, "young", "approved").want(200, "")
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "UPDATE idempotency_keys SET created_at = now() - interval '23 hours 59 minutes'")
	s.exec(t, admin, `INSERT INTO idempotency_keys (caller, route, key, fingerprint, status, response, created_at)
		SELECT sha256('x'), 'checkout', n::text, '', 200, '', now() - interval '24 hours 1 minute' FROM generate_series(1, 2500) n`)
	held := s.Admin(t, s.Primary())
	s.exec(t, held, "BEGIN")
	s.exec(t, held, "UPDATE idempotency_keys SET replayed_at = now() WHERE key = '1000'") // a replay under way
	if n, err := s.store.ForgetKeys(t.Context()); n != 2499 || err != nil {
		t.Errorf("%d keys forgotten, %v; want 2499", n, err)
	}
	s.exec(t, held, "COMMIT")
	if n, err := s.store.ForgetKeys(t.Context()); n != 1 || err != nil {
		t.Errorf("%d keys forgotten, %v; want the one that was in use", n, err)
	}
	if r := c.pay(t, placed, "young", "approved").want(200, ""); r.Header().Get("Idempotent-Replayed") != "true" {
		t.Error("a key that is not a day old was forgotten")
	}
}

// TestAFailedSweepHasDoneNothing: one variant stays locked for longer than
// lock_timeout.
func TestAFailedSweepHasDoneNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	s.newOrder(t, ItemInput{variant, 4})
	s.overdue(t)
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "BEGIN")
	s.exec(t, admin, "SELECT FROM variants WHERE id = $1 FOR UPDATE", variant)
	if n, err := s.store.ExpireOrders(t.Context()); n != 0 || !errors.Is(err, ErrBusy) {
		t.Errorf("%d expired, %v; want ErrBusy", n, err)
	}
	s.exec(t, admin, "ROLLBACK")
	if got := one[string](t, s, "SELECT status FROM orders"); got != string(PendingPayment) {
		t.Errorf("the order is %s", got)
	}
	if n, err := s.store.ExpireOrders(t.Context()); n != 1 || err != nil {
		t.Errorf("%d expired, %v", n, err)
	}
	s.audit(t)
}

// TestOneOrderKeepsNoOtherWaiting: of more orders than a batch has, two cannot be
// expired: the stock of one would overflow, and that of the other was returned by hand.
// They come first, and again in each sweep.
func TestOneOrderKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	const healthy, bad = expireBatch + 5, 2
	s := newShop(t)
	good, full := s.variant(t, 450, 500), s.variant(t, 450, 500)
	var placed []id.ID
	for _, v := range []id.ID{full, good} {
		_, order := s.newOrder(t, ItemInput{v, 1})
		placed = append(placed, order.ID)
	}
	together(5, func(int) {
		for range healthy / 5 {
			s.newOrder(t, ItemInput{good, 1})
		}
	})
	s.overdue(t)
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "UPDATE orders SET expires_at = expires_at - interval '1 hour' WHERE id = ANY ($1)", placed)
	s.exec(t, admin, "UPDATE variants SET stock_quantity = 2147483647 WHERE id = $1", full)
	s.exec(t, admin, `INSERT INTO stock_movements (variant_id, order_id, kind, delta, before, after)
		SELECT variant_id, order_id, 'expired', quantity, 0, quantity FROM order_lines WHERE order_id = $1`, placed[1])

	n, err := s.store.ExpireOrders(t.Context())
	if n != healthy || err == nil || !strings.Contains(err.Error(), placed[0].String()) {
		t.Errorf("%d orders expired, %v; want %d and a word of order %s", n, err, healthy, placed[0])
	}
	if n := one[int](t, s, "SELECT count(*) FROM orders WHERE status = 'pending_payment' AND id = ANY ($1)", placed); n != bad {
		t.Errorf("%d of %d orders that cannot be expired are as before", n, bad)
	}
	// Repaired, they are expired like any other.
	s.exec(t, admin, "UPDATE variants SET stock_quantity = 499 WHERE id = $1", full)
	s.exec(t, admin, "DELETE FROM stock_movements WHERE order_id = $1 AND kind = 'expired'", placed[1])
	if n, err := s.store.ExpireOrders(t.Context()); n != bad || err != nil {
		t.Errorf("%d orders expired, %v; want %d", n, err, bad)
	}
	s.audit(t)
}

// TestEveryEndIsOne: 32 clients pay and cancel the same orders at once, while two
// instances of the shop expire them. The orders' time is over at moments all through
// it. Each order ends in one way, all were told the same, and the stock is what is left
// when the paid ones are taken away.
func TestEveryEndIsOne(t *testing.T) {
	t.Parallel()
	const orders, clients, stock = 24, 32, 500
	s := newShop(t)
	a, b := s.variant(t, 450, stock), s.variant(t, 100, stock)
	owners, placed := make([]*client, orders), make([]Order, orders)
	for i := range orders {
		owners[i], placed[i] = s.newOrder(t, ItemInput{a, 1 + i%3}, ItemInput{b, 1})
	}
	// Some are over when the clients begin, and others stay payable throughout.
	admin := s.Admin(t, s.Primary())
	s.expireOneByOne(t, admin, placed, -200*time.Millisecond, 40*time.Millisecond)
	instances := []*Store{s.store, New(db.New(s.NewRouter(t, s.Config())), DefaultConfig())}

	var paid, cancelled [orders]atomic.Int32
	var working atomic.Int32
	working.Store(clients)
	together(clients+len(instances), func(n int) {
		if n >= clients {
			for working.Load() > 0 {
				if _, err := instances[n-clients].ExpireOrders(t.Context()); err != nil {
					t.Error(err)
				}
			}
			return
		}
		defer working.Add(-1)
		for step := range orders {
			i := (n*7 + step) % orders
			tab := *owners[i]
			var r reply
			if i%3 == 0 && n%2 == 1 {
				continue // nobody cancels a third of them
			}
			if n%2 == 0 {
				r = tab.pay(t, placed[i], fmt.Sprint("client ", n), "approved")
			} else {
				r = tab.cancel(t, placed[i])
			}
			var problem struct{ Code string }
			r.decode(&problem)
			switch {
			case r.Code == 200 && n%2 == 0:
				paid[i].Add(1)
			case r.Code == 200:
				cancelled[i].Add(1)
			case r.Code == 409 && n%2 == 0 && (problem.Code == "order_expired" || problem.Code == "order_not_payable"):
			case r.Code == 409 && n%2 == 1 && problem.Code == "order_not_cancellable":
			default:
				t.Errorf("%d %s", r.Code, r.Body)
			}
		}
	})

	kept, ends := 0, map[Status]int{}
	for i, o := range placed {
		status := Status(one2(t, admin, "SELECT status FROM orders WHERE id = $1", o.ID))
		ends[status]++
		if n := paid[i].Load(); n > 1 {
			t.Errorf("order %d was paid %d times", i, n)
		}
		switch status {
		case Cancelled:
			if cancelled[i].Load() == 0 {
				t.Errorf("order %d is cancelled, and nobody was told", i)
			}
		case Expired:
			if paid[i].Load()+cancelled[i].Load() != 0 {
				t.Errorf("order %d expired, and yet %d were told that it is paid and %d that it is cancelled", i, paid[i].Load(), cancelled[i].Load())
			}
		case Paid:
			kept += 1 + i%3
			if paid[i].Load() != 1 || cancelled[i].Load() != 0 {
				t.Errorf("order %d is paid; %d were told so, and %d that it is cancelled", i, paid[i].Load(), cancelled[i].Load())
			}
		default:
			t.Errorf("order %d is %s", i, status)
		}
	}
	t.Logf("%v", ends)
	if ends[Cancelled] == 0 || ends[Expired] == 0 {
		t.Errorf("the race had one outcome, so it shows nothing: %v", ends)
	}
	if got := s.stock(t, a); got != stock-kept {
		t.Errorf("%d in stock, want %d", got, stock-kept)
	}
	s.audit(t)
}

// expireOneByOne lets the time of the orders run out one after the other.
func (s *shop) expireOneByOne(t *testing.T, admin *pgx.Conn, placed []Order, first, apart time.Duration) {
	t.Helper()
	ids := make([]id.ID, len(placed))
	for i, o := range placed {
		ids[i] = o.ID
	}
	s.exec(t, admin, `UPDATE orders o SET expires_at = clock_timestamp() + make_interval(secs => $2::float8 + $3::float8 * (w.n - 1))
		FROM unnest($1::uuid[]) WITH ORDINALITY AS w (id, n) WHERE o.id = w.id`, ids, first.Seconds(), apart.Seconds())
}

// TestPaymentAndSweeperMeet lets each of the two find the order locked by the other.
// Whoever has it first decides, and nobody is told two things.
func TestPaymentAndSweeperMeet(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	watch := s.Admin(t, s.Primary())
	waiting := func() bool {
		var n int
		err := watch.QueryRow(context.Background(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
		return err == nil && n > 0
	}
	expired := func(o Order) bool {
		var over bool
		err := watch.QueryRow(context.Background(), "SELECT expires_at < clock_timestamp() FROM orders WHERE id = $1", o.ID).Scan(&over)
		return err == nil && over
	}

	// A payment that began in time holds the order when the sweeper comes.
	c, placed := s.newOrder(t, ItemInput{variant, 1})
	block := s.Admin(t, s.Primary())
	s.exec(t, block, "BEGIN")
	s.exec(t, block, "LOCK TABLE payments IN EXCLUSIVE MODE")
	s.expireOneByOne(t, watch, []Order{placed}, time.Second, 0)
	answer := make(chan reply, 1)
	go func() { answer <- c.pay(t, placed, "k", "approved") }()
	dbtest.Eventually(t, "the payment holds the order", waiting)
	if expired(placed) {
		t.Fatal("the machine is too slow: the payment did not begin in time")
	}
	dbtest.Eventually(t, "its time is over", func() bool { return expired(placed) })
	if n, err := s.store.ExpireOrders(t.Context()); n != 0 || err != nil {
		t.Errorf("an order that is being paid: %d expired, %v", n, err)
	}
	s.exec(t, block, "ROLLBACK")
	if got := (<-answer).want(200, "").order(); got.Status != Paid {
		t.Errorf("paid in time, and the order is %s", got.Status)
	}
	if n, err := s.store.ExpireOrders(t.Context()); n != 0 || err != nil {
		t.Errorf("a paid order: %d expired, %v", n, err)
	}

	// The sweeper holds the order when the payment comes.
	c, placed = s.newOrder(t, ItemInput{variant, 1})
	s.overdue(t, placed.ID)
	err := s.DB.Write(t.Context(), func(ctx context.Context, q *writeq.Queries) error {
		rows, err := q.ExpireOrders(ctx, writeq.ExpireOrdersParams{Ids: []id.ID{placed.ID}, Reason: "test"})
		if err != nil || len(rows) != 1 {
			t.Errorf("%d lines expired, %v", len(rows), err)
		}
		go func() { answer <- c.cancel(t, placed) }()
		dbtest.Eventually(t, "the cancellation waits for the sweeper", waiting)
		return catalog.RestockTx(ctx, q, catalog.ReturnExpired, returnLines(placed))
	})
	if err != nil {
		t.Error(err)
	}
	(<-answer).want(409, "order_not_cancellable")
	c.pay(t, placed, "k", "approved").want(409, "order_expired")
	if got := s.stock(t, variant); got != 9 {
		t.Errorf("%d in stock, want 9", got)
	}
	s.audit(t)
}

// TestPayOrExpire: every order is paid by one client while two sweepers look for it,
// at the very moment at which its time is over.
func TestPayOrExpire(t *testing.T) {
	t.Parallel()
	const orders, stock = 60, 100
	s := newShop(t)
	variant := s.variant(t, 450, stock)
	owners, placed := make([]*client, orders), make([]Order, orders)
	for i := range orders {
		owners[i], placed[i] = s.newOrder(t, ItemInput{variant, 1})
	}
	admin := s.Admin(t, s.Primary())
	s.expireOneByOne(t, admin, placed, 20*time.Millisecond, 10*time.Millisecond)
	second := New(db.New(s.NewRouter(t, s.Config())), DefaultConfig())
	told := make([]int, orders)
	var paying atomic.Int32
	paying.Store(4)
	together(6, func(n int) {
		if n >= 4 {
			for paying.Load() > 0 {
				if _, err := []*Store{s.store, second}[n-4].ExpireOrders(t.Context()); err != nil {
					t.Error(err)
				}
			}
			return
		}
		defer paying.Add(-1)
		for i := n; i < orders; i += 4 {
			told[i] = owners[i].pay(t, placed[i], "k", "approved").Code
		}
	})
	s.overdue(t) // those that were told of their time before a sweeper came by
	if _, err := s.store.ExpireOrders(t.Context()); err != nil {
		t.Error(err)
	}
	paid := 0
	for i, o := range placed {
		status := Status(one2(t, admin, "SELECT status FROM orders WHERE id = $1", o.ID))
		if told[i] != map[Status]int{Paid: 200, Expired: 409}[status] {
			t.Errorf("order %d is %s, its shopper was told %d", i, status, told[i])
		}
		if status == Paid {
			paid++
		}
	}
	t.Logf("%d of %d were paid", paid, orders)
	if got := s.stock(t, variant); got != stock-paid {
		t.Errorf("%d in stock, want %d", got, stock-paid)
	}
	s.audit(t)
}

// TestPaidOnce: one order, 32 keys, and then one key 20 times.
func TestPaidOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	c, placed := s.newOrder(t, ItemInput{variant, 1})
	var approved, refused atomic.Int32
	together(32, func(n int) {
		tab := *c
		switch r := tab.pay(t, placed, fmt.Sprint(n), "approved"); r.Code {
		case 200:
			approved.Add(1)
		case 409:
			refused.Add(1)
		default:
			t.Errorf("%d %s", r.Code, r.Body)
		}
	})
	if approved.Load() != 1 || refused.Load() != 31 {
		t.Errorf("%d approved, %d refused", approved.Load(), refused.Load())
	}
	d, other := s.newOrder(t, ItemInput{variant, 1})
	replies := make([]reply, 20)
	together(len(replies), func(n int) {
		tab := *d
		replies[n] = tab.pay(t, other, "same", "approved")
	})
	originals := 0
	for _, r := range replies {
		if r.Code != 200 || r.Body.String() != replies[0].Body.String() {
			t.Errorf("answers differ: %d %s", r.Code, r.Body)
		}
		if r.Header().Get("Idempotent-Replayed") == "" {
			originals++
		}
	}
	if originals != 1 || s.outcomes(t, other) != "approved" {
		t.Errorf("%d answers are the first one; payments %q", originals, s.outcomes(t, other))
	}
	s.audit(t)
}

// TestNextPageIsNotOlder reads page 1 where everything has been replayed, and page 2
// without any token, while the other replica stands still and would do by itself.
func TestNextPageIsNotOlder(t *testing.T) {
	s := newShop(t)
	s.store.config.OrderRead = fresh.Session().Within(time.Hour)
	variant := s.variant(t, 450, 10)
	c, cart := s.newCart(t, ItemInput{variant, 1})
	for range 4 {
		c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", cart.ID.String()).want(201, "")
		cart = c.nextCart(t, ItemInput{variant, 1})
	}
	s.CatchUp(t)
	late, good := s.Replicas()[0], s.Replicas()[1]
	s.Pause(t, late)
	c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "last").want(201, "")
	s.CatchUpNode(t, good)

	page := func(c *client, query string) (string, string, int) {
		var list web.List[Summary]
		r := c.do(t, "GET", "/v1/orders?limit=2"+query, nil).want(200, "")
		r.decode(&list)
		next := ""
		if list.Page.NextCursor != nil {
			next = *list.Page.NextCursor
		}
		return next, r.Header().Get(fresh.SourceHeader), len(list.Data)
	}
	next, source, _ := page(c, "")
	if !sourceIs(source, good.Name()) && !sourceIs(source, "") {
		t.Fatalf("page 1, with a token, came from %s", source)
	}
	dbtest.Eventually(t, "the late replica answers who has neither token nor cursor", func() bool {
		_, source, _ := page(&client{shop: s, bearer: c.bearer}, "")
		return sourceIs(source, late.Name())
	})
	for range 20 {
		forgetful := &client{shop: s, bearer: c.bearer}
		if _, source, n := page(forgetful, "&cursor="+next); sourceIs(source, late.Name()) || n != 2 {
			t.Fatalf("page 2 has %d orders from %s, which lacks what page 1 showed", n, source)
		}
	}
	// A bookmark of somebody else's making is not one.
	forged, err := fresh.NewKeyring(make([]byte, fresh.MinTokenKey))
	if err != nil {
		t.Fatal(err)
	}
	who, err := ParseShopper(c.bearer)
	if err != nil {
		t.Fatal(err)
	}
	for name, bookmark := range map[string]string{
		"none": "", "not a token": "x", "another key's": forged.Seal(fresh.Position{Timeline: 1, LSN: 1 << 60}),
	} {
		at := place{createdAt: time.Now(), id: id.Max, bookmark: bookmark}
		r := c.do(t, "GET", "/v1/orders?cursor="+at.cursor(who, ""), nil)
		if r.want(400, "invalid_cursor"); r.Header().Get(fresh.SourceHeader) != "" {
			t.Errorf("%s: a refused cursor was read for", name)
		}
	}
}

// sourceIs: "" is the primary.
func sourceIs(header, replica string) bool {
	if replica == "" {
		return strings.HasPrefix(header, "primary;")
	}
	return strings.HasPrefix(header, fmt.Sprintf("replica;name=%q", replica))
}

// instance is another process of the shop, as far as the database can tell, and how
// often it ran a transaction again.
func (s *shop) instance(t *testing.T) (*Store, func() float64) {
	t.Helper()
	config, registry := s.Config(), prometheus.NewRegistry()
	config.Metrics = registry
	store := New(db.New(s.NewRouter(t, config)), DefaultConfig())
	return store, func() float64 { return counter(t, registry, "leeway_write_retries_total") }
}

// one2 is one on a connection that is there already.
func one2(t *testing.T, conn *pgx.Conn, sql string, args ...any) (v string) {
	t.Helper()
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
