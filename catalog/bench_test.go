package catalog_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/seed"
)

// BenchmarkSearchRatio holds searches, on 20,000 products, against the first page of the
// product list. An operation is one round, in which each kind has its turn, so that a
// busy moment of the machine counts for all of them; the medians of all calls and their
// ratios to the list's are reported:
//
//	go test -run '^$' -bench SearchRatio -benchtime 101x ./catalog
//
// What is searched for are words that a product of the catalog, any of them, has beside
// each other in its name. HTTP is left out: it would only bring the ratios nearer to 1.
func BenchmarkSearchRatio(b *testing.B) { benchmarkSearch(b, 20_000) }

// BenchmarkSearch200000 is the same on a catalog ten times that size.
func BenchmarkSearch200000(b *testing.B) { benchmarkSearch(b, 200_000) }

func benchmarkSearch(b *testing.B, products int) {
	s, in := newShop(b), seed.Generate(products, 1)
	s.load(b, in)
	kinds := s.searches(in)
	took := make([][]time.Duration, len(kinds))
	for b.Loop() {
		for _, k := range rand.Perm(len(kinds)) { // nobody always follows the same one
			for range 10 {
				start := time.Now()
				if err := kinds[k].call(b.Context()); err != nil {
					b.Fatal(err)
				}
				took[k] = append(took[k], time.Since(start))
			}
		}
	}
	list := p50(took[0])
	for k, kind := range kinds {
		b.ReportMetric(p50(took[k]).Seconds()*1000, kind.name+"-ms")
		if k > 0 {
			b.ReportMetric(float64(p50(took[k]))/float64(list), kind.name+"/list")
		}
	}
}

type search struct {
	name string
	call func(context.Context) error
}

// searches are the list, and then what is held against it.
func (s *shop) searches(in catalog.Import) []search {
	r := rand.New(rand.NewPCG(1, 2)) // the same texts each time
	two := func() (a, b string) {
		name := strings.Fields(in.Products[r.IntN(len(in.Products))].Name)
		at := r.IntN(len(name) - 1)
		return name[at], name[at+1]
	}
	find := func(ctx context.Context, text string, facets ...string) error {
		_, err := s.store.Search(ctx, catalog.SearchQuery{Text: text, Facets: facets, Limit: 24})
		return err
	}
	return []search{
		{"list", func(ctx context.Context) error {
			_, _, err := s.store.Products(ctx, catalog.ListQuery{Sort: catalog.Newest, Limit: 24})
			return err
		}},
		{"two-words", func(ctx context.Context) error {
			a, b := two()
			return find(ctx, a+" "+b)
		}},
		{"one-word", func(ctx context.Context) error {
			_, word := two()
			return find(ctx, word)
		}},
		{"prefix", func(ctx context.Context) error {
			a, b := two()
			return find(ctx, a+" "+b[:len(b)/2+1])
		}},
		{"typo", func(ctx context.Context) error {
			a, b := two()
			return find(ctx, a[:1]+a[2:3]+a[1:2]+a[3:]+" "+b)
		}},
		{"facets", func(ctx context.Context) error {
			a, b := two()
			return find(ctx, a+" "+b, "category", "price", "option.color")
		}},
		{"suggest", func(ctx context.Context) error {
			word, _ := two()
			_, err := s.store.Suggest(ctx, word[:3], 10)
			return err
		}},
	}
}

func p50(took []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(took))[len(took)/2]
}
