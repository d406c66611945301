package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"example.com/leeway/internal/load"
)

type loadCmd struct {
	Scenario string        `arg:"" enum:"browse,search,checkout,hot,mixed" help:"browse: product pages, lists and categories. search: two words. checkout: a new cart of two variants, its order, and a look at it. hot: the same, and everybody wants one variant. mixed: of a hundred visitors 85 browse, 10 search, 5 buy."`
	URL      string        `env:"SHOP_URL" default:"http://127.0.0.1:8080" help:"The shop, started without rate limits, as shop demo is."`
	Rate     float64       `default:"100" help:"Journeys that begin each second, whatever the shop does with them. 0: each client begins the next one when the last has ended."`
	Poisson  bool          `help:"Let them come at random, as people do, instead of evenly."`
	Clients  int           `default:"64" help:"Journeys under way at once; with a rate, at most, and who must wait for a place has that in their latency."`
	Duration time.Duration `default:"20s" help:"How long is measured."`
	WarmUp   time.Duration `default:"3s" help:"How long before that nothing is."`
	Think    time.Duration `default:"5ms" help:"Pause of a shopper between a write and the next request."`
	Zipf     float64       `default:"1.2" help:"How much more popular the popular are; more than 1."`
	Seed     uint64        `default:"1" help:"The same seed wants the same."`
	Variant  string        `help:"Id of the variant that everybody wants in hot. Default: the most popular one."`
	Stock    int           `help:"Fill what may be bought up to so many first; needs the back office. Default: what there is."`
	AdminURL string        `env:"SHOP_ADMIN_URL" help:"The back office, to check that nothing was oversold."`
	AdminKey string        `env:"SHOP_ADMIN_KEY" help:"A key for it with the scope stock."`
	JSON     string        `type:"path" help:"Write the report here as well, as JSON."`
	Plot     string        `type:"path" help:"Write a plot here, as SVG: latency over time and by percentile."`
}

// Run asks the shop for a lot. Ctrl-C ends it early, and what there is is reported.
// It exits with 1 if a promise was broken, and with 3 if one could not be checked.
func (c *loadCmd) Run(ctx context.Context, app *app) error {
	fmt.Fprintln(app.stderr, "reading the catalog")
	report, err := load.Run(ctx, load.Plan{
		URL: c.URL, Scenario: c.Scenario, Rate: c.Rate, Poisson: c.Poisson, Clients: c.Clients,
		Duration: c.Duration, WarmUp: c.WarmUp, Think: c.Think, Zipf: c.Zipf, Seed: c.Seed, Variant: c.Variant, Stock: c.Stock,
		Admin: c.AdminURL, Key: c.AdminKey,
	}, func(s load.Second) {
		fmt.Fprintf(app.stderr, "%6.0f s  %7d answers  %5d failures  p50 %8.2f ms  p99 %8.2f ms  max %8.2f ms\n",
			s.At, s.Requests, s.Failures, s.P50, s.P99, s.Max)
	})
	if err != nil {
		return err
	}
	report.Print(app.stdout)
	if err := writeFile(c.JSON, func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}); err != nil {
		return err
	}
	if err := writeFile(c.Plot, report.Plot); err != nil {
		return err
	}
	return unchecked(report.Checks.Err(), app)
}

// uncheckedExit is not 1: a script may not take a shop that did not answer at the end for
// one that broke a promise.
const uncheckedExit = exitCode(3)

func unchecked(err error, app *app) error {
	if errors.Is(err, load.ErrUnchecked) {
		fmt.Fprintln(app.stderr, "shop:", err)
		return uncheckedExit
	}
	return err
}

// writeFile writes nothing if there is no path.
func writeFile(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
