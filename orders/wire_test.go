package orders

import (
	"errors"
	"strings"
	"testing"

	"example.com/leeway/internal/web"
)

// TestCheckoutBody takes a good body apart, one member at a time.
func TestCheckoutBody(t *testing.T) {
	const good = `{"email":"ada@example.com","expected_total":{"amount":1,"currency":"EUR"},"shipping_address":
		{"name":"Ada","line1":"1 Square","city":"London","postal_code":"SW1Y 4JH","country":"GB"}}`
	long := func(n int) string { return strings.Repeat("ß", n) }
	for _, tt := range []struct{ name, old, new, pointer string }{
		{"as it is", "", "", ""},
		{"total of nothing", `"amount":1`, `"amount":0`, ""},
		{"no amount", `"amount":1,`, ``, "/expected_total/amount"},
		{"null amount", `"amount":1`, `"amount":null`, "/expected_total/amount"},
		{"no currency", `,"currency":"EUR"`, ``, "/expected_total/currency"},
		{"null currency", `"EUR"`, `null`, "/expected_total/currency"},
		{"neither", `"amount":1,"currency":"EUR"`, ``, "/expected_total/amount"},
		{"no total", `"expected_total":{"amount":1,"currency":"EUR"},`, "", ""},
		{"null total", `{"amount":1,"currency":"EUR"}`, "null", ""},
		{"plus address", "ada@", "ada+tea@", ""},
		{"longest name", `"Ada"`, `"` + long(200) + `"`, ""},
		{"longest email", "ada@", strings.Repeat("a", 254-12) + "@", ""},
		{"with region", `"country"`, `"region":"Kent","line2":"x","country"`, ""},
		{"unknown member", `"country"`, `"phone":"1","country"`, "/shipping_address/phone"},
		{"misspelt member", `"email"`, `"Email"`, "/Email"},
		{"no email", `"email":"ada@example.com",`, "", "/email"},
		{"two at signs", "ada@", "ada@b@", "/email"},
		{"no at sign", "ada@", "ada.", "/email"},
		{"nothing before it", "ada@", "@", "/email"},
		{"nothing after it", "@example.com", "@", "/email"},
		{"blank in it", "ada@", "ada b@", "/email"},
		{"header injection", "ada@", `ada\r\nBcc:b@`, "/email"},
		{"email too long", "ada@", strings.Repeat("a", 255-12) + "@", "/email"},
		{"no address", `"shipping_address"`, `"email2":1,"a"`, "/email2"},
		{"blank name", `"Ada"`, `" "`, "/shipping_address/name"},
		{"name too long", `"Ada"`, `"` + long(201) + `"`, "/shipping_address/name"},
		{"NUL", `"Ada"`, `"A\u0000da"`, "/shipping_address/name"},
		{"empty line", `"1 Square"`, `""`, "/shipping_address/line1"},
		{"line2 too long", `"country"`, `"line2":"` + long(201) + `","country"`, "/shipping_address/line2"},
		{"region too long", `"country"`, `"region":"` + long(101) + `","country"`, "/shipping_address/region"},
		{"no city", `"London"`, `""`, "/shipping_address/city"},
		{"no code", `"SW1Y 4JH"`, `""`, "/shipping_address/postal_code"},
		{"no such country", `"GB"`, `"UK"`, "/shipping_address/country"},
		{"small letters", `"GB"`, `"gb"`, "/shipping_address/country"},
		{"country in words", `"GB"`, `"GB FR"`, "/shipping_address/country"},
		{"foreign money", `"EUR"`, `"USD"`, "/expected_total/currency"},
		{"negative total", `"amount":1`, `"amount":-1`, "/expected_total/amount"},
		{"total in words", `"amount":1`, `"amount":"1"`, "/expected_total/amount"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := checkoutBody([]byte(strings.Replace(good, tt.old, tt.new, 1)), "EUR")
			var problem *web.Problem
			_ = errors.As(err, &problem)
			switch {
			case tt.pointer == "" && err != nil:
				t.Error(err)
			case tt.pointer != "" && (problem == nil || problem.Status != 422 || problem.Errors[0].Pointer != tt.pointer):
				t.Errorf("%v, want a 422 that points at %s", err, tt.pointer)
			}
		})
	}
}

// What is taken is an order that the schema takes.
func FuzzCheckoutBody(f *testing.F) {
	const good = `{"email":"ada@example.com","shipping_address":{"name":"Ada","line1":"1 Main St","city":"London","postal_code":"N1","country":"GB"}}`
	for _, seed := range []string{
		good, good[:40], `{}`, `null`, `[]`, good + good, strings.Replace(good, "GB", "gb", 1), strings.Replace(good, "Ada", "\\u0000", 1),
		strings.Replace(good, `"city"`, `"City"`, 1), strings.Replace(good, "}}", `},"expected_total":{"amount":0,"currency":"EUR"}}`, 1),
		strings.Replace(good, "}}", `},"expected_total":{"amount":-1,"currency":"eur"}}`, 1), strings.Replace(good, "London", strings.Repeat("x", 101), 1),
		`{"email":"a@b","shipping_address":{"name":"a"},"expected_total":{"amount":9223372036854775808}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		form, err := checkoutBody(body, "EUR")
		if err != nil {
			if problem, ok := errors.AsType[*web.Problem](err); !ok || problem.Status < 400 || problem.Status > 499 {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		a := form.ShippingAddress
		for _, text := range []string{form.Email, a.Name, a.Line1, a.Line2, a.City, a.PostalCode, a.Region} {
			if !web.CleanText(text, "") || len(text) > 4*200 {
				t.Errorf("%q has %q", body, text)
			}
		}
		if !strings.Contains(form.Email, "@") || !isCountry(a.Country) || form.ExpectedTotal != nil && (form.ExpectedTotal.Amount < 0 || form.ExpectedTotal.Currency != "EUR") {
			t.Errorf("%q is taken as %+v", body, form)
		}
	})
}

func TestCountries(t *testing.T) {
	if len(countries) != 249 {
		t.Errorf("%d countries, want 249", len(countries))
	}
	for i, code := range countries {
		if len(code) != 2 || i > 0 && countries[i-1] >= code {
			t.Errorf("%q is no code or not in order", code)
		}
	}
}

// TestMalformedRequests: whatever comes in, the answer is a problem of the
// client's, and the cart is as it was.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	c, cart := s.newCart(t)
	items := cartPath(cart) + "/items"
	for _, tt := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/v1/carts", `[]`, 422, "wrong_type"},
		{"POST", "/v1/carts", `{"items":[{"variant_id":"x","quantity":1}]}`, 422, "wrong_type"},
		{"POST", "/v1/carts", `{"items":[{"quantity":1}]}`, 422, "invalid_body"},
		{"POST", "/v1/carts", `{"items":[{"variant_id":"` + variant.String() + `","quantity":999},{"variant_id":"` + variant.String() + `","quantity":1}]}`, 422, "quantity_out_of_range"},
		{"POST", "/v1/carts?x=1", ``, 400, "unknown_parameter"},
		{"POST", items, ``, 400, "malformed_json"},
		{"POST", items, `{"variant_id":"` + variant.String() + `"}`, 422, "invalid_body"},
		{"POST", items, `{"variant_id":"` + variant.String() + `","quantity":1.5}`, 422, "wrong_type"},
		{"POST", items, `{"variant_id":"` + variant.String() + `","quantity":1000}`, 422, "invalid_body"},
		{"POST", items, `{"variant_id":"` + variant.String() + `","quantity":99999999999999999999}`, 422, "wrong_type"},
		{"POST", items, `{"variant_id":"` + variant.String() + `","quantity":1,"price":1}`, 422, "unknown_field"},
		{"PUT", items + "/" + variant.String(), `{"quantity":null}`, 422, "invalid_body"},
		{"POST", checkoutPath(cart), `{}`, 422, "invalid_body"},
		{"POST", checkoutPath(cart), `{`, 400, "malformed_json"},
	} {
		c.do(t, tt.method, tt.path, tt.body, "Idempotency-Key", "k").want(tt.status, tt.code)
	}
	c.do(t, "POST", items, `{}`, "Idempotency-Key", strings.Repeat("k", 256)).want(400, "idempotency_key_invalid")
	c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "").want(400, "idempotency_key_invalid")
	total := map[string]any{"email": form().Email, "shipping_address": form().ShippingAddress, "expected_total": map[string]any{"currency": "EUR"}}
	r := c.do(t, "POST", checkoutPath(cart), total, "Idempotency-Key", "k").want(422, "invalid_body")
	var problem struct{ Errors []web.FieldError }
	if r.decode(&problem); len(problem.Errors) != 1 || problem.Errors[0].Code != "required" {
		t.Errorf("a total without its amount: %s", r.Body)
	}
	if n := one[int](t, s, "SELECT count(*) FROM idempotency_keys"); n != 0 {
		t.Errorf("%d malformed requests are kept under their keys", n)
	}
	if got := c.do(t, "GET", cartPath(cart), nil).want(200, "").cart(); got.Version != 1 {
		t.Errorf("version %d after nothing but refusals", got.Version)
	}
}
