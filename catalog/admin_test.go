package catalog_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-chi/chi/v5"
	gocmp "github.com/google/go-cmp/cmp"

	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/admin"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

const adminSecret = "0123456789abcdefghijklmnopqrstuvwxyz"

// An office edits the catalog of a shop, one request after the other.
type office struct {
	*shop
	handler  http.Handler
	position fresh.Position
}

func newOffice(t *testing.T, products int) (*office, catalog.Import) {
	t.Helper()
	s, in := newLoadedShop(t, products)
	keys, err := admin.ParseKeys("ada:catalog+stock:" + adminSecret)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	render := web.NewRenderer(log)
	gate := admin.NewGate(keys, log, render)
	r := chi.NewRouter()
	r.Use(gate.Authenticate)
	catalog.AdminRoutes(r, s.store, render)
	return &office{shop: s, handler: r}, in
}

// twin is the same office at another desk.
func (o *office) twin() *office { return &office{shop: o.shop, handler: o.handler} }

type reply struct {
	*httptest.ResponseRecorder
	t testing.TB
}

// do sends a request with the key; headers come in pairs.
func (o *office) do(t testing.TB, method, path, body string, header ...string) reply {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set(admin.Header, adminSecret)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	carrier := fresh.NewCarrier(o.position)
	w := httptest.NewRecorder()
	o.handler.ServeHTTP(w, r.WithContext(fresh.WithCarrier(r.Context(), carrier)))
	o.position, _ = carrier.Token()
	return reply{w, t}
}

// want fails the test unless the answer has this status, and this code if it is a
// problem. A code "a b" is the problem a with the field error b.
func (r reply) want(status int, code string) reply {
	r.t.Helper()
	if got := r.code(); r.Code != status || got != code {
		r.t.Fatalf("got %d %q, want %d %q: %s", r.Code, got, status, code, r.Body)
	}
	return r
}

func (r reply) code() string {
	if r.Code < 400 {
		return ""
	}
	var problem struct {
		Code   string
		Errors []struct{ Pointer, Code string }
	}
	r.decode(&problem)
	if len(problem.Errors) > 0 {
		return problem.Code + " " + problem.Errors[0].Pointer + " " + problem.Errors[0].Code
	}
	return problem.Code
}

func (r reply) decode(v any) {
	r.t.Helper()
	if err := json.Unmarshal(r.Body.Bytes(), v); err != nil {
		r.t.Fatalf("%v in %q", err, r.Body)
	}
}

func decoded[T any](r reply) (v T) { r.t.Helper(); r.decode(&v); return v }

func (o *office) category(t testing.TB, slug string, parent *id.ID) catalog.AdminCategory {
	t.Helper()
	body := fmt.Sprintf(`{"name":"C","slug":%q,"parent_id":null}`, slug)
	if parent != nil {
		body = fmt.Sprintf(`{"name":"C","slug":%q,"parent_id":%q}`, slug, parent)
	}
	return decoded[catalog.AdminCategory](o.do(t, "POST", "/v1/admin/categories", body).want(201, ""))
}

func (o *office) product(t testing.TB, slug string, category id.ID) catalog.AdminProduct {
	t.Helper()
	body := fmt.Sprintf(`{"name":"P","slug":%q,"category_id":%q,"options":[{"name":"color","values":["red","blue"]}]}`, slug, category)
	return decoded[catalog.AdminProduct](o.do(t, "POST", "/v1/admin/products", body).want(201, ""))
}

func (o *office) newVariant(t testing.TB, sku, color string, product id.ID) catalog.AdminVariant {
	t.Helper()
	body := fmt.Sprintf(`{"sku":%q,"options":{"color":%q},"price":{"amount":1999,"currency":"EUR"}}`, sku, color)
	return decoded[catalog.AdminVariant](o.do(t, "POST", "/v1/admin/products/"+product.String()+"/variants", body).want(201, ""))
}

func categoryPath(c id.ID) string { return "/v1/admin/categories/" + c.String() }
func productPath(p id.ID) string  { return "/v1/admin/products/" + p.String() }
func variantPath(v id.ID) string  { return "/v1/admin/variants/" + v.String() }

func TestAdminCategory(t *testing.T) {
	t.Parallel()
	o, _ := newOffice(t, 2)
	root := o.category(t, "root", nil)
	w := o.do(t, "POST", "/v1/admin/categories", fmt.Sprintf(`{"name":"Lamps","slug":"lamps","parent_id":%q,"position":7}`, root.ID)).want(201, "")
	lamps := decoded[catalog.AdminCategory](w)
	want := catalog.AdminCategory{
		ID: lamps.ID, Slug: "lamps", Name: "Lamps", ParentID: &root.ID, Position: 7, Version: 1,
		CreatedAt: lamps.CreatedAt, UpdatedAt: lamps.UpdatedAt,
	}
	if diff := gocmp.Diff(want, lamps); diff != "" || lamps.CreatedAt.IsZero() {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if w.Header().Get("Location") != categoryPath(lamps.ID) || w.Header().Get("ETag") != `"1"` {
		t.Errorf("Location %q, ETag %q", w.Header().Get("Location"), w.Header().Get("ETag"))
	}
	// What is not named stays, and null is not the same as absent.
	change := func(body string) catalog.AdminCategory {
		t.Helper()
		w = o.do(t, "PATCH", categoryPath(lamps.ID), body, "If-Match", w.Header().Get("ETag")).want(200, "")
		lamps = decoded[catalog.AdminCategory](w)
		return lamps
	}
	change(`{"name":"Lights"}`)
	want.Name, want.Version, want.UpdatedAt = "Lights", 2, lamps.UpdatedAt
	if diff := gocmp.Diff(want, lamps); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w = o.do(t, "PATCH", categoryPath(lamps.ID), `{"parent_id":null,"slug":"lights"}`, "If-Match", `"2"`).want(200, "")
	if got := decoded[catalog.AdminCategory](w); got.ParentID != nil || got.Slug != "lights" || got.Name != "Lights" || w.Header().Get("ETag") != `"3"` {
		t.Errorf("%+v with ETag %s", got, w.Header().Get("ETag"))
	}
	o.do(t, "DELETE", categoryPath(lamps.ID), "", "If-Match", `"3"`).want(204, "")
	o.do(t, "DELETE", categoryPath(lamps.ID), "", "If-Match", `"3"`).want(404, "not_found")
}

func TestAdminErrors(t *testing.T) {
	t.Parallel()
	o, _ := newOffice(t, 2)
	a := o.category(t, "a", nil)
	b := o.category(t, "b", &a.ID)
	deep := o.category(t, "deep-1", nil)
	for i := range catalog.MaxDepth - 1 {
		deep = o.category(t, fmt.Sprintf("deep-%d", i+2), &deep.ID)
	}
	p := o.product(t, "p", b.ID)
	red := o.newVariant(t, "SKU-1", "red", p.ID)
	blue := o.newVariant(t, "SKU-2", "blue", p.ID)
	o.product(t, "q", b.ID)
	bare := o.category(t, "bare", nil)
	unknown := id.New()
	price := `"price":{"amount":1,"currency":"EUR"}`
	const any = "*"
	for _, test := range []struct {
		method, path, body, match string
		status                    int
		code                      string
	}{
		{"POST", "/v1/admin/categories", `{"name":"A","slug":"a"}`, "", 409, "slug_taken"},
		{"POST", "/v1/admin/categories", `{"name":"A","slug":"x","parent_id":"` + unknown.String() + `"}`, "", 422, "invalid_body /parent_id unknown_category"},
		{"POST", "/v1/admin/categories", `{"name":"A","slug":"x","parent_id":"` + deep.ID.String() + `"}`, "", 422, "invalid_body /parent_id too_deep"},
		{"POST", "/v1/admin/categories", `{"slug":"x"}`, "", 422, "invalid_body /name required"},
		{"POST", "/v1/admin/categories", `{"name":" ","slug":"x"}`, "", 422, "invalid_body /name too_short"},
		{"POST", "/v1/admin/categories", `{"name":"A","slug":"No Slug"}`, "", 422, "invalid_body /slug invalid_slug"},
		{"POST", "/v1/admin/categories", `{"name":"A","slug":"` + strings.Repeat("a", 101) + `"}`, "", 422, "invalid_body /slug too_long"},
		{"POST", "/v1/admin/categories", `{"name":"A","slug":"x","position":-1}`, "", 422, "invalid_body /position out_of_range"},
		{"POST", "/v1/admin/categories", `{"name":"A","slug":"x","product_count":1}`, "", 422, "unknown_field /product_count unknown_field"},
		{"POST", "/v1/admin/categories?x=1", `{"name":"A","slug":"x"}`, "", 400, "unknown_parameter x unknown_parameter"},
		{"POST", "/v1/admin/categories", `{`, "", 400, "malformed_json"},
		{"PATCH", categoryPath(a.ID), `{"name":"A"}`, "", 428, "precondition_required"},
		{"PATCH", categoryPath(a.ID), `{"name":"A"}`, `"2"`, 412, "precondition_failed"},
		{"PATCH", categoryPath(a.ID), `{"name":"A"}`, `W/"1"`, 412, "precondition_failed"},
		{"PATCH", categoryPath(a.ID), `{"name":"A"}`, `1`, 400, "if_match_invalid"},
		{"PATCH", categoryPath(unknown), `{"name":"A"}`, any, 404, "not_found"},
		{"PATCH", "/v1/admin/categories/a", `{"name":"A"}`, any, 404, "not_found"},
		{"PATCH", categoryPath(a.ID), `{"name":null}`, any, 422, "wrong_type /name wrong_type"},
		{"PATCH", categoryPath(a.ID), `{"slug":"bare"}`, any, 409, "slug_taken"},
		{"PATCH", categoryPath(a.ID), `{"parent_id":"` + a.ID.String() + `"}`, any, 409, "category_cycle"},
		{"PATCH", categoryPath(a.ID), `{"parent_id":"` + b.ID.String() + `"}`, any, 409, "category_cycle"},
		{"PATCH", categoryPath(a.ID), `{"parent_id":"` + unknown.String() + `"}`, any, 422, "invalid_body /parent_id unknown_category"},
		{"PATCH", categoryPath(a.ID), `{"parent_id":"` + deep.ID.String() + `"}`, any, 422, "invalid_body /parent_id too_deep"},
		{"PATCH", categoryPath(a.ID), `{"parent_id":"` + deep.ParentID.String() + `"}`, any, 422, "invalid_body /parent_id too_deep"}, // with its child
		{"DELETE", categoryPath(a.ID), "", "", 428, "precondition_required"},
		{"DELETE", categoryPath(a.ID), "", `"9"`, 412, "precondition_failed"},
		{"DELETE", categoryPath(a.ID), "", any, 409, "category_not_empty"}, // a category
		{"DELETE", categoryPath(b.ID), "", any, 409, "category_not_empty"}, // products
		{"DELETE", categoryPath(unknown), "", any, 404, "not_found"},

		{"POST", "/v1/admin/products", `{"name":"P","slug":"p","category_id":"` + a.ID.String() + `"}`, "", 409, "slug_taken"},
		{"POST", "/v1/admin/products", `{"name":"P","slug":"x","category_id":"` + unknown.String() + `"}`, "", 422, "invalid_body /category_id unknown_category"},
		{"POST", "/v1/admin/products", `{"name":"P","slug":"x"}`, "", 422, "invalid_body /category_id required"},
		{"POST", "/v1/admin/products", `{"name":"P","slug":"x","category_id":"` + a.ID.String() + `","status":"gone"}`, "", 422, "invalid_body /status not_allowed"},
		{"POST", "/v1/admin/products", `{"name":"P\u0000","slug":"x","category_id":"` + a.ID.String() + `"}`, "", 422, "invalid_body /name invalid_text"},
		{"POST", "/v1/admin/products", `{"name":"P","slug":"x","category_id":"` + a.ID.String() + `","options":[{"name":"a:b","values":["1"]}]}`, "", 422, "invalid_body /options/0/name invalid_option"},
		{"POST", "/v1/admin/products", `{"name":"P","slug":"x","category_id":"` + a.ID.String() + `","options":[{"name":"a","values":["1","1"]}]}`, "", 422, "invalid_body /options/0/values/1 repeated"},
		{"POST", "/v1/admin/products", `{"name":"P","slug":"x","category_id":"` + a.ID.String() + `","options":[{"name":"a","values":null}]}`, "", 422, "invalid_body /options/0/values out_of_range"},
		{"POST", "/v1/admin/products", `{"name":"P","slug":"x","category_id":"` + a.ID.String() + `","options":[{"name":"a","values":["1"],"x":1}]}`, "", 422, "unknown_field /options/0/x unknown_field"},
		{"GET", productPath(unknown), "", "", 404, "not_found"},
		{"GET", productPath(p.ID) + "?x=1", "", "", 400, "unknown_parameter x unknown_parameter"},
		{"PATCH", productPath(p.ID), `{"name":"P"}`, "", 428, "precondition_required"},
		{"PATCH", productPath(p.ID), `{"name":"P"}`, `"7"`, 412, "precondition_failed"},
		{"PATCH", productPath(unknown), `{"name":"P"}`, any, 404, "not_found"},
		{"PATCH", productPath(p.ID), `{"slug":"q"}`, any, 409, "slug_taken"},
		{"PATCH", productPath(p.ID), `{"category_id":"` + unknown.String() + `"}`, any, 422, "invalid_body /category_id unknown_category"},
		{"PATCH", productPath(p.ID), `{"category_id":null}`, any, 422, "wrong_type /category_id wrong_type"},
		{"PATCH", productPath(p.ID), `{"options":[]}`, any, 409, "options_in_use"},
		{"PATCH", productPath(p.ID), `{"options":[{"name":"color","values":["red"]}]}`, any, 409, "options_in_use"},
		{"PATCH", productPath(p.ID), `{"listed":true}`, any, 422, "unknown_field /listed unknown_field"},
		{"DELETE", productPath(p.ID), "", "", 428, "precondition_required"},
		{"DELETE", productPath(p.ID), "", `"7"`, 412, "precondition_failed"},
		{"DELETE", productPath(unknown), "", any, 404, "not_found"},

		{"POST", productPath(unknown) + "/variants", `{"sku":"X",` + price + `}`, "", 404, "not_found"},
		{"POST", productPath(p.ID) + "/variants", `{"sku":"SKU-1",` + price + `}`, "", 409, "sku_taken"},
		{"POST", productPath(p.ID) + "/variants", `{"sku":"X","options":{"color":"red"},` + price + `}`, "", 409, "options_taken"},
		{"POST", productPath(p.ID) + "/variants", `{"sku":"X","options":{"color":"green"},` + price + `}`, "", 422, "invalid_body /options unknown_option"},
		{"POST", productPath(p.ID) + "/variants", `{"sku":"X","options":{"size":"m"},` + price + `}`, "", 422, "invalid_body /options unknown_option"},
		{"POST", productPath(p.ID) + "/variants", `{"sku":"X"}`, "", 422, "invalid_body /price required"},
		{"POST", productPath(p.ID) + "/variants", `{"sku":"X","price":{"currency":"EUR"}}`, "", 422, "invalid_body /price/amount required"},
		{"POST", productPath(p.ID) + "/variants", `{"sku":"X","price":{"amount":-1,"currency":"EUR"}}`, "", 422, "invalid_body /price/amount out_of_range"},
		{"POST", productPath(p.ID) + "/variants", `{"sku":"X","price":{"amount":1,"currency":"USD"}}`, "", 422, "invalid_body /price/currency wrong_currency"},
		{"POST", productPath(p.ID) + "/variants", `{"sku":"X","stock_quantity":5,` + price + `}`, "", 422, "unknown_field /stock_quantity unknown_field"},
		{"PATCH", variantPath(red.ID), `{"active":false}`, "", 428, "precondition_required"},
		{"PATCH", variantPath(red.ID), `{"active":false}`, `"2"`, 412, "precondition_failed"},
		{"PATCH", variantPath(unknown), `{"active":false}`, any, 404, "not_found"},
		{"PATCH", variantPath(red.ID), `{"sku":"SKU-2"}`, any, 409, "sku_taken"},
		{"PATCH", variantPath(blue.ID), `{"options":{"color":"red"}}`, any, 409, "options_taken"},
		{"PATCH", variantPath(red.ID), `{"options":{"color":"green"}}`, any, 422, "invalid_body /options unknown_option"},
		{"PATCH", variantPath(red.ID), `{"price":null}`, any, 422, "wrong_type /price wrong_type"},
		{"PATCH", variantPath(red.ID), `{"product_id":"` + p.ID.String() + `"}`, any, 422, "unknown_field /product_id unknown_field"},
		{"GET", variantPath(unknown) + "/stock-movements", "", "", 404, "not_found"},
		{"GET", variantPath(red.ID) + "/stock-movements?cursor=abc", "", "", 400, "invalid_cursor"},
		{"GET", variantPath(red.ID) + "/stock-movements?limit=101", "", "", 400, "invalid_parameter limit out_of_range"},
	} {
		var header []string
		if test.match != "" {
			header = []string{"If-Match", test.match}
		}
		if r := o.do(t, test.method, test.path, test.body, header...); r.Code != test.status || r.code() != test.code {
			t.Errorf("%s %s %s (If-Match %s): %d %q, want %d %q", test.method, test.path, test.body, test.match, r.Code, r.code(), test.status, test.code)
		}
	}
	// Nothing of all that changed anything.
	got := decoded[catalog.AdminProduct](o.do(t, "GET", productPath(p.ID), "").want(200, ""))
	want := p
	want.Variants, want.UpdatedAt = []catalog.AdminVariant{red, blue}, got.UpdatedAt // which the variants' trigger moved
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("the product (-want +got):\n%s", diff)
	}
	o.do(t, "DELETE", categoryPath(bare.ID), "", "If-Match", any).want(204, "")
}

// Ten options with names and values of fifty characters that nothing compresses: more
// than an entry of a btree index can hold, and still two variants are told apart.
func TestTheLongestOptions(t *testing.T) {
	t.Parallel()
	o, _ := newOffice(t, 1)
	random := rand.New(rand.NewPCG(1, 2))
	long := func() string {
		runes := make([]rune, 50)
		for i := range runes {
			runes[i] = '\U00020000' + rune(random.IntN(42_000)) // a block of ideographs, 4 bytes each
		}
		return string(runes)
	}
	options, first := []catalog.Option{}, map[string]string{}
	for range 10 {
		option := catalog.Option{Name: long(), Values: []string{long(), long()}}
		options, first[option.Name] = append(options, option), option.Values[0]
	}
	made := func(body map[string]any) string {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	p := decoded[catalog.AdminProduct](o.do(t, "POST", "/v1/admin/products", made(map[string]any{
		"name": "P", "slug": "p", "category_id": o.category(t, "c", nil).ID, "options": options,
	})).want(201, ""))
	path, price := productPath(p.ID)+"/variants", catalog.Money{Amount: 1, Currency: "EUR"}
	o.do(t, "POST", path, made(map[string]any{"sku": "1", "options": first, "price": price})).want(201, "")
	o.do(t, "POST", path, made(map[string]any{"sku": "2", "options": first, "price": price})).want(409, "options_taken")
	first[options[9].Name] = options[9].Values[1]
	o.do(t, "POST", path, made(map[string]any{"sku": "2", "options": first, "price": price})).want(201, "")
}

// What shoppers see follows the status of the product and of its variants, and an
// editor's version counts edits and nothing else.
func TestStatusDecidesWhatShoppersSee(t *testing.T) {
	t.Parallel()
	o, _ := newOffice(t, 2)
	c := o.category(t, "lamps", nil)
	p := o.product(t, "lamp", c.ID)
	v := o.newVariant(t, "L-1", "red", p.ID)
	seen := func(want int, when string) {
		t.Helper()
		o.CatchUp(t)
		if w := o.get(t, "/v1/products/lamp"); w.Code != want {
			t.Errorf("%s: %d, want %d", when, w.Code, want)
		}
		count := fetch[catalog.CategoryDetail](t, o.shop, "/v1/categories/lamps").ProductCount
		if (want == 200) != (count == 1) {
			t.Errorf("%s: the category counts %d", when, count)
		}
	}
	change := func(path, match, body string) reply {
		t.Helper()
		return o.do(t, "PATCH", path, body, "If-Match", match).want(200, "")
	}
	if p.Status != catalog.Draft || p.Version != 1 {
		t.Errorf("a new product: %+v", p)
	}
	seen(404, "draft")
	change(productPath(p.ID), `"1"`, `{"status":"active"}`) // the variant's trigger has not spoilt version 1
	seen(200, "active")
	if got := fetch[catalog.Product](t, o.shop, "/v1/products/lamp"); got.Variants[0].ID != v.ID || got.InStock {
		t.Errorf("the product page: %+v", got)
	}
	change(variantPath(v.ID), `"1"`, `{"active":false}`)
	seen(404, "without an active variant")
	change(variantPath(v.ID), `"2"`, `{"active":true,"price":{"amount":2500,"currency":"EUR"}}`)
	seen(200, "with one again")
	if got := fetch[catalog.Product](t, o.shop, "/v1/products/lamp"); got.PriceRange.Min.Amount != 2500 {
		t.Errorf("the price range is %+v", got.PriceRange)
	}
	o.do(t, "DELETE", productPath(p.ID), "", "If-Match", `"2"`).want(204, "")
	seen(404, "archived")
	got := decoded[catalog.AdminProduct](o.do(t, "GET", productPath(p.ID), "").want(200, ""))
	if got.Status != catalog.Archived || got.Listed || len(got.Variants) != 1 || got.Version != 3 {
		t.Errorf("the archived product: %+v", got)
	}
	o.do(t, "DELETE", categoryPath(c.ID), "", "If-Match", "*").want(409, "category_not_empty")
	change(productPath(p.ID), `"3"`, `{"status":"active"}`)
	seen(200, "back")
	// A sale empties the variant: version of the row, and not of the editor.
	o.exec(t, "UPDATE variants SET stock_quantity = 1, version = version + 1 WHERE id = $1", v.ID)
	if n := scan[int64](t, o.shop, "SELECT version - revision FROM products WHERE id = $1", p.ID); n == 0 {
		t.Error("the sale has not touched the product, so the test shows nothing")
	}
	change(variantPath(v.ID), `"3"`, `{"sku":"L-2"}`)
	change(productPath(p.ID), `"4"`, `{"name":"Q"}`)
}

// An editor reads what they wrote, though the standbys stand still.
func TestAdminReadsTheirOwnEdits(t *testing.T) {
	o, _ := newOffice(t, 2)
	c := o.category(t, "lamps", nil)
	p := o.product(t, "lamp", c.ID)
	o.CatchUp(t)
	o.Pause(t)
	o.do(t, "PATCH", productPath(p.ID), `{"name":"New"}`, "If-Match", `"1"`).want(200, "")
	if got := decoded[catalog.AdminProduct](o.do(t, "GET", productPath(p.ID), "").want(200, "")); got.Name != "New" {
		t.Errorf("the name is %q", got.Name)
	}
	if name := func() (name string) {
		err := o.Admin(t, o.Replicas()[0]).QueryRow(t.Context(), "SELECT name FROM products WHERE id = $1", p.ID).Scan(&name)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}(); name == "New" {
		t.Error("the standby has it, so the test shows nothing")
	}
}

// together runs n functions at once.
func together(n int, fn func(i int)) {
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() { start.Wait(); fn(i) })
	}
	start.Done()
	done.Wait()
}

// count tells how often each answer came.
func count(answers []reply) map[string]int {
	n := map[string]int{}
	for _, r := range answers {
		n[strings.TrimSpace(fmt.Sprint(r.Code, " ", r.code()))]++
	}
	return n
}

func TestOfTwoEditorsOneWins(t *testing.T) {
	t.Parallel()
	o, _ := newOffice(t, 2)
	c := o.category(t, "lamps", nil)
	p := o.product(t, "lamp", c.ID)
	v := o.newVariant(t, "L-1", "red", p.ID)
	const editors, rounds = 8, 5 // in the first round they wait for their connections and hardly meet
	for _, path := range []string{categoryPath(c.ID), productPath(p.ID), variantPath(v.ID)} {
		for version := range rounds {
			answers := make([]reply, editors)
			together(editors, func(i int) {
				body := fmt.Sprintf(`{"slug":"s-%d-%d","name":"N"}`, version, i)
				if path == variantPath(v.ID) {
					body = fmt.Sprintf(`{"sku":"S-%d-%d"}`, version, i)
				}
				answers[i] = o.twin().do(t, "PATCH", path, body, "If-Match", fmt.Sprintf(`"%d"`, version+1))
			})
			if diff := gocmp.Diff(map[string]int{"200": 1, "412 precondition_failed": editors - 1}, count(answers)); diff != "" {
				t.Fatalf("%s, round %d (-want +got):\n%s", path, version+1, diff)
			}
		}
	}
}

// Each move alone is fine, and all together would be a ring.
func TestMovesMakeNoCycle(t *testing.T) {
	t.Parallel()
	o, _ := newOffice(t, 2)
	const ring = 6
	var all []catalog.AdminCategory
	for i := range ring {
		all = append(all, o.category(t, fmt.Sprintf("ring-%d", i), nil))
	}
	answers := make([]reply, ring)
	together(ring, func(i int) {
		body := fmt.Sprintf(`{"parent_id":%q}`, all[(i+1)%ring].ID)
		answers[i] = o.twin().do(t, "PATCH", categoryPath(all[i].ID), body, "If-Match", `"1"`)
	})
	if diff := gocmp.Diff(map[string]int{"200": ring - 1, "409 category_cycle": 1}, count(answers)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A category is deleted while products and categories come into it: none may be
// left without it, and nobody may meet a 500.
func TestDeletingMeetsFilling(t *testing.T) {
	t.Parallel()
	o, _ := newOffice(t, 2)
	for round := range 6 {
		c := o.category(t, fmt.Sprintf("round-%d", round), nil)
		answers := make([]reply, 5)
		together(len(answers), func(i int) {
			desk := o.twin()
			switch i {
			case 0, 1:
				answers[i] = desk.do(t, "POST", "/v1/admin/products", fmt.Sprintf(`{"name":"P","slug":"r-%d-%d","category_id":%q}`, round, i, c.ID))
			case 2:
				answers[i] = desk.do(t, "POST", "/v1/admin/categories", fmt.Sprintf(`{"name":"C","slug":"r-%d","parent_id":%q}`, round, c.ID))
			default:
				answers[i] = desk.do(t, "DELETE", categoryPath(c.ID), "", "If-Match", "*")
			}
		})
		deleted := answers[3].Code == 204 || answers[4].Code == 204
		for i, r := range answers {
			allowed := []int{201, 422}
			if i >= 3 {
				allowed = []int{204, 404, 409}
			}
			if !slices.Contains(allowed, r.Code) || i < 3 && deleted != (r.Code == 422) {
				t.Errorf("round %d, deleted %v: answer %d is %d %s", round, deleted, i, r.Code, r.Body)
			}
		}
	}
	if n := scan[int](t, o.shop, "SELECT count(*) FROM categories c WHERE parent_id IS NOT NULL AND NOT EXISTS (SELECT FROM categories p WHERE p.id = c.parent_id)"); n != 0 {
		t.Errorf("%d orphans", n)
	}
}

// Variants are fitted to options that somebody takes away at the same time.
func TestOptionsDoNotVanishUnderAVariant(t *testing.T) {
	t.Parallel()
	o, _ := newOffice(t, 2)
	c := o.category(t, "lamps", nil)
	for round := range 6 {
		p := o.product(t, fmt.Sprintf("lamp-%d", round), c.ID)
		answers := make([]reply, 2)
		together(2, func(i int) {
			desk := o.twin()
			if i == 0 {
				body := fmt.Sprintf(`{"sku":"R-%d","options":{"color":"red"},"price":{"amount":1,"currency":"EUR"}}`, round)
				answers[i] = desk.do(t, "POST", productPath(p.ID)+"/variants", body)
			} else {
				answers[i] = desk.do(t, "PATCH", productPath(p.ID), `{"options":[]}`, "If-Match", `"1"`)
			}
		})
		made, gone := answers[0].Code == 201, answers[1].Code == 200
		if made == gone {
			t.Errorf("round %d: variant %d %s, options %d %s", round, answers[0].Code, answers[0].Body, answers[1].Code, answers[1].Body)
		}
	}
}

func TestLedgerPages(t *testing.T) {
	t.Parallel()
	o, in := newOffice(t, 2)
	v, other := in.Products[0].Variants[0], in.Products[1].Variants[0]
	for i := range 7 {
		o.exec(t, `INSERT INTO stock_movements (variant_id, kind, delta, before, after, reason, created_at)
			VALUES ($1, 'adjustment', 1, $2, $2 + 1, 'n', now() - $2 * interval '1 hour')`, v.ID, i)
	}
	o.CatchUp(t)
	type page struct {
		Data []catalog.Movement
		Page struct {
			NextCursor *string `json:"next_cursor"`
		}
	}
	path, pages := variantPath(v.ID)+"/stock-movements?limit=3", 0
	var before []int
	var all []catalog.Movement
	for target := path; target != ""; pages++ {
		w := o.do(t, "GET", target, "").want(200, "")
		got := decoded[page](w)
		all = append(all, got.Data...)
		link, _, _ := strings.Cut(strings.TrimPrefix(w.Header().Get("Link"), "<"), ">")
		if (link == "") != (got.Page.NextCursor == nil) {
			t.Errorf("Link %q and next_cursor %v", link, got.Page.NextCursor)
		}
		target = link
	}
	for _, m := range all {
		before = append(before, m.Before)
	}
	// In the order of the ledger, not of created_at; the import's line is the first.
	if diff := gocmp.Diff([]int{6, 5, 4, 3, 2, 1, 0, 0}, before); diff != "" || pages != 3 || all[7].Kind != "initial" {
		t.Errorf("%d pages, the last movement %+v (-want +got):\n%s", pages, all[len(all)-1], diff)
	}
	first := decoded[page](o.do(t, "GET", path, "").want(200, ""))
	o.do(t, "GET", variantPath(other.ID)+"/stock-movements?cursor="+*first.Page.NextCursor, "").want(400, "invalid_cursor")
}
