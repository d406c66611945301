package catalog

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/db/readq"
	"example.com/leeway/internal/id"
)

func node(n, parent byte, name string, products int32) readq.CategoriesRow {
	r := readq.CategoriesRow{ID: id.ID{n}, Slug: name, Name: name, ProductCount: products}
	if parent != 0 {
		r.ParentID = &id.ID{parent}
	}
	return r
}

func TestTree(t *testing.T) {
	t.Parallel()
	tr := newTree([]readq.CategoriesRow{
		node(1, 0, "home", 1), node(2, 1, "kitchen", 2), node(3, 2, "pans", 4), node(4, 1, "bath", 8),
		node(5, 6, "chicken", 16), node(6, 5, "egg", 32), // a cycle, which no root reaches
	})
	home := Category{
		ID: id.ID{1}, Slug: "home", Name: "home", Path: "home", ProductCount: 15, Children: []Category{
			{ID: id.ID{2}, Slug: "kitchen", Name: "kitchen", Path: "home/kitchen", ProductCount: 6, Children: []Category{}},
			{ID: id.ID{4}, Slug: "bath", Name: "bath", Path: "home/bath", ProductCount: 8, Children: []Category{}},
		},
	}
	if diff := cmp.Diff([]Category{home}, tr.roots(2)); diff != "" {
		t.Errorf("roots(2) (-want +got):\n%s", diff)
	}
	pans := CategoryDetail{
		Category: Category{
			ID: id.ID{3}, Slug: "pans", Name: "pans", Path: "home/kitchen/pans", ProductCount: 4, Children: []Category{},
		},
		Breadcrumbs: []CategoryRef{{"home", "home"}, {"kitchen", "kitchen"}},
	}
	got, err := tr.detail("pans")
	if diff := cmp.Diff(pans, got); diff != "" || err != nil {
		t.Errorf("detail(pans): %v (-want +got):\n%s", err, diff)
	}
	if home, err := tr.detail("home"); err != nil || len(home.Children) != 2 || home.Breadcrumbs == nil {
		t.Errorf("detail(home) = %+v, %v; want two children and breadcrumbs that are not null", home, err)
	}
	for _, slug := range []string{"garden", "egg"} {
		if _, err := tr.detail(slug); !errors.Is(err, ErrNotFound) {
			t.Errorf("detail(%s): %v, want ErrNotFound", slug, err)
		}
	}
}

func TestStockOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		quantity int32
		sellable bool
		want     Stock
	}{
		{0, true, Stock{Out, 0}},
		{1, true, Stock{Low, 1}},
		{5, true, Stock{Low, 5}},
		{6, true, Stock{InStock, 6}},
		{99, true, Stock{InStock, 99}},
		{100, true, Stock{InStock, 99}},
		{100, false, Stock{Out, 0}},
	} {
		if got := StockOf(test.quantity, test.sellable); got != test.want {
			t.Errorf("StockOf(%d, %t) = %+v, want %+v", test.quantity, test.sellable, got, test.want)
		}
	}
}
