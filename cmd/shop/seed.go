package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/catalog"
	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/seed"
)

type seedCmd struct {
	nodeFlags
	Products int    `default:"2000" help:"How many products to invent, with three variants each."`
	Seed     uint64 `default:"1" help:"The same seed makes the same catalog."`
	File     string `type:"existingfile" placeholder:"CSV" help:"Load this file instead, one line for each variant: product_slug,product_name,description,category_path,sku,option:NAME...,price,stock. Any bad line, and nothing is loaded."`
	Add      bool   `help:"Load into a catalog that has products already." xor:"add"`
	IfEmpty  bool   `help:"Do nothing, and succeed, if the catalog has products already." xor:"add"`
}

// Run loads everything or, on any error, nothing.
func (c *seedCmd) Run(ctx context.Context, app *app) (err error) {
	var errs configErrors
	nodes := c.parseNodes(&errs)
	if err := errors.Join(errs.err(), checkProducts(c.Products)); err != nil {
		return err
	}
	start := time.Now()
	in, err := c.catalog()
	if err != nil {
		return err
	}
	router, err := fresh.New(fresh.Config{Nodes: nodes, Log: warnings(app)})
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), primaryWait)
		defer cancel()
		err = errors.Join(err, router.Close(closing))
	}()
	if err := awaitPrimary(ctx, router); err != nil {
		return err
	}
	err = loadCatalog(ctx, router, in, c.Add, app)
	var pgErr *pgconn.PgError
	switch {
	case errors.Is(err, catalog.ErrNotEmpty) && c.IfEmpty:
		fmt.Fprintln(app.stdout, "the catalog already has products: nothing is loaded")
		return nil
	case errors.Is(err, catalog.ErrNotEmpty):
		return errors.New("the catalog already has products; give --add to load more into it")
	case errors.As(err, &pgErr) && pgErr.Code == "42P01": // undefined_table
		return errors.New("the schema is not there yet; run: shop migrate up")
	case err != nil:
		return err
	}
	fmt.Fprintf(app.stdout, "loaded %d products in %v\n", len(in.Products), time.Since(start).Round(time.Millisecond))
	return nil
}

func checkProducts(n int) error {
	if n < 1 || n > 1_000_000 {
		return fmt.Errorf("--products %d is out of range: 1 to 1000000", n)
	}
	return nil
}

func (c *seedCmd) catalog() (catalog.Import, error) {
	if c.File == "" {
		return seed.Generate(c.Products, c.Seed), nil
	}
	file, err := os.Open(c.File)
	if err != nil {
		return catalog.Import{}, err
	}
	defer file.Close()
	return seed.ReadCSV(c.File, file)
}

// primaryWait is how long a command waits for a primary to show itself.
const primaryWait = 10 * time.Second

func awaitPrimary(ctx context.Context, router *fresh.Router) error {
	ctx, cancel := context.WithTimeout(ctx, primaryWait)
	defer cancel()
	if err := router.AwaitPrimary(ctx); err != nil {
		return fmt.Errorf("none of the nodes has answered as a primary within %v; the log above says what each of them said", primaryWait)
	}
	return nil
}

// loadCatalog shows its progress on one line a step.
func loadCatalog(ctx context.Context, router *fresh.Router, in catalog.Import, add bool, app *app) error {
	store := catalog.New(db.New(router), catalog.DefaultConfig())
	shown := time.Now()
	return store.Load(ctx, in, catalog.LoadOptions{
		Add: add,
		Progress: func(done, total int) {
			if time.Since(shown) > time.Second {
				shown = time.Now()
				fmt.Fprintf(app.stderr, "  %d of %d rows\n", done, total)
			}
		},
	})
}
