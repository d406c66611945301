package catalog

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strings"

	"golang.org/x/text/unicode/norm"

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
	Fuzzy  Mode = "fuzzy"  // the words that were probably meant, or some of them
)

const (
	// rankedHits bounds what a search ranks, countedHits what a facet counts: the
	// most popular of all matches.
	rankedHits  = 1000
	countedHits = 2000
	// fewHits is when a search tries the last word as a prefix too. What may have been
	// meant is tried when there is nothing at all: two chairs that were asked for beat
	// fifty that were not.
	fewHits = 3
)

// SearchQuery asks for one page of a search.
type SearchQuery struct {
	Text   string // whatever someone typed; no text finds nothing
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
	// Highlight is safe HTML: the name, and a passage of the description if the name
	// does not have what was asked for, with <mark> around what matched.
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
// first. The error may be web.InvalidCursor.
func (s *Store) Search(ctx context.Context, q SearchQuery) (SearchResult, error) {
	q.Text = norm.NFC.String(q.Text)
	c, err := resume(ctx, q.Cursor, relevance, q.Filter.list(relevance, q.Text))
	if err != nil {
		return SearchResult{}, err
	}
	search, policy := searcher{store: s, query: q, after: c, score: math.Inf(1)}, s.config.Browse.Bookmarked()
	if how, score, ok := parseScoreKey(c.key); ok {
		how.typed = q.Text
		search.resumed, search.score = &how, score
	} else {
		search.after.id = id.Max
	}
	if len(q.Facets) == 0 {
		p, err := search.best(ctx, s.db.Read(policy)) // most searches are a single statement
		if err != nil {
			return SearchResult{}, err
		}
		return search.result(ctx, p, nil), nil
	}
	var p found
	var facets []Facet
	err = s.db.Snapshot(ctx, policy, func(ctx context.Context, r *readq.Queries) error {
		if p, err = search.best(ctx, r); err == nil {
			facets, err = search.facets(ctx, r, p.how)
		}
		return err
	})
	if err != nil {
		return SearchResult{}, err
	}
	return search.result(ctx, p, facets), nil // after the snapshot: how far it saw is known now
}

// A way of searching is a mode with the text that it takes.
type way struct {
	mode  Mode
	typed string     // Exact and Prefix: what was typed
	meant correction // Fuzzy
}

// asked is what the statements take. The last word is one that is not finished, ""
// in all modes but Prefix.
func (w way) asked() (text, last string) {
	switch w.mode {
	case Prefix:
		if all := words(w.typed); len(all) > 0 {
			return strings.Join(all[:len(all)-1], " "), all[len(all)-1]
		}
	case Fuzzy:
		return w.meant.websearch(), ""
	}
	return w.typed, ""
}

// operators are those of websearch_to_tsquery. Who writes them means them, and the
// other modes have none.
var operators = regexp.MustCompile(`(?i)"|(^|\s)-|\sor\s`)

// A searcher is one search with its cursor decoded.
type searcher struct {
	store   *Store
	query   SearchQuery
	after   cursor
	score   float64
	resumed *way // that of the pages before, nil on the first
}

func (s searcher) first() way {
	if s.resumed != nil {
		return *s.resumed
	}
	return way{mode: Exact, typed: s.query.Text}
}

// A found page has a row more than was asked for if there is another page.
type found struct {
	how  way
	rows []readq.SearchPageRow
	hits int64 // those that were ranked, on all pages
}

func (f found) enough(limit int) bool { return len(f.rows) >= min(fewHits, limit) }

// best tries one mode after the other.
func (s searcher) best(ctx context.Context, r *readq.Queries) (found, error) {
	best, err := s.page(ctx, r, s.first())
	if err != nil || best.enough(s.query.Limit) || s.resumed != nil || operators.MatchString(s.query.Text) || letters(s.query.Text) == 0 {
		return best, err
	}
	p, err := s.page(ctx, r, way{mode: Prefix, typed: s.query.Text})
	if err != nil {
		return found{}, err
	}
	if p.hits > best.hits {
		best = p
	}
	if best.hits > 0 {
		return best, nil
	}
	meant, err := correct(ctx, r, s.query.Text)
	if err != nil || len(meant.words) == 0 {
		return best, err
	}
	return s.page(ctx, r, way{mode: Fuzzy, meant: meant})
}

func (s searcher) page(ctx context.Context, r *readq.Queries, how way) (found, error) {
	f, options := s.query.Filter, s.query.Filter.optionParams()
	text, last := how.asked()
	rows, err := r.SearchPage(ctx, readq.SearchPageParams{
		Text: text, Last: last,
		Category: f.Category, PriceMin: f.PriceMin, PriceMax: f.PriceMax, InStock: f.InStock,
		Option1: options[0], Option2: options[1], Option3: options[2], Option4: options[3],
		AfterScore: s.score, AfterID: s.after.id,
		MaxHits: rankedHits, MaxRows: int32(s.query.Limit + 1),
	})
	if err != nil {
		return found{}, fmt.Errorf("search (%s): %w", how.mode, err)
	}
	result := found{how: how, rows: rows}
	if len(rows) > 0 {
		result.hits = rows[0].Hits
	}
	return result, nil
}

func (s searcher) result(ctx context.Context, f found, facets []Facet) SearchResult {
	result := SearchResult{
		Hits: []Hit{}, Facets: facets,
		Query: QueryInfo{Q: s.query.Text, Mode: f.how.mode, Capped: f.hits >= rankedHits},
	}
	if f.how.mode == Fuzzy {
		result.Query.Suggestion = f.how.meant.suggestion(s.query.Text)
	}
	if len(f.rows) == 0 {
		return result
	}
	more := len(f.rows) > s.query.Limit
	if more {
		f.rows = f.rows[:s.query.Limit]
	}
	marks := newMarker(f.rows[0].Query)
	for _, r := range f.rows {
		result.Hits = append(result.Hits, s.hit(r, marks))
	}
	if more {
		last := f.rows[len(f.rows)-1]
		next := s.after
		next.key, next.id = scoreKey(f.how, last.Score), last.ID
		next.bookmark = fresh.CarrierFrom(ctx).Bookmark()
		result.Next = next.String()
	}
	return result
}

func (s searcher) hit(r readq.SearchPageRow, marks marker) Hit {
	return Hit{
		Product: s.store.summary(listRow{
			ID: r.ID, Slug: r.Slug, Name: r.Name, PriceMin: r.PriceMin, PriceMax: r.PriceMax,
			InStock: r.InStock, CreatedAt: r.CreatedAt,
			CategorySlug: r.CategorySlug, CategoryName: r.CategoryName,
		}),
		Score:     r.Score,
		Highlight: marks.highlight(r.Name, r.Description),
	}
}
