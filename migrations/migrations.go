// Package migrations holds the schema of the shop and the one way to apply it.
//
// Migrations run as shop_owner on the primary. Several processes may start at
// once: a session lock, taken by polling, lets one of them through at a time.
// (A blocking advisory lock would deadlock with CREATE INDEX CONCURRENTLY,
// which waits for every older transaction, also one that waits for the lock.)
package migrations

import (
	"context"
	"embed"
	_ "embed" // for RolesSQL
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed *.sql
var files embed.FS

// RolesSQL makes the roles shop_owner, shop_rw, shop_ro and replicator and
// their settings. A superuser runs it once, connected to the shop's database,
// before the first migration.
//
//go:embed roles/roles.sql
var RolesSQL string

// Roles are those of RolesSQL that log in for the shop: the owner of the schema,
// the one that writes, the one that reads.
var Roles = []string{"shop_owner", "shop_rw", "shop_ro"}

// Open connects to the primary as the owner of the schema and returns goose's
// provider; its methods Up, Down and Status do the work. The caller closes it.
// A DSN that cannot be parsed is reported without its text, which may hold a
// password.
func Open(dsn string) (*goose.Provider, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("migrations: the DSN of the schema's owner cannot be parsed")
	}
	config.RuntimeParams["application_name"] = "leeway-migrate"
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, fmt.Errorf("migrations: session lock: %w", err)
	}
	return goose.NewProvider(goose.DialectPostgres, stdlib.OpenDB(*config), files, goose.WithSessionLocker(locker))
}

// Up applies whatever is missing and returns the number of applied migrations.
func Up(ctx context.Context, dsn string) (int, error) {
	provider, err := Open(dsn)
	if err != nil {
		return 0, err
	}
	defer provider.Close()
	applied, err := provider.Up(ctx)
	return len(applied), err
}
