package catalog_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/seed"
)

// BenchmarkSearchRatio holds searches against the product list, on 20,000 products.
func BenchmarkSearchRatio(b *testing.B) { benchmarkSearch(b, 20_000) }

func BenchmarkSearchAt200000(b *testing.B) { benchmarkSearch(b, 200_000) }

func benchmarkSearch(b *testing.B, products int) {
	s, in := newShop(b), seed.Generate(products, 1)
	s.load(b, in)
	random := rand.New(rand.NewPCG(1, 2))
	some := func() []string {
		return strings.Fields(in.Products[random.IntN(len(in.Products))].Name)
	}
	search := func(q catalog.SearchQuery) {
		q.Limit = 24
		if _, err := s.store.Search(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
	kinds := []struct {
		name string
		call func()
	}{
		{"list", func() {
			if _, _, err := s.store.Products(b.Context(), catalog.ListQuery{Sort: catalog.Newest, Limit: 24}); err != nil {
				b.Fatal(err)
			}
		}},
		{"two-words", func() {
			w := some()
			search(catalog.SearchQuery{Text: strings.Join(w[len(w)-2:], " ")})
		}},
		{"any-two", func() {
			w := some()
			i := random.IntN(len(w) - 1)
			search(catalog.SearchQuery{Text: w[i] + " " + w[i+1]})
		}},
		{"one-word", func() {
			w := some()
			search(catalog.SearchQuery{Text: w[len(w)-1]})
		}},
		{"prefix", func() {
			w := some()
			search(catalog.SearchQuery{Text: w[0] + " " + w[1][:3]})
		}},
		{"typo", func() {
			w := some()
			t := []byte(w[len(w)-2] + " " + w[len(w)-1])
			i := 1 + random.IntN(2)
			t[i], t[i+1] = t[i+1], t[i]
			search(catalog.SearchQuery{Text: string(t)})
		}},
		{"facets", func() {
			w := some()
			search(catalog.SearchQuery{Text: strings.Join(w[len(w)-2:], " "), Facets: []string{"category", "price", "option.color"}})
		}},
		{"facets-one", func() {
			w := some()
			search(catalog.SearchQuery{Text: w[len(w)-1], Facets: []string{"category", "price", "option.color"}})
		}},
		{"suggest", func() {
			w := some()
			if _, err := s.store.Suggest(b.Context(), w[0][:3], 10); err != nil {
				b.Fatal(err)
			}
		}},
	}
	took := make([][]time.Duration, len(kinds))
	for b.Loop() {
		for _, k := range rand.Perm(len(kinds)) {
			for range 10 {
				start := time.Now()
				kinds[k].call()
				took[k] = append(took[k], time.Since(start))
			}
		}
	}
	var list time.Duration
	for k, kind := range kinds {
		slices.Sort(took[k])
		p50, p99 := took[k][len(took[k])/2], took[k][len(took[k])*99/100]
		if k == 0 {
			list = p50
		}
		b.ReportMetric(float64(p50.Microseconds())/1000, kind.name+"-p50-ms")
		b.ReportMetric(float64(p99.Microseconds())/1000, kind.name+"-p99-ms")
		b.ReportMetric(float64(p50)/float64(list), kind.name+"/list")
	}
}
