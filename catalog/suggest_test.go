package catalog_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
	"pgregory.net/rapid"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/seed"
)

// The most popular names with a word that begins like the text, from among the products
// that are looked through first and from beyond.
func TestSuggestionsAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	s, in := newShop(t), seed.Generate(900, 1)
	s.load(t, in)
	slices.SortFunc(in.Products, func(a, b catalog.ImportProduct) int {
		return cmp.Or(cmp.Compare(b.Popularity, a.Popularity), slices.Compare(a.ID[:], b.ID[:]))
	})
	rank := map[id.ID]int{}
	for i, p := range in.Products {
		rank[p.ID] = i
	}
	both := 0
	rapid.Check(t, func(rt *rapid.T) {
		p := rapid.SampledFrom(in.Products).Draw(rt, "product")
		word := rapid.SampledFrom(lowerWords(p.Name)).Draw(rt, "word")
		if len(word) < 2 {
			return
		}
		prefix := word[:rapid.IntRange(2, len(word)).Draw(rt, "length")]
		limit := rapid.IntRange(1, 10).Draw(rt, "limit")
		got, err := s.store.Suggest(t.Context(), prefix, limit)
		if err != nil {
			rt.Fatal(err)
		}
		categories := 0
		for _, g := range got {
			if g.Kind == "category" {
				categories++
			}
		}
		var want []catalog.Suggestion
		last := 0
		for _, p := range in.Products {
			if len(want) < limit-categories && slices.ContainsFunc(lowerWords(p.Name), func(w string) bool {
				return strings.HasPrefix(w, prefix) || stem(w) == stem(prefix) // it may be whole: "tables" has to find a table
			}) {
				want, last = append(want, catalog.Suggestion{Text: p.Name, Kind: "product", Slug: p.Slug}), rank[p.ID]
			}
		}
		if !slices.Equal(got[categories:], want) {
			rt.Fatalf("%q: %+v, want %+v", prefix, got[categories:], want)
		}
		if len(want) > 0 && last >= 500 {
			both++
		}
	})
	if both < 5 {
		t.Errorf("%d answers reach beyond the products that are looked through first, so the test shows little", both)
	}
}

func stem(word string) string {
	env := snowballstem.NewEnv(word)
	english.Stem(env)
	return env.Current()
}

func lowerWords(name string) []string {
	return strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) })
}
