package catalog

import (
	"context"
	"fmt"

	"example.com/leeway/db/fresh"
	"example.com/leeway/db/readq"
)

// ListQuery asks for one page of products.
type ListQuery struct {
	Filter Filter
	Sort   Sort
	Limit  int    // 1..100
	Cursor string // "" is the first page
}

// Products returns a page and the cursor of the next one, which is "" on the
// last. Neither depends on how far into the list the page lies. A row that
// changes its place while someone pages may be met twice or not at all. The
// error may be web.InvalidCursor.
func (s *Store) Products(ctx context.Context, q ListQuery) ([]Summary, string, error) {
	c, err := resume(ctx, q.Cursor, q.Sort, q.Filter.list(q.Sort, ""))
	if err != nil {
		return nil, "", err
	}
	// One row more than asked for tells whether there is a next page.
	rows, err := s.listPage(ctx, q.Filter, c, q.Limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list products: %w", err)
	}
	if len(rows) <= q.Limit {
		return rows, "", nil
	}
	rows = rows[:q.Limit]
	next := c.after(rows[q.Limit-1])
	next.bookmark = fresh.CarrierFrom(ctx).Bookmark()
	return rows, next.String(), nil
}

// listPage picks the statement for what is asked; see queries/read for why
// there are three families of them, and two that take no filters.
func (s *Store) listPage(ctx context.Context, f Filter, c cursor, rows int) ([]Summary, error) {
	q := s.db.Read(s.config.Browse.Bookmarked())
	options := f.optionParams()
	switch {
	case c.sort == Newest && f.isCategory():
		p := readq.CategoryNewestParams{Category: f.Category, AfterKey: c.key, AfterID: c.id, MaxRows: int32(rows)}
		r, err := q.CategoryNewest(ctx, p)
		return summaries(s, r, err)
	case f.Category != "":
		return s.listCategory(ctx, q, c.sort, readq.ProductsInCategoryNewestParams{
			Category: f.Category, AfterKey: c.key, AfterID: c.id,
			PriceMin: f.PriceMin, PriceMax: f.PriceMax, InStock: f.InStock,
			Option1: options[0], Option2: options[1], Option3: options[2], Option4: options[3],
			MaxRows: int32(rows),
		})
	case c.sort == Newest && f.isZero():
		p := readq.ProductsNewestParams{AfterKey: c.key, AfterID: c.id, MaxRows: int32(rows)}
		r, err := s.db.Read(s.config.Browse.Bookmarked().Shared()).ProductsNewest(ctx, p)
		return summaries(s, r, err)
	}
	return s.listFiltered(ctx, q, c.sort, readq.ProductsFilteredNewestParams{
		AfterKey: c.key, AfterID: c.id,
		PriceMin: f.PriceMin, PriceMax: f.PriceMax, InStock: f.InStock,
		Option1: options[0], Option2: options[1], Option3: options[2], Option4: options[3],
		MaxRows: int32(rows),
	})
}

func (s *Store) listFiltered(
	ctx context.Context, q *readq.Queries, sort Sort, p readq.ProductsFilteredNewestParams,
) ([]Summary, error) {
	switch sort {
	case Newest:
		r, err := q.ProductsFilteredNewest(ctx, p)
		return summaries(s, r, err)
	case Cheapest:
		r, err := q.ProductsFilteredCheapest(ctx, readq.ProductsFilteredCheapestParams(p))
		return summaries(s, r, err)
	case Dearest:
		r, err := q.ProductsFilteredDearest(ctx, readq.ProductsFilteredDearestParams(p))
		return summaries(s, r, err)
	case ByName:
		r, err := q.ProductsFilteredByName(ctx, readq.ProductsFilteredByNameParams(p))
		return summaries(s, r, err)
	}
	return nil, fmt.Errorf("no list is sorted by %q", sort)
}

func (s *Store) listCategory(
	ctx context.Context, q *readq.Queries, sort Sort, p readq.ProductsInCategoryNewestParams,
) ([]Summary, error) {
	switch sort {
	case Newest:
		r, err := q.ProductsInCategoryNewest(ctx, p)
		return summaries(s, r, err)
	case Cheapest:
		r, err := q.ProductsInCategoryCheapest(ctx, readq.ProductsInCategoryCheapestParams(p))
		return summaries(s, r, err)
	case Dearest:
		r, err := q.ProductsInCategoryDearest(ctx, readq.ProductsInCategoryDearestParams(p))
		return summaries(s, r, err)
	case ByName:
		r, err := q.ProductsInCategoryByName(ctx, readq.ProductsInCategoryByNameParams(p))
		return summaries(s, r, err)
	}
	return nil, fmt.Errorf("no list is sorted by %q", sort)
}

// anyListRow is each of the row types that convert to listRow.
type anyListRow interface {
	readq.ProductsNewestRow | readq.CategoryNewestRow |
		readq.ProductsFilteredNewestRow | readq.ProductsFilteredCheapestRow |
		readq.ProductsFilteredDearestRow | readq.ProductsFilteredByNameRow |
		readq.ProductsInCategoryNewestRow | readq.ProductsInCategoryCheapestRow |
		readq.ProductsInCategoryDearestRow | readq.ProductsInCategoryByNameRow
}

func summaries[R anyListRow](s *Store, rows []R, err error) ([]Summary, error) {
	if err != nil {
		return nil, err
	}
	all := make([]Summary, len(rows))
	for i, r := range rows {
		all[i] = s.summary(listRow(r))
	}
	return all, nil
}
