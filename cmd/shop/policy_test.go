package main

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
)

// x-read-policy is what the program does, seen from outside:
//
//	bounded  a replica answers and leaves no token
//	session  a replica answers and leaves a token
//	primary  the primary answers and leaves a token
//	none     nobody is asked
//
// And each but none honours a token that was sent: what replicas that do not replay
// cannot have comes from the primary, with the reason token.
func TestReadPolicies(t *testing.T) {
	s := newShop(t)
	me := s.newShopper(t, item(s.variant, "1"))
	asks := me.oneOfEach(t)
	s.CatchUp(t)
	dbtest.Eventually(t, "a replica serves", func() bool { return fromReplica(s.get(t, "/v1/products/"+s.slug)) })
	for _, ask := range asks {
		a := ask.send(t, me, "")
		seen := "none"
		switch {
		case fromReplica(a) && a.token() == "":
			seen = "bounded"
		case fromReplica(a):
			seen = "session"
		case strings.HasPrefix(a.source(), "primary;") && a.token() != "":
			seen = "primary"
		}
		if want := ask.op.Extensions["x-read-policy"]; seen != want {
			t.Errorf("%s %s is %s: from %q, token %q; the contract says %s", ask.method, ask.path, seen, a.source(), a.token(), want)
		}
	}
	s.Pause(t)
	token := me.do(t, "POST", "/v1/carts", "{}").token()
	for _, ask := range asks {
		if ask.method != http.MethodGet {
			continue
		}
		want := "primary;reason=token"
		if ask.op.Extensions["x-read-policy"] == "none" {
			want = ""
		}
		if a := ask.send(t, me, token); a.source() != want {
			t.Errorf("%s with a token that no replica has reached: from %q, want %q", ask.path, a.source(), want)
		}
	}
}

// An ask is a request that an operation answers with success.
type ask struct {
	method, path, body string
	op                 *openapi3.Operation
}

func (a ask) send(t *testing.T, me *shopper, token string) answer {
	t.Helper()
	headers := []string{"Idempotency-Key", id.New().String()}
	if token != "" {
		headers = append(headers, "Consistency-Token", token)
	}
	got := me.do(t, a.method, a.path, a.body, headers...)
	if got.status >= 300 {
		t.Errorf("%s %s: %d %s", a.method, a.path, got.status, got.body)
	}
	return got
}

// oneOfEach is an ask for every operation of the contract, first those that read, and
// the checkout, which closes the cart, last. An operation that needs something that is
// not here fails: give it what it needs.
func (me *shopper) oneOfEach(t *testing.T) []ask {
	t.Helper()
	bought := &shopper{shop: me.shop, auth: me.auth}
	bought.cart = "/v1/carts/" + bought.do(t, "POST", "/v1/carts", `{"items":[`+item(me.variant, "1")+`]}`).field("id")
	order := bought.checkout(t, "bought").field("id")
	paths := strings.NewReplacer(
		"/v1/carts/{id}", me.cart, "/v1/orders/{id}", "/v1/orders/"+order,
		"/v1/categories/{slug}", "/v1/categories/"+me.category, "{slug}", me.slug,
		"{variant_id}", me.variant, "{file}", "docs.css", "{code}", "not_found")
	queries := map[string]string{
		"getAvailability": "?variant_id=" + me.variant, "searchProducts": "?q=chair", "suggest": "?q=chair",
	}
	bodies := map[string]string{
		"createCart": "{}", "addCartItem": item(me.variant, "1"), "setCartItem": `{"quantity":1}`, "checkout": checkoutBody,
	}
	var asks []ask
	for path, at := range theContract(t).doc.Paths.Map() {
		for method, op := range at.Operations() {
			asks = append(asks, ask{method, paths.Replace(path) + queries[op.OperationID], bodies[op.OperationID], op})
		}
	}
	rank := func(a ask) int {
		switch {
		case a.method == http.MethodGet:
			return 0
		case a.op.OperationID == "addCartItem": // there must be something to buy
			return 2
		case a.op.OperationID == "checkout":
			return 3
		}
		return 1
	}
	slices.SortFunc(asks, func(a, b ask) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.method+a.path, b.method+b.path))
	})
	return asks
}
