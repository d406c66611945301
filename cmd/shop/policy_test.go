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
	s := newBackOffice(t)
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
	route              string // method and pattern, as the router has them
	admin              bool
	op                 *openapi3.Operation
}

func (a ask) send(t *testing.T, me *shopper, token string) answer {
	t.Helper()
	headers := []string{"Idempotency-Key", id.New().String(), "If-Match", "*"}
	if token != "" {
		headers = append(headers, "Consistency-Token", token)
	}
	do := me.do
	if a.admin {
		do = me.adminDo
	}
	got := do(t, a.method, a.path, a.body, headers...)
	if got.status >= 300 {
		t.Errorf("%s %s: %d %s", a.method, a.path, got.status, got.body)
	}
	return got
}

// oneOfEach is an ask for every operation of the contract, first those that read, and
// last those that end something: a cart, an order, a category. An operation that needs
// something that is not here fails: give it what it needs.
func (me *shopper) oneOfEach(t testing.TB) []ask {
	t.Helper()
	bought := &shopper{shop: me.shop, auth: me.auth}
	bought.cart = "/v1/carts/" + bought.do(t, "POST", "/v1/carts", `{"items":[`+item(me.variant, "1")+`]}`).field("id")
	order := bought.checkout(t, "bought").field("id")
	own := me.newStaff(t)
	paths := strings.NewReplacer(
		"/v1/carts/{id}", me.cart, "/v1/orders/{id}", "/v1/orders/"+order,
		"/v1/admin/categories/{id}", "/v1/admin/categories/"+own.empty, "/v1/admin/products/{id}", "/v1/admin/products/"+own.product,
		"/v1/admin/variants/{id}", "/v1/admin/variants/"+own.variant, "/v1/admin/orders/{id}", "/v1/admin/orders/"+own.paid,
		"/v1/categories/{slug}", "/v1/categories/"+me.category, "{slug}", me.slug,
		"{variant_id}", me.variant, "/docs/{file}", "/docs/docs.css", "/lab/{file}", "/lab/lab.css", "{code}", "not_found")
	queries := map[string]string{
		"getAvailability": "?variant_id=" + me.variant, "searchProducts": "?q=chair", "suggest": "?q=chair",
	}
	bodies := map[string]string{
		"createCart": "{}", "addCartItem": item(me.variant, "1"), "setCartItem": `{"quantity":1}`, "checkout": checkoutBody,
		"payOrder": `{"method":"test"}`, "cancelOrder": `{"reason":"changed my mind"}`,
		"createCategory": `{"name":"Asked","slug":"asked"}`, "changeCategory": `{"position":1}`,
		"createProduct": `{"name":"Asked","slug":"asked","category_id":"` + own.category + `"}`, "changeProduct": `{"status":"active"}`,
		"createVariant": `{"sku":"asked","options":{"color":"red"},"price":{"amount":1,"currency":"EUR"}}`, "changeVariant": `{"active":false}`,
		"adjustStock": `{"delta":1,"reason":"delivery"}`, "moveOrder": `{"status":"shipped"}`,
	}
	var asks []ask
	for path, at := range theContract(t).doc.Paths.Map() {
		for method, op := range at.Operations() {
			asks = append(asks, ask{
				method: method, path: paths.Replace(path) + queries[op.OperationID], body: bodies[op.OperationID],
				route: method + " " + path, admin: forAdmins(at), op: op,
			})
		}
	}
	rank := func(a ask) int {
		switch {
		case a.method == http.MethodGet:
			return 0
		case a.op.OperationID == "addCartItem": // there must be something to buy
			return 2
		case slices.Contains([]string{"checkout", "cancelOrder", "deleteCategory"}, a.op.OperationID):
			return 3
		}
		return 1
	}
	slices.SortFunc(asks, func(a, b ask) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.method+a.path, b.method+b.path))
	})
	return asks
}

// staff is what the admin operations may change and end without doing harm to others.
type staff struct{ name, category, empty, product, variant, paid string }

func (me *shopper) newStaff(t testing.TB) staff {
	t.Helper()
	name := id.New().String()
	made := func(path, body string) string { return me.must(t, 201, "POST", "/v1/admin/"+path, body).field("id") }
	own := staff{
		name:     name,
		category: made("categories", `{"name":"Full","slug":"full-`+name+`"}`),
		empty:    made("categories", `{"name":"Empty","slug":"empty-`+name+`"}`),
	}
	own.product = made("products", `{"name":"Own","slug":"`+name+`","category_id":"`+own.category+
		`","options":[{"name":"color","values":["natural","red"]}]}`)
	own.variant = made("products/"+own.product+"/variants", `{"sku":"`+name+`","options":{"color":"natural"},"price":{"amount":1,"currency":"EUR"}}`)
	me.must(t, 201, "POST", "/v1/admin/variants/"+own.variant+"/stock-adjustments", `{"delta":1000,"reason":"delivery"}`, "Idempotency-Key", name)

	bought := &shopper{shop: me.shop, auth: me.auth}
	bought.cart = "/v1/carts/" + bought.do(t, "POST", "/v1/carts", `{"items":[`+item(me.variant, "1")+`]}`).field("id")
	own.paid = bought.checkout(t, name).field("id")
	if a := me.do(t, "POST", "/v1/orders/"+own.paid+"/payments", `{"method":"test"}`, "Idempotency-Key", name); a.status != 200 {
		t.Fatalf("pay: %d %s", a.status, a.body)
	}
	return own
}
