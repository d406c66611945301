package catalog

import (
	"context"
	"fmt"
	"html"
	"math"
	"regexp"
	"strings"

	"example.com/leeway/db/fresh"
	"example.com/leeway/db/readq"
	"example.com/leeway/internal/id"
)

// Mode is how a search found its products.
type Mode string

// The modes, in the order in which they are tried.
const (
	Exact  Mode = "exact"  // all words, stemmed, with the operators of websearch_to_tsquery
	Prefix Mode = "prefix" // all words, the last one unfinished
	Fuzzy  Mode = "fuzzy"  // names that look alike
)

const (
	// rankedHits bounds what a search ranks, countedHits what a facet counts: the
	// most popular of all matches. Ranking a thousand takes about 10 ms.
	rankedHits  = 1000
	countedHits = 2000
	// fewHits is when a search tries the last word as a prefix too. Names that only
	// look alike are tried when there is nothing at all: two chairs that are meant
	// beat fifty that are not.
	fewHits = 3
	// minFuzzy runes make a trigram that says something: "a" is in every name.
	minFuzzy = 3
)

// SearchQuery asks for one page of a search.
type SearchQuery struct {
	Text   string // whatever someone typed; no text is an error
	Filter Filter
	Facets []string // "category", "price", "option.color", ...
	Limit  int      // 1..100
	Cursor string   // "" is the first page
}

// SearchResult is a page, best first.
type SearchResult struct {
	Hits   []Hit
	Facets []Facet
	Query  QueryInfo
	Next   string // the cursor of the next page, "" on the last
}

// Hit is a product that was found.
type Hit struct {
	Product Summary `json:"product"`
	// Score orders the hits of one search; it means nothing in another.
	Score float64 `json:"score"`
	// Highlight is safe HTML: escaped text with <mark> around what matched.
	Highlight string `json:"highlight"`
}

// QueryInfo is what became of the text.
type QueryInfo struct {
	Q    string `json:"q"`
	Mode Mode   `json:"mode"`
	// Suggestion is the text as it was probably meant; only fuzzy searches have one.
	Suggestion *string `json:"suggestion"`
	// Capped: more matched than were ranked, and the least popular are missing.
	Capped bool `json:"capped"`
}

// Search finds products. If it finds little it tries the next mode, and keeps
// what that finds only if it is more. All pages of a search are in the mode of the
// first. The error may be web.InvalidCursor. No text is a syntax error.
func (s *Store) Search(ctx context.Context, q SearchQuery) (SearchResult, error) {
	c, err := resume(ctx, q.Cursor, relevance, q.Filter.list(relevance, q.Text))
	if err != nil {
		return SearchResult{}, err
	}
	modes, score := modesFor(q.Text), math.Inf(1)
	if m, at, ok := parseScoreKey(c.key); ok {
		modes, score = []Mode{m}, at
	} else {
		c.id = id.Max
	}
	search, policy := searcher{s, q, c, score}, s.config.Browse.Bookmarked()
	if len(q.Facets) == 0 && modes[0] != Fuzzy {
		// Most searches end here, with a single statement.
		p, err := search.page(ctx, s.db.Read(policy), modes[0])
		if err != nil {
			return SearchResult{}, err
		}
		if p.enough(q.Limit) || len(modes) == 1 {
			return search.result(ctx, p, nil), nil
		}
	}
	var best found
	var facets []Facet
	err = s.db.Snapshot(ctx, policy, func(ctx context.Context, r *readq.Queries) error {
		best, facets, err = search.all(ctx, r, modes)
		return err
	})
	if err != nil {
		return SearchResult{}, err
	}
	return search.result(ctx, best, facets), nil // after the snapshot: how far it saw is known now
}

// modesFor: who writes operators means them, and the other modes have none.
func modesFor(text string) []Mode {
	modes := []Mode{Exact}
	if operators.MatchString(text) {
		return modes
	}
	if prefixQuery(text, "") != "" {
		modes = append(modes, Prefix)
	}
	if letters(text) >= minFuzzy {
		modes = append(modes, Fuzzy)
	}
	return modes
}

// operators are those of websearch_to_tsquery.
var operators = regexp.MustCompile(`(?i)"|(^|\s)-|\sor\s`)

// A searcher is one search with its cursor decoded.
type searcher struct {
	store *Store
	query SearchQuery
	after cursor
	score float64
}

// A found page has a row more than was asked for if there is another page.
type found struct {
	mode Mode
	rows []readq.SearchPageRow
	hits int64 // those that were ranked, on all pages
}

func (f found) enough(limit int) bool { return len(f.rows) >= min(fewHits, limit) }

// all tries the modes and counts the facets in one snapshot.
func (s searcher) all(ctx context.Context, r *readq.Queries, modes []Mode) (found, []Facet, error) {
	if err := r.LoosenWordSimilarity(ctx); err != nil {
		return found{}, nil, fmt.Errorf("loosen word similarity: %w", err)
	}
	var best found
	for _, m := range modes {
		if m == Fuzzy && best.hits > 0 {
			break
		}
		f, err := s.page(ctx, r, m)
		if err != nil {
			return found{}, nil, err
		}
		if best.mode == "" || f.hits > best.hits {
			best = f
		}
		if best.enough(s.query.Limit) {
			break
		}
	}
	facets, err := s.facets(ctx, r, best.mode)
	if err != nil {
		return found{}, nil, err
	}
	return best, facets, nil
}

// headlineOptions are those of ts_headline. The marks are private-use characters
// and not tags: ts_headline drops what looks like a tag but escapes nothing, so
// ours come after the escaping.
const headlineOptions = "MinWords=8, MaxWords=24, StartSel=\ue000, StopSel=\ue001"

var marks = strings.NewReplacer("\ue000", "<mark>", "\ue001", "</mark>")

func (s searcher) page(ctx context.Context, r *readq.Queries, m Mode) (found, error) {
	f, options := s.query.Filter, s.query.Filter.optionParams()
	rows, err := r.SearchPage(ctx, readq.SearchPageParams{
		Mode: string(m), Text: s.query.Text, Prefix: prefixQuery(s.query.Text, ""),
		Headline: headlineOptions,
		Category: f.Category, PriceMin: f.PriceMin, PriceMax: f.PriceMax, InStock: f.InStock,
		Option1: options[0], Option2: options[1], Option3: options[2], Option4: options[3],
		AfterScore: s.score, AfterID: s.after.id,
		MaxHits: rankedHits, MaxRows: int32(s.query.Limit + 1),
	})
	if err != nil {
		return found{}, fmt.Errorf("search (%s): %w", m, err)
	}
	result := found{mode: m, rows: rows}
	if len(rows) > 0 {
		result.hits = rows[0].Hits
	}
	return result, nil
}

func (s searcher) result(ctx context.Context, f found, facets []Facet) SearchResult {
	result := SearchResult{
		Hits: []Hit{}, Facets: facets,
		Query: QueryInfo{Q: s.query.Text, Mode: f.mode, Capped: f.hits >= rankedHits},
	}
	if f.mode == Fuzzy {
		result.Query.Suggestion = suggestion(s.query.Text, f.rows)
	}
	more := len(f.rows) > s.query.Limit
	if more {
		f.rows = f.rows[:s.query.Limit]
	}
	for _, r := range f.rows {
		result.Hits = append(result.Hits, s.hit(r))
	}
	if more {
		last := f.rows[len(f.rows)-1]
		next := s.after
		next.key, next.id = scoreKey(f.mode, last.Score), last.ID
		next.bookmark = fresh.CarrierFrom(ctx).Bookmark()
		result.Next = next.String()
	}
	return result
}

func (s searcher) hit(r readq.SearchPageRow) Hit {
	return Hit{
		Product: s.store.summary(listRow{
			ID: r.ID, Slug: r.Slug, Name: r.Name, PriceMin: r.PriceMin, PriceMax: r.PriceMax,
			InStock: r.InStock, CreatedAt: r.CreatedAt,
			CategorySlug: r.CategorySlug, CategoryName: r.CategoryName,
		}),
		Score:     r.Score,
		Highlight: marks.Replace(html.EscapeString(r.Headline)),
	}
}
