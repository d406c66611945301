package main

import (
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"example.com/leeway/internal/id"
)

// A refusal is what is wrong, as agreements name it, and a request that is refused so.
type refusal struct {
	wrong, method, path, body string
	headers                   []string
}

// refusedElsewhere need a fault, and have it in another test.
var refusedElsewhere = map[string]string{
	"primary_unavailable":    "TestHealth",
	"no_synchronous_standby": "TestReplicationTellsThatNothingConfirms",
	"outcome_unknown":        "TestStoppingDoesNotWaitForAStandby",
	"503":                    "TestNotReadyWithoutAnyNode",
}

// Every refusal that was agreed upon is given by a running shop, with the headers and
// the problem that the contract has for it.
func TestEveryAgreedRefusalIsGiven(t *testing.T) {
	b := newBackOffice(t)
	me := b.newShopper(t, item(b.variant, "1"))
	given := map[string]bool{}
	for _, r := range b.refusals(t, me) {
		var body io.Reader
		if r.body != "" {
			body = strings.NewReader(r.body)
		}
		admin := strings.HasPrefix(r.path, "/v1/admin/")
		url, who := b.url, []string{"Authorization", me.auth}
		if admin {
			url, who = b.back, []string{"X-API-Key", canaryAll}
		}
		if r.wrong == "401" {
			who = nil
		}
		a := send(t, r.method, url+r.path, body, append(who, r.headers...)...)
		if r.wrong != strconv.Itoa(a.status) && r.wrong != a.field("code") {
			t.Errorf("%s %s: %d %s, want %s", r.method, r.path, a.status, a.body, r.wrong)
		}
		path, _, _ := strings.Cut(r.path, "?")
		_, pattern, _ := theContract(t).find(admin, r.method, path)
		given[r.method+" "+pattern+" "+r.wrong] = true
	}
	for _, line := range agreed {
		for wrong := range strings.FieldsSeq(line.refuses) {
			if !given[line.operation+" "+wrong] && refusedElsewhere[wrong] == "" {
				t.Errorf("%s is never refused as %s here", line.operation, wrong)
			}
		}
	}
}

func (b *backOffice) refusals(t *testing.T, me *shopper) (all []refusal) {
	t.Helper()
	add := func(wrong, method, path, body string, headers ...string) {
		all = append(all, refusal{wrong, method, path, body, headers})
	}
	b.browsingRefusals(add)
	b.shoppingRefusals(t, me, add)
	b.officeRefusals(t, me, add)
	return all
}

type addRefusal func(wrong, method, path, body string, headers ...string)

func (b *backOffice) browsingRefusals(add addRefusal) {
	for _, path := range []string{"/v1/categories", "/v1/categories/" + b.category, "/v1/products/" + b.slug} {
		add("304", "GET", path, "", "If-None-Match", "*")
	}
	for _, path := range []string{"/v1/categories/none", "/v1/products/none"} {
		add("404", "GET", path, "")
	}
	for _, path := range []string{"/v1/products?limit=0", "/v1/availability", "/v1/search?q=", "/v1/search/suggest?limit=0"} {
		add("400", "GET", path, "")
	}
	for _, path := range []string{"/v1/products?", "/v1/search?q=chair&", "/v1/orders?", "/v1/admin/orders?", "/v1/admin/variants/" + b.variant + "/stock-movements?"} {
		add("invalid_cursor", "GET", path+"cursor=AAAA", "")
	}
}

func (b *backOffice) shoppingRefusals(t *testing.T, me *shopper, add addRefusal) {
	t.Helper()
	cart := func(items string) string {
		return "/v1/carts/" + me.do(t, "POST", "/v1/carts", `{"items":[`+items+`]}`).field("id")
	}
	buy := func() (closed, order string) {
		s := &shopper{shop: me.shop, auth: me.auth, cart: cart(item(b.variant, "1"))}
		return s.cart, "/v1/orders/" + s.checkout(t, s.cart).field("id")
	}
	const key, any = "Idempotency-Key", "an order"
	nobodys, one := id.New().String(), item(b.variant, "1")
	empty, full := cart(""), cart(item(b.variant, "999"))
	closed, waiting := buy()
	_, overdue := buy()

	add("422", "POST", "/v1/carts", `{"items":[`+item(b.variant, "0")+`]}`)
	add("variant_unavailable", "POST", "/v1/carts", `{"items":[`+item(nobodys, "1")+`]}`)
	for _, path := range []string{me.cart, waiting, "/v1/orders"} {
		add("401", "GET", path, "")
	}
	add("404", "GET", "/v1/carts/"+nobodys, "")
	add("404", "GET", "/v1/orders/"+nobodys, "")
	add("304", "GET", waiting, "", "If-None-Match", `"1"`)
	line := "/items/" + b.variant
	for _, change := range []struct{ method, path, body string }{{"POST", "/items", one}, {"PUT", line, `{"quantity":1}`}, {"DELETE", line, ""}} {
		add("404", change.method, "/v1/carts/"+nobodys+change.path, change.body)
		add("cart_closed", change.method, closed+change.path, change.body)
		add("412", change.method, me.cart+change.path, change.body, "If-Match", `"99"`)
		if change.body != "" {
			add("422", change.method, me.cart+change.path, `{"quantity":-1}`)
		}
	}
	add("idempotency_key_missing", "POST", me.cart+"/checkout", checkoutBody)
	add("idempotency_in_progress", "POST", me.cart+"/checkout", checkoutBody, key, b.holdKey(t))
	add("insufficient_stock", "POST", full+"/checkout", checkoutBody, key, full)
	add("price_changed", "POST", me.cart+"/checkout", strings.TrimSuffix(checkoutBody, "}")+`,"expected_total":{"amount":1,"currency":"EUR"}}`, key, any)
	add("idempotency_key_reused", "POST", me.cart+"/checkout", checkoutBody, key, any)
	add("cart_closed", "POST", closed+"/checkout", checkoutBody, key, "again")
	add("cart_empty", "POST", empty+"/checkout", checkoutBody, key, empty)
	add("412", "POST", me.cart+"/checkout", checkoutBody, key, "stale", "If-Match", `"99"`)

	b.exec(t, "UPDATE orders SET expires_at = now() - interval '1 second' WHERE id = $1", strings.TrimPrefix(overdue, "/v1/orders/"))
	add("idempotency_key_missing", "POST", waiting+"/payments", `{"method":"test"}`)
	add("payment_declined", "POST", waiting+"/payments", `{"method":"test","outcome":"declined"}`, key, "declined")
	add("order_expired", "POST", overdue+"/payments", `{"method":"test"}`, key, "too late")
	add("412", "POST", waiting+"/cancel", "", "If-Match", `"99"`)
	if n, err := b.orders.ExpireOrders(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d orders expired, %v", n, err)
	}
	add("order_not_cancellable", "POST", overdue+"/cancel", "")
}

func (b *backOffice) officeRefusals(t *testing.T, me *shopper, add addRefusal) {
	t.Helper()
	own := me.newStaff(t)
	const categories, products, variants, orders = "/v1/admin/categories/", "/v1/admin/products/", "/v1/admin/variants/", "/v1/admin/orders/"
	nobodys := id.New().String()
	for _, change := range []struct{ method, path, id, body string }{
		{"PATCH", categories, own.empty, `{"position":1}`},
		{"DELETE", categories, own.empty, ""},
		{"PATCH", products, own.product, `{"name":"P"}`},
		{"DELETE", products, own.product, ""},
		{"PATCH", variants, own.variant, `{"active":true}`},
		{"PATCH", orders, own.paid, `{"status":"shipped"}`},
	} {
		add("404", change.method, change.path+nobodys, change.body, "If-Match", "*")
		add("412", change.method, change.path+change.id, change.body, "If-Match", `"99"`)
		add("428", change.method, change.path+change.id, change.body)
	}
	const match, price = "If-Match", `"price":{"amount":1,"currency":"EUR"}`
	add("slug_taken", "POST", "/v1/admin/categories", `{"name":"C","slug":"`+b.category+`"}`)
	add("slug_taken", "PATCH", categories+own.empty, `{"slug":"`+b.category+`"}`, match, "*")
	add("category_cycle", "PATCH", categories+own.empty, `{"parent_id":"`+own.empty+`"}`, match, "*")
	add("category_not_empty", "DELETE", categories+own.category, "", match, "*")
	add("slug_taken", "POST", "/v1/admin/products", `{"name":"P","slug":"`+b.slug+`","category_id":"`+own.category+`"}`)
	add("422", "POST", "/v1/admin/products", `{"name":"P","slug":"p","category_id":"`+nobodys+`"}`)
	add("404", "GET", products+nobodys, "")
	add("slug_taken", "PATCH", products+own.product, `{"slug":"`+b.slug+`"}`, match, "*")
	add("422", "PATCH", products+own.product, `{"status":"gone"}`, match, "*")
	add("sku_taken", "POST", products+own.product+"/variants", `{"sku":"`+own.name+`","options":{"color":"red"},`+price+`}`)
	add("404", "POST", products+nobodys+"/variants", `{"sku":"s",`+price+`}`)
	b.must(t, 201, "POST", products+own.product+"/variants", `{"sku":"other","options":{"color":"red"},`+price+`}`)
	add("sku_taken", "PATCH", variants+own.variant, `{"sku":"other"}`, match, "*")
	adjust := variants + own.variant + "/stock-adjustments"
	add("idempotency_key_missing", "POST", adjust, `{"delta":1,"reason":"count"}`)
	add("stock_conflict", "POST", adjust, `{"delta":1,"reason":"count","expected_stock":7}`, "Idempotency-Key", "a")
	add("insufficient_stock", "POST", adjust, `{"delta":-1000000,"reason":"fire"}`, "Idempotency-Key", "b")
	add("404", "POST", variants+nobodys+"/stock-adjustments", `{"delta":1,"reason":"count"}`, "Idempotency-Key", "c")
	add("404", "GET", variants+nobodys+"/stock-movements", "")
	add("invalid_transition", "PATCH", orders+own.paid, `{"status":"delivered"}`, match, "*")
}

func (b *backOffice) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := b.Admin(t, b.Primary()).Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// holdKey returns a key under which every shopper has a checkout under way.
func (b *backOffice) holdKey(t *testing.T) string {
	t.Helper()
	conn := b.Admin(t, b.Primary())
	for _, sql := range []string{"BEGIN", "INSERT INTO idempotency_keys (caller, route, key, fingerprint) SELECT token_digest, 'checkout', '" + canary + "-held', '' FROM shoppers"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return "held" // plantSecrets makes it the one above
}

func TestNotReadyWithoutAnyNode(t *testing.T) {
	rec := httptest.NewRecorder()
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil)
	newBlind(t).handler().ServeHTTP(rec, req)
	if rec.Code != 503 || rec.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	theContract(t).check(t, req, answer{rec.Code, rec.Header(), rec.Body.Bytes()})
}
