package orders

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

func orderPath(o Order) string { return "/v1/orders/" + o.ID.String() }

// newOrder makes a shopper with one order.
func (s *shop) newOrder(t testing.TB, items ...ItemInput) (*client, Order) {
	t.Helper()
	c, cart := s.newCart(t, items...)
	return c, c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "order").want(201, "").order()
}

func (c *client) pay(t testing.TB, o Order, key, outcome string) reply {
	t.Helper()
	return c.do(t, "POST", orderPath(o)+"/payments", map[string]string{"method": "test", "outcome": outcome}, "Idempotency-Key", key)
}

func (c *client) cancel(t testing.TB, o Order) reply {
	t.Helper()
	return c.do(t, "POST", orderPath(o)+"/cancel", nil)
}

// overdue ends the time of orders, all of them when none is given.
func (s *shop) overdue(t *testing.T, orders ...id.ID) {
	t.Helper()
	s.exec(t, s.Admin(t, s.Primary()), "UPDATE orders SET expires_at = now() - interval '1 second' WHERE $1::uuid[] IS NULL OR id = ANY ($1)", orders)
}

// outcomes are an order's payments, the oldest first.
func (s *shop) outcomes(t *testing.T, o Order) string {
	t.Helper()
	return one[string](t, s, "SELECT coalesce(string_agg(outcome, ' ' ORDER BY created_at), '') FROM payments WHERE order_id = $1", o.ID)
}

func TestPay(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	c, placed := s.newOrder(t, ItemInput{variant, 2})

	declined := c.pay(t, placed, "first", "declined").want(402, "payment_declined")
	if declined.Header().Get("Idempotent-Replayed") != "" || declined.Header().Get("ETag") != "" {
		t.Errorf("a decline has the header %v", declined.Header())
	}
	again := c.pay(t, placed, "first", "declined").want(402, "payment_declined")
	if again.Header().Get("Idempotent-Replayed") != "true" {
		t.Error("the decline was worked out again")
	}
	if got := s.outcomes(t, placed); got != "declined" {
		t.Errorf("payments %q after a decline and its replay", got)
	}
	c.pay(t, placed, "first", "approved").want(422, "idempotency_key_reused")
	c.do(t, "POST", orderPath(placed)+"/payments", `{"method":"test"}`).want(400, "idempotency_key_missing")
	s.audit(t)

	first := c.pay(t, placed, "second", "approved").want(200, "")
	paid := first.order()
	if paid.Status != Paid || paid.Version != 2 || paid.ExpiresAt != nil || first.Header().Get("ETag") != `"2"` {
		t.Errorf("paid: ETag %s, %+v", first.Header().Get("ETag"), paid)
	}
	if len(paid.History) != 2 || *paid.History[1].From != PendingPayment || paid.History[1].To != Paid || paid.History[1].Reason != "payment" {
		t.Errorf("history %+v", paid.History)
	}
	replay := c.pay(t, placed, "second", "approved").want(200, "")
	if diff := cmp.Diff(first.Body.String(), replay.Body.String()); diff != "" || replay.Header().Get("Idempotent-Replayed") != "true" || replay.Header().Get("ETag") != `"2"` {
		t.Errorf("the replay (-first +replay), header %v:\n%s", replay.Header(), diff)
	}
	c.pay(t, placed, "third", "approved").want(409, "order_not_payable")
	if r := c.pay(t, placed, "third", "approved").want(409, "order_not_payable"); r.Header().Get("Idempotent-Replayed") != "true" {
		t.Error("order_not_payable was worked out again")
	}
	if got := s.outcomes(t, placed); got != "declined approved" {
		t.Errorf("payments %q", got)
	}
	// Read through a replica: the answers' token is enough to see it.
	seen := c.do(t, "GET", orderPath(placed), nil).want(200, "")
	if diff := cmp.Diff(first.Body.String(), seen.Body.String()); diff != "" {
		t.Errorf("(-answered +read):\n%s", diff)
	}
	if got := s.stock(t, variant); got != 8 {
		t.Errorf("%d in stock, want 8", got)
	}
	s.audit(t)
}

func TestPayAfterTheTimeIsOver(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c, placed := s.newOrder(t, ItemInput{s.variant(t, 450, 10), 2})
	s.overdue(t, placed.ID)
	c.pay(t, placed, "before the sweeper", "approved").want(409, "order_expired")
	c.pay(t, placed, "declined", "declined").want(409, "order_expired")
	if n, err := s.store.ExpireOrders(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d orders expired, %v", n, err)
	}
	c.pay(t, placed, "after the sweeper", "approved").want(409, "order_expired")
	if r := c.pay(t, placed, "before the sweeper", "approved").want(409, "order_expired"); r.Header().Get("Idempotent-Replayed") != "true" {
		t.Error("order_expired was worked out again")
	}
	if got := s.outcomes(t, placed); got != "" {
		t.Errorf("payments %q of an order that could not be paid", got)
	}
	s.audit(t)
}

func TestPaymentBody(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"method":"test"}`:                          "approved",
		`{"method":"test","outcome":"approved"}`:     "approved",
		`{"method":"test","outcome":"declined"}`:     "declined",
		`{"method":"test","outcome":null}`:           "approved",
		`{"method":"test","outcome":""}`:             "/outcome",
		`{"method":"test","outcome":"refunded"}`:     "/outcome",
		`{"method":"card"}`:                          "/method",
		`{}`:                                         "/method",
		`{"outcome":"declined"}`:                     "/method",
		`{"method":"test","amount":1}`:               "/amount",
		`{"method":"test","Outcome":"declined"}`:     "/Outcome",
		`{"method":["test"],"outcome":"approved"}`:   "/method",
		`{"method":"test","outcome":{"declined":1}}`: "/outcome",
	} {
		p, err := paymentBody([]byte(body))
		got := outcomeApproved
		if p.Declined {
			got = outcomeDeclined
		}
		if strings.HasPrefix(want, "/") {
			p, ok := errors.AsType[*web.Problem](err)
			if !ok || len(p.Errors) != 1 || p.Errors[0].Pointer != want {
				t.Errorf("%s: %+v, want an error at %s", body, err, want)
			}
		} else if err != nil || got != want || p.Method != MethodTest {
			t.Errorf("%s: %+v, %v; want %s", body, p, err, want)
		}
	}
}

// TestCancel goes through every status in which a cancellation may find an order.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for name, tt := range map[string]struct {
		before  func(*client, Order)
		code    string
		paid    string // the payments afterwards
		version int64
	}{
		"pending":           {func(*client, Order) {}, "", "", 2},
		"paid":              {func(c *client, o Order) { c.pay(t, o, "k", "approved").want(200, "") }, "", "approved refunded", 3},
		"declined":          {func(c *client, o Order) { c.pay(t, o, "k", "declined").want(402, "payment_declined") }, "", "declined", 2},
		"overdue":           {func(_ *client, o Order) { s.overdue(t, o.ID) }, "", "", 2},
		"shipped":           {s.moved(t, Paid, Shipped), "order_not_cancellable", "approved", 3},
		"delivered":         {s.moved(t, Paid, Shipped, Delivered), "order_not_cancellable", "approved", 4},
		"expired by nobody": {s.moved(t, Expired), "order_not_cancellable", "", 2},
	} {
		variant := s.variant(t, 450, 10)
		other := s.variant(t, 100, 3)
		c, placed := s.newOrder(t, ItemInput{variant, 2}, ItemInput{other, 3})
		tt.before(c, placed)
		if tt.code != "" {
			c.cancel(t, placed).want(409, tt.code)
			if got := s.stock(t, variant); (got == 8) == (name == "expired by nobody") {
				t.Errorf("%s: %d in stock after a refusal", name, got)
			}
			continue
		}
		before := c.position
		first := c.do(t, "POST", orderPath(placed)+"/cancel", `{"reason":" too <late> "}`).want(200, "")
		order := first.order()
		last := order.History[len(order.History)-1]
		if order.Status != Cancelled || order.Version != tt.version || order.ExpiresAt != nil || last.Reason != "too <late>" || last.To != Cancelled {
			t.Errorf("%s: %+v", name, order)
		}
		if !c.position.Reached(before) || c.position == before {
			t.Errorf("%s: the answer's token is not past the request's", name)
		}
		for range 2 { // also with a version that is no longer so
			again := c.do(t, "POST", orderPath(placed)+"/cancel", `{"reason":"once more"}`, "If-Match", `"1"`).want(200, "")
			if diff := cmp.Diff(first.Body.String(), again.Body.String()); diff != "" || again.Header().Get("ETag") != first.Header().Get("ETag") {
				t.Errorf("%s: a repeat (-first +repeat):\n%s", name, diff)
			}
		}
		if a, b := s.stock(t, variant), s.stock(t, other); a != 10 || b != 3 {
			t.Errorf("%s: %d and %d in stock, want 10 and 3", name, a, b)
		}
		if got := s.outcomes(t, placed); got != tt.paid {
			t.Errorf("%s: payments %q, want %q", name, got, tt.paid)
		}
		c.pay(t, placed, "too late", "approved").want(409, "order_not_payable")
	}
	s.audit(t)
}

// moved takes an order along its course as the back office and the sweeper would.
func (s *shop) moved(t *testing.T, steps ...Status) func(*client, Order) {
	return func(c *client, o Order) {
		for _, to := range steps {
			switch to {
			case Paid:
				c.pay(t, o, "k", "approved").want(200, "")
			case Expired:
				s.overdue(t, o.ID)
				if n, err := s.store.ExpireOrders(t.Context()); n != 1 || err != nil {
					t.Fatalf("%d orders expired, %v", n, err)
				}
			default:
				from := Status(one[string](t, s, "SELECT status FROM orders WHERE id = $1", o.ID))
				err := s.DB.Write(t.Context(), func(ctx context.Context, q *writeq.Queries) error {
					return moveTx(ctx, q, o.ID, from, to, "test")
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestCancelAsksForItsVersion(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	c, placed := s.newOrder(t, ItemInput{variant, 2})
	send := func(body any, headers ...string) reply {
		return c.do(t, "POST", orderPath(placed)+"/cancel", body, headers...)
	}
	c.pay(t, placed, "k", "approved").want(200, "")
	send(nil, "If-Match", `"1"`).want(412, "version_mismatch")
	send(nil, "If-Match", `W/"2"`).want(412, "version_mismatch")
	send(nil, "If-Match", `2`).want(400, "if_match_invalid")
	send(map[string]string{"reason": strings.Repeat("x", 201)}).want(422, "invalid_body")
	send(map[string]string{"why": "x"}).want(422, "unknown_field")
	send(`{"reason":"a\u0000b"}`).want(422, "invalid_body")
	if got := s.stock(t, variant); got != 8 {
		t.Errorf("%d in stock after nothing but refusals, want 8", got)
	}
	send(nil, "If-Match", `"2"`).want(200, "")
	s.audit(t)
}

// TestAnotherShoppersOrder: foreign, unknown and malformed ids are one answer.
func TestAnotherShoppersOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	_, placed := s.newOrder(t, ItemInput{s.variant(t, 450, 10), 1})
	stranger, _ := s.newCart(t)
	var bodies []string
	for _, key := range []string{placed.ID.String(), id.New().String(), "1"} {
		for _, r := range []reply{
			stranger.do(t, "POST", "/v1/orders/"+key+"/payments", `{"method":"test"}`, "Idempotency-Key", "k"+key).want(404, "not_found"),
			stranger.do(t, "POST", "/v1/orders/"+key+"/cancel", nil).want(404, "not_found"),
			stranger.do(t, "GET", "/v1/orders/"+key, nil).want(404, "not_found"),
		} {
			var problem map[string]any
			r.decode(&problem)
			delete(problem, "request_id")
			delete(problem, "instance")
			bodies = append(bodies, cmp.Diff(nil, problem))
		}
	}
	for _, b := range bodies[1:] {
		if diff := cmp.Diff(bodies[0], b); diff != "" {
			t.Errorf("the answers can be told apart:\n%s", diff)
		}
	}
	if n := one[int](t, s, "SELECT count(*) FROM payments"); n != 0 {
		t.Errorf("%d payments by a stranger", n)
	}
	s.audit(t)
}

// TestOrderIsNotModified: what an order shows is counted by its version.
func TestOrderIsNotModified(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c, placed := s.newOrder(t, ItemInput{s.variant(t, 450, 10), 1})
	get := func(tag string) reply { return c.do(t, "GET", orderPath(placed), nil, "If-None-Match", tag) }
	if r := get(`"1"`); r.Code != 304 || r.Body.Len() != 0 || r.Header().Get("ETag") != `"1"` {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	get(`"0"`).want(200, "")
	c.pay(t, placed, "k", "approved").want(200, "")
	if r := get(`"1"`).want(200, ""); r.Header().Get("ETag") != `"2"` {
		t.Errorf("ETag %s of a paid order", r.Header().Get("ETag"))
	}
	if r := get(`"7", W/"2"`); r.Code != 304 {
		t.Errorf("%d, want 304", r.Code)
	}
}

// TestSettledOnce asks the database what it would do if the locks failed.
func TestSettledOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	c, placed := s.newOrder(t, ItemInput{variant, 2})
	line := []catalog.OrderLine{{OrderID: placed.ID, StockLine: catalog.StockLine{VariantID: variant, Quantity: 2}}}
	write := func(fn func(context.Context, *writeq.Queries) error) error { return s.DB.Write(t.Context(), fn) }

	c.pay(t, placed, "k", "approved").want(200, "")
	err := write(func(ctx context.Context, q *writeq.Queries) error {
		return q.RecordPayment(ctx, writeq.RecordPaymentParams{
			ID: id.New(), OrderID: placed.ID, Method: MethodTest, Outcome: outcomeApproved, Currency: "EUR",
		})
	})
	if pgError(err).ConstraintName != "payments_settled_once" {
		t.Errorf("a second approval: %v", err)
	}
	if err := write(func(ctx context.Context, q *writeq.Queries) error {
		return moveTx(ctx, q, placed.ID, PendingPayment, Expired, "test")
	}); !errors.Is(err, errMoved) {
		t.Errorf("a step from a status that it has left: %v", err)
	}
	c.cancel(t, placed).want(200, "")
	for _, kind := range []catalog.ReturnKind{catalog.ReturnCancelled, catalog.ReturnExpired} {
		if err := write(func(ctx context.Context, q *writeq.Queries) error {
			return catalog.RestockTx(ctx, q, kind, line)
		}); !errors.Is(err, catalog.ErrReturned) {
			t.Errorf("returned again as %s: %v", kind, err)
		}
	}
	conn := s.Admin(t, s.Primary())
	for _, sql := range []string{
		"INSERT INTO stock_movements (variant_id, kind, delta, before, after) SELECT id, 'expired', 1, 0, 1 FROM variants",
		"INSERT INTO stock_movements (variant_id, order_id, kind, delta, before, after) SELECT variant_id, order_id, 'cancelled', -1, 1, 0 FROM order_lines",
	} {
		var pg *pgconn.PgError
		if _, err := conn.Exec(t.Context(), sql); !errors.As(err, &pg) || pg.ConstraintName != "stock_movements_of_an_order" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	s.audit(t)
}

// TestRepeatedCancelWaitsForTheStandby stops both standbys: a cancellation that none
// of them may have must not be confirmed by a repeat, which changes nothing itself.
func TestRepeatedCancelWaitsForTheStandby(t *testing.T) {
	s := newShop(t)
	c, placed := s.newOrder(t, ItemInput{s.variant(t, 450, 10), 2})
	c.cancel(t, placed).want(200, "")
	who, err := ParseShopper(c.bearer)
	if err != nil {
		t.Fatal(err)
	}
	repeat := func(patience time.Duration) (Order, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return s.store.Cancel(ctx, OrderRef{ID: placed.ID, Shopper: who}, "")
	}
	for _, n := range s.Replicas() {
		t.Cleanup(func() { dbtest.Do(t, n.Thaw) })
		dbtest.Do(t, n.Freeze)
	}
	if o, err := repeat(300 * time.Millisecond); !errors.Is(err, fresh.ErrCommitUnknown) {
		t.Fatalf("answered without a standby: %+v, %v", o.Summary, err)
	}
	for _, n := range s.Replicas() {
		dbtest.Do(t, n.Thaw)
	}
	if o, err := repeat(dbtest.Limit); err != nil || o.Status != Cancelled {
		t.Errorf("after the standbys are back: %+v, %v", o.Summary, err)
	}
}

// TestLockedOrderIsBusy: nothing was done, and the same may be sent again.
func TestLockedOrderIsBusy(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c, placed := s.newOrder(t, ItemInput{s.variant(t, 450, 10), 2})
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "BEGIN")
	s.exec(t, admin, "SELECT FROM orders WHERE id = $1 FOR UPDATE", placed.ID)
	c.pay(t, placed, "k", "approved").want(http.StatusServiceUnavailable, "busy")
	c.cancel(t, placed).want(http.StatusServiceUnavailable, "busy")
	s.exec(t, admin, "ROLLBACK")
	c.pay(t, placed, "k", "approved").want(200, "")
	s.audit(t)
}
