package catalog_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/seed"
)

// The typo of the specification, in the catalog of the demo.
func TestLetherChiarsAreLeatherChairs(t *testing.T) {
	t.Parallel()
	s, _ := newLoadedShop(t, 2000)
	for _, q := range []string{"lether chiar", "Lether Chiar!", "chiars lether", "leather chiar"} {
		got := fetch[searchAnswer](t, s, query("/v1/search", "q", q))
		if got.Query.Mode != catalog.Fuzzy || got.Query.Suggestion == nil || len(got.Data) < 3 {
			t.Fatalf("q=%s: %d hits, %+v; want a fuzzy search with some and a suggestion", q, len(got.Data), got.Query)
		}
		if words := strings.Fields(*got.Query.Suggestion); len(words) != 2 || !slices.Contains(words, "leather") || !slices.Contains(words, "chair") {
			t.Errorf("q=%s: suggestion %q", q, *got.Query.Suggestion)
		}
		for _, h := range got.Data {
			if !strings.Contains(h.Product.Name, "Leather") || !strings.Contains(h.Product.Name, "hair") || strings.Count(h.Highlight, "<mark>") < 2 {
				t.Errorf("q=%s: found %q (%s)", q, h.Product.Name, h.Highlight)
			}
		}
		// The suggestion is a text to search for, and finds the same.
		again := fetch[searchAnswer](t, s, query("/v1/search", "q", *got.Query.Suggestion))
		if !slices.Equal(again.names(), got.names()) || again.Query.Mode != catalog.Exact {
			t.Errorf("q=%s: %q; found by its suggestion (%s): %q", q, got.names(), again.Query.Mode, again.names())
		}
	}
}

func TestWhatWasMeant(t *testing.T) {
	t.Parallel()
	s := newNamedShop(t, "Leather Sofa", "Leather Bag", "Letter Tray", "Oak Tray", "Walnut Chair", "Chinos", "A4 Paper", "Light Or Dark Lamp")
	for _, test := range []struct {
		q, suggestion, first string
		count                int
	}{
		{"lether", "leather", "Leather Sofa", 2},         // not letter, which is as near, but of one product
		{"lether tray", "letter tray", "Letter Tray", 1}, // beside tray it is
		{"lmaps", "lamp", "Light Or Dark Lamp", 1},       // too short for two edits, but its stem is one away
		{"walnt bicycle", "walnut", "Walnut Chair", 1},   // no bicycles
		{"the chiar", "the chair", "Walnut Chair", 1},    // "the" is no typo of "tray"
		{"lite ro dark lamp", "dark lamp", "Light Or Dark Lamp", 1},
		{"leather oak walnut", "", "Leather Sofa", 4}, // nothing is all of them
		{"ok", "", "", 0},
		{"a5", "", "", 0},
		{"bicycle", "", "", 0},
		{`"lether sofa"`, "", "", 0},
		{"lether -bag", "", "", 0}, // whoever writes operators means them
	} {
		got := fetch[searchAnswer](t, s, query("/v1/search", "q", test.q))
		suggestion := ""
		if got.Query.Suggestion != nil {
			suggestion = *got.Query.Suggestion
		}
		names := append(got.names(), "")
		if suggestion != test.suggestion || names[0] != test.first || len(got.Data) != test.count {
			t.Errorf("q=%s: suggestion %q, %d hits %q; want %q, %d, %q first", test.q, suggestion, len(got.Data), names, test.suggestion, test.count, test.first)
		}
		if (got.Query.Mode == catalog.Fuzzy) != (test.count > 0) {
			t.Errorf("q=%s: mode %s", test.q, got.Query.Mode)
		}
	}
}

// Filters do not change what was meant, and the facets say where it is.
func TestATypoUnderAFilter(t *testing.T) {
	t.Parallel()
	s := newSearchShop(t)
	got := fetch[searchAnswer](t, s, query("/v1/search", "q", "chiar", "category", "lamps", "facets", "category"))
	if len(got.Data) != 0 || got.Query.Mode != catalog.Fuzzy || got.Query.Suggestion == nil || *got.Query.Suggestion != "chair" {
		t.Errorf("%q, %+v; want nothing, and that it is spelled chair", got.names(), got.Query)
	}
	want := []catalog.FacetValue{{Value: "chairs", Label: "Chairs & Stools", Count: 2}, {Value: "lamps", Label: "Lamps", Selected: true}}
	if !slices.Equal(got.Facets[0].Values, want) {
		t.Errorf("facet %+v, want %+v", got.Facets[0].Values, want)
	}
	// What is spelled right and filtered out is not corrected.
	got = fetch[searchAnswer](t, s, query("/v1/search", "q", "chair", "category", "lamps"))
	if len(got.Data) != 0 || got.Query.Mode != catalog.Exact || got.Query.Suggestion != nil {
		t.Errorf("%q, %+v; want nothing", got.names(), got.Query)
	}
}

// One wrong letter in each word, or two in a long one, and something is found; what is
// suggested is spelled like it.
func TestTyposFindSomething(t *testing.T) {
	t.Parallel()
	s, in := newLoadedShop(t, 300)
	fuzzy := 0
	rapid.Check(t, func(rt *rapid.T) {
		p := rapid.SampledFrom(in.Products).Draw(rt, "product")
		var typed []string
		for w := range strings.FieldsFuncSeq(strings.ToLower(p.Name), func(r rune) bool { return !unicode.IsLetter(r) }) {
			if len(w) > 3 {
				typed = append(typed, drawTypo(rt, w))
			}
		}
		if len(typed) == 0 {
			return
		}
		q := strings.Join(typed, " ")
		got, err := s.store.Search(t.Context(), catalog.SearchQuery{Text: q, Limit: 10})
		if err != nil || len(got.Hits) == 0 {
			rt.Fatalf("q=%s of %q: %d hits, %v", q, p.Name, len(got.Hits), err)
		}
		if got.Query.Mode == catalog.Fuzzy {
			fuzzy++
		}
	})
	if fuzzy < 20 {
		t.Errorf("only %d searches were fuzzy, so the test shows little", fuzzy)
	}
}

// drawTypo makes one edit, and a second one if the result is as long as two need.
func drawTypo(t *rapid.T, word string) string {
	w := drawEdit(t, []rune(word))
	if len(w) > 6 && rapid.Bool().Draw(t, "again") {
		w = drawEdit(t, w)
	}
	return string(w)
}

func drawEdit(t *rapid.T, w []rune) []rune {
	at := rapid.IntRange(0, len(w)-2).Draw(t, "at")
	letter := rapid.RuneFrom(nil, &unicode.RangeTable{R16: []unicode.Range16{{Lo: 'a', Hi: 'z', Stride: 1}}}).Draw(t, "letter")
	switch rapid.SampledFrom([]string{"insert", "delete", "replace", "swap"}).Draw(t, "edit") {
	case "insert":
		return slices.Insert(slices.Clone(w), at, letter)
	case "delete":
		return slices.Delete(slices.Clone(w), at, at+1)
	case "replace":
		w = slices.Clone(w)
		w[at] = letter
		return w
	}
	w = slices.Clone(w)
	w[at], w[at+1] = w[at+1], w[at]
	return w
}

// A word can be meant as soon as a listed product has it, however that came.
func TestNewWordsAreKnown(t *testing.T) {
	t.Parallel()
	s := newNamedShop(t, "Oak Chair", "Walnut Lamp")
	meant := func(q string) string {
		s.CatchUp(t)
		if got := fetch[searchAnswer](t, s, query("/v1/search", "q", q)); got.Query.Suggestion != nil {
			return *got.Query.Suggestion
		}
		return ""
	}
	if got := meant("zeppelni"); got != "" {
		t.Fatalf("%q is known before there is one", got)
	}
	s.exec(t, `INSERT INTO products (id, category_id, slug, name) SELECT gen_random_uuid(), id, 'zeppelin', 'Zeppelin' FROM categories`)
	if got := meant("zeppelni"); got != "" {
		t.Errorf("%q is known of a product without a variant", got)
	}
	s.exec(t, `INSERT INTO variants (id, product_id, sku, price, stock_quantity) SELECT gen_random_uuid(), id, 'z', 1, 1 FROM products WHERE slug = 'zeppelin'`)
	if got := meant("zeppelni"); got != "zeppelin" {
		t.Errorf("meant %q, want the new product", got)
	}
	s.exec(t, "UPDATE products SET name = 'Submarine' WHERE slug = 'zeppelin'")
	if a, b := meant("zeppelni"), meant("submairne"); a != "" || b != "submarine" {
		t.Errorf("meant %q and %q, want nothing and the new name", a, b)
	}
	s.exec(t, "UPDATE products SET status = 'archived' WHERE slug = 'zeppelin'")
	if got := meant("submairne"); got != "" {
		t.Errorf("meant %q, which is archived", got)
	}
}

// Each beginning of each word finds it, whatever its stem is.
func TestPrefixFindsEveryBeginning(t *testing.T) {
	t.Parallel()
	s, in := newShop(t), seed.Generate(120, 1)
	s.load(t, in)
	prefixes := 0
	rapid.Check(t, func(rt *rapid.T) {
		p := rapid.SampledFrom(in.Products).Draw(rt, "product")
		word := rapid.SampledFrom(strings.FieldsFunc(strings.ToLower(p.Name), func(r rune) bool { return !unicode.IsLetter(r) })).Draw(rt, "word")
		prefix := word[:rapid.IntRange(1, len(word)).Draw(rt, "length")]
		got, err := s.store.Search(t.Context(), catalog.SearchQuery{Text: prefix, Limit: 100})
		if err != nil {
			rt.Fatal(err)
		}
		found := slices.ContainsFunc(got.Hits, func(h catalog.Hit) bool { return h.Product.ID == p.ID })
		switch {
		case got.Query.Mode == catalog.Prefix && (found || len(got.Hits) == 100):
			prefixes++
		case got.Query.Mode == catalog.Exact && len(got.Hits) > 0: // the prefix is a word itself
		default:
			rt.Fatalf("q=%s does not find %q, but (%s) %d others", prefix, p.Name, got.Query.Mode, len(got.Hits))
		}
	})
	if prefixes < 20 {
		t.Errorf("only %d prefixes, so the test shows little", prefixes)
	}
}
