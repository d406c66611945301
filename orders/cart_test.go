package orders

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCartToOrder walks the way of a shopper, and holds each step to what the
// next one reads, on whatever node that is.
func TestCartToOrder(t *testing.T) {
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
