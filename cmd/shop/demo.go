package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/internal/seed"
	"example.com/leeway/internal/tracing"
	"example.com/leeway/migrations"
)

type demoCmd struct {
	Addr      string `env:"SHOP_ADDR" default:"127.0.0.1:8080" help:"Address of the API."`
	AdminAddr string `env:"SHOP_ADMIN_ADDR" default:"127.0.0.1:8081" help:"Address of the admin routes."`
	Dir       string `env:"SHOP_CLUSTER_DIR" type:"path" help:"Keep the servers and their data in this folder, or reopen it. Default: a temporary one, removed at the end."`
	Products  int    `default:"2000" help:"Size of the invented catalog."`
	Replicas  int    `default:"2" help:"Number of standbys."`
	Async     bool   `help:"Do not wait for a standby on commit: a failover may lose orders."`
}

// Run holds a whole shop until ctx ends, and leaves nothing behind.
func (c *demoCmd) Run(ctx context.Context, app *app) (err error) {
	if err := checkProducts(c.Products); err != nil {
		return err
	}
	start := time.Now()
	listener, err := listen(ctx, "--addr", c.Addr) // first: a port in use should not cost ten seconds to find out
	if err != nil {
		return err
	}
	defer listener.Close()
	back, err := listen(ctx, "--admin-addr", c.AdminAddr)
	if err != nil {
		return err
	}
	defer back.Close()
	cluster, err := pgcluster.Start(ctx, c.cluster(app))
	if err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(app.stderr, "stopping the servers")
		err = errors.Join(err, cluster.Close())
	}()
	// The read that prepares the tour must see what the demo itself loads.
	loading := fresh.WithCarrier(ctx, fresh.NewCarrier(fresh.Position{}))
	adminKey := rand.Text() + rand.Text() // 52 characters, 260 bits
	s, err := c.shop(loading, cluster, adminKey, app)
	if err != nil {
		return err
	}
	s.admin = back
	url := "http://" + listener.Addr().String()
	labPage := s.addControls(cluster, url)
	product, err := s.anyProduct(loading)
	if err != nil {
		s.closeRouter()
		return err
	}
	fmt.Fprintf(app.stderr, "ready after %.1f s\n", time.Since(start).Seconds())
	c.tour(app, product, map[string]string{
		"{dir}": cluster.Dir(), "{url}": url, "{lab}": labPage,
		"{admin}": "http://" + back.Addr().String(), "{key}": adminKey,
	})
	return s.serve(ctx, listener)
}

// shop migrates, connects and fills.
func (c *demoCmd) shop(ctx context.Context, cluster *pgcluster.Cluster, adminKey string, app *app) (*server, error) {
	primary, err := cluster.Primary(ctx)
	if err != nil {
		return nil, err
	}
	step(app, "schema")
	if _, err := migrations.Up(ctx, primary.DSN("shop_owner")); err != nil {
		return nil, err
	}
	s, err := c.server(cluster, adminKey, app)
	if err != nil {
		return nil, err
	}
	if err := c.fill(ctx, s.router, app); err != nil {
		s.closeRouter()
		return nil, err
	}
	return s, nil
}

func step(app *app, what string) { fmt.Fprintln(app.stderr, what) }

func (c *demoCmd) cluster(app *app) pgcluster.Config {
	config := clusterConfig()
	config.Dir, config.Replicas, config.Async = c.Dir, c.Replicas, c.Async
	config.Progress = func(what string) { step(app, what) }
	return config
}

// server is the one that "shop serve" would run with the same settings.
func (c *demoCmd) server(cluster *pgcluster.Cluster, adminKey string, app *app) (*server, error) {
	var flags serveCmd
	if err := kong.ApplyDefaults(&flags); err != nil {
		return nil, err
	}
	key := make([]byte, fresh.MinTokenKey)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	flags.RateAddress, flags.RateKey = 0, 0 // load tests are what it is for
	flags.AccessLog = false                 // the terminal is for the tour, and for what happens to the nodes
	flags.Addr, flags.TokenKey = c.Addr, base64.StdEncoding.EncodeToString(key)
	flags.AdminAddr, flags.AdminKeys = c.AdminAddr, "demo:catalog+stock+orders:"+adminKey
	flags.nodeFlags = clusterNodes(cluster)
	set, err := flags.settings()
	if err != nil {
		return nil, err
	}
	s, err := newServer(set, slog.New(slog.NewTextHandler(app.stderr, nil)))
	if err != nil {
		return nil, err
	}
	// Refusals are what the live page is there to show; shoppers meet dozens a second.
	s.requests = slog.New(tracing.Logs(slog.NewTextHandler(app.stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	return s, nil
}

// fill loads the sample catalog; a reopened folder keeps the one it has.
func (c *demoCmd) fill(ctx context.Context, router *fresh.Router, app *app) error {
	if err := awaitPrimary(ctx, router); err != nil {
		return err
	}
	step(app, fmt.Sprintf("%d products", c.Products))
	err := loadCatalog(ctx, router, seed.Generate(c.Products, demoSeed), false, app)
	if errors.Is(err, catalog.ErrNotEmpty) {
		step(app, "the catalog of the last time is kept")
		return nil
	}
	return err
}

const demoSeed = 1

// anyProduct is one to try things with: the newest that is in stock.
func (s *server) anyProduct(ctx context.Context) (catalog.Product, error) {
	inStock := true
	list, _, err := s.catalog.Products(ctx, catalog.ListQuery{
		Filter: catalog.Filter{InStock: &inStock}, Sort: catalog.Newest, Limit: 1,
	})
	if err != nil {
		return catalog.Product{}, err
	}
	if len(list) == 0 {
		return catalog.Product{}, errors.New("the catalog has no product in stock")
	}
	return s.catalog.Product(ctx, list[0].Slug)
}

// tour prints what to try. Every line can be typed as it stands; where has what
// they name.
func (c *demoCmd) tour(app *app, product catalog.Product, where map[string]string) {
	variant := product.Variants[0]
	for _, v := range product.Variants {
		if v.Available > 0 {
			variant = v
			break
		}
	}
	pairs := []string{
		"{shop}", commandName(), "{kept}", c.kept(),
		"{slug}", product.Slug, "{variant}", variant.ID.String(),
	}
	for name, value := range where {
		pairs = append(pairs, name, value)
	}
	fmt.Fprint(app.stdout, strings.NewReplacer(pairs...).Replace(tourText))
}

// kept tells what Ctrl-C does not remove.
func (c *demoCmd) kept() string {
	if c.Dir == "" {
		return ""
	}
	return " but the data in " + c.Dir
}

const tourText = `
The shop is at {url}/v1/products, with a page to read and to try at {url}/docs

Take the tour, in a second terminal: a shopper's life and the back office's day, with curl.

   SHOP_URL={url} SHOP_ADMIN_URL={admin} SHOP_ADMIN_KEY={key} SHOP_CLUSTER_DIR={dir} docs/tour.sh

To watch it, and to break it with buttons, open the live page. The key in its address is
this run's; it works on this machine only:

   {lab}

Or see for yourself when a replica answers:

1. A product page comes from a replica. Data-Source says so, and how old it may be at most:

   curl -si {url}/v1/products/{slug} | grep -i data-source

2. Put it into a cart, and read the cart back with the token of the answer (a browser would send it as a cookie):

   CART=$(curl -si -H 'Content-Type: application/json' -d '{"items":[{"variant_id":"{variant}","quantity":1}]}' {url}/v1/carts | tr -d '\r')
   TOKEN=$(echo "$CART" | sed -n 's/^Consistency-Token: //p')
   SHOPPER=$(echo "$CART" | sed -n 's/.*"shopper_token":"\([^"]*\)".*/\1/p')
   CART_ID=$(echo "$CART" | sed -n 's/^{"id":"\([^"]*\)".*/\1/p')
   curl -si -H "Consistency-Token: $TOKEN" -H "Authorization: Bearer $SHOPPER" {url}/v1/carts/$CART_ID

3. In a second terminal, stop the replicas from replaying. Repeat 2 at once, and 1 after more than 5 seconds:

   {shop} cluster pause --dir {dir}

4. Ask what is wrong and what to type against it. Then let them catch up, and repeat 1:

   {shop} check --dir {dir}
   {shop} cluster resume --dir {dir}

Ctrl-C here ends it and leaves nothing behind{kept}.
`

// commandName is how this program was called, for a second terminal in the same
// folder.
func commandName() string {
	name := os.Args[0]
	if filepath.Base(name) == name {
		return name
	}
	if path, err := filepath.Abs(name); err == nil {
		return path
	}
	return name
}
