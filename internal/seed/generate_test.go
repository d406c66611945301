package seed

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
)

func TestGenerateIsDeterministic(t *testing.T) {
	t.Parallel()
	a, b := Generate(300, 7), Generate(300, 7)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("the same seed gives different catalogs (-first +second):\n%s", diff)
	}
	if cmp.Equal(a, Generate(300, 8)) {
		t.Error("another seed gives the same catalog")
	}
}

// Another day, another Go: the same slugs and ids. A measurement that names a
// generated product must find it again.
func TestGenerateIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	in := Generate(2000, 1)
	if got, want := in.Products[0].Slug+" "+in.Products[1999].ID.String(), "jarl-nylon-backpack 019f16e8-0847-7cd3-b5d6-30fddfe2ffcb"; got != want {
		t.Errorf("the first slug and the last id are %q, want %q", got, want)
	}
}

// What the database would refuse in the middle of a load.
func TestGenerateKeepsTheRulesOfTheSchema(t *testing.T) {
	t.Parallel()
	in := Generate(5000, 1)
	slugForm := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	ids, slugs, skus := map[id.ID]bool{}, map[string]bool{}, map[string]bool{}
	fresh := func(v id.ID) bool {
		seen := ids[v]
		ids[v] = true
		return !seen && v[6]>>4 == 7 && v[8]>>6 == 2
	}
	categories := map[id.ID]bool{{}: true}
	for _, c := range in.Categories {
		if !fresh(c.ID) || !categories[c.Parent] || slugs[c.Slug] || !slugForm.MatchString(c.Slug) {
			t.Fatalf("category %+v: a bad or repeated id or slug, or a parent that does not come before", c)
		}
		categories[c.ID], slugs[c.Slug] = true, true
	}
	clear(slugs)
	for _, p := range in.Products {
		if !fresh(p.ID) || !categories[p.Category] || slugs[p.Slug] || !slugForm.MatchString(p.Slug) {
			t.Fatalf("product %s: a bad or repeated id or slug, or no category", p.Slug)
		}
		slugs[p.Slug] = true
		for _, v := range p.Variants {
			if !fresh(v.ID) || skus[v.SKU] {
				t.Fatalf("variant %s: a bad or repeated id or SKU", v.SKU)
			}
			skus[v.SKU] = true
		}
		checkVariants(t, p)
	}
}

func checkVariants(t *testing.T, p catalog.ImportProduct) {
	t.Helper()
	combinations := map[string]bool{}
	product := 1
	for _, o := range p.Options {
		product *= len(o.Values)
	}
	for _, v := range p.Variants {
		combinations[v.Options["color"]+"/"+v.Options["size"]] = true
		if cents := v.Price % 100; cents != 95 && cents != 99 || v.Price < 0 || v.Stock < 0 {
			t.Errorf("variant %s: price %d, stock %d", v.SKU, v.Price, v.Stock)
		}
	}
	if len(combinations) != product || len(p.Variants) != product {
		t.Errorf("product %s: %d variants, %d of them different, for %d combinations of %v",
			p.Slug, len(p.Variants), len(combinations), product, p.Options)
	}
}

func TestGenerateIsSkewed(t *testing.T) {
	t.Parallel()
	in := Generate(5000, 1)
	variants, out, top, sum := 0, 0, 0, 0
	first, last := in.Products[0].CreatedAt, in.Products[0].CreatedAt
	for _, p := range in.Products {
		variants += len(p.Variants)
		for _, v := range p.Variants {
			if v.Stock == 0 {
				out++
			}
		}
		top, sum = max(top, p.Popularity), sum+p.Popularity
		if p.CreatedAt.Before(first) {
			first = p.CreatedAt
		}
		if p.CreatedAt.After(last) {
			last = p.CreatedAt
		}
	}
	if perProduct := float64(variants) / 5000; perProduct < 2.8 || perProduct > 3.2 {
		t.Errorf("%.2f variants a product, want about 3", perProduct)
	}
	if share := float64(out) / float64(variants); share < 0.035 || share > 0.065 {
		t.Errorf("%.1f %% of the variants are sold out, want about 5", 100*share)
	}
	if top*20 < sum {
		t.Errorf("the most popular product has %d of %d, want a long tail", top, sum)
	}
	if got := last.Sub(first); got < span*9/10 || got > span*11/10 {
		t.Errorf("products are spread over %v, want %v", got, span)
	}
}
