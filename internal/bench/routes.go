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

// wanted is how many different products are asked for. Each is a prepared statement of its
// own for pgbench, which must not spend its time on preparing.
const wanted = 16

// look finds out what a shop sells.
func look(ctx context.Context, address string) (*shop, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	s := &shop{addr: u.Host}
	if _, err := s.walk(ctx, 1, func(p product) { s.products = append(s.products, p) }); err != nil {
		return nil, err
	}
	if len(s.products) < wanted {
		return nil, fmt.Errorf("the shop has only %d products; fill it with: shop seed", len(s.products))
	}
	return s, nil
}

// walk goes through so many pages of the list, a hundred products each, and returns the
// path of the page behind them, of the size that visitors ask for.
func (s *shop) walk(ctx context.Context, pages int, each func(product)) (next string, err error) {
	conn, err := load.DialLean(ctx, s.addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	cursor := ""
	for range pages {
		path := "/v1/products?limit=100" + cursor
		var page struct {
			Data []product
			Page struct {
				Next string `json:"next_cursor"`
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
			return "", err
		}
		for _, p := range page.Data {
			each(p)
		}
		cursor = "&cursor=" + url.QueryEscape(page.Page.Next)
	}
	return "/v1/products?" + cursor[1:], nil
}

// route is one kind of page.
type route struct {
	name  string
	paths []string // the most popular first
}

// pageNames are those of routes.
var pageNames = []string{"product", "list", "category", "categories", "search", "suggest"}

// routes are what a visitor looks at. What is searched for are two words that stand beside
// each other in the name of a product.
func (s *shop) routes() []route {
	detail, category, search, suggest := route{name: "product"}, route{name: "category"}, route{name: "search"}, route{name: "suggest"}
	seen := map[string]bool{}
	once := func(r *route, path string) {
		if !seen[path] {
			r.paths = append(r.paths, path)
		}
		seen[path] = true
	}
	for _, p := range s.products[:wanted] {
		words := strings.Fields(p.Name)
		last := words[len(words)-1]
		once(&detail, "/v1/products/"+p.Slug)
		once(&category, "/v1/products?category="+p.Category.Slug)
		once(&search, "/v1/search?q="+url.QueryEscape(words[max(0, len(words)-2)]+" "+last))
		once(&suggest, "/v1/search/suggest?q="+url.QueryEscape(string([]rune(last)[:min(3, len([]rune(last)))])))
	}
	return []route{
		detail,
		{name: "list", paths: []string{"/v1/products"}},
		category,
		{name: "categories", paths: []string{"/v1/categories"}},
		search, suggest,
	}
}

// weight is how often the n-th path is asked for beside the others: Zipf, with exponent 1.
func (r route) weight(n int) int { return max(1, 250/(n+1)) }

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

// growing are the pages whose cost could grow with the catalog: a thousand products, the
// first page of the list, the one a thousand products further down, and a search.
func (s *shop) growing(ctx context.Context) ([]route, error) {
	detail := route{name: "product"}
	deep, err := s.walk(ctx, 10, func(p product) { detail.paths = append(detail.paths, "/v1/products/"+p.Slug) })
	all := []route{
		detail,
		{name: "list", paths: []string{"/v1/products"}},
		{name: "list, 1,000 products down", paths: []string{deep}},
	}
	for _, r := range s.routes() {
		if r.name == "search" {
			all = append(all, r)
		}
	}
	return all, err
}
