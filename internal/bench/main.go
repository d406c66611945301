// Command bench measures the shop beside PostgreSQL's own limit, as ratios, in one run
// and on one machine. It starts its own servers and shops, writes docs/benchmarks.md, and
// stops and removes everything; so does Ctrl-C, after it has written what there is.
//
//	go run ./internal/bench                         (or: make bench)
//	go run ./internal/bench --short --only browse,checkout
//	go run ./internal/bench --url http://127.0.0.1:8080 --only product
//
// Rounds are interleaved, A B A B, and a ratio is that of neighbours in time. A shop that
// answers anything but what was asked for is no figure but an error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"example.com/leeway/internal/load"
)

type options struct {
	Only     []string `help:"Only these parts: browse, checkout, hot, own, replicas, growth, bulkhead, reads, commits, searches, watched, allocations. Pages of browse have names too: product, list, category, categories, search, suggest."`
	Rounds   int      `help:"How often each is measured; the median counts." default:"3"`
	Seconds  float64  `help:"How long, each time." default:"3"`
	Products int      `help:"Size of the catalog; growth has its own." default:"2000"`
	Clients  int      `help:"Connections, each with one request at a time." default:"16"`
	Short    bool     `help:"One round of a second, to see that it runs. Nothing is written."`
	Write    bool     `help:"Write docs/benchmarks.md." default:"true" negatable:""`
	URL      string   `help:"Measure nothing but keep this shop busy, which runs already."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	if len(os.Args) == 3 && os.Args[1] == answerVerb {
		if err := answerBytes(ctx, os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	kong.Parse(&o, kong.Name("bench"), kong.Description("Measure the shop beside PostgreSQL's own limit."))
	if o.Short {
		o.Rounds, o.Seconds, o.Write = 1, 1, false
	}
	run := o.all
	if o.URL != "" {
		run = o.running
	}
	err := o.check()
	if err == nil {
		err = run(ctx, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// check refuses what would silently measure nothing.
func (o options) check() error {
	for _, name := range o.Only {
		if !slices.Contains(pageNames, name) && !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return fmt.Errorf("--only %s is no part and no page", name)
		}
	}
	if o.Rounds < 1 || o.Seconds < 1 || o.Clients < 1 {
		return errors.New("--rounds, --seconds and --clients are at least 1")
	}
	return nil
}

func (o options) asked(name string) bool { return len(o.Only) == 0 || slices.Contains(o.Only, name) }

// wants tells whether a part was asked for, or a page of it.
func (o options) wants(part string) bool {
	return o.asked(part) || part == "browse" && slices.ContainsFunc(pageNames, o.asked)
}

func (o options) wantsPage(name string) bool { return o.asked("browse") || o.asked(name) }

func (o options) span() time.Duration { return time.Duration(o.Seconds * float64(time.Second)) }

type part struct {
	name string
	run  func(*world, context.Context) ([]Figure, error)
}

// parts in the order in which they are measured: first those on a quiet, new cluster.
var parts = []part{
	{"browse", (*world).browse},
	{"checkout", (*world).checkout},
	{"hot", (*world).hot},
	{"own", (*world).own},
	{"replicas", (*world).replicas},
	{"growth", (*world).growth},
	{"bulkhead", (*world).bulkhead},
	{"reads", (*world).reads},
	{"commits", (*world).commits},
	{"searches", (*world).searches},
	{"watched", (*world).watched},
	{"allocations", (*world).allocations},
}

// all measures what was asked for, part by part. A part that fails leaves the figures that
// were there before, and the others go on.
func (o options) all(ctx context.Context, out io.Writer) (err error) {
	w, err := newWorld(ctx, o, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	docs := filepath.Join(w.root, "docs")
	results, err := readResults(docs)
	if err != nil {
		return err
	}
	results.Machine, results.Versions = machine(), versions(ctx, w.bin)
	var failed error
	for _, part := range parts {
		if !o.wants(part.name) || ctx.Err() != nil {
			continue
		}
		p, err := w.measure(ctx, part)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", part.name, err))
			w.say("%s failed: %v", part.name, err)
			continue
		}
		if results.Parts[part.name] = p; o.Write && !p.partial(o) {
			if err := results.write(docs); err != nil {
				return err
			}
		}
	}
	for _, missed := range results.missed() {
		w.say("missed: %s", missed)
	}
	return errors.Join(ctx.Err(), failed)
}

func (w *world) measure(ctx context.Context, of part) (*Part, error) {
	p := &Part{
		name: of.name, Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Commit: commit(ctx, w.root),
		Load: loadAverage(), Rounds: w.Rounds,
	}
	began := time.Now()
	figures, err := of.run(w, ctx)
	p.Figures, p.Seconds = figures, time.Since(began).Seconds()
	for _, f := range figures { // also what there is of a part that was ended
		w.say("%s: %s = %s  [%s]  %s  %s", of.name, f.Name, f.Value(), f.Spread(), f.Target(), f.Detail)
	}
	return p, err
}

// partial tells whether some pages of browse were left out, which then are no results.
func (p *Part) partial(o options) bool { return p.name == "browse" && !o.asked("browse") }

// running keeps a shop busy that runs already.
func (o options) running(ctx context.Context, out io.Writer) error {
	shop, err := look(ctx, o.URL)
	if err != nil {
		return err
	}
	for _, r := range shop.routes() {
		if !o.wantsPage(r.name) {
			continue
		}
		for range o.Rounds {
			rate, err := o.busy(shop.addr, r).Run(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%-12s %8.0f/s  p50 %6.2f ms  p99 %6.2f ms  %v\n", r.name, rate.PerSec, rate.Latency.P50, rate.Latency.P99, rate.Sources)
		}
	}
	return nil
}

// busy asks for the paths of a route, the first ones the most often.
func (o options) busy(addr string, r route) load.Busy {
	requests := make([][]byte, len(r.paths))
	for i, path := range r.paths {
		requests[i] = load.Request("GET", path, "", "Accept: application/json")
	}
	order := r.order()
	return load.Busy{
		Addr: addr, Clients: o.Clients, WarmUp: time.Second / 2, Duration: o.span(), Want: 200,
		Next: func(client, n int) []byte { return requests[order[(client*7919+n)%len(order)]] },
	}
}
