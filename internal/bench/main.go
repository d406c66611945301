// Command bench measures the shop beside PostgreSQL's own limit. This first part keeps a
// running shop busy, with a client that costs less than the shop does:
//
//	go run ./internal/bench --url http://127.0.0.1:8080 --only product
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"example.com/leeway/internal/load"
)

type options struct {
	URL     string   `help:"Keep this shop busy." default:"http://127.0.0.1:8080"`
	Only    []string `help:"Only these parts: product, list, category, categories, search, suggest."`
	Rounds  int      `help:"How often each is measured; the median counts." default:"3"`
	Seconds float64  `help:"How long, each time." default:"3"`
	Clients int      `help:"Connections, each with one request at a time." default:"16"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	var o options
	kong.Parse(&o, kong.Name("bench"), kong.Description("Measure the shop."))
	if err := o.running(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o options) wants(part string) bool { return len(o.Only) == 0 || slices.Contains(o.Only, part) }

func (o options) span() time.Duration { return time.Duration(o.Seconds * float64(time.Second)) }

// running measures a shop that runs already.
func (o options) running(ctx context.Context, out io.Writer) error {
	shop, err := look(ctx, o.URL)
	if err != nil {
		return err
	}
	for _, r := range shop.routes() {
		if !o.wants(r.name) {
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
