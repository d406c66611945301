package main

import (
	"io"
	"strconv"
	"strings"
	"testing"

	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// A badRequest must be answered by a problem of the 400s.
type badRequest struct {
	name, method, path, body string
	headers                  []string
	want                     int // 0: any 4xx
}

func TestBadInputIsAProblemOfTheClient(t *testing.T) {
	s := newShop(t)
	me := s.newShopper(t, item(s.variant, "1"))
	for _, bad := range s.badRequests(me) {
		t.Run(bad.name, func(t *testing.T) {
			var body io.Reader
			if bad.body != "" {
				body = strings.NewReader(bad.body)
			}
			a := send(t, bad.method, s.url+bad.path, body, append([]string{"Authorization", me.auth}, bad.headers...)...)
			checkProblem(t, bad, a)
		})
	}
	if a := me.do(t, "GET", me.cart, ""); a.field("version") != "1" {
		t.Errorf("the cart is at version %s: a bad request changed it", a.field("version"))
	}
}

func checkProblem(t *testing.T, bad badRequest, a answer) {
	t.Helper()
	if a.status < 400 || a.status > 499 || bad.want != 0 && a.status != bad.want {
		t.Errorf("%s %.80s: %d %.300s, want %d", bad.method, bad.path, a.status, a.body, bad.want)
		return
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	if a.field("status") != strconv.Itoa(a.status) || a.field("code") == "null" || a.field("request_id") == "null" ||
		a.field("type") != "/problems/"+a.field("code") {
		t.Errorf("not a complete problem: %s", a.body)
	}
	for _, leak := range []string{"SQLSTATE", "ERROR:", "127.0.0.1", "pgx", "goroutine"} {
		if strings.Contains(string(a.body), leak) {
			t.Errorf("the problem tells %q: %s", leak, a.body)
		}
	}
}

// badRequests has every kind of bad input for every route that takes it.
func (s *shop) badRequests(me *shopper) []badRequest {
	var list []badRequest
	add := func(method, path, body string, want int, name string, headers ...string) {
		list = append(list, badRequest{method + " " + strings.SplitN(path, "?", 2)[0] + " " + name, method, path, body, headers, want})
	}
	for _, path := range []string{
		"/v1/categories", "/v1/categories/" + s.slug, "/v1/products", "/v1/products/" + s.slug, "/v1/availability",
		"/v1/search", "/v1/search/suggest", me.cart, "/v1/orders", "/v1/orders/" + id.New().String(),
	} {
		add("GET", path+"?surprise=1", "", 400, "unknown parameter")
		add("GET", path+"?%zz=1", "", 400, "bad escape")
		add("GET", path+"?a=%00", "", 400, "NUL byte")
		add("GET", path+"?%ff=1", "", 400, "invalid UTF-8")
		add("DELETE", path, "", 405, "method")
		add("GET", path, "", 406, "accept", "Accept", "text/plain")
	}
	for _, path := range []string{"/v1/products", "/v1/search"} {
		for _, query := range []string{
			"limit=0", "limit=-1", "limit=101", "limit=x", "limit=99999999999999999999", "limit=1&limit=2",
			"price_min=x", "price_min=-1", "price_max=1.5", "price_min=5&price_max=1", "in_stock=maybe",
			"option=color", "option=:red", "cursor=%21%21", "cursor=AAAA", "cursor=" + strings.Repeat("A", 5000), "category=%00",
		} {
			add("GET", path+"?q=chair&"+query, "", 400, query[:min(len(query), 40)])
		}
	}
	for i := range list { // q is not a parameter of the list
		list[i].path = strings.Replace(list[i].path, "/v1/products?q=chair&", "/v1/products?", 1)
	}
	for _, q := range []string{"", strings.Repeat("x", 101), strings.Repeat("x", 10_000), "%00", "%ff"} {
		add("GET", "/v1/search?q="+q, "", 400, "q="+q[:min(len(q), 8)]+" of "+strconv.Itoa(len(q)))
		if q != "" { // a box with nothing typed into it yet has no suggestions
			add("GET", "/v1/search/suggest?q="+q, "", 400, "q="+q[:min(len(q), 8)]+" of "+strconv.Itoa(len(q)))
		}
	}
	add("GET", "/v1/products?sort=random", "", 400, "sort")
	add("GET", "/v1/search?q=x&facets=everything", "", 400, "facets")
	add("GET", "/v1/categories?depth=x", "", 400, "depth")
	add("GET", "/v1/categories?depth=0", "", 400, "depth")
	add("GET", "/v1/availability", "", 400, "no id")
	add("GET", "/v1/availability?variant_id=x", "", 400, "bad UUID")
	add("GET", "/v1/availability?variant_id="+strings.Repeat(s.variant+"&variant_id=", 50)+s.variant, "", 400, "51 ids")
	add("GET", "/v1/orders?status=lost", "", 400, "status")
	add("GET", "/v1/orders?cursor=AAAA", "", 400, "cursor")
	add("GET", "/v1/nowhere", "", 404, "no route")
	for _, path := range []string{"/v1/products/%00", "/v1/products/" + strings.Repeat("x", 5000), "/v1/products/No_Such", "/v1/categories/..%2f", "/v1/carts/x", "/v1/orders/x", "/v1/orders/" + id.New().String()} {
		add("GET", path, "", 404, "path")
	}
	for _, headers := range [][]string{{"Authorization", "Bearer"}, {"Authorization", "Basic x"}, {"Authorization", "Bearer x"}, {"Authorization", "Bearer " + strings.Repeat("A", 9000)}} {
		add("GET", me.cart, "", 0, headers[1][:min(len(headers[1]), 12)], headers...)
		add("GET", "/v1/orders", "", 401, headers[1][:min(len(headers[1]), 12)], headers...)
	}
	s.badBodies(me, add)
	return list
}

func (s *shop) badBodies(me *shopper, add func(method, path, body string, want int, name string, headers ...string)) {
	large := `{"x":"` + strings.Repeat("a", web.MaxBody+1) + `"}`
	key := []string{"Idempotency-Key", "bad-bodies"}
	for _, at := range []struct{ method, path string }{
		{"POST", "/v1/carts"}, {"POST", me.cart + "/items"}, {"PUT", me.cart + "/items/" + s.variant}, {"POST", me.cart + "/checkout"},
	} {
		for _, c := range []struct {
			body string
			want int
		}{
			{"{", 400},
			{"{}{}", 400},
			{"[]", 422},
			{"null", 422},
			{`"x"`, 422},
			{`{"surprise":1}`, 422},
			{"\xff", 400},
			{large, 413},
			{`{"a":"\u0000"}`, 422},
			{`{"quantity":"2","items":"x","email":5}`, 422},
			{`{"quantity":1.5,"items":[1],"email":[]}`, 422},
			{`{"quantity":1e99,"items":{},"email":{}}`, 422},
		} {
			add(at.method, at.path, c.body, c.want, "body "+c.body[:min(len(c.body), 30)], key...)
		}
		add(at.method, at.path, "{}", 415, "content type", append(key, "Content-Type", "text/plain")...)
	}
	for _, quantity := range []string{"-1", "1000", "2147483648", "99999999999999999999", "null", `"1"`, "true"} {
		add("POST", me.cart+"/items", item(s.variant, quantity), 422, "quantity "+quantity)
		add("POST", "/v1/carts", `{"items":[`+item(s.variant, quantity)+`]}`, 422, "quantity "+quantity)
		add("PUT", me.cart+"/items/"+s.variant, `{"quantity":`+quantity+`}`, 422, "quantity "+quantity)
	}
	add("POST", me.cart+"/items", item(s.variant, "0"), 422, "quantity 0")
	add("POST", me.cart+"/items", item("x", "1"), 422, "bad UUID")
	add("POST", me.cart+"/items", item(id.New().String(), "1"), 0, "unknown variant")
	add("PUT", me.cart+"/items/x", `{"quantity":1}`, 404, "bad UUID")
	add("PUT", me.cart+"/items/"+s.variant, `{"quantity":2}`, 412, "stale If-Match", "If-Match", `"99"`)
	add("DELETE", me.cart+"/items/"+s.variant, "", 412, "weak If-Match", "If-Match", `W/"1"`)
	checkout := me.cart + "/checkout"
	add("POST", checkout, checkoutBody, 400, "no key")
	add("POST", checkout, checkoutBody, 400, "long key", "Idempotency-Key", strings.Repeat("k", 256))
	add("POST", checkout, checkoutBody, 400, "key with a space of another script", "Idempotency-Key", "k\u00a0")
	for _, email := range []string{"", "x", "@", "a@b@c", strings.Repeat("x", 300) + "@example.com", `a\u0000@example.com`} {
		add("POST", checkout, strings.Replace(checkoutBody, "ada@"+canaryHome+".example", email, 1), 422, "email "+email[:min(len(email), 10)], key...)
	}
	add("POST", checkout, strings.Replace(checkoutBody, `"GB"`, `"XX1"`, 1), 422, "country", key...)
	add("POST", checkout, strings.Replace(checkoutBody, `"city":"London",`, "", 1), 422, "no city", key...)
}
