package catalog_test

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
	"pgregory.net/rapid"

	"example.com/leeway/catalog"
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

	beyond := 0
	for word := range words(in.Products) {
		want, last := wantSuggestions(in.Products, word, 10)
		if beyond < 20 && len(want) > 0 && last >= 500 {
			beyond++
			s.suggests(t, in.Products, word, 10)
		}
	}
	if beyond < 5 {
		t.Errorf("%d answers reach beyond the products that are looked through first, so the test shows little", beyond)
	}
	rapid.Check(t, func(rt *rapid.T) {
		p := rapid.SampledFrom(in.Products).Draw(rt, "product")
		word := rapid.SampledFrom(lowerWords(p.Name)).Draw(rt, "word")
		if len(word) < 2 {
			return
		}
		prefix := word[:rapid.IntRange(2, len(word)).Draw(rt, "length")]
		s.suggests(rt, in.Products, prefix, rapid.IntRange(1, 10).Draw(rt, "limit"))
	})
}

// suggests asks for suggestions and wants the model's.
func (s *shop) suggests(t rapid.TB, popular []catalog.ImportProduct, prefix string, limit int) {
	t.Helper()
	got, err := s.store.Suggest(context.Background(), prefix, limit)
	if err != nil {
		t.Fatal(err)
	}
	categories := 0
	for _, g := range got {
		if g.Kind == "category" {
			categories++
		}
	}
	if want, _ := wantSuggestions(popular, prefix, limit-categories); !slices.Equal(got[categories:], want) {
		t.Fatalf("%q: %+v, want %+v", prefix, got[categories:], want)
	}
}

// wantSuggestions is the model. last is the rank of the last product that it names.
func wantSuggestions(popular []catalog.ImportProduct, prefix string, limit int) (want []catalog.Suggestion, last int) {
	for rank, p := range popular {
		if len(want) < limit && slices.ContainsFunc(lowerWords(p.Name), func(w string) bool {
			return strings.HasPrefix(w, prefix) || stem(w) == stem(prefix) // it may be whole: "tables" has to find a table
		}) {
			want, last = append(want, catalog.Suggestion{Text: p.Name, Kind: "product", Slug: p.Slug}), rank
		}
	}
	return want, last
}

// words lists each word of the names once.
func words(products []catalog.ImportProduct) iter.Seq[string] {
	seen := map[string]bool{}
	return func(yield func(string) bool) {
		for _, p := range products {
			for _, word := range lowerWords(p.Name) {
				if len(word) >= 2 && !seen[word] {
					seen[word] = true
					if !yield(word) {
						return
					}
				}
			}
		}
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
