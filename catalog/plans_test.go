package catalog_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/catalog"
	"example.com/leeway/db/readq"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// TestPagesAreNotPlannedAnew: the statements behind what is asked for most keep one plan on
// a connection of the reading role, and it reads no table from end to end, but for that of
// categories where it needs many of them. Planning them for each request took longer than
// running them.
func TestPagesAreNotPlannedAnew(t *testing.T) {
	t.Parallel()
	s, in := newLoadedShop(t, 1500)
	// The more a category has, the dearer a plan looks that does not know the page's size.
	s.exec(t, "UPDATE products SET category_id = (SELECT id FROM categories WHERE slug = $1)", in.Categories[0].Slug)
	s.exec(t, "ANALYZE")
	conn, err := pgx.Connect(t.Context(), s.DSN(s.Primary(), "shop_ro"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for range 10 { // PostgreSQL plans the first five for their values, and then compares
		askForPages(t, readq.New(conn), in)
	}
	kept := map[string]string{ // and what their plans must not have
		"ProductsNewest": "Seq Scan", "ProductBySlug": "Seq Scan",
		"CategoryNewest": "Seq Scan on products", "SearchPage": "Seq Scan on products", "Suggest": "Seq Scan on products",
	}
	type statement struct {
		Name, SQLName string
		Generic       int
	}
	rows, err := conn.Query(t.Context(), `SELECT name, split_part(statement, ' ', 3), generic_plans FROM pg_prepared_statements WHERE statement LIKE '-- name: %'`)
	if err != nil {
		t.Fatal(err)
	}
	statements, err := pgx.CollectRows(rows, pgx.RowToStructByPos[statement])
	if err != nil || len(statements) != len(kept) {
		t.Fatalf("%d statements, %v", len(statements), err)
	}
	for _, st := range statements {
		plan := explain(t, conn, st.Name)
		if bad := kept[st.SQLName]; st.Generic == 0 || bad == "" || strings.Contains(plan, bad) {
			t.Errorf("%s: %d generic plans of\n%s", st.SQLName, st.Generic, plan)
		}
	}
}

func askForPages(t *testing.T, q *readq.Queries, in catalog.Import) {
	t.Helper()
	found := func(rows, want int, err error) {
		t.Helper()
		if err != nil || rows < want {
			t.Fatalf("%d rows of %d: %v", rows, want, err)
		}
	}
	const rows, largest = web.DefaultLimit + 1, web.MaxLimit + 1 // what pages ask for
	list, err := q.ProductsNewest(t.Context(), readq.ProductsNewestParams{AfterKey: "infinity", AfterID: id.Max, MaxRows: largest})
	found(len(list), largest, err)
	category, err := q.CategoryNewest(t.Context(), readq.CategoryNewestParams{
		Category: in.Categories[0].Slug, AfterKey: "infinity", AfterID: id.Max, MaxRows: largest,
	})
	found(len(category), rows, err)
	product, err := q.ProductBySlug(t.Context(), in.Products[0].Slug)
	found(len(product), 1, err)
	word := strings.Fields(in.Products[0].Name)[1]
	hits, err := q.SearchPage(t.Context(), readq.SearchPageParams{
		Text: word, AfterScore: math.Inf(1), AfterID: id.Max, MaxHits: 1000, MaxRows: rows,
	})
	found(len(hits), 1, err)
	words, err := q.Suggest(t.Context(), readq.SuggestParams{Folded: word[:3], Last: word[:3], MaxRows: 10})
	found(len(words), 1, err)
}

// explain shows the generic plan of a prepared statement.
func explain(t *testing.T, conn *pgx.Conn, name string) string {
	t.Helper()
	var params int
	if err := conn.QueryRow(t.Context(), `SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = $1`, name).Scan(&params); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "SET plan_cache_mode = force_generic_plan"); err != nil {
		t.Fatal(err)
	}
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", params), ", ")
	lines, err := conn.Query(t.Context(), "EXPLAIN EXECUTE "+pgx.Identifier{name}.Sanitize()+" ("+nulls+")", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(lines, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}
