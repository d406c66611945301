package catalog_test

import (
	"testing"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// With standbys that do not replay, browsing goes on with what they have and a
// product page goes to the primary. That the old name is found also shows that
// all of search runs on a standby. Not parallel: it pauses the whole cluster.
func TestStandbysThatLag(t *testing.T) {
	s, in := newLoadedShop(t, 50)
	config := catalog.DefaultConfig()
	// A bound that nothing proves for long, instead of waiting for five seconds.
	config.Browse = fresh.Bounded(time.Millisecond).Else(fresh.ServeStale)
	config.Product = fresh.Bounded(time.Millisecond)
	s.store = catalog.New(s.DB, config)
	old := in.Products[7]

	s.Pause(t)
	s.exec(t, "UPDATE products SET name = 'Zeppelin' WHERE id = $1", old.ID)
	for _, n := range s.Replicas() {
		var name string
		err := s.Admin(t, n).QueryRow(t.Context(), "SELECT name FROM products WHERE id = $1", old.ID).Scan(&name)
		if err != nil || name != old.Name {
			t.Fatalf("%s shows %q, %v; it should not have replayed", n.Name(), name, err)
		}
	}

	dbtest.Eventually(t, "the product page shows the new name", func() bool {
		p, err := s.store.Product(t.Context(), old.Slug)
		return err == nil && p.Name == "Zeppelin"
	})
	list, _, err := s.store.Products(t.Context(), catalog.ListQuery{Sort: catalog.Newest, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, p := range list {
		shown[p.Slug] = p.Name
	}
	if shown[old.Slug] != old.Name {
		t.Errorf("the list shows %q, want the old %q of a standby", shown[old.Slug], old.Name)
	}
	misspelt := old.Name[1:] // its first letter is missing: fuzzy
	for text, mode := range map[string]catalog.Mode{old.Name: catalog.Exact, misspelt: catalog.Fuzzy} {
		q := catalog.SearchQuery{Text: text, Facets: []string{"category", "price", "option.color"}, Limit: 100}
		result, err := s.store.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if result.Query.Mode != mode || len(result.Hits) == 0 || result.Hits[0].Product.Name != old.Name {
			t.Errorf("search for %q: mode %s, %d hits; want mode %s with %q first", text, result.Query.Mode, len(result.Hits), mode, old.Name)
		}
	}
}
