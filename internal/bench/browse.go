package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"example.com/leeway/internal/load"
)

// targets of issue and design: the least ratio of a route to pgbench.
var targets = map[string]float64{"product": 0.33, "list": 0.60, "search": 0.80}

// browse holds each page against pgbench running the SQL that the page runs, on the one
// standby that the shop is given.
func (w *world) browse(ctx context.Context) ([]Figure, error) {
	database, _, err := w.fill(ctx, w.Products)
	if err != nil {
		return nil, err
	}
	app, s, err := w.open(ctx, "browse", database, 1)
	if err != nil {
		return nil, err
	}
	defer app.Stop()
	var figures []Figure
	for _, r := range s.routes() {
		if !w.wantsPage(r.name) {
			continue
		}
		f, err := w.page(ctx, database, s, r)
		if err != nil {
			return figures, err
		}
		if least, ok := targets[r.name]; ok {
			f.AtLeast = &least
		}
		figures = append(figures, f)
	}
	return figures, nil
}

func (w *world) page(ctx context.Context, database string, s *shop, r route) (Figure, error) {
	standby := w.cluster.Nodes()[1]
	conn, err := load.DialLean(ctx, s.addr)
	if err != nil {
		return Figure{}, err
	}
	defer conn.Close()
	var sent [][]statement
	count := 0
	for _, path := range r.paths {
		one, err := w.capture(ctx, standby, func() error { return get(conn, path) })
		if err != nil {
			return Figure{}, err
		}
		sent, count = append(sent, one), count+len(one)
	}
	script, reader := browsing(sent, r.weight), dsn(standby, "shop_ro", database)
	threads, err := w.threads(ctx, reader, w.Clients, script)
	if err != nil {
		return Figure{}, err
	}
	sides := []side{w.asking("shop", w.busy(s.addr, r)), {"pgbench", func(ctx context.Context) (float64, error) {
		rate, _, err := w.pgbench(ctx, reader, w.Clients, threads, script)
		return rate, err
	}}}
	all, err := w.rounds(ctx, r.name, sides...)
	if err != nil {
		return Figure{}, err
	}
	f := compare(r.name, sides, all, 1)
	f.Detail += fmt.Sprintf(" (-M %s -j %d)", script.mode, threads)
	if per := float64(count) / float64(len(r.paths)); per != 1 {
		f.Detail += fmt.Sprintf(", %.1f statements each", per)
	}
	return f, nil
}

func get(conn *load.Lean, path string) error {
	a, err := conn.Do(load.Request("GET", path, "", "Accept: application/json"))
	if err == nil && a.Status != 200 {
		err = fmt.Errorf("%s was answered %d %.200s", path, a.Status, a.Body)
	}
	return err
}

// threads is the number of threads with which pgbench does more.
func (w *world) threads(ctx context.Context, dsn string, clients int, s script) (int, error) {
	one, _, err := w.pgbench(ctx, dsn, clients, 1, s)
	if err != nil {
		return 0, err
	}
	two, _, err := w.pgbench(ctx, dsn, clients, 2, s)
	if two > one {
		return 2, err
	}
	return 1, err
}

// asking is a closed loop as a side. Answers of the primary would be another
// measurement than the one that was meant.
func (w *world) asking(name string, b load.Busy) side {
	return side{name, func(ctx context.Context) (float64, error) {
		rate, err := b.Run(ctx)
		for source := range rate.Sources {
			if err == nil && strings.HasPrefix(source, "primary") {
				err = fmt.Errorf("answers came from the %s: %v", source, rate.Sources)
			}
		}
		return rate.PerSec, err
	}}
}

// visitors asks for pages as people do: of a hundred sixty are of a product, thirty are
// lists, and ten are searches.
func (w *world) visitors(s *shop) load.Busy {
	var requests [][]byte
	for _, r := range s.routes() {
		share := map[string]int{"product": 60, "list": 15, "category": 15, "search": 10}[r.name]
		order := r.order()
		for n := range share * 10 {
			requests = append(requests, load.Request("GET", r.paths[order[n%len(order)]], "", "Accept: application/json"))
		}
	}
	return load.Busy{
		Addr: s.addr, Clients: w.Clients, WarmUp: time.Second / 2, Duration: w.span(), Want: 200,
		Next: func(client, n int) []byte { return requests[(client*7919+n*611)%len(requests)] },
	}
}

// replicas asks how much more two standbys answer than one.
func (w *world) replicas(ctx context.Context) ([]Figure, error) {
	database, _, err := w.fill(ctx, w.Products)
	if err != nil {
		return nil, err
	}
	var sides []side
	for _, standbys := range []int{2, 1} {
		name := []string{"", "one", "two"}[standbys]
		app, s, err := w.open(ctx, name, database, standbys)
		if err != nil {
			return nil, err
		}
		defer app.Stop()
		sides = append(sides, w.asking(name, w.visitors(s)))
	}
	all, err := w.rounds(ctx, "browsing, replicas", sides...)
	if err != nil {
		return nil, err
	}
	return []Figure{compare("two replicas / one", sides, all, 1)}, nil
}
