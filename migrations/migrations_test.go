package migrations_test

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/migrations"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%.60s: %v", sql, err)
	}
}

var databases atomic.Int32

// foreignDatabase is one that somebody else made for the shop. It returns each role's
// DSN.
func foreignDatabase(t *testing.T, name string) (dsnOf func(role string) string) {
	t.Helper()
	name += "_" + strconv.Itoa(int(databases.Add(1)))
	primary := dbtest.Cluster(t).Nodes()[0]
	exec(t, connect(t, primary.DSN("postgres")), "CREATE DATABASE "+name+" OWNER postgres")
	return func(role string) string {
		u, err := url.Parse(primary.DSN(role))
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/" + name
		return u.String()
	}
}

// What the README asks for on servers of one's own: the roles, by a superuser, in
// a database that shop_owner does not own; then the migrations, by shop_owner.
func TestMigrateADatabaseOfSomebodyElse(t *testing.T) {
	dsnOf := foreignDatabase(t, "elsewhere")
	admin, owner := dsnOf("postgres"), dsnOf("shop_owner")
	if _, err := migrations.Up(t.Context(), owner); err == nil {
		t.Fatal("the migrations succeed without the roles' grants, so the test shows nothing")
	}
	conn := connect(t, admin)
	for range 2 { // again must change nothing
		exec(t, conn, migrations.RolesSQL)
	}
	exec(t, conn, "SET ROLE shop_ro; SET default_transaction_read_only = off")
	var pgErr *pgconn.PgError
	if _, err := conn.Exec(t.Context(), "CREATE TEMPORARY TABLE x ()"); !errors.As(err, &pgErr) || pgErr.Code != "42501" {
		t.Errorf("a temporary table of shop_ro: %v, want 42501", err)
	}
	exec(t, conn, "RESET ROLE")
	// Two processes start at once, and the first cannot end before the second has
	// begun: a table of ours that is not committed makes it wait. Then one migrates,
	// and the other finds nothing left to do.
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "CREATE TABLE categories ()"); err != nil {
		t.Fatal(err)
	}
	type result struct {
		applied int
		err     error
	}
	results := make(chan result, 2)
	for range cap(results) {
		go func() {
			n, err := migrations.Up(t.Context(), owner)
			results <- result{n, err}
		}()
	}
	watch := connect(t, admin) // a transaction would see its first pg_stat_activity for ever
	dbtest.Eventually(t, "both have begun, and wait", func() bool {
		var n int
		err := watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE application_name = 'leeway-migrate' AND datname = current_database()
				AND (cardinality(pg_blocking_pids(pid)) > 0 OR state = 'idle' AND query ~ 'advisory_lock')`).Scan(&n)
		return err == nil && n == 2
	})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	provider, err := migrations.Open(owner)
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	all := len(provider.ListSources())
	a, b := <-results, <-results
	if a.err != nil || b.err != nil || min(a.applied, b.applied) != 0 || max(a.applied, b.applied) != all {
		t.Fatalf("two at once: %+v and %+v, want one that applies %d and one that applies none", a, b, all)
	}
	if _, err := provider.DownTo(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_class WHERE relowner = 'shop_owner'::regrole AND relname !~ '^goose_')
		+ (SELECT count(*) FROM pg_proc WHERE proowner = 'shop_owner'::regrole)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d relations and functions are left after all the way down, %v", left, err)
	}
	if n, err := migrations.Up(t.Context(), owner); err != nil || n != all {
		t.Errorf("up again applies %d, %v; want %d", n, err, all)
	}
}

// A catalog that was there before the search learned words of any language is found by
// them after the migration, and as it was after going back.
func TestSearchMigratesACatalog(t *testing.T) {
	dsnOf := foreignDatabase(t, "filled")
	admin, owner := dsnOf("postgres"), dsnOf("shop_owner")
	conn := connect(t, admin)
	exec(t, conn, migrations.RolesSQL)
	provider, err := migrations.Open(owner)
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	if _, err := provider.UpTo(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, `WITH c AS (INSERT INTO categories (id, slug, name) VALUES (gen_random_uuid(), 'chairs', 'Chairs') RETURNING id),
		p AS (INSERT INTO products (id, category_id, slug, name, description) SELECT gen_random_uuid(), id, 'stuhl', 'Stühle', 'Oak' FROM c RETURNING id)
		INSERT INTO variants (id, product_id, sku, options, price, stock_quantity) SELECT gen_random_uuid(), id, 's', '{"color": "dark red"}', 1, 1 FROM p`)
	found := func(query string) (n int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM products WHERE listed AND search @@ "+query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"stuhle", "stühle", "oak", "red", "dark stuhle"} {
		if found("search_query('"+text+"')") != 1 {
			t.Errorf("%s is not found after the migration", text)
		}
	}
	var words string
	if err := conn.QueryRow(t.Context(), "SELECT string_agg(word, ' ') FROM search_words").Scan(&words); err != nil || words != "stuhle" {
		t.Errorf("known words %q, %v; want those of the name", words, err)
	}
	if _, err := provider.DownTo(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	if found("websearch_to_tsquery('english', 'oak')") != 1 {
		t.Error("oak is not found after going back")
	}
}
