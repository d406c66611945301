package orders

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/admin"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

const (
	adaSecret    = "0123456789abcdefghijklmnopqrstuvwxyz"
	adaNewSecret = "zyxwvutsrqponmlkjihgfedcba9876543210"
	bobSecret    = "the-secret-of-bob-has-32-bytes-or-more"
)

// office is a client of the admin routes of the same shop; its key is a header that
// do adds.
func (s *shop) office(t *testing.T) *client {
	t.Helper()
	adminKeys, err := admin.ParseKeys("ada:orders+stock:" + adaSecret + ",ada:orders+stock:" + adaNewSecret + ",bob:stock:" + bobSecret)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	render := web.NewRenderer(log)
	r := chi.NewRouter()
	r.Use(func(next http.Handler) http.Handler { // requests without a key are ada's
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(admin.Header) == "" {
				r.Header.Set(admin.Header, adaSecret)
			}
			next.ServeHTTP(w, r)
		})
	}, admin.NewGate(adminKeys, log, render).Authenticate, s.Router.Middleware(keys))
	AdminRoutes(r, s.store, render)
	back := *s
	back.handler = r
	return &client{shop: &back}
}

func adminOrder(key id.ID) string { return "/v1/admin/orders/" + key.String() }

func adjustments(variant id.ID) string {
	return "/v1/admin/variants/" + variant.String() + "/stock-adjustments"
}

// placed is an order, and paid if wanted, which here is the database's word.
func (s *shop) placed(t *testing.T, variant id.ID, paid bool) (*client, Order) {
	t.Helper()
	c, cart := s.newCart(t, ItemInput{variant, 1})
	order := c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k").want(201, "").order()
	if paid {
		s.exec(t, s.Admin(t, s.Primary()), "UPDATE orders SET status = 'paid' WHERE id = $1", order.ID)
	}
	return c, order
}

func TestAnOrderIsFulfilled(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.office(t)
	_, order := s.placed(t, s.variant(t, 450, 10), true)
	path := adminOrder(order.ID)
	const shipped, delivered = `{"status":"shipped"}`, `{"status":"delivered"}`

	o.do(t, "PATCH", path, shipped).want(428, "precondition_required")
	o.do(t, "PATCH", path, shipped, "If-Match", `"2"`).want(412, "precondition_failed")
	o.do(t, "PATCH", path, shipped, "If-Match", `W/"1"`).want(412, "precondition_failed")
	r := o.do(t, "PATCH", path, delivered, "If-Match", `"1"`).want(409, "invalid_transition")
	var problem struct{ From, To Status }
	if r.decode(&problem); problem.From != Paid || problem.To != Delivered {
		t.Errorf("the problem says %+v", problem)
	}
	for _, body := range []string{`{"status":"cancelled"}`, `{"status":"paid"}`, `{"status":""}`, `{}`} {
		o.do(t, "PATCH", path, body, "If-Match", `"1"`).want(422, "invalid_body")
	}
	o.do(t, "PATCH", path, `{"status":"shipped","email":"x"}`, "If-Match", `"1"`).want(422, "unknown_field")
	o.do(t, "PATCH", adminOrder(id.New()), shipped, "If-Match", "*").want(404, "not_found")

	r = o.do(t, "PATCH", path, shipped, "If-Match", `"1"`).want(200, "")
	if got := r.order(); got.Status != Shipped || got.Version != 2 || r.Header().Get("ETag") != `"2"` || got.Email != order.Email {
		t.Errorf("shipped: %+v with ETag %s", got, r.Header().Get("ETag"))
	}
	o.do(t, "PATCH", path, shipped, "If-Match", `"1"`).want(412, "precondition_failed") // a repeat
	o.do(t, "PATCH", path, shipped, "If-Match", "*").want(409, "invalid_transition")
	got := o.do(t, "PATCH", path, delivered, "If-Match", `"2"`).want(200, "").order()
	paid, gone := Paid, Shipped
	want := []Step{
		{To: PendingPayment, Reason: "checkout"},
		{From: &paid, To: Shipped, Reason: "fulfilment"},
		{From: &gone, To: Delivered, Reason: "fulfilment"},
	}
	for i := range got.History {
		if got.History[i].At.IsZero() {
			t.Errorf("step %d has no time", i)
		}
		got.History[i].At = time.Time{}
	}
	if diff := cmp.Diff(want, got.History); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// Only two of all pairs are allowed, whatever a shopper has done meanwhile.
func TestFulfilmentTransitions(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.office(t)
	_, order := s.placed(t, s.variant(t, 450, 10), false)
	db := s.Admin(t, s.Primary())
	for _, from := range statuses {
		for _, to := range []Status{Shipped, Delivered} {
			s.exec(t, db, "UPDATE orders SET status = $1, version = version + 1 WHERE id = $2", from, order.ID)
			r := o.do(t, "PATCH", adminOrder(order.ID), fmt.Sprintf(`{"status":%q}`, to), "If-Match", "*")
			allowed := from == "paid" && to == Shipped || from == "shipped" && to == Delivered
			if allowed != (r.Code == 200) || !allowed && r.Code != 409 {
				t.Errorf("%s to %s: %d %s", from, to, r.Code, r.Body)
			}
		}
	}
}

func TestTwoShipOneOrder(t *testing.T) {
	t.Parallel()
	const rounds, twins = 8, 8
	s := newShop(t)
	variant, o := s.variant(t, 450, rounds), s.office(t)
	for range rounds {
		_, order := s.placed(t, variant, true)
		var won, lost atomic.Int32
		together(twins, func(int) {
			twin := *o
			switch r := twin.do(t, "PATCH", adminOrder(order.ID), `{"status":"shipped"}`, "If-Match", `"1"`); r.Code {
			case 200:
				won.Add(1)
			case 412:
				lost.Add(1)
			default:
				t.Errorf("%d %s", r.Code, r.Body)
			}
		})
		if won.Load() != 1 || lost.Load() != twins-1 {
			t.Errorf("%d won and %d lost", won.Load(), lost.Load())
		}
		if n := one[int](t, s, "SELECT count(*) FROM order_history WHERE order_id = $1", order.ID); n != 2 {
			t.Errorf("%d steps of history, want 2", n)
		}
	}
}

func TestAllOrdersPages(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 50)
	var want []string // newest first
	var lastShopper *client
	for i := range 7 {
		c, order := s.placed(t, variant, i%2 == 0)
		want = append([]string{order.Number}, want...)
		lastShopper = c
	}
	o := s.office(t)
	o.position = lastShopper.position
	type page struct {
		Data []Summary
		Page struct {
			NextCursor *string `json:"next_cursor"`
		}
	}
	walk := func(path string) (numbers []string) {
		for path != "" {
			r := o.do(t, "GET", path, nil).want(200, "")
			var p page
			r.decode(&p)
			for _, order := range p.Data {
				numbers = append(numbers, order.Number)
			}
			path, _, _ = strings.Cut(strings.TrimPrefix(r.Header().Get("Link"), "<"), ">")
		}
		return numbers
	}
	if diff := cmp.Diff(want, walk("/v1/admin/orders?limit=3")); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if got := walk("/v1/admin/orders?status=paid&limit=2"); len(got) != 4 {
		t.Errorf("paid: %v", got)
	}
	if got := walk("/v1/admin/orders?status=expired"); got != nil {
		t.Errorf("expired: %v", got)
	}
	var first page
	o.do(t, "GET", "/v1/admin/orders?limit=1", nil).decode(&first)
	o.do(t, "GET", "/v1/admin/orders?status=paid&cursor="+*first.Page.NextCursor, nil).want(400, "invalid_cursor")
	lastShopper.do(t, "GET", "/v1/orders?cursor="+*first.Page.NextCursor, nil).want(400, "invalid_cursor")
	o.do(t, "GET", "/v1/admin/orders?status=lost", nil).want(400, "invalid_parameter")
	o.do(t, "GET", "/v1/admin/orders?shopper=1", nil).want(400, "unknown_parameter")
}

// ledgerHolds checks that each movement goes on where the one before ended, and
// that the last left what there is.
func (s *shop) ledgerHolds(t *testing.T, variant id.ID) {
	t.Helper()
	if n := one[int](t, s, `SELECT count(*) FROM (
		SELECT before, lag(after, 1, 0) OVER (ORDER BY seq) AS left_by_the_last
		FROM stock_movements WHERE variant_id = $1) m WHERE before <> left_by_the_last`, variant); n != 0 {
		t.Errorf("the ledger breaks at %d places", n)
	}
	if !one[bool](t, s, `SELECT stock_quantity = (SELECT coalesce(sum(delta), 0) FROM stock_movements WHERE variant_id = $1)
		FROM variants WHERE id = $1`, variant) {
		t.Error("the stock is not what the ledger adds up to")
	}
}

func TestAdjustStock(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o, variant := s.office(t), s.variant(t, 450, 10)
	path := adjustments(variant)
	send := func(body, key string, headers ...string) reply {
		t.Helper()
		return o.do(t, "POST", path, body, append(headers, "Idempotency-Key", key)...)
	}
	o.do(t, "POST", path, `{"delta":5,"reason":"delivery"}`).want(400, "idempotency_key_missing")
	for _, body := range []string{
		`{"reason":"x"}`, `{"delta":0,"reason":"x"}`, `{"delta":1000001,"reason":"x"}`, `{"delta":-1000001,"reason":"x"}`,
		`{"delta":1}`, `{"delta":1,"reason":" "}`, `{"delta":1,"reason":"a\u0000b"}`, `{"delta":1,"reason":"x","expected_stock":-1}`,
	} {
		send(body, "bad").want(422, "invalid_body")
	}
	send(`{"delta":1,"reason":"x","stock":2}`, "bad").want(422, "unknown_field")
	send(`{"delta":null,"reason":"x"}`, "bad").want(422, "invalid_body")
	send(`{"delta":1.5,"reason":"x"}`, "bad").want(422, "wrong_type")
	o.do(t, "POST", adjustments(id.New()), `{"delta":1,"reason":"x"}`, "Idempotency-Key", "bad").want(404, "not_found")

	var got catalog.Movement
	first := send(`{"delta":5,"reason":"delivery","expected_stock":10}`, "bad").want(201, "") // refusals have not used up the key
	first.decode(&got)
	want := catalog.Movement{
		ID: got.ID, VariantID: variant, Kind: "adjustment", Delta: 5, Before: 10, After: 15, Reason: "delivery", CreatedAt: got.CreatedAt,
	}
	if diff := cmp.Diff(want, got); diff != "" || got.CreatedAt.IsZero() || got.ID.IsZero() {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again := send(`{"delta":5,"reason":"delivery","expected_stock":10}`, "bad").want(201, "")
	if again.Body.String() != first.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("the replay is %s", again.Body)
	}
	// The key is the one of ada, whichever of the two secrets she sends.
	rotated := send(`{"delta":5,"reason":"delivery","expected_stock":10}`, "bad", admin.Header, adaNewSecret).want(201, "")
	if rotated.Header().Get("Idempotent-Replayed") != "true" {
		t.Error("with a rotated secret a retry is another request")
	}
	send(`{"delta":6,"reason":"delivery"}`, "bad").want(422, "idempotency_key_reused")
	send(`{"delta":1,"reason":"count"}`, "bad", admin.Header, bobSecret).want(201, "") // bob has keys of his own

	for range 2 { // the second is the first's, kept
		var problem struct{ Stock int }
		send(`{"delta":1,"reason":"count","expected_stock":15}`, "conflict").want(409, "stock_conflict").decode(&problem)
		if problem.Stock != 16 {
			t.Errorf("the stock is said to be %d", problem.Stock)
		}
		var short struct{ Lines []catalog.Shortage }
		send(`{"delta":-200,"reason":"breakage"}`, "short").want(409, "insufficient_stock").decode(&short)
		if diff := cmp.Diff([]catalog.Shortage{{VariantID: variant, Requested: 200, Available: 16}}, short.Lines); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	send(`{"delta":-16,"reason":"breakage"}`, "all").want(201, "")
	if one[bool](t, s, "SELECT in_stock FROM products WHERE id = $1", s.product) {
		t.Error("the product is still listed as in stock")
	}
	s.exec(t, s.Admin(t, s.Primary()), "UPDATE variants SET stock_quantity = 1000000000 WHERE id = $1", variant)
	send(`{"delta":1,"reason":"delivery"}`, "too much").want(422, "stock_too_large")
	s.exec(t, s.Admin(t, s.Primary()), "UPDATE variants SET stock_quantity = 0 WHERE id = $1", variant)
	s.ledgerHolds(t, variant)
}

// Sixteen count the stock and correct it, each knowing what they saw. An update that
// is lost would leave less.
func TestNoAdjustmentIsLost(t *testing.T) {
	t.Parallel()
	const desks, each = 16, 3
	s := newShop(t)
	variant := s.variant(t, 450, 0)
	office := s.office(t)
	var conflicts atomic.Int32
	together(desks, func(desk int) {
		o := *office
		expected, done := 0, 0
		for try := 0; done < each; try++ {
			body := fmt.Sprintf(`{"delta":1,"reason":"count","expected_stock":%d}`, expected)
			r := o.do(t, "POST", adjustments(variant), body, "Idempotency-Key", fmt.Sprintf("%d/%d", desk, try))
			var said struct{ Stock, After int }
			r.decode(&said)
			switch r.Code {
			case 201:
				if said.After != expected+1 {
					t.Errorf("from the expected %d to %d: somebody else came between", expected, said.After)
				}
				expected, done = said.After, done+1
			case 409:
				expected = said.Stock
				conflicts.Add(1)
			default:
				t.Errorf("%d %s", r.Code, r.Body)
				return
			}
		}
	})
	if n := one[int](t, s, "SELECT stock_quantity FROM variants WHERE id = $1", variant); n != desks*each {
		t.Errorf("%d in stock, want %d", n, desks*each)
	}
	if conflicts.Load() == 0 {
		t.Error("nobody met a conflict, so the test shows nothing")
	}
	s.ledgerHolds(t, variant)
}

// One key sent sixteen times at once is one movement.
func TestOneKeyOneAdjustment(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 0)
	office := s.office(t)
	var first atomic.Int32
	together(16, func(int) {
		o := *office
		r := o.do(t, "POST", adjustments(variant), `{"delta":3,"reason":"delivery"}`, "Idempotency-Key", "same").want(201, "")
		if r.Header().Get("Idempotent-Replayed") == "" {
			first.Add(1)
		}
	})
	if n := one[int](t, s, "SELECT stock_quantity FROM variants WHERE id = $1", variant); n != 3 || first.Load() != 1 {
		t.Errorf("%d in stock and %d first answers, want 3 and 1", n, first.Load())
	}
	s.ledgerHolds(t, variant)
}

// Shoppers buy while deliveries come and things break: whatever was sold, came and
// went adds up, and nothing goes below zero.
func TestAdjustmentsMeetCheckouts(t *testing.T) {
	t.Parallel()
	const start, shoppers, deliveries, breakages = 5, 24, 8, 8
	s := newShop(t)
	variant := s.variant(t, 450, start)
	office := s.office(t)
	var sold, broken atomic.Int32
	together(shoppers+deliveries+breakages, func(i int) {
		switch o := *office; {
		case i < shoppers:
			c, cart := s.newCart(t, ItemInput{variant, 1})
			if r := c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k"); r.Code == 201 {
				sold.Add(1)
			} else {
				r.want(409, "insufficient_stock")
			}
		case i < shoppers+deliveries:
			o.do(t, "POST", adjustments(variant), `{"delta":2,"reason":"delivery"}`, "Idempotency-Key", fmt.Sprint(i)).want(201, "")
		default:
			if r := o.do(t, "POST", adjustments(variant), `{"delta":-1,"reason":"breakage"}`, "Idempotency-Key", fmt.Sprint(i)); r.Code == 201 {
				broken.Add(1)
			} else {
				r.want(409, "insufficient_stock")
			}
		}
	})
	want := start + 2*deliveries - int(sold.Load()) - int(broken.Load())
	if n := one[int](t, s, "SELECT stock_quantity FROM variants WHERE id = $1", variant); n != want || n < 0 {
		t.Errorf("%d left, want %d: %d sold, %d broken", n, want, sold.Load(), broken.Load())
	}
	s.ledgerHolds(t, variant)
}
