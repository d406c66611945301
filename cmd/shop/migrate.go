package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/pressly/goose/v3"

	"example.com/leeway/migrations"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Apply what is missing. Several processes may try at once."`
	Down   migrateDownCmd   `cmd:"" help:"Undo the newest migration; this deletes its tables."`
	Status migrateStatusCmd `cmd:"" help:"List the migrations."`
	Roles  migrateRolesCmd  `cmd:"" help:"Print the SQL that makes the roles, for a superuser: shop migrate roles | psql ..."`
}

type migrateFlags struct {
	DSN string `name:"dsn" env:"SHOP_MIGRATE_DSN" required:"" placeholder:"DSN" help:"The primary, as the role that owns the schema: postgres://shop_owner:...@host:5432/shop"`
}

// on runs fn on goose's provider and closes it.
func (f migrateFlags) on(fn func(*goose.Provider) error) error {
	provider, err := migrations.Open(f.DSN)
	if err != nil {
		return err
	}
	defer provider.Close()
	return fn(provider)
}

type migrateUpCmd struct{ migrateFlags }

func (c *migrateUpCmd) Run(ctx context.Context, app *app) error {
	return c.on(func(p *goose.Provider) error {
		results, err := p.Up(ctx)
		for _, r := range results {
			fmt.Fprintln(app.stdout, r)
		}
		if err == nil && len(results) == 0 {
			fmt.Fprintln(app.stdout, "the schema is up to date")
		}
		return err
	})
}

type migrateDownCmd struct{ migrateFlags }

func (c *migrateDownCmd) Run(ctx context.Context, app *app) error {
	return c.on(func(p *goose.Provider) error {
		result, err := p.Down(ctx)
		if err == nil {
			fmt.Fprintln(app.stdout, result)
		}
		return err
	})
}

type migrateStatusCmd struct{ migrateFlags }

func (c *migrateStatusCmd) Run(ctx context.Context, app *app) error {
	return c.on(func(p *goose.Provider) error {
		list, err := p.Status(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(app.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "VERSION\tSTATE\tAPPLIED\tFILE")
		for _, m := range list {
			applied := "-"
			if !m.AppliedAt.IsZero() {
				applied = m.AppliedAt.UTC().Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", m.Source.Version, m.State, applied, m.Source.Path)
		}
		return w.Flush()
	})
}

type migrateRolesCmd struct{}

func (c *migrateRolesCmd) Run(app *app) error {
	_, err := fmt.Fprint(app.stdout, migrations.RolesSQL)
	return err
}
