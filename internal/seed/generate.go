// Package seed makes catalogs to load: invented ones of any size, the same for
// the same seed, and those that someone keeps in a CSV file.
//
// It makes data only. Whether and how it is loaded is for catalog.Store.Load.
package seed

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
)

// newest is when the last product was made; the others lie within two years
// before it. A fixed date, because the same seed makes the same bytes on any
// day.
var newest = time.Date(2026, time.June, 30, 12, 0, 0, 0, time.UTC)

const span = 2 * 365 * 24 * time.Hour

// Generate invents a catalog of about three variants a product, in a tree of 8
// departments, 32 groups and 96 categories. Equal arguments give equal results,
// ids included; the same slugs in all of them make two generated catalogs
// collide, so a database holds one.
func Generate(products int, seed uint64) catalog.Import {
	g := &generator{
		rand:  rand.New(rand.NewPCG(seed, 0x1ee3a7)),
		slugs: make(map[string]int, products),
	}
	g.categories()
	g.in.Products = make([]catalog.ImportProduct, products)
	ranks := g.rand.Perm(products)
	for i := range g.in.Products {
		// The random part keeps two products from the same moment, and the steady
		// one keeps every page of the list about as old as it looks.
		age := span / time.Duration(products) * time.Duration(products-i-1)
		jitter := time.Duration(g.rand.Int64N(int64(span)/int64(products) + 1))
		g.in.Products[i] = g.product(i, ranks[i]+1, newest.Add(-age-jitter).Truncate(time.Millisecond))
	}
	return g.in
}

type generator struct {
	rand   *rand.Rand
	in     catalog.Import
	leaves []placedLeaf
	slugs  map[string]int
}

type placedLeaf struct {
	leaf
	department *department
	id         id.ID
}

func (g *generator) categories() {
	at := newest.Add(-span)
	add := func(parent id.ID, position int, path ...string) id.ID {
		c := catalog.ImportCategory{
			ID: g.id(at), Parent: parent, Position: position,
			Name: path[len(path)-1], Slug: slug(path...),
		}
		g.in.Categories = append(g.in.Categories, c)
		return c.ID
	}
	for i := range departments {
		d := &departments[i]
		root := add(id.ID{}, i, d.name)
		for j, group := range d.groups {
			middle := add(root, j, d.name, group.name)
			for k, leaf := range group.leaves {
				at := add(middle, k, d.name, group.name, leaf.name)
				g.leaves = append(g.leaves, placedLeaf{leaf, d, at})
			}
		}
	}
}

func (g *generator) product(n, rank int, made time.Time) catalog.ImportProduct {
	place := g.leaves[g.rand.IntN(len(g.leaves))]
	d := place.department
	material := pick(g.rand, d.materials)
	noun := pick(g.rand, place.nouns)
	name := material + " " + noun
	if g.rand.IntN(8) > 0 {
		name = pick(g.rand, series) + " " + name
	}
	p := catalog.ImportProduct{
		ID: g.id(made), Category: place.id, Name: name, Slug: g.unique(slug(name)),
		Description: g.description(d, material, noun),
		Popularity:  popularity(rank), CreatedAt: made,
	}
	g.variants(&p, d, n, made)
	return p
}

// popularity is Zipf's law: the second is half as popular as the first.
func popularity(rank int) int { return int(1_000_000 / float64(rank)) }

func (g *generator) description(d *department, material, noun string) string {
	quality := "soft"
	if d.materialIsFirm {
		quality = "solid"
	}
	sentences := []string{
		fmt.Sprintf("%s: a %s in %s %s.", pick(g.rand, firstPraise), strings.ToLower(noun), quality, strings.ToLower(material)),
		pick(g.rand, d.use) + ". " + pick(g.rand, d.care) + ".",
	}
	if g.rand.IntN(2) == 0 {
		sentences = append(sentences, pick(g.rand, lastSentence))
	}
	return strings.Join(sentences, " ")
}

// variants crosses one to three colors with one to three sizes, three products
// of them on average.
func (g *generator) variants(p *catalog.ImportProduct, d *department, n int, made time.Time) {
	shapes := [][2]int{{1, 3}, {3, 1}, {2, 2}, {1, 2}, {2, 1}, {3, 2}, {2, 1}, {1, 3}} // 3.0 on average
	shape := pick(g.rand, shapes)
	chosen := make([]string, shape[0])
	for i, c := range g.rand.Perm(len(colors))[:shape[0]] {
		chosen[i] = colors[c]
	}
	start := g.rand.IntN(len(d.sizes) - shape[1] + 1)
	sizes := d.sizes[start : start+shape[1]]
	p.Options = []catalog.Option{{Name: "color", Values: chosen}, {Name: "size", Values: slices.Clone(sizes)}}

	base := float64(d.cheap) * math.Pow(float64(d.dear)/float64(d.cheap), g.rand.Float64()*g.rand.Float64())
	soldOut := g.rand.IntN(100) < 4
	for _, color := range chosen {
		for i, size := range sizes {
			v := catalog.ImportVariant{
				ID: g.id(made), Options: map[string]string{"color": color, "size": size},
				SKU:   fmt.Sprintf("%s-%06d-%s-%s", initials(p.Name), n+1, strings.ToUpper(color[:3]), strings.ToUpper(size[:1])+size[len(size)-1:]),
				Price: charm(base * (1 + float64(d.sizeAdds)*float64(i)/100)),
				Stock: g.stock(soldOut),
			}
			p.Variants = append(p.Variants, v)
		}
	}
}

// stock leaves about 5 % of the variants sold out, most of them because their
// product is; one in ten is low, and a few lie in heaps.
func (g *generator) stock(soldOut bool) int {
	if soldOut || g.rand.IntN(100) == 0 {
		return 0
	}
	if g.rand.IntN(10) == 0 {
		return 1 + g.rand.IntN(5)
	}
	return 6 + int(g.rand.ExpFloat64()*40)
}

// charm ends a price in .95, or in .99 below ten.
func charm(price float64) int64 {
	whole := int64(price) / 100 * 100
	if whole < 1000 {
		return whole + 99
	}
	return whole + 95
}

// unique numbers the slugs that were there before. Numbered ones cannot meet a
// name: no name ends in a number.
func (g *generator) unique(s string) string {
	g.slugs[s]++
	if n := g.slugs[s]; n > 1 {
		return fmt.Sprintf("%s-%d", s, n)
	}
	return s
}

// id has the form of a UUIDv7 (RFC 9562, section 5.7), from the seed's bits.
func (g *generator) id(at time.Time) (v id.ID) {
	binary.BigEndian.PutUint64(v[:8], uint64(at.UnixMilli())<<16|0x7000|uint64(g.rand.IntN(1<<12)))
	binary.BigEndian.PutUint64(v[8:], 1<<63|g.rand.Uint64()>>2)
	return v
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func initials(name string) string {
	var s []byte
	for word := range strings.FieldsSeq(name) {
		s = append(s, word[0])
	}
	return string(s)
}

// slug joins the parts and keeps what a slug may hold; everything else becomes
// a dash. It is "" if nothing is left.
func slug(parts ...string) string {
	words := strings.FieldsFunc(strings.ToLower(strings.Join(parts, " ")), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}
