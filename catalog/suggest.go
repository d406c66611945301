package catalog

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"example.com/leeway/db/readq"
)

// Suggestion completes what someone types.
type Suggestion struct {
	Text string `json:"text"`
	Kind string `json:"kind"` // "category" or "product"
	Slug string `json:"slug"`
}

// minSuggest runes at least: one letter would match half of the catalog.
const minSuggest = 2

// Suggest completes text with names, at most limit of them: categories first,
// then the most popular products.
func (s *Store) Suggest(ctx context.Context, text string, limit int) ([]Suggestion, error) {
	text = strings.TrimSpace(text)
	if letters(text) < minSuggest {
		return []Suggestion{}, nil
	}
	rows, err := s.db.Read(s.config.Browse).Suggest(ctx, readq.SuggestParams{
		Text: text, Prefix: prefixQuery(text, "A"), MaxRows: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("suggest: %w", err)
	}
	suggestions := make([]Suggestion, len(rows))
	for i, r := range rows {
		suggestions[i] = Suggestion{Text: r.Label, Kind: r.Kind, Slug: r.Slug}
	}
	return suggestions, nil
}

// words are the runs of letters and digits. What else there is, operators of
// to_tsquery above all, separates.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

func letters(text string) (n int) {
	for _, w := range words(text) {
		n += len([]rune(w))
	}
	return n
}

// prefixQuery is text for to_tsquery: each word quoted, the last one as a
// prefix. weight "A" wants them in the name. It is "" without any word.
func prefixQuery(text, weight string) string {
	all := words(text)
	for i, w := range all {
		mark := weight
		if i == len(all)-1 {
			mark = "*" + weight
		}
		all[i] = "'" + w + "'"
		if mark != "" {
			all[i] += ":" + mark
		}
	}
	return strings.Join(all, " & ")
}

// suggestion replaces each word of text by the most similar word in the names
// that were found. It is nil if that changes nothing.
func suggestion(text string, rows []readq.SearchPageRow) *string {
	var known []string // in the order of the hits: the best hit wins a tie
	for _, r := range rows {
		known = append(known, words(strings.ToLower(r.Name))...)
	}
	typed := words(strings.ToLower(text))
	meant := make([]string, len(typed))
	for i, w := range typed {
		meant[i] = nearest(w, known)
	}
	s := strings.Join(meant, " ")
	if s == strings.Join(typed, " ") {
		return nil
	}
	return &s
}

// nearest returns w itself if no word is near: one edit for each three runes.
func nearest(w string, known []string) string {
	best, within := w, len([]rune(w))/3+1
	for _, k := range known {
		if d := distance([]rune(w), []rune(k)); d < within {
			best, within = k, d
		}
	}
	return best
}

// distance counts insertions, deletions, substitutions and swaps of neighbours
// (optimal string alignment). Texts have at most 100 runes and names 200.
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
