package catalog_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/seed"
)

type searchAnswer struct {
	Data   []catalog.Hit
	Facets []catalog.Facet
	Query  catalog.QueryInfo
	Page   struct {
		NextCursor *string `json:"next_cursor"`
	}
}

func (a searchAnswer) names() (names []string) {
	for _, h := range a.Data {
		names = append(names, h.Product.Name)
	}
	return names
}

var notInSlugs = regexp.MustCompile(`[^a-z0-9]+`)

// A few products with known words; the tests below are about exactly these.
func newSearchShop(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	home := catalog.ImportCategory{ID: id.New(), Slug: "chairs", Name: "Chairs & Stools"}
	lamps := catalog.ImportCategory{ID: id.New(), Slug: "lamps", Name: "Lamps", Position: 1}
	in := catalog.Import{Categories: []catalog.ImportCategory{home, lamps}}
	add := func(category id.ID, name, description string, popularity int, price int64, colors ...string) {
		slug := strings.Trim(notInSlugs.ReplaceAllString(strings.ToLower(name), "-"), "-")
		p := catalog.ImportProduct{
			ID: id.New(), Category: category, Name: name, Slug: slug,
			Description: description, Popularity: popularity,
		}
		for _, c := range colors {
			p.Variants = append(p.Variants, catalog.ImportVariant{
				ID: id.New(), SKU: slug + c, Options: map[string]string{"color": c}, Price: price, Stock: 9,
			})
		}
		in.Products = append(in.Products, p)
	}
	add(home.ID, "Walnut Lounge Chair", "Deep and low.", 5, 90000, "red", "blue")
	add(home.ID, "Oak Chair", "Goes with walnut tables.", 500, 20000, "red")
	add(home.ID, "Walnut Stool", "Three legs.", 50, 9900, "green")
	add(lamps.ID, "Paper Lamp", "Light that does not glare.", 70, 4900, "white")
	add(lamps.ID, "Walnut Lamp", "A turned foot.", 1, 7900, "red")
	add(lamps.ID, "<b>Odd</b> & 3 < 4 Lamp", "Escaped.", 1, 1900, "red")
	s.load(t, in)
	return s
}

func TestSearchModes(t *testing.T) {
	t.Parallel()
	s := newSearchShop(t)
	for _, test := range []struct {
		q          string
		mode       catalog.Mode
		first      string
		count      int
		suggestion string
	}{
		{"walnut", catalog.Exact, "Walnut Stool", 4, ""}, // a name counts more than a description
		{"chairs", catalog.Exact, "Oak Chair", 2, ""},    // stemmed
		{"walnut -chair", catalog.Exact, "Walnut Stool", 2, ""},
		{`"lounge chair"`, catalog.Exact, "Walnut Lounge Chair", 1, ""},
		{"waln", catalog.Prefix, "Walnut Stool", 4, ""},
		{"walnut loun", catalog.Prefix, "Walnut Lounge Chair", 1, ""},
		{"walnt", catalog.Fuzzy, "Walnut Stool", 3, "walnut"},
		{"paper lmap", catalog.Fuzzy, "Paper Lamp", 1, "paper lamp"},
		{"bicycle", catalog.Exact, "", 0, ""},
	} {
		got := fetch[searchAnswer](t, s, query("/v1/search", "q", test.q))
		names := append(got.names(), "")
		if got.Query.Mode != test.mode || names[0] != test.first || len(got.Data) < test.count {
			t.Errorf("q=%s: mode %s, %q; want %s, %q first of at least %d",
				test.q, got.Query.Mode, names, test.mode, test.first, test.count)
		}
		suggestion := ""
		if got.Query.Suggestion != nil {
			suggestion = *got.Query.Suggestion
		}
		if suggestion != test.suggestion {
			t.Errorf("q=%s: suggestion %q, want %q", test.q, suggestion, test.suggestion)
		}
	}
}

func TestHighlightIsSafe(t *testing.T) {
	t.Parallel()
	s := newSearchShop(t)
	got := fetch[searchAnswer](t, s, query("/v1/search", "q", "odd"))
	if len(got.Data) != 1 || got.Data[0].Highlight != "&lt;b&gt;<mark>Odd</mark>&lt;/b&gt; &amp; 3 &lt; 4 Lamp" {
		t.Errorf("got %+v", got.Data)
	}
}

func TestFacets(t *testing.T) {
	t.Parallel()
	s := newSearchShop(t)
	got := fetch[searchAnswer](t, s, query("/v1/search", "q", "walnut",
		"category", "chairs", "option", "color:red", "facets", "category,price,option.color"))
	if names := got.names(); len(names) != 2 {
		t.Fatalf("found %q, want the two red ones among the chairs", names)
	}
	flat := []string{}
	for _, f := range got.Facets {
		for _, v := range f.Values {
			flat = append(flat, f.Name+" "+v.Value+" "+strings.Repeat("*", int(v.Count))+map[bool]string{true: " selected"}[v.Selected])
		}
	}
	want := []string{
		"category chairs ** selected", "category lamps *", // red only
		"price 10000..24999 *", "price 50000..99999 *", // red chairs only
		"option.color red ** selected", "option.color blue *", "option.color green *", // all chairs
	}
	if !slices.Equal(flat, want) {
		t.Errorf("facets:\n%s\nwant:\n%s", strings.Join(flat, "\n"), strings.Join(want, "\n"))
	}
}

// Each facet value promises how many products choosing it leaves.
func TestFacetsKeepTheirPromise(t *testing.T) {
	t.Parallel()
	s, in := newShop(t), seed.Generate(600, 1)
	parent := in.Categories[0]
	for i := range in.Products {
		if i%8 == 0 { // a parent with products of its own, beside its descendants'
			in.Products[i].Category = parent.ID
		}
	}
	s.load(t, in)
	base := []string{"q", "oak or linen or steel", "option", "color:rust", "limit", "100"}
	got := fetch[searchAnswer](t, s, query("/v1/search", append(base, "facets", "category,price")...))
	own := slices.DeleteFunc(slices.Clone(got.Data), func(h catalog.Hit) bool { return h.Product.Category.Slug != parent.Slug })
	all := fetch[searchAnswer](t, s, query("/v1/search", append(slices.Clone(base), "category", parent.Slug)...)).Data
	if len(own) == 0 || len(own) == len(all) {
		t.Fatalf("%d hits in %s itself of %d below it, so the test shows nothing", len(own), parent.Slug, len(all))
	}
	checked := 0
	for _, f := range got.Facets {
		for _, v := range f.Values {
			chosen := append(slices.Clone(base), "category", v.Value)
			if low, high, isRange := strings.Cut(v.Value, ".."); isRange {
				chosen = append(slices.Clone(base), "price_min", low)
				if high != "" {
					chosen = append(chosen, "price_max", high)
				}
			}
			if n := len(fetch[searchAnswer](t, s, query("/v1/search", chosen...)).Data); int64(n) != v.Count {
				t.Errorf("%s=%s counts %d and leaves %d", f.Name, v.Value, v.Count, n)
			}
			checked++
		}
	}
	if !slices.ContainsFunc(got.Facets[0].Values, func(v catalog.FacetValue) bool { return v.Value == parent.Slug }) {
		t.Errorf("%s, which has hits, is not offered", parent.Slug)
	}
	if checked < 5 {
		t.Errorf("only %d facet values, so the test shows little", checked)
	}
}

func TestSearchPages(t *testing.T) {
	t.Parallel()
	s, _ := newLoadedShop(t, 300)
	for _, q := range []string{"chair", "walnu", "chiar", "walnut chair bicycle lamp"} {
		whole := fetch[searchAnswer](t, s, query("/v1/search", "q", q, "limit", "100"))
		if len(whole.Data) < 5 || whole.Page.NextCursor != nil {
			t.Fatalf("q=%s: %d products, want one page with some", q, len(whole.Data))
		}
		names, cursor := []string(nil), ""
		for {
			args := []string{"q", q, "limit", "3"}
			if cursor != "" {
				args = append(args, "cursor", cursor)
			}
			page := fetch[searchAnswer](t, s, query("/v1/search", args...))
			names = append(names, page.names()...)
			if page.Query.Mode != whole.Query.Mode {
				t.Fatalf("q=%s: a page is %s, the first was %s", q, page.Query.Mode, whole.Query.Mode)
			}
			if page.Page.NextCursor == nil {
				break
			}
			cursor = *page.Page.NextCursor
		}
		if !slices.Equal(names, whole.names()) {
			t.Errorf("q=%s: in pages %q\nat once %q", q, names, whole.names())
		}
	}
}

// What people type, by accident and on purpose.
func TestAnyTextIsHarmless(t *testing.T) {
	t.Parallel()
	s := newSearchShop(t)
	for _, q := range catalog.SearchTexts {
		for _, path := range []string{"/v1/search", "/v1/search/suggest"} {
			if w := s.get(t, query(path, "q", q)); w.Code != http.StatusOK {
				t.Errorf("GET %s?q=%q: %d %s", path, q, w.Code, w.Body)
			}
		}
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	s := newSearchShop(t)
	type answer struct{ Data []catalog.Suggestion }
	for q, want := range map[string][]catalog.Suggestion{
		"Stoo": {{Text: "Chairs & Stools", Kind: "category", Slug: "chairs"}, {Text: "Walnut Stool", Kind: "product", Slug: "walnut-stool"}},
		"chai": {
			{Text: "Chairs & Stools", Kind: "category", Slug: "chairs"},
			{Text: "Oak Chair", Kind: "product", Slug: "oak-chair"}, // the more popular first
			{Text: "Walnut Lounge Chair", Kind: "product", Slug: "walnut-lounge-chair"},
		},
		"glar": {}, // of a description
		"w":    {},
		" ":    {},
	} {
		if got := fetch[answer](t, s, query("/v1/search/suggest", "q", q)); !slices.Equal(got.Data, want) || got.Data == nil {
			t.Errorf("q=%s: %+v, want %+v", q, got.Data, want)
		}
	}
	if got := fetch[answer](t, s, query("/v1/search/suggest", "q", "chai", "limit", "2")); len(got.Data) != 2 {
		t.Errorf("limit=2: %+v", got.Data)
	}
}
