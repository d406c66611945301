package orders

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// TestOrderList walks the pages and expects each order once, newest first, also
// where several were made in one instant.
func TestOrderList(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	c, cart := s.newCart(t, ItemInput{variant, 1})
	c.do(t, "GET", "/v1/orders", nil).want(200, "").decode(&struct{}{})
	var want []id.ID
	for n := range 5 {
		if n > 0 {
			cart = c.nextCart(t, ItemInput{variant, 1})
		}
		order := c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", cart.ID.String()).want(201, "").order()
		want = append([]id.ID{order.ID}, want...)
	}
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "UPDATE orders SET created_at = now()")
	s.exec(t, admin, "UPDATE orders SET status = 'paid', version = 2 WHERE id = ANY ($1)", []id.ID{want[1], want[3]})
	stranger, theirs := s.newCart(t, ItemInput{variant, 1})
	stranger.do(t, "POST", checkoutPath(theirs), form(), "Idempotency-Key", "k").want(201, "")
	s.CatchUp(t)

	walk := func(query string) (ids []id.ID) {
		next := "/v1/orders" + query
		for next != "" {
			var page web.List[Summary]
			r := c.do(t, "GET", next, nil).want(200, "")
			r.decode(&page)
			if len(page.Data) == 0 || len(page.Data) > 2 {
				t.Fatalf("a page of %d orders at %s", len(page.Data), next)
			}
			for _, order := range page.Data {
				ids = append(ids, order.ID)
				if (order.ExpiresAt == nil) != (order.Status == Paid) {
					t.Errorf("a %s order expires at %v", order.Status, order.ExpiresAt)
				}
			}
			next = ""
			if cursor := page.Page.NextCursor; cursor != nil {
				next = "/v1/orders" + query + "&cursor=" + url.QueryEscape(*cursor)
			}
			if linked := r.Header().Get("Link") != ""; linked != (next != "") {
				t.Errorf("Link %v beside next page %q", linked, next)
			}
		}
		return ids
	}
	if diff := cmp.Diff(want, walk("?limit=2")); diff != "" {
		t.Errorf("all orders (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]id.ID{want[1], want[3]}, walk("?status=paid&limit=1")); diff != "" {
		t.Errorf("paid orders (-want +got):\n%s", diff)
	}

	var page web.List[Summary]
	c.do(t, "GET", "/v1/orders?limit=2", nil).decode(&page)
	cursor := *page.Page.NextCursor
	stranger.do(t, "GET", "/v1/orders?cursor="+cursor, nil).want(400, "invalid_cursor")
	for query, code := range map[string]string{
		"status=paid&cursor=" + cursor:        "invalid_cursor",
		"cursor=x":                            "invalid_cursor",
		"cursor=" + strings.Repeat("A", 4000): "invalid_cursor",
		"limit=0":                             "invalid_parameter",
		"limit=101":                           "invalid_parameter",
		"status=lost":                         "invalid_parameter",
		"page=2":                              "unknown_parameter",
	} {
		c.do(t, "GET", "/v1/orders?"+query, nil).want(400, code)
	}
}

// TestOrderKeepsWhatWasSold: the catalog may change under a placed order.
func TestOrderKeepsWhatWasSold(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	c, cart := s.newCart(t, ItemInput{variant, 2})
	body := form()
	body.ShippingAddress.Line2, body.ShippingAddress.Region = "<2nd> & \"3rd\" floor", "Zürich"
	placed := c.do(t, "POST", checkoutPath(cart), body, "Idempotency-Key", "k").want(201, "")
	order := placed.order()
	if diff := cmp.Diff(body.ShippingAddress, order.ShippingAddress); diff != "" || order.Email != body.Email {
		t.Errorf("address (-sent +kept):\n%s", diff)
	}
	if window := order.ExpiresAt.Sub(order.CreatedAt); window != s.store.config.PaymentWindow {
		t.Errorf("expires after %v", window)
	}
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "UPDATE products SET name = 'Matcha', slug = 'matcha'")
	s.exec(t, admin, "UPDATE variants SET price = 9, sku = 'M', options = '{}'")
	s.CatchUp(t)
	if diff := cmp.Diff(placed.Body.String(), c.do(t, "GET", "/v1/orders/"+order.ID.String(), nil).Body.String()); diff != "" {
		t.Errorf("(-placed +later):\n%s", diff)
	}

	s.exec(t, admin, "UPDATE orders SET status = 'paid', version = 2")
	s.exec(t, admin, "INSERT INTO order_history VALUES ($1, 2, 'pending_payment', 'paid', 'test')", order.ID)
	s.CatchUp(t)
	r := c.do(t, "GET", "/v1/orders/"+order.ID.String(), nil).want(200, "")
	later := r.order()
	if len(later.History) != 2 || later.History[1].From == nil || *later.History[1].From != PendingPayment ||
		later.History[1].To != Paid || r.Header().Get("ETag") != `"2"` || later.ExpiresAt != nil {
		t.Errorf("a paid order: ETag %s, %+v", r.Header().Get("ETag"), later)
	}
}
