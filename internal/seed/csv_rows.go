package seed

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// add puts the variant under its product, which the first line of it makes.
func (p *parser) add(field func(string) string, v catalog.ImportVariant) {
	category, ok := p.category(field("category_path"))
	if !ok {
		return
	}
	made := catalog.ImportProduct{
		ID: id.New(), Category: category, Slug: field("product_slug"),
		Name: field("product_name"), Description: field("description"),
	}
	i, known := p.products[made.Slug]
	if !known {
		i = len(p.in.Products)
		p.products[made.Slug] = i
		p.in.Products = append(p.in.Products, made)
	}
	product := &p.in.Products[i]
	switch {
	case product.Name != made.Name:
		p.fail("product_name", "product %s was called %q before", made.Slug, product.Name)
	case product.Description != made.Description:
		p.fail("description", "product %s had another description before", made.Slug)
	case product.Category != made.Category:
		p.fail("category_path", "product %s was in another category before", made.Slug)
	case slices.ContainsFunc(product.Variants, func(o catalog.ImportVariant) bool { return maps.Equal(o.Options, v.Options) }):
		p.fail("sku", "product %s already has a variant with these options", made.Slug)
	default:
		product.Variants = append(product.Variants, v)
		p.offer(product, v)
	}
}

// offer adds the variant's values to the product's options, both in the order in
// which the file names them.
func (p *parser) offer(product *catalog.ImportProduct, v catalog.ImportVariant) {
	for _, name := range p.option {
		value, has := v.Options[name]
		if !has {
			continue
		}
		i := slices.IndexFunc(product.Options, func(o catalog.Option) bool { return o.Name == name })
		if i < 0 {
			i = len(product.Options)
			product.Options = append(product.Options, catalog.Option{Name: name})
		}
		if o := &product.Options[i]; !slices.Contains(o.Values, value) {
			o.Values = append(o.Values, value)
		}
	}
}

// category makes what is missing of the path, parents first. Two paths with one
// slug are two spellings of a category, or a mistake that would merge two.
func (p *parser) category(path string) (id.ID, bool) {
	names := strings.Split(path, "/")
	if len(names) > catalog.MaxDepth {
		p.fail("category_path", "category_path has more than %d levels", catalog.MaxDepth)
		return id.ID{}, false
	}
	for _, name := range names {
		switch {
		case strings.TrimSpace(name) != name || name == "" || utf8.RuneCountInString(name) > 200 || !web.CleanText(name, ""):
			p.fail("category_path", "category_path must be names with / between, such as Home/Kitchen/Pans")
			return id.ID{}, false
		case slug(name) == "": // which its address is made of
			p.fail("category_path", "category %.40q has no letter a-z and no digit, so it has no slug", name)
			return id.ID{}, false
		}
	}
	var parent id.ID
	for i := range names {
		path, s := strings.Join(names[:i+1], "/"), slug(names[:i+1]...)
		if before, taken := p.names[s]; taken && before != path || len(s) > 100 {
			p.fail("category_path", "category_path %.60q has the same slug as %.60q, or one that is too long", path, before)
			return id.ID{}, false
		}
		if _, known := p.categories[s]; !known {
			p.categories[s], p.names[s] = id.New(), path
			p.in.Categories = append(p.in.Categories, catalog.ImportCategory{
				ID: p.categories[s], Parent: parent, Slug: s, Name: names[i],
				Position: len(p.in.Categories),
			})
		}
		parent = p.categories[s]
	}
	return parent, true
}
