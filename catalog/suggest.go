package catalog

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"

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
	typed := words(norm.NFC.String(text))
	if letters(text) < minSuggest {
		return []Suggestion{}, nil
	}
	last := len(typed) - 1
	rows, err := s.db.Read(s.config.Browse).Suggest(ctx, readq.SuggestParams{
		Folded: fold(strings.TrimSpace(text)),
		Text:   strings.Join(typed[:last], " "), Last: typed[last],
		MaxRows: int32(limit),
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
