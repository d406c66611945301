package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
)

// catalog is what there is to want, the most popular first.
type catalog struct {
	products []string   // slugs
	words    [][]string // of their names
	slugs    []string   // of the categories
	variants []string   // that were for sale: of the first products
}

// Enough for a Zipf draw to find its long tail, and to start within seconds.
const (
	maxProducts = 2000
	soldFrom    = 100 // products whose variants are bought
)

// readCatalog learns it page by page through the shop's own lists.
func readCatalog(ctx context.Context, c *client, only string) (*catalog, error) {
	all := &catalog{}
	for cursor := ""; len(all.products) < maxProducts; {
		var page struct {
			Data []struct {
				Slug, Name string
				Category   struct{ Slug string }
			}
			Page struct {
				Next *string `json:"next_cursor"`
			}
		}
		if err := c.read(ctx, "/v1/products?in_stock=true&limit=100"+cursor, &page); err != nil {
			return nil, err
		}
		for _, p := range page.Data {
			all.products = append(all.products, p.Slug)
			all.words = append(all.words, strings.Fields(p.Name))
			if !slices.Contains(all.slugs, p.Category.Slug) {
				all.slugs = append(all.slugs, p.Category.Slug)
			}
		}
		if page.Page.Next == nil {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(*page.Page.Next)
	}
	if len(all.products) == 0 {
		return nil, fmt.Errorf("the shop has nothing in stock; fill it with: shop seed --products 20000")
	}
	if only != "" {
		all.variants = []string{only}
		return all, nil
	}
	return all, all.readVariants(ctx, c)
}

func (all *catalog) readVariants(ctx context.Context, c *client) error {
	for _, slug := range all.products[:min(soldFrom, len(all.products))] {
		var product struct {
			Variants []struct{ ID, Availability string }
		}
		if err := c.read(ctx, "/v1/products/"+slug, &product); err != nil {
			return err
		}
		for _, v := range product.Variants {
			if v.Availability != "out" {
				all.variants = append(all.variants, v.ID)
			}
		}
	}
	if len(all.variants) == 0 {
		return fmt.Errorf("the first %d products have nothing in stock", soldFrom)
	}
	return nil
}

// read is a GET that must succeed before a run can begin.
func (c *client) read(ctx context.Context, path string, into any) error {
	a := c.send(ctx, request{method: "GET", path: path, into: into})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case a.status == 0:
		return fmt.Errorf("GET %s%s: no answer that can be read; does a shop listen there?", c.base, path)
	case a.code == "rate_limited":
		return fmt.Errorf("GET %s: 429 rate_limited; a shop to be loaded is started without rate limits", path)
	case !a.ok():
		return fmt.Errorf("GET %s: %s", path, answerName(a.status, a.code))
	}
	return nil
}

// chance is one journey's own source of what it wants: the same n of the same seed
// wants the same, whatever ran before it.
type chance struct {
	*rand.Rand
	zipf float64
}

func (p Plan) chance(n int) chance {
	return chance{rand.New(rand.NewPCG(p.Seed, uint64(n)+2)), p.Zipf}
}

// popular draws an index below n, 0 the most often.
func (c chance) popular(n int) int {
	return int(rand.NewZipf(c.Rand, c.zipf, 1, uint64(n-1)).Uint64())
}

// query is two words of a product's name, or one and the beginning of another.
func (all *catalog) query(c chance) string {
	words := all.words[c.popular(len(all.words))]
	first := words[c.IntN(len(words))]
	second := words[c.IntN(len(words))]
	if c.IntN(4) == 0 {
		second = string([]rune(second)[:max(1, len([]rune(second))/2)])
	}
	return url.QueryEscape(first + " " + second)
}
