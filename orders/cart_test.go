package orders

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/id"
)

// TestCartToOrder walks the way of a shopper, and holds each step to what the
// next one reads, on whatever node that is.
func TestCartToOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	green, black := s.variant(t, 450, 10), s.variant(t, 1999, 3)

	c, cart := s.newCart(t, ItemInput{green, 2})
	if len(c.bearer) != 43 {
		t.Fatalf("token of %d characters, want 43", len(c.bearer))
	}
	cart = c.do(t, "POST", cartPath(cart)+"/items", ItemInput{black, 1}).want(200, "").cart()
	cart = c.do(t, "POST", cartPath(cart)+"/items", ItemInput{green, 1}).want(200, "").cart()
	want := Cart{
		ID: cart.ID, Status: "open", Version: 3, Subtotal: euros(3*450 + 1999), Warnings: []Warning{},
		Items: []CartItem{
			{VariantID: green, ProductSlug: "green-tea", Name: "Green tea", Quantity: 3, UnitPrice: euros(450), LineTotal: euros(1350), Availability: "in_stock"},
			{VariantID: black, ProductSlug: "green-tea", Name: "Green tea", Quantity: 1, UnitPrice: euros(1999), LineTotal: euros(1999), Availability: "low"},
		},
	}
	if diff := cmp.Diff(want, cart); diff != "" {
		t.Error("cart after adding (-want +got):\n", diff)
	}
	read := c.do(t, "GET", cartPath(cart), nil).want(200, "")
	if diff := cmp.Diff(want, read.cart()); diff != "" {
		t.Error("cart as read (-want +got):\n", diff)
	}
	if got := read.Header().Get("ETag"); got != `"3"` {
		t.Errorf("ETag %s, want \"3\"", got)
	}

	placed := c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k").want(201, "")
	order := placed.order()
	if got, want := placed.Header().Get("Location"), "/v1/orders/"+order.ID.String(); got != want {
		t.Errorf("Location %s, want %s", got, want)
	}
	if order.Totals.Total != want.Subtotal || order.Status != PendingPayment || len(order.Items) != 2 {
		t.Errorf("order does not repeat the cart: %+v", order)
	}
	again := c.do(t, "GET", placed.Header().Get("Location"), nil).want(200, "")
	if diff := cmp.Diff(placed.Body.String(), again.Body.String()); diff != "" {
		t.Error("GET differs from what the checkout answered (-checkout +get):\n", diff)
	}
	if got := c.do(t, "GET", cartPath(cart), nil).want(200, "").cart().Status; got != "ordered" {
		t.Errorf("cart is %s after the checkout", got)
	}
	c.do(t, "POST", cartPath(cart)+"/items", ItemInput{green, 1}).want(409, "cart_closed")
}

func TestSetAndRemove(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant, off := s.variant(t, 450, 10), s.variant(t, 450, 10)
	s.exec(t, s.Admin(t, s.Primary()), "UPDATE variants SET active = false WHERE id = $1", off)
	c, cart := s.newCart(t)
	path := cartPath(cart) + "/items/" + variant.String()
	set := func(n int, headers ...string) reply {
		return c.do(t, "PUT", path, map[string]int{"quantity": n}, headers...)
	}
	quantity := func(r reply) int {
		items := r.want(200, "").cart().Items
		if len(items) == 0 {
			return 0
		}
		return items[0].Quantity
	}
	for step, got := range []struct{ got, want int }{
		{quantity(set(5)), 5},
		{quantity(set(2)), 2},
		{quantity(set(0)), 0},
		{quantity(set(0)), 0},
		{quantity(set(999)), 999},
		{quantity(c.do(t, "DELETE", path, nil)), 0},
		{quantity(c.do(t, "DELETE", path, nil)), 0},
	} {
		if got.got != got.want {
			t.Errorf("step %d leaves %d, want %d", step, got.got, got.want)
		}
	}
	set(1000).want(422, "invalid_body")
	set(-1).want(422, "invalid_body")
	c.do(t, "PUT", path, `{}`).want(422, "invalid_body")
	for _, unknown := range []string{id.New().String(), off.String(), "1"} {
		c.do(t, "PUT", cartPath(cart)+"/items/"+unknown, `{"quantity":1}`).want(404, "not_found")
	}
}

// TestExpiredCart: only an open cart takes changes or becomes an order. The
// unique index on orders.cart_id would not stop this one.
func TestExpiredCart(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	c, cart := s.newCart(t, ItemInput{variant, 1})
	s.exec(t, s.Admin(t, s.Primary()), "UPDATE carts SET status = 'expired'")
	path := cartPath(cart) + "/items/" + variant.String()
	c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k").want(409, "cart_closed")
	c.do(t, "PUT", path, `{"quantity":1}`).want(409, "cart_closed")
	c.do(t, "DELETE", path, nil).want(409, "cart_closed")
	if n := one[int](t, s, "SELECT count(*) FROM orders"); n != 0 {
		t.Error("an expired cart became an order")
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	c, cart := s.newCart(t)
	for _, tt := range []struct {
		header string
		status int
		code   string
	}{
		{`"1"`, 200, ""},
		{`"1"`, 412, "version_mismatch"},
		{`"3"`, 412, "version_mismatch"},
		{`"2"`, 200, ""},
		{`*`, 200, ""},
		{`W/"4"`, 412, "version_mismatch"},
		{`4`, 400, "if_match_invalid"},
		{`"4"`, 200, ""},
	} {
		c.do(t, "POST", cartPath(cart)+"/items", ItemInput{variant, 1}, "If-Match", tt.header).want(tt.status, tt.code)
	}
	path := cartPath(cart) + "/items/" + variant.String()
	c.do(t, "PUT", path, `{"quantity":1}`, "If-Match", `"4"`).want(412, "version_mismatch")
	c.do(t, "DELETE", path, nil, "If-Match", `"4"`).want(412, "version_mismatch")
	if got := c.do(t, "DELETE", path, nil, "If-Match", `"5"`).want(200, "").Header().Get("ETag"); got != `"6"` {
		t.Errorf("ETag %s after six versions", got)
	}
	for _, ignored := range []string{`"5"`, `W/"6"`, `6`, `*`} { // nothing is changed by reading
		c.do(t, "GET", cartPath(cart), nil, "If-Match", ignored).want(200, "")
	}
}

func TestLimitsOfACart(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var full []ItemInput
	for range MaxLines {
		full = append(full, ItemInput{s.variant(t, 1, 10), 1})
	}
	extra := s.variant(t, 1, 10)
	c, cart := s.newCart(t, full...)
	items := cartPath(cart) + "/items"
	c.do(t, "POST", items, ItemInput{extra, 1}).want(422, "too_many_lines")
	c.do(t, "PUT", items+"/"+extra.String(), `{"quantity":1}`).want(422, "too_many_lines")
	c.do(t, "POST", items, ItemInput{full[7].VariantID, 998}).want(200, "")
	c.do(t, "POST", items, ItemInput{full[7].VariantID, 1}).want(422, "quantity_out_of_range")
	c.do(t, "POST", "/v1/carts", map[string]any{"items": append(full, ItemInput{extra, 1})}).want(422, "invalid_body")
	if got := c.do(t, "GET", cartPath(cart), nil).want(200, "").cart(); got.Version != 2 || len(got.Items) != MaxLines {
		t.Errorf("refused changes left their mark: version %d, %d lines", got.Version, len(got.Items))
	}
}

func TestNotForSale(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	admin := s.Admin(t, s.Primary())
	good, off, unknown := s.variant(t, 450, 10), s.variant(t, 450, 10), id.New()
	c, cart := s.newCart(t, ItemInput{good, 2}, ItemInput{off, 3})
	s.exec(t, admin, "UPDATE variants SET active = false WHERE id = $1", off)
	s.exec(t, admin, "UPDATE variants SET price = 500 WHERE id = $1", good)
	s.CatchUp(t)

	r := c.do(t, "POST", "/v1/carts", map[string]any{"items": []ItemInput{{good, 1}, {unknown, 1}, {off, 1}}}).want(422, "variant_unavailable")
	var problem struct {
		IDs []id.ID `json:"variant_ids"`
	}
	if r.decode(&problem); !cmp.Equal(problem.IDs, []id.ID{unknown, off}) {
		t.Errorf("not for sale: %v, want %v and %v", problem.IDs, unknown, off)
	}
	c.do(t, "POST", cartPath(cart)+"/items", ItemInput{off, 1}).want(422, "variant_unavailable")

	got := c.do(t, "GET", cartPath(cart), nil).want(200, "").cart()
	want := []Warning{{"price_changed", good}, {"variant_unavailable", off}}
	if diff := cmp.Diff(want, got.Warnings); diff != "" || !got.Items[0].PriceChanged || got.Items[0].UnitPrice != euros(500) {
		t.Errorf("the cart does not tell: %+v, warnings (-want +got):\n%s", got.Items[0], diff)
	}
	c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k").want(409, "insufficient_stock")
	c.do(t, "DELETE", cartPath(cart)+"/items/"+off.String(), nil).want(200, "")
	order := c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k2").want(201, "").order()
	if order.Totals.Total != euros(1000) {
		t.Errorf("sold for %v, want the present price", order.Totals.Total)
	}
	s.audit(t)
}
