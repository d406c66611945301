package catalog

import (
	"slices"

	"example.com/leeway/db/readq"
	"example.com/leeway/internal/id"
)

// A tree is the category table in memory, in display order. It is read whole:
// a shop has hundreds of categories, and counts with descendants need them all.
// Whatever no root reaches (a cycle made by hand) is not shown and not looped on.
type tree struct {
	rows     []readq.CategoriesRow
	children map[id.ID][]int // indexes into rows; the roots are under the zero ID
}

func newTree(rows []readq.CategoriesRow) tree {
	t := tree{rows, make(map[id.ID][]int)}
	for i, r := range rows {
		parent := id.ID{}
		if r.ParentID != nil {
			parent = *r.ParentID
		}
		t.children[parent] = append(t.children[parent], i)
	}
	return t
}

func (t tree) roots(depth int) []Category {
	return t.under(id.ID{}, "", depth)
}

func (t tree) under(parent id.ID, path string, depth int) []Category {
	nodes := make([]Category, 0, len(t.children[parent]))
	for _, i := range t.children[parent] {
		nodes = append(nodes, t.node(i, path, depth-1))
	}
	return nodes
}

// node builds what lies below even if depth is used up: the count needs it.
func (t tree) node(i int, parentPath string, depth int) Category {
	r := t.rows[i]
	path := r.Name
	if parentPath != "" {
		path = parentPath + "/" + r.Name
	}
	c := Category{
		ID: r.ID, Slug: r.Slug, Name: r.Name, Path: path,
		Position: int(r.Position), ProductCount: int(r.ProductCount),
		Children: t.under(r.ID, path, depth),
	}
	for _, child := range c.Children {
		c.ProductCount += child.ProductCount
	}
	if depth <= 0 {
		c.Children = []Category{}
	}
	return c
}

// detail walks down from the roots, so that it ends even if the table has a
// cycle.
func (t tree) detail(slug string) (CategoryDetail, error) {
	var trail []CategoryRef
	var walk func(parent id.ID, path string) (CategoryDetail, bool)
	walk = func(parent id.ID, path string) (CategoryDetail, bool) {
		for _, i := range t.children[parent] {
			r := t.rows[i]
			if r.Slug == slug {
				return CategoryDetail{t.node(i, path, 1), slices.Clone(trail)}, true
			}
			trail = append(trail, CategoryRef{r.Slug, r.Name})
			below := r.Name
			if path != "" {
				below = path + "/" + r.Name
			}
			if d, ok := walk(r.ID, below); ok {
				return d, true
			}
			trail = trail[:len(trail)-1]
		}
		return CategoryDetail{}, false
	}
	d, ok := walk(id.ID{}, "")
	if !ok {
		return CategoryDetail{}, ErrNotFound
	}
	if d.Breadcrumbs == nil {
		d.Breadcrumbs = []CategoryRef{}
	}
	return d, nil
}
