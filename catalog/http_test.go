package catalog_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"example.com/leeway/catalog"
)

func TestBadInputIsTheClientsFault(t *testing.T) {
	t.Parallel()
	s, _ := newLoadedShop(t, 30)
	next := *fetch[listAnswer](t, s, "/v1/products?limit=5").Page.NextCursor
	for _, test := range []struct {
		target string
		status int
		code   string
	}{
		{"/v1/products?limit=0", 400, "invalid_parameter"},
		{"/v1/products?limit=101", 400, "invalid_parameter"},
		{"/v1/products?limit=", 400, "invalid_parameter"},
		{"/v1/products?colour=red", 400, "unknown_parameter"},
		{"/v1/products?sort=age", 400, "invalid_parameter"},
		{"/v1/products?price_min=abc", 400, "invalid_parameter"},
		{"/v1/products?price_min=-1", 400, "invalid_parameter"},
		{"/v1/products?price_min=99999999999999999999", 400, "invalid_parameter"},
		{"/v1/products?price_min=2&price_max=1", 400, "invalid_parameter"},
		{"/v1/products?in_stock=yes", 400, "invalid_parameter"},
		{"/v1/products?option=red", 400, "invalid_parameter"},
		{"/v1/products?option=:red", 400, "invalid_parameter"},
		{"/v1/products?option=a:1&option=b:1&option=c:1&option=d:1&option=e:1", 400, "invalid_parameter"},
		{"/v1/products?category=%00", 400, "invalid_parameter"},
		{"/v1/products?category=%ff", 400, "invalid_parameter"},
		{"/v1/products?category=a%zz", 400, "invalid_parameter"},
		{"/v1/products?cursor=abc", 400, "invalid_cursor"},
		{"/v1/products?cursor=" + strings.Repeat("A", 8000), 400, "invalid_cursor"},
		{"/v1/products?sort=price&cursor=" + next, 400, "invalid_cursor"},
		{"/v1/products?in_stock=true&cursor=" + next, 400, "invalid_cursor"},
		{"/v1/search?q=chair&cursor=" + next, 400, "invalid_cursor"},
		{"/v1/search", 400, "invalid_parameter"},
		{"/v1/search?q=+", 400, "invalid_parameter"},
		{"/v1/search?q=%00", 400, "invalid_parameter"},
		{"/v1/search?q=" + strings.Repeat("a", 10000), 400, "invalid_parameter"},
		{"/v1/search?q=a&facets=size", 400, "invalid_parameter"},
		{"/v1/search?q=a&facets=price,price", 400, "invalid_parameter"},
		{"/v1/search?q=a&sort=price", 400, "unknown_parameter"},
		{"/v1/search/suggest?q=a&limit=11", 400, "invalid_parameter"},
		{"/v1/categories?depth=0", 400, "invalid_parameter"},
		{"/v1/categories/unknown", 404, "not_found"},
		{"/v1/categories/%00", 404, "not_found"},
		{"/v1/products/unknown", 404, "not_found"},
		{"/v1/products/No%20Slug", 404, "not_found"},
		{"/v1/products/x?y=1", 400, "unknown_parameter"},
		{"/v1/availability", 400, "invalid_parameter"},
		{"/v1/availability?variant_id=1", 400, "invalid_parameter"},
		{"/v1/availability?" + strings.Repeat("variant_id=00000000-0000-0000-0000-000000000001&", 51), 400, "invalid_parameter"},
	} {
		w := s.get(t, test.target)
		var problem struct{ Code string }
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Code != test.status || problem.Code != test.code {
			t.Errorf("GET %.80s: %d %s, want %d %s", test.target, w.Code, w.Body, test.status, test.code)
		}
	}
}

type listAnswer struct {
	Data []catalog.Summary
	Page struct {
		Limit      int
		NextCursor *string `json:"next_cursor"`
	}
}

func TestListLinksToItsNextPage(t *testing.T) {
	t.Parallel()
	s, in := newLoadedShop(t, 30)
	target, seen := "/v1/products?limit=8&sort=name", 0
	for target != "" {
		w := s.get(t, target)
		var page listAnswer
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
			t.Fatalf("GET %s: %d %s", target, w.Code, w.Body)
		}
		seen += len(page.Data)
		link := w.Header().Get("Link")
		if (link == "") != (page.Page.NextCursor == nil) {
			t.Errorf("Link %q and next_cursor %v disagree", link, page.Page.NextCursor)
		}
		target, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
	}
	if seen != len(in.Products) {
		t.Errorf("following the links shows %d products of %d", seen, len(in.Products))
	}
}

// The schema takes a name of 200 runes of 4 bytes, so its cursor must pass too.
func TestListGoesOnBehindTheLongestName(t *testing.T) {
	t.Parallel()
	s, _ := newLoadedShop(t, 2)
	longest := strings.Repeat("😀", 200)
	s.exec(t, "UPDATE products SET name = $1", longest)
	s.CatchUp(t)
	first := fetch[listAnswer](t, s, "/v1/products?sort=name&limit=1")
	if len(first.Data) != 1 || first.Data[0].Name != longest || first.Page.NextCursor == nil {
		t.Fatalf("the first page: %+v", first)
	}
	second := fetch[listAnswer](t, s, "/v1/products?sort=name&limit=1&cursor="+*first.Page.NextCursor)
	if len(second.Data) != 1 || second.Data[0].ID == first.Data[0].ID {
		t.Errorf("the second page: %+v", second)
	}
}

func TestProductPage(t *testing.T) {
	t.Parallel()
	s, in := newLoadedShop(t, 30)
	p := in.Products[3]
	target := "/v1/products/" + p.Slug
	got := fetch[catalog.Product](t, s, target)
	low, high := prices(p)
	if got.PriceRange.Min.Amount != low || got.PriceRange.Max.Amount != high || got.PriceRange.Min.Currency != "EUR" {
		t.Errorf("price range %+v, want %d to %d", got.PriceRange, low, high)
	}
	if diff := gocmp.Diff(p.Options, parsed[[]catalog.Option](t, got.Options)); diff != "" || got.Description != p.Description {
		t.Errorf("description %q, options (-want +got):\n%s", got.Description, diff)
	}
	for i, v := range p.Variants {
		want := catalog.Variant{
			ID: v.ID, SKU: v.SKU, Options: got.Variants[i].Options,
			Price: catalog.Money{Amount: v.Price, Currency: "EUR"}, Stock: catalog.StockOf(int32(v.Stock), true),
		}
		if diff := gocmp.Diff(want, got.Variants[i]); diff != "" {
			t.Errorf("variant %d (-want +got):\n%s", i, diff)
		}
		if diff := gocmp.Diff(v.Options, parsed[map[string]string](t, got.Variants[i].Options)); diff != "" {
			t.Errorf("options of variant %d (-want +got):\n%s", i, diff)
		}
	}
	s.exec(t, "UPDATE variants SET active = false WHERE id = $1", p.Variants[0].ID)
	s.CatchUp(t)
	if got := fetch[catalog.Product](t, s, target); len(got.Variants) != len(p.Variants)-1 {
		t.Errorf("%d variants after one was taken off sale, want %d", len(got.Variants), len(p.Variants)-1)
	}
	s.exec(t, "UPDATE products SET status = 'archived' WHERE id = $1", p.ID)
	s.CatchUp(t)
	if w := s.get(t, target); w.Code != http.StatusNotFound {
		t.Errorf("an archived product: %d, want 404", w.Code)
	}
}

func parsed[T any](t *testing.T, text json.RawMessage) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// The tag must change with whatever the page shows, also with what does not
// touch the product's row.
func TestProductTag(t *testing.T) {
	t.Parallel()
	s, in := newLoadedShop(t, 5)
	target, variant := "/v1/products/"+in.Products[0].Slug, in.Products[0].Variants[0].ID
	s.exec(t, "UPDATE variants SET stock_quantity = 50 WHERE id = $1", variant)
	s.CatchUp(t)
	tag := s.get(t, target).Header().Get("ETag")
	if w := s.get(t, target, "If-None-Match", tag); w.Code != http.StatusNotModified || tag == "" {
		t.Fatalf("with its own tag %q: %d, want 304", tag, w.Code)
	}
	version := "SELECT version FROM products WHERE id = $1"
	before := scan[int64](t, s, version, in.Products[0].ID)
	s.exec(t, "UPDATE variants SET stock_quantity = 2 WHERE id = $1", variant)
	s.CatchUp(t)
	if after := scan[int64](t, s, version, in.Products[0].ID); after != before {
		t.Fatalf("the sale changed the product's version from %d to %d, so the test shows nothing", before, after)
	}
	if w := s.get(t, target, "If-None-Match", tag); w.Code != http.StatusOK || w.Header().Get("ETag") == tag {
		t.Errorf("after a sale: %d with tag %s, want 200 with another", w.Code, w.Header().Get("ETag"))
	}
}

func TestCategories(t *testing.T) {
	t.Parallel()
	s, in := newLoadedShop(t, 200)
	type answer struct{ Data []catalog.Category }
	roots := fetch[answer](t, s, "/v1/categories?depth=1").Data
	total := 0
	for _, c := range roots {
		total += c.ProductCount
		if len(c.Children) != 0 {
			t.Errorf("depth=1 shows the children of %s", c.Slug)
		}
	}
	if len(roots) != 8 || total != len(in.Products) {
		t.Errorf("%d roots with %d products, want 8 with %d", len(roots), total, len(in.Products))
	}
	leaf := fetch[catalog.CategoryDetail](t, s, "/v1/categories/kitchen-cookware-pans")
	if leaf.Path != "Kitchen/Cookware/Pans" || len(leaf.Breadcrumbs) != 2 ||
		leaf.ProductCount != len(matching(in, catalog.Filter{Category: leaf.Slug})) {
		t.Errorf("leaf %+v", leaf)
	}
	w := s.get(t, "/v1/categories")
	if w := s.get(t, "/v1/categories", "If-None-Match", w.Header().Get("ETag")); w.Code != http.StatusNotModified {
		t.Errorf("the tree with its own tag: %d, want 304", w.Code)
	}
}

func TestAvailability(t *testing.T) {
	t.Parallel()
	s, in := newLoadedShop(t, 5)
	v := in.Products[0].Variants[0]
	s.exec(t, "UPDATE variants SET stock_quantity = 3 WHERE id = $1", v.ID)
	s.CatchUp(t)
	unknown := in.Products[0].ID // an id, but not of a variant
	got := fetch[struct{ Data []catalog.VariantStock }](t, s,
		fmt.Sprintf("/v1/availability?variant_id=%s&variant_id=%s", unknown, v.ID)).Data
	want := []catalog.VariantStock{
		{VariantID: unknown, Status: catalog.Out},
		{VariantID: v.ID, Status: catalog.Low, Available: 3},
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
