package catalog_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
)

// The list, page by page, against the same list made in Go from what was loaded.
func TestListAgreesWithTheModel(t *testing.T) {
	t.Parallel()
	s, in := newLoadedShop(t, 400)
	yes, no, low, high := true, false, int64(2000), int64(9000)
	color := map[string][]string{"color": {"color:rust", "color:navy"}}
	for name, f := range map[string]catalog.Filter{
		"everything":  {},
		"in stock":    {InStock: &yes},
		"sold out":    {InStock: &no},
		"price":       {PriceMin: &low, PriceMax: &high},
		"color":       {Options: color},
		"two options": {Options: map[string][]string{"color": color["color"], "size": {"size:m", "size:small"}}},
		"nothing":     {Options: map[string][]string{"color": {"color:none"}}},
		"department":  {Category: "furniture"},
		"leaf":        {Category: "clothing-tops-shirts", InStock: &yes},
		"branch":      {Category: "kitchen-tools", PriceMin: &low, Options: color},
		"unknown":     {Category: "unknown"},
	} {
		want := matching(in, f)
		if name == "unknown" || name == "nothing" {
			if len(want) != 0 {
				t.Fatalf("%s: the model has %d products", name, len(want))
			}
		} else if len(want) == 0 {
			t.Fatalf("%s: no product of the model matches, so the test shows nothing", name)
		}
		for _, sort := range catalog.Sorts {
			t.Run(name+" by "+sort, func(t *testing.T) {
				order(want, catalog.Sort(sort))
				if diff := gocmp.Diff(slugsOf(want), walk(t, s, f, catalog.Sort(sort), 7)); diff != "" {
					t.Errorf("(-model +list):\n%s", diff)
				}
			})
		}
	}
}

func walk(t *testing.T, s *shop, f catalog.Filter, sort catalog.Sort, limit int) []string {
	t.Helper()
	slugs, q := []string{}, catalog.ListQuery{Filter: f, Sort: sort, Limit: limit}
	for {
		page, next, err := s.store.Products(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page {
			slugs = append(slugs, p.Slug)
		}
		if next == "" {
			return slugs
		}
		if len(page) != limit {
			t.Fatalf("a page of %d with another one after it, want %d", len(page), limit)
		}
		q.Cursor = next
	}
}

// matching is the filter in words: see catalog.Filter.
func matching(in catalog.Import, f catalog.Filter) (found []catalog.ImportProduct) {
	parents, slugs := map[id.ID]id.ID{}, map[id.ID]string{}
	for _, c := range in.Categories {
		parents[c.ID], slugs[c.ID] = c.Parent, c.Slug
	}
	for _, p := range in.Products {
		within := f.Category == ""
		for c := p.Category; !c.IsZero(); c = parents[c] {
			within = within || slugs[c] == f.Category
		}
		low, high := prices(p)
		stocked := slices.ContainsFunc(p.Variants, func(v catalog.ImportVariant) bool { return v.Stock > 0 })
		if !within || f.PriceMin != nil && high < *f.PriceMin || f.PriceMax != nil && low > *f.PriceMax ||
			f.InStock != nil && stocked != *f.InStock || !hasOptions(p, f) {
			continue
		}
		found = append(found, p)
	}
	return found
}

func hasOptions(p catalog.ImportProduct, f catalog.Filter) bool {
	for name, tags := range f.Options {
		if !slices.ContainsFunc(p.Variants, func(v catalog.ImportVariant) bool {
			return slices.Contains(tags, catalog.OptionTag(name, v.Options[name]))
		}) {
			return false
		}
	}
	return true
}

func prices(p catalog.ImportProduct) (low, high int64) {
	low = p.Variants[0].Price
	for _, v := range p.Variants {
		low, high = min(low, v.Price), max(high, v.Price)
	}
	return low, high
}

func order(products []catalog.ImportProduct, sort catalog.Sort) {
	slices.SortFunc(products, func(a, b catalog.ImportProduct) int {
		lowA, _ := prices(a)
		lowB, _ := prices(b)
		ids := strings.Compare(a.ID.String(), b.ID.String())
		switch sort {
		case catalog.Newest:
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), -ids)
		case catalog.Cheapest:
			return cmp.Or(cmp.Compare(lowA, lowB), ids)
		case catalog.Dearest:
			return cmp.Or(cmp.Compare(lowB, lowA), -ids)
		case catalog.ByName:
			return cmp.Or(strings.Compare(a.Name, b.Name), ids)
		}
		panic(fmt.Sprint("unknown sort ", sort))
	})
}

func slugsOf(products []catalog.ImportProduct) []string {
	slugs := []string{}
	for _, p := range products {
		slugs = append(slugs, p.Slug)
	}
	return slugs
}
