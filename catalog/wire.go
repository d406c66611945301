package catalog

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

const (
	maxSlug            = 150
	maxAvailabilityIDs = 50
	maxText            = 100
	maxSuggestions     = 10
	maxFacets          = 6
	maxOptions         = 40 // values, over all names
	maxOptionText      = 100
)

// whole is the envelope of a collection that is never split into pages.
type whole[T any] struct {
	Data []T `json:"data"`
}

type searchAnswer struct {
	Data   []Hit     `json:"data"`
	Facets []Facet   `json:"facets"`
	Query  QueryInfo `json:"query"`
	Page   web.Page  `json:"page"`
}

// VariantStock is one answer about availability.
type VariantStock struct {
	VariantID id.ID        `json:"variant_id"`
	Status    Availability `json:"status"`
	Available int          `json:"available"`
}

var slugForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// pathSlug takes no query parameters, and what cannot be a slug is the same 404
// as one that nobody has.
func pathSlug(r *http.Request) (string, error) {
	if _, err := web.ParseQuery(r); err != nil {
		return "", err
	}
	slug := chi.URLParam(r, "slug")
	if len(slug) > maxSlug || !slugForm.MatchString(slug) {
		return "", ErrNotFound
	}
	return slug, nil
}

// filterNames are the parameters that parseFilter reads.
var filterNames = []string{"category", "price_min", "price_max", "in_stock", "option"}

func parseList(r *http.Request) (ListQuery, error) {
	q, err := web.ParseQuery(r, append([]string{"sort", "limit", "cursor"}, filterNames...)...)
	if err != nil {
		return ListQuery{}, err
	}
	query := ListQuery{
		Filter: parseFilter(q),
		Sort:   Sort(q.Enum("sort", Sorts[0], Sorts...)),
		Limit:  q.Limit(),
		Cursor: q.Cursor(),
	}
	return query, q.Err()
}

// parseFilter leaves its errors in q. An unknown category is none: it filters
// everything out, like a colour that nothing has.
func parseFilter(q *web.Query) Filter {
	f := Filter{
		Category: q.String("category", maxSlug),
		PriceMin: q.Int64Ptr("price_min", 0, MaxPrice),
		PriceMax: q.Int64Ptr("price_max", 0, MaxPrice),
		InStock:  q.Bool("in_stock"),
		Options:  parseOptions(q),
	}
	if f.PriceMin != nil && f.PriceMax != nil && *f.PriceMin > *f.PriceMax {
		q.Fail("price_max", "out_of_range", "must not be below price_min")
	}
	return f
}

// parseOptions reads option=color:red. A value may hold a colon, a name not.
func parseOptions(q *web.Query) map[string][]string {
	options := map[string][]string{}
	for _, s := range q.All("option", maxOptions) {
		name, value, _ := strings.Cut(s, ":")
		if name == "" || value == "" || utf8.RuneCountInString(s) > maxOptionText {
			q.Fail("option", "invalid_option", "must be name:value, such as color:red")
			return nil
		}
		options[name] = append(options[name], OptionTag(name, value))
	}
	if len(options) > MaxOptionNames {
		q.Fail("option", "too_many", "must name at most 4 different options")
	}
	return options
}

func parseSearch(r *http.Request) (SearchQuery, error) {
	q, err := web.ParseQuery(r, append([]string{"q", "facets", "limit", "cursor"}, filterNames...)...)
	if err != nil {
		return SearchQuery{}, err
	}
	query := SearchQuery{
		Text:   strings.TrimSpace(q.String("q", maxText)),
		Filter: parseFilter(q),
		Facets: parseFacets(q),
		Limit:  q.Limit(),
		Cursor: q.Cursor(),
	}
	if err := q.Err(); err != nil {
		return SearchQuery{}, err
	}
	if query.Text == "" {
		q.Fail("q", "required", "must not be empty")
	}
	return query, q.Err()
}

// parseFacets reads facets=category,price,option.color.
func parseFacets(q *web.Query) []string {
	list := q.String("facets", maxFacets*maxOptionText)
	if list == "" {
		return nil
	}
	facets := strings.Split(list, ",")
	if len(facets) > maxFacets {
		q.Fail("facets", "too_many", "must name at most 6 facets")
	}
	for i, name := range facets {
		option, isOption := strings.CutPrefix(name, facetOption)
		known := name == facetCategory || name == facetPrice || isOption && option != "" && !strings.Contains(option, ":")
		if !known || slices.Contains(facets[:i], name) {
			q.Fail("facets", "not_allowed", "must be of category, price and option.<name>, each once")
			break
		}
	}
	return facets
}
