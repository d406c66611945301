package catalog_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
)

// A model is a catalog in Go, with what no import has: products off the list and
// variants out of sale.
type model struct {
	catalog.Import
	off map[id.ID]bool // products and variants
}

// The words of names, of descriptions and of colors are different ones, and none is
// another's stem or beginning: so a match is a word that is there.
var (
	nameWords = []string{"oak", "walnut", "chair", "lamp", "stool", "desk"}
	textWords = []string{"solid", "quiet", "heavy", "cheap"}
	shades    = []string{"red", "blue", "green"}
	cuts      = []string{"small", "tall"}
	amounts   = []int64{0, 999, 1000, 2499, 2500, 9999, 10000, 60000, 250000} // on the edges of the bands
)

func randomModel(r *rand.Rand, products int) model {
	m := model{off: map[id.ID]bool{}}
	for i := range 12 {
		c := catalog.ImportCategory{ID: id.New(), Slug: fmt.Sprintf("c%d", i), Name: fmt.Sprintf("Category %d", i)}
		if i > 2 {
			c.Parent = m.Categories[r.IntN(i)].ID
		}
		m.Categories = append(m.Categories, c)
	}
	two := func(words []string) string { return words[r.IntN(len(words))] + " " + words[r.IntN(len(words))] }
	for i := range products {
		p := catalog.ImportProduct{
			ID: id.New(), Category: m.Categories[r.IntN(12)].ID, Slug: fmt.Sprintf("p%d", i),
			Name: two(nameWords), Description: two(textWords), Popularity: r.IntN(1000),
		}
		for j, color := range shades[:1+r.IntN(3)] {
			v := catalog.ImportVariant{
				ID: id.New(), SKU: fmt.Sprintf("%d-%d", i, j), Price: amounts[r.IntN(len(amounts))], Stock: r.IntN(2),
				Options: map[string]string{"color": color},
			}
			if r.IntN(3) > 0 {
				v.Options["size"] = cuts[r.IntN(2)]
			}
			m.off[v.ID] = r.IntN(6) == 0
			p.Variants = append(p.Variants, v)
		}
		m.off[p.ID] = r.IntN(8) == 0
		m.Products = append(m.Products, p)
	}
	return m
}

// on returns the listed products with the variants that are for sale.
func (m model) on() (in catalog.Import) {
	in.Categories = m.Categories
	for _, p := range m.Products {
		p.Variants = slices.DeleteFunc(slices.Clone(p.Variants), func(v catalog.ImportVariant) bool { return m.off[v.ID] })
		if !m.off[p.ID] && len(p.Variants) > 0 {
			in.Products = append(in.Products, p)
		}
	}
	return in
}

func (m model) load(t *testing.T, s *shop) {
	t.Helper()
	if err := s.store.Load(t.Context(), m.Import, catalog.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	var off []id.ID
	for v, is := range m.off {
		if is {
			off = append(off, v)
		}
	}
	s.exec(t, "UPDATE products SET status = 'archived' WHERE id = ANY ($1)", off)
	s.exec(t, "UPDATE variants SET active = false WHERE id = ANY ($1)", off)
	s.CatchUp(t)
}

// A text to search for, and what it means.
type wanted struct {
	text  string
	means func(has func(string) bool) bool
}

func drawWanted(t *rapid.T) wanted {
	word := rapid.SampledFrom(slices.Concat(nameWords, textWords, shades))
	a, b := word.Draw(t, "word"), word.Draw(t, "another")
	return rapid.SampledFrom([]wanted{
		{a, func(has func(string) bool) bool { return has(a) }},
		{a + " " + b, func(has func(string) bool) bool { return has(a) && has(b) }},
		{a + " or " + b, func(has func(string) bool) bool { return has(a) || has(b) }},
		{a + " -" + b, func(has func(string) bool) bool { return has(a) && !has(b) }},
	}).Draw(t, "text")
}

func (w wanted) matches(p catalog.ImportProduct) bool {
	words := strings.Fields(p.Name + " " + p.Description)
	for _, v := range p.Variants {
		for _, value := range v.Options {
			words = append(words, value)
		}
	}
	return w.means(func(word string) bool { return slices.Contains(words, word) })
}

func drawFilter(t *rapid.T) catalog.Filter {
	var f catalog.Filter
	if rapid.Bool().Draw(t, "in a category") {
		f.Category = fmt.Sprintf("c%d", rapid.IntRange(0, 12).Draw(t, "category")) // there is no c12
	}
	low, high := rapid.SampledFrom(amounts).Draw(t, "low"), rapid.SampledFrom(amounts).Draw(t, "high")
	if rapid.Bool().Draw(t, "from a price") {
		f.PriceMin = &low
	}
	if rapid.Bool().Draw(t, "up to a price") && (f.PriceMin == nil || high >= low) {
		f.PriceMax = &high
	}
	if rapid.Bool().Draw(t, "by stock") {
		f.InStock = new(rapid.Bool().Draw(t, "in stock"))
	}
	options := map[string][]string{}
	for name, values := range map[string][]string{"color": append(shades, "pink"), "size": cuts} {
		for _, v := range rapid.SliceOfNDistinct(rapid.SampledFrom(values), 0, 2, rapid.ID).Draw(t, name) {
			options[name] = append(options[name], catalog.OptionTag(name, v))
		}
	}
	f.Options = options
	return f
}

// Every facet against a count of the whole catalog in Go: what a value counts are the
// products that would be left if it, and nothing else of its facet, were chosen.
func TestFacetsAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	seed := rand.Uint64()
	t.Logf("catalog %d", seed)
	m := randomModel(rand.New(rand.NewPCG(seed, 0)), 250)
	m.load(t, s)
	in := m.on()
	names := []string{"category", "price", "option.color", "option.size", "option.none"}
	some := 0
	rapid.Check(t, func(rt *rapid.T) {
		w, f := drawWanted(rt), drawFilter(rt)
		got, err := s.store.Search(t.Context(), catalog.SearchQuery{Text: w.text, Filter: f, Facets: names, Limit: 100})
		if err != nil {
			rt.Fatal(err)
		}
		if got.Query.Mode == catalog.Fuzzy { // nothing has all the words, so some of them will do
			if len(slices.DeleteFunc(slices.Clone(in.Products), func(p catalog.ImportProduct) bool { return !w.matches(p) })) > 0 {
				rt.Fatalf("%q has matches and was corrected", w.text)
			}
			words := strings.Fields(w.text)
			w.means = func(has func(string) bool) bool { return slices.ContainsFunc(words, has) }
		}
		for i, name := range names {
			want := modelFacet(in, w, f, name)
			some += len(want)
			if diff := gocmp.Diff(want, got.Facets[i].Values, byValue); diff != "" || got.Facets[i].Name != name || got.Facets[i].Capped {
				rt.Fatalf("q=%q, %+v: %s (-model +got):\n%s", w.text, f, name, diff)
			}
			if name != "price" && !slices.IsSortedFunc(got.Facets[i].Values, mostFirst) {
				rt.Fatalf("q=%q, %+v: %s is not in the order of its counts: %+v", w.text, f, name, got.Facets[i].Values)
			}
		}
	})
	if some < 500 {
		t.Errorf("%d values in all, so the test shows little", some)
	}
}

func mostFirst(a, b catalog.FacetValue) int { return cmp.Compare(b.Count, a.Count) }

// byValue: which of two equal counts comes first is not promised.
var byValue = gocmp.Transformer("byValue", func(values []catalog.FacetValue) map[string]catalog.FacetValue {
	all := map[string]catalog.FacetValue{}
	for _, v := range values {
		all[v.Value] = v
	}
	if len(all) != len(values) {
		all["a value is there twice"] = catalog.FacetValue{}
	}
	return all
})

// modelFacet tries each value that there is, by choosing it and counting what is left.
func modelFacet(in catalog.Import, w wanted, f catalog.Filter, name string) []catalog.FacetValue {
	count := func(f catalog.Filter) (n int64) {
		for _, p := range matching(in, f) {
			if w.matches(p) {
				n++
			}
		}
		return n
	}
	values := []catalog.FacetValue{}
	try := func(v catalog.FacetValue, chosen catalog.Filter) {
		if v.Count = count(chosen); v.Count > 0 || v.Selected {
			values = append(values, v)
		}
	}
	option, isOption := strings.CutPrefix(name, "option.")
	switch {
	case name == "category":
		for _, c := range in.Categories {
			chosen := f
			chosen.Category = c.Slug
			try(catalog.FacetValue{Value: c.Slug, Label: c.Name, Selected: f.Category == c.Slug}, chosen)
		}
	case name == "price":
		for _, b := range []struct {
			low, high    int64
			value, label string
		}{
			{0, 999, "0..999", "0.00 to 9.99"},
			{1000, 2499, "1000..2499", "10.00 to 24.99"},
			{2500, 4999, "2500..4999", "25.00 to 49.99"},
			{5000, 9999, "5000..9999", "50.00 to 99.99"},
			{10000, 24999, "10000..24999", "100.00 to 249.99"},
			{25000, 49999, "25000..49999", "250.00 to 499.99"},
			{50000, 99999, "50000..99999", "500.00 to 999.99"},
			{100000, math.MaxInt64, "100000..", "1000.00 and more"},
		} {
			chosen := f
			chosen.PriceMin, chosen.PriceMax = &b.low, &b.high
			low, high := int64(0), int64(math.MaxInt64)
			if f.PriceMin != nil {
				low = *f.PriceMin
			}
			if f.PriceMax != nil {
				high = *f.PriceMax
			}
			selected := (f.PriceMin != nil || f.PriceMax != nil) && low == b.low && high == b.high
			try(catalog.FacetValue{Value: b.value, Label: b.label, Selected: selected}, chosen)
		}
	case isOption:
		for _, v := range slices.Concat(shades, cuts, []string{"pink"}) {
			chosen := f
			chosen.Options = map[string][]string{option: {catalog.OptionTag(option, v)}}
			for other, tags := range f.Options {
				if other != option {
					chosen.Options[other] = tags
				}
			}
			try(catalog.FacetValue{Value: v, Label: v, Selected: slices.Contains(f.Options[option], catalog.OptionTag(option, v))}, chosen)
		}
	}
	return values
}

// What was chosen is offered even if fifty others count more, and beyond the most that
// is ranked and counted the answer says so.
func TestFacetsOfManyProducts(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in := catalog.Import{Categories: []catalog.ImportCategory{{ID: id.New(), Slug: "chairs", Name: "Chairs"}}}
	for i := range 2001 {
		color := fmt.Sprint("c", min(i/2, 59)) // two of each, but for the last
		in.Products = append(in.Products, catalog.ImportProduct{
			ID: id.New(), Category: in.Categories[0].ID, Name: "Oak Chair", Slug: fmt.Sprint("oak-", i), Popularity: i,
			Variants: []catalog.ImportVariant{{ID: id.New(), SKU: fmt.Sprint(i), Price: 100, Stock: 1, Options: map[string]string{"color": color}}},
		})
	}
	s.load(t, in)
	got := fetch[searchAnswer](t, s, query("/v1/search", "q", "oak", "option", "color:c58", "facets", "option.color,category"))
	colors := got.Facets[0].Values
	if len(colors) != 51 || colors[0].Value != "c59" || colors[50] != (catalog.FacetValue{Value: "c58", Label: "c58", Count: 2, Selected: true}) {
		t.Errorf("%d colors, the first is %+v and the last %+v; want the 50 that count most and c58, which was chosen", len(colors), colors[0], colors[len(colors)-1])
	}
	if got.Query.Capped || !got.Facets[0].Capped || len(got.Data) != 2 {
		t.Errorf("%d hits, capped %v, facets capped %v; want both of c58, and that not all were counted", len(got.Data), got.Query.Capped, got.Facets[0].Capped)
	}
	got = fetch[searchAnswer](t, s, query("/v1/search", "q", "oak", "facets", "category"))
	if want := (catalog.FacetValue{Value: "chairs", Label: "Chairs", Count: 2000}); !got.Query.Capped || got.Facets[0].Values[0] != want {
		t.Errorf("capped %v, %+v; want the 2,000 that are counted at most", got.Query.Capped, got.Facets[0].Values)
	}
	got = fetch[searchAnswer](t, s, query("/v1/search", "q", "oak", "price_max", "1", "facets", "category"))
	if len(got.Facets[0].Values) != 0 || !got.Facets[0].Capped {
		t.Errorf("facet %+v; want no value, and that not all were counted", got.Facets[0])
	}
}
