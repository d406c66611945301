package catalog_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/db/readq"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// TestPagesAreNotPlannedAnew: the statements behind the two pages that are asked for most
// keep one plan on a connection of the reading role, and it reads no table from end to
// end. Planning them for each request took longer than running them.
func TestPagesAreNotPlannedAnew(t *testing.T) {
	t.Parallel()
	s, in := newLoadedShop(t, 500)
	conn, err := pgx.Connect(t.Context(), s.DSN(s.Primary(), "shop_ro"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	q := readq.New(conn)
	const rows = web.MaxLimit + 1 // what a page of the largest size asks for
	for range 10 {                // PostgreSQL plans the first five for their values, and then compares
		list, err := q.ProductsNewest(t.Context(), readq.ProductsNewestParams{
			AfterKey: "infinity", AfterID: id.ID{0: 0xff}, MaxRows: rows,
		})
		if err != nil || len(list) != rows {
			t.Fatalf("%d rows of %d: %v", len(list), rows, err)
		}
		if product, err := q.ProductBySlug(t.Context(), in.Products[0].Slug); err != nil || len(product) == 0 {
			t.Fatalf("%d rows, %v", len(product), err)
		}
	}
	statements, err := conn.Query(t.Context(), `SELECT name, generic_plans FROM pg_prepared_statements WHERE statement LIKE '-- name: Product%'`)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]int{}
	var name string
	var generic int
	if _, err := pgx.ForEachRow(statements, []any{&name, &generic}, func() error { kept[name] = generic; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(kept) != 2 {
		t.Fatalf("%d statements", len(kept))
	}
	for name, generic := range kept {
		plan := explain(t, conn, name)
		if generic == 0 || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%d generic plans of\n%s", generic, plan)
		}
	}
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
