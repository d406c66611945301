package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"example.com/leeway/db/readq"
)

const (
	// meantWords are the words that a typed one may become, fewest edits first, and
	// meantTexts the texts that are tried of all their combinations.
	meantWords = 8
	meantTexts = 32
	// moreMatches are as good as any number of them when texts are compared.
	moreMatches = 100
)

// A correction is what someone probably meant, in words of the catalog, folded.
type correction struct {
	words []string
	any   bool // some of the words: nothing has all of them
}

// websearch is the text for websearch_to_tsquery.
func (c correction) websearch() string {
	if c.any {
		return `"` + strings.Join(c.words, `" or "`) + `"`
	}
	return `"` + strings.Join(c.words, `" "`) + `"`
}

// suggestion is nil if it would be what was typed.
func (c correction) suggestion(typed string) *string {
	if slices.Equal(c.words, folded(typed)) {
		return nil
	}
	s := strings.Join(c.words, " ")
	return &s
}

// correct looks for a text near the typed one that finds something: the one with the
// fewest edits, and of several the one that finds the most. So "lether" is leather and
// not letter, unless there is "tray" beside it. Words that nothing is near are left
// out. If no product has all of the words, some will do; if none has any, the
// correction has no words.
//
// Filters have no say: who looks for a chiar among the lamps is told how it is
// spelled, and by the facets where it is.
func correct(ctx context.Context, r *readq.Queries, typed string) (correction, error) {
	all := folded(typed)
	rows, err := r.SimilarWords(ctx, lookups(all))
	if err != nil {
		return correction{}, fmt.Errorf("look up similar words: %w", err)
	}
	var choices [][]spelling
	for _, w := range all {
		if c := spellings(w, rows); len(c) > 0 {
			choices = append(choices, c)
		}
	}
	if len(choices) == 0 {
		return correction{}, nil
	}
	best, err := choose(ctx, r, combine(choices))
	if err != nil || !best.any && slices.Equal(best.words, all) {
		return correction{}, err // as it was typed it finds something, but for a filter
	}
	return best, nil
}

// choose asks the database which text finds what.
func choose(ctx context.Context, r *readq.Queries, texts []combination) (correction, error) {
	some := correction{words: texts[0].words, any: true}
	queries := []string{some.websearch()}
	for _, t := range texts {
		queries = append(queries, correction{words: t.words}.websearch())
	}
	matches, err := r.CountMatches(ctx, readq.CountMatchesParams{Texts: queries, MaxCount: moreMatches})
	if err != nil {
		return correction{}, fmt.Errorf("count matches: %w", err)
	}
	if matches[0] == 0 {
		some = correction{}
	}
	best := some
	var edits int
	var most int64
	for i, t := range texts { // the fewest edits first
		if n := matches[i+1]; n > most && (most == 0 || t.edits == edits) {
			best, edits, most = correction{words: t.words}, t.edits, n
		}
	}
	return best, nil
}

// A combination is a text with one spelling of each word.
type combination struct {
	words []string
	edits int
}

// combine returns those with the fewest edits, in that order.
func combine(choices [][]spelling) []combination {
	all := []combination{{}}
	for _, c := range choices {
		var longer []combination
		for _, t := range all {
			for _, s := range c {
				longer = append(longer, combination{append(slices.Clone(t.words), s.word), t.edits + s.edits})
			}
		}
		slices.SortStableFunc(longer, func(a, b combination) int { return cmp.Compare(a.edits, b.edits) })
		all = longer[:min(len(longer), meantTexts)]
	}
	return all
}

// A spelling is a word of the catalog for a typed one.
type spelling struct {
	word  string
	edits int
}

// lookups are the words and their stems: "chiars" is two edits from "chair", "chiar"
// is one.
func lookups(typed []string) []string {
	var all []string
	for _, w := range typed {
		all = append(all, w, stem(w))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// spellings of a known word are itself alone; of any other the words of the catalog
// within its tolerance, the nearest first.
func spellings(typed string, rows []readq.SimilarWordsRow) []spelling {
	edits, within := map[string]int{}, tolerance(typed)
	for _, r := range rows {
		if r.Typed == typed && r.Known {
			return []spelling{{typed, 0}}
		}
		if r.Typed != typed && r.Typed != stem(typed) {
			continue
		}
		for _, word := range r.Similar {
			d := distance([]rune(r.Typed), []rune(word))
			if before, again := edits[word]; d <= within && (!again || d < before) && isWord(word) {
				edits[word] = d
			}
		}
	}
	near := []spelling{}
	for word, d := range edits {
		near = append(near, spelling{word, d})
	}
	slices.SortFunc(near, func(a, b spelling) int {
		return cmp.Or(cmp.Compare(a.edits, b.edits), strings.Compare(a.word, b.word))
	})
	return near[:min(len(near), meantWords)]
}

// tolerance is how many edits a typo may be: none in a short word, one up to five
// letters, two beyond. A number is what it is.
func tolerance(word string) int {
	switch n := len([]rune(word)); {
	case n < 3 || strings.ContainsFunc(word, unicode.IsDigit):
		return 0
	case n <= 5:
		return 1
	default:
		return 2
	}
}

// isWord: names also have lexemes such as "half-pint" and "1.5", whose parts are words
// by themselves.
func isWord(lexeme string) bool {
	return !strings.ContainsFunc(lexeme, func(r rune) bool { return !inWord(r) })
}

// distance counts insertions, deletions, substitutions and swaps of neighbours
// (optimal string alignment). Words have at most 200 runes, as names do.
func distance(a, b []rune) int {
	older := make([]int, len(b)+1)
	old := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range old {
		old[j] = j
	}
	for i := range a {
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(old[j+1]+1, row[j]+1, old[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
		older, old, row = old, row, older
	}
	return old[len(b)]
}
