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
	app, alone, err := w.open(ctx, "browse-alone", database, 1, eachForItself)
	if err != nil {
		return nil, err
	}
	defer app.Stop()
	var figures []Figure
	for _, r := range s.routes() {
		if !w.wantsPage(r.name) {
			continue
		}
		f, err := w.page(ctx, database, s, alone, r)
		if err != nil {
			return figures, err
		}
		figures = append(figures, f...)
	}
	return figures, nil
}

// eachForItself configures a shop that executes its statements for each request, as pgbench
// does.
const eachForItself = "SHOP_COALESCE=false"

// page measures one page: the shop, pgbench with the same SQL, a shop that reads for each
// request by itself, and an HTTP server that does nothing but answer as many bytes.
func (w *world) page(ctx context.Context, database string, s, alone *shop, r route) ([]Figure, error) {
	reader := dsn(w.cluster.Nodes()[1], "shop_ro", database)
	sent, size, err := w.sent(ctx, s, r)
	if err != nil {
		return nil, err
	}
	bareAddr, stop, err := bare(ctx, size)
	if err != nil {
		return nil, err
	}
	defer stop()
	same := browsing(sent, r.weight)
	threads, err := w.threads(ctx, reader, w.Clients, same)
	if err != nil {
		return nil, err
	}
	sides := []side{
		w.asking("shop", w.busy(s.addr, r)),
		w.asking("each for itself", w.busy(alone.addr, r)),
		w.benching("pgbench", reader, threads, same),
		w.asking("bare HTTP", w.busy(bareAddr, r)),
	}
	all, err := w.rounds(ctx, r.name, sides...)
	if err != nil {
		return nil, err
	}
	f := compare(r.name, sides, all, 2)
	f.Detail += fmt.Sprintf(" (-M %s -j %d)", same.mode, threads)
	if per := float64(count(sent)) / float64(len(r.paths)); per != 1 {
		f.Detail += fmt.Sprintf(", %.1f statements each", per)
	}
	if least, ok := targets[r.name]; ok {
		f.AtLeast = &least
	}
	itself := compare(r.name+", each for itself", sides[1:], all[1:], 1)
	return []Figure{f, itself, ceiling(r.name+", each for itself at most", all[2], all[3], size)}, nil
}

// ceiling is how much of pgbench is left to a program that has pgbench's statement executed
// for each request, answers with net/http, and needs no time for anything else: what one
// answer takes on these processors is the sum of what both take.
func ceiling(name string, pgbench, bare []float64, size int) Figure {
	ratios := make([]float64, len(bare))
	for i := range bare {
		ratios[i] = bare[i] / (bare[i] + pgbench[i])
	}
	f := figure(name, ratios)
	f.Detail = fmt.Sprintf("net/http answers %d bytes %.0f/s", size, median(bare))
	return f
}

// sent returns what the shop sends to its standby for each path, and how long an answer is.
func (w *world) sent(ctx context.Context, s *shop, r route) (sent [][]statement, size int, err error) {
	conn, err := load.DialLean(ctx, s.addr)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	for _, path := range r.paths {
		one, err := w.capture(ctx, w.cluster.Nodes()[1], func() error {
			n, err := get(conn, path)
			size = max(size, n)
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		sent = append(sent, one)
	}
	return sent, size, nil
}

func count(sent [][]statement) (n int) {
	for _, one := range sent {
		n += len(one)
	}
	return n
}

func (w *world) benching(name, dsn string, threads int, s script) side {
	return side{name, func(ctx context.Context) (float64, error) {
		rate, _, err := w.pgbench(ctx, dsn, w.Clients, threads, s)
		return rate, err
	}}
}

func get(conn *load.Lean, path string) (size int, err error) {
	a, err := conn.Do(load.Request("GET", path, "", "Accept: application/json"))
	if err == nil && a.Status != 200 {
		err = fmt.Errorf("%s was answered %d %.200s", path, a.Status, a.Body)
	}
	return len(a.Body), err
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
