package orders

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/id"
)

// TestWhoMaySeeWhat asks every route as everybody. The list of routes is the
// router's own: a new route fails here until it has a row.
func TestWhoMaySeeWhat(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	owner, cart := s.newCart(t, ItemInput{variant, 1})
	order := owner.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k").want(201, "").order()
	open := owner.nextCart(t, ItemInput{variant, 1})
	foreign, _ := s.newCart(t)
	_, unissued := newShopper()

	type codes struct{ unknown, foreign string }
	hidden := codes{"not_found", "not_found"}
	routes := map[string]struct {
		path string
		body any
		codes
		anonymous string
	}{
		"POST /v1/carts":                           {"/v1/carts", nil, codes{"unauthorized", ""}, ""},
		"GET /v1/carts/{id}":                       {cartPath(open), nil, hidden, "unauthorized"},
		"POST /v1/carts/{id}/items":                {cartPath(open) + "/items", ItemInput{variant, 1}, hidden, "unauthorized"},
		"PUT /v1/carts/{id}/items/{variant_id}":    {cartPath(open) + "/items/" + variant.String(), `{"quantity":2}`, hidden, "unauthorized"},
		"DELETE /v1/carts/{id}/items/{variant_id}": {cartPath(open) + "/items/" + variant.String(), nil, hidden, "unauthorized"},
		"POST /v1/carts/{id}/checkout":             {checkoutPath(open), form(), hidden, "unauthorized"},
		"GET /v1/orders":                           {"/v1/orders", nil, codes{"unauthorized", ""}, "unauthorized"},
		"GET /v1/orders/{id}":                      {"/v1/orders/" + order.ID.String(), nil, hidden, "unauthorized"},
		"POST /v1/orders/{id}/payments":            {orderPath(order) + "/payments", `{"method":"test"}`, hidden, "unauthorized"},
		"POST /v1/orders/{id}/cancel":              {orderPath(order) + "/cancel", nil, hidden, "unauthorized"},
	}
	err := chi.Walk(s.handler.(chi.Router), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		row, ok := routes[method+" "+route]
		if !ok {
			t.Errorf("%s %s has no row", method, route)
			return nil
		}
		for _, who := range []struct{ name, bearer, want string }{
			{"nobody", "", row.anonymous},
			{"malformed", "Bearer abc", "unauthorized"},
			{"another scheme", "Basic " + owner.bearer, "unauthorized"},
			{"a token nobody was given", "Bearer " + unissued, row.unknown},
			{"another shopper", "Bearer " + foreign.bearer, row.foreign},
		} {
			// What both have done: else a late replica might not know the cart, or not the other shopper.
			c := &client{shop: s, position: owner.position.Merge(foreign.position)}
			var headers []string
			if who.bearer != "" {
				headers = []string{"Authorization", who.bearer}
			}
			r := c.do(t, method, row.path, row.body, append(headers, "Idempotency-Key", "k2")...)
			var problem struct{ Code string }
			r.decode(&problem)
			if problem.Code != who.want {
				t.Errorf("%s %s as %s: %d %s, want %q", method, route, who.name, r.Code, r.Body, who.want)
			}
			if r.Code == 401 && !strings.HasPrefix(r.Header().Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s %s as %s: 401 without a Bearer challenge", method, route, who.name)
			}
			if got := r.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("%s %s as %s: Cache-Control is %q", method, route, who.name, got)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := owner.do(t, "GET", cartPath(open), nil).want(200, "").cart(); got.Version != open.Version {
		t.Errorf("somebody changed the cart: version %d, was %d", got.Version, open.Version)
	}
	s.CatchUp(t)
	if got := owner.do(t, "GET", orderPath(order), nil).want(200, "").order(); got.Version != order.Version {
		t.Errorf("somebody changed the order: %+v", got.History)
	}
	for _, path := range []string{"/v1/carts/", "/v1/orders/"} {
		owner.do(t, "GET", path+id.New().String(), nil).want(404, "not_found")
		owner.do(t, "GET", path+"1", nil).want(404, "not_found")
		owner.do(t, "GET", path+order.ID.String()+"?fields=all", nil).want(400, "unknown_parameter")
	}
}

// TestTokenIsShownOnce also holds the database to knowing the digest alone.
func TestTokenIsShownOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c, cart := s.newCart(t)
	for _, r := range []reply{
		c.do(t, "POST", "/v1/carts", nil).want(201, ""),
		c.do(t, "GET", cartPath(cart), nil).want(200, ""),
		c.do(t, "GET", "/v1/orders", nil).want(200, ""),
	} {
		if strings.Contains(r.Body.String(), c.bearer) || strings.Contains(r.Body.String(), "shopper_token") {
			t.Errorf("the token is repeated: %s", r.Body)
		}
	}
	if n := one[int](t, s, "SELECT count(*) FROM shoppers"); n != 1 {
		t.Errorf("%d shoppers, want 1: the second cart is the first one's", n)
	}
	who, err := ParseShopper(c.bearer)
	if err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, s, "SELECT count(*) FROM shoppers WHERE token_digest = $1", who.digest[:]); n != 1 {
		t.Error("the shopper is not kept under the token's digest")
	}
}
