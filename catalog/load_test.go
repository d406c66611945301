package catalog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/seed"
)

func TestLoadMakesAConsistentCatalog(t *testing.T) {
	t.Parallel()
	s, in := newLoadedShop(t, 200)
	for _, test := range []struct {
		what, sql string
		want      int
	}{
		{"listed products", "SELECT count(*) FROM products WHERE listed", 200},
		{"products written twice", "SELECT count(*) FROM products WHERE version > 1", 0},
		{"products counted", "SELECT sum(product_count) FROM categories", 200},
		{"variants with their ledger", `SELECT count(*) FROM variants v JOIN stock_movements m
			ON m.variant_id = v.id AND m.kind = 'initial' AND m.after = v.stock_quantity`, variants(in)},
	} {
		if got := scan[int](t, s, test.sql); got != test.want {
			t.Errorf("%s: %d, want %d", test.what, got, test.want)
		}
	}
	// That none was written twice could also mean that the trigger does nothing;
	// so let it work from scratch.
	s.exec(t, "CREATE TABLE loaded AS SELECT id, price_min, price_max, in_stock, option_tags FROM products")
	s.exec(t, "UPDATE products SET price_min = 0, price_max = 0, in_stock = false, option_tags = '{}'")
	s.exec(t, "SELECT keep_product_summaries(array_agg(id)) FROM products")
	if n := scan[int](t, s, `SELECT count(*) FROM products p JOIN loaded l USING (id)
		WHERE (p.price_min, p.price_max, p.in_stock, p.option_tags) IS NOT DISTINCT FROM (l.price_min, l.price_max, l.in_stock, l.option_tags)`); n != 200 {
		t.Errorf("%d products of 200 are as the trigger would have them", n)
	}
}

func variants(in catalog.Import) (n int) {
	for _, p := range in.Products {
		n += len(p.Variants)
	}
	return n
}

// A variant that moves to another product changes what lists show of both.
func TestMovedVariantIsShownWhereItIs(t *testing.T) {
	t.Parallel()
	s, category := newShop(t), catalog.ImportCategory{ID: id.New(), Slug: "tea", Name: "Tea"}
	product := func(slug, size string, price int64, stock int) catalog.ImportProduct {
		return catalog.ImportProduct{ID: id.New(), Category: category.ID, Slug: slug, Name: slug, Variants: []catalog.ImportVariant{
			{ID: id.New(), SKU: slug, Options: map[string]string{"size": size}, Price: price, Stock: stock},
		}}
	}
	from, to := product("from", "s", 100, 5), product("to", "m", 300, 0)
	s.load(t, catalog.Import{
		Categories: []catalog.ImportCategory{category}, Products: []catalog.ImportProduct{from, to},
	})
	s.exec(t, "UPDATE variants SET product_id = $1 WHERE id = $2", to.ID, from.Variants[0].ID)
	for product, want := range map[id.ID]string{
		from.ID: "f f {}",
		to.ID:   "t 100 300 t {size:m,size:s}",
	} {
		if got := scan[string](t, s, `SELECT concat_ws(' ', listed, price_min, price_max, in_stock, option_tags)
			FROM products WHERE id = $1`, product); got != want {
			t.Errorf("the product is %q, want %q", got, want)
		}
	}
	if n := scan[int](t, s, "SELECT product_count FROM categories"); n != 1 {
		t.Errorf("the category counts %d products, want 1", n)
	}
}

func TestLoadSaysWhichReferenceIsMissing(t *testing.T) {
	t.Parallel()
	s, category := newShop(t), catalog.ImportCategory{ID: id.New(), Slug: "tea", Name: "Tea"}
	orphan := catalog.ImportCategory{ID: id.New(), Parent: id.New(), Slug: "green-tea", Name: "Green tea"}
	s.load(t, catalog.Import{Categories: []catalog.ImportCategory{category}})
	for want, in := range map[string]catalog.Import{
		"category green-tea: its parent is not in the import": {Categories: []catalog.ImportCategory{category, orphan}},
		// In the database is not enough: only a slug says what is the same there.
		"product sencha: its category is not in the import": {Products: []catalog.ImportProduct{
			{ID: id.New(), Category: category.ID, Slug: "sencha", Name: "Sencha"},
		}},
	} {
		err := s.store.Load(t.Context(), in, catalog.LoadOptions{})
		if err == nil || err.Error() != want {
			t.Errorf("err = %v, want %s", err, want)
		}
	}
}

func TestLoadRefusesWhatIsThere(t *testing.T) {
	t.Parallel()
	s, in := newLoadedShop(t, 20)
	if err := s.store.Load(t.Context(), seed.Generate(5, 2), catalog.LoadOptions{}); !errors.Is(err, catalog.ErrNotEmpty) {
		t.Errorf("a second load: %v, want ErrNotEmpty", err)
	}
	// Each is named, with its place if it has one; so that a load of everything again
	// does not fill the screen, 20 are.
	some := catalog.Import{Categories: in.Categories, Products: []catalog.ImportProduct{in.Products[3], in.Products[4]}}
	some.Products[0].Variants = some.Products[0].Variants[:1]
	some.Products[0].Variants[0].Source = "catalog.csv:7"
	some.Products[1].Slug, some.Products[1].Variants = "new", some.Products[1].Variants[:1]
	want := fmt.Sprintf("catalog.csv:7: product_slug %q is already in the catalog\ncatalog.csv:7: SKU %q is already in the catalog\n"+
		"SKU %q is already in the catalog", some.Products[0].Slug, some.Products[0].Variants[0].SKU, some.Products[1].Variants[0].SKU)
	if err := s.store.Load(t.Context(), some, catalog.LoadOptions{Add: true}); !errors.Is(err, catalog.ErrTaken) || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
	err := s.store.Load(t.Context(), in, catalog.LoadOptions{Add: true})
	if !errors.Is(err, catalog.ErrTaken) || strings.Count(err.Error(), "\n") != 19 {
		t.Errorf("the same products again: %v, want the first 20 that are taken", err)
	}
	if n := scan[int](t, s, "SELECT count(*) FROM products"); n != 20 {
		t.Errorf("%d products after two refusals, want 20", n)
	}
}

func TestLoadAddsToKnownCategories(t *testing.T) {
	t.Parallel()
	s, in := newLoadedShop(t, 20)
	// The same path with ids of its own, and one category more below it.
	root := catalog.ImportCategory{ID: id.New(), Slug: "furniture", Name: "Furniture"}
	fresh := catalog.ImportCategory{ID: id.New(), Parent: root.ID, Slug: "furniture-hammocks", Name: "Hammocks"}
	more := catalog.Import{
		Categories: []catalog.ImportCategory{root, fresh},
		Products: []catalog.ImportProduct{{
			ID: id.New(), Category: fresh.ID, Slug: "hammock", Name: "Hammock",
			Variants: []catalog.ImportVariant{{ID: id.New(), SKU: "HAM", Price: 100, Stock: 1}},
		}},
	}
	var calls []int
	options := catalog.LoadOptions{Add: true, Progress: func(done, total int) { calls = append(calls, done, total) }}
	if err := s.store.Load(t.Context(), more, options); err != nil {
		t.Fatal(err)
	}
	if len(calls) != 2 || calls[0] != 2 || calls[1] != 2 {
		t.Errorf("progress %v, want once 2 of 2", calls)
	}
	parent := scan[id.ID](t, s, "SELECT parent_id FROM categories WHERE slug = 'furniture-hammocks'")
	if parent != in.Categories[0].ID {
		t.Errorf("the new category lies under %s, want the category that was there, %s", parent, in.Categories[0].ID)
	}
}

// A request's 5 s are not enough to load and analyze a big catalog on a busy machine.
func TestALoadHasTime(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	if limit := scan[string](t, s, "SELECT s FROM pg_roles, unnest(rolconfig) AS s WHERE rolname = 'shop_rw' AND s LIKE 'statement_timeout=%'"); limit != "statement_timeout=5s" {
		t.Fatalf("shop_rw has %s, so the test shows nothing", limit)
	}
	s.exec(t, `CREATE FUNCTION in_time() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF current_setting('statement_timeout')::interval < '1 minute' THEN RAISE 'a statement of a load has %', current_setting('statement_timeout'); END IF;
		RETURN NULL;
	END $$`)
	s.exec(t, "CREATE TRIGGER in_time AFTER INSERT ON products EXECUTE FUNCTION in_time()")
	if err := s.store.Load(t.Context(), seed.Generate(3, 1), catalog.LoadOptions{}); err != nil {
		t.Error(err)
	}
}
