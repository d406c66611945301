package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"

	"example.com/leeway/internal/load"
)

// shop is one that answers, and what it sells.
type shop struct {
	addr     string
	products []product // the newest first
}

type product struct {
	Slug, Name string
	Category   struct{ Slug string }
}

// wanted is how many different products are asked for: pgbench can weigh so many scripts.
const wanted = 128

func look(ctx context.Context, address string) (*shop, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	conn, err := load.DialLean(ctx, u.Host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	s := &shop{addr: u.Host}
	path := "/v1/products?limit=100"
	for len(s.products) < wanted {
		var page struct {
			Data []product
			Page struct {
				Next *string `json:"next_cursor"`
			}
		}
		a, err := conn.Do(load.Request("GET", path, ""))
		if err == nil && a.Status != 200 {
			err = fmt.Errorf("%s was answered %d %s", path, a.Status, a.Body)
		}
		if err == nil {
			err = json.Unmarshal(a.Body, &page)
		}
		if err != nil {
			return nil, err
		}
		s.products = append(s.products, page.Data...)
		if page.Page.Next == nil {
			break
		}
		path = "/v1/products?limit=100&cursor=" + url.QueryEscape(*page.Page.Next)
	}
	if len(s.products) < 16 {
		return nil, fmt.Errorf("the shop has only %d products; fill it with: shop seed", len(s.products))
	}
	return s, nil
}

// route is one kind of page.
type route struct {
	name  string
	paths []string // the most popular first
}

// routes are what a visitor looks at.
func (s *shop) routes() []route {
	product, category, search, suggest := route{name: "product"}, route{name: "category"}, route{name: "search"}, route{name: "suggest"}
	for _, p := range s.products[:min(wanted, len(s.products))] {
		product.paths = append(product.paths, "/v1/products/"+p.Slug)
	}
	seen := map[string]bool{}
	for _, p := range s.products[:16] {
		words := strings.Fields(p.Name)
		text := words[0] + " " + words[len(words)-1]
		if !seen[text] {
			search.paths = append(search.paths, "/v1/search?q="+url.QueryEscape(text))
			suggest.paths = append(suggest.paths, "/v1/search/suggest?q="+url.QueryEscape(prefix(words[len(words)-1])))
		}
		seen[text] = true
		if !seen["in "+p.Category.Slug] {
			category.paths = append(category.paths, "/v1/products?category="+p.Category.Slug)
		}
		seen["in "+p.Category.Slug] = true
	}
	return []route{
		product,
		{name: "list", paths: []string{"/v1/products"}},
		category,
		{name: "categories", paths: []string{"/v1/categories"}},
		search, suggest,
	}
}

// prefix is what somebody has typed of a word who is about to see it suggested.
func prefix(word string) string {
	letters := []rune(word)
	return string(letters[:min(3, len(letters))])
}

// weight is how often the n-th path is asked for, of 1000 times: Zipf, with exponent 1.
func (r route) weight(n int) int { return max(1, 1000/(4*(n+1))) }

// order is a shuffled deck in which each path is as often as its weight.
func (r route) order() []int {
	var deck []int
	for n := range r.paths {
		for range r.weight(n) {
			deck = append(deck, n)
		}
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	return deck
}
