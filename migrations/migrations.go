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
	"io/fs"
	"slices"

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

// Needed is the version of the newest migration: the schema that this program was
// made for.
func Needed() int64 {
	names, err := fs.Glob(files, "*.sql")
	if err != nil || len(names) == 0 {
		panic("migrations: none is compiled in")
	}
	version, err := goose.NumericComponent(slices.Max(names))
	if err != nil {
		panic(err) // the name of a file of ours
	}
	return version
}

// Applied returns the version of the newest migration that a node has, 0 for none, and
// also below version 6, which first allowed the shop's roles to ask. It fails only when
// the node does not answer.
func Applied(ctx context.Context, node interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) (version int64, err error) {
	var may *bool // NULL: there is no such table
	err = node.QueryRow(ctx, "SELECT has_table_privilege(to_regclass('goose_db_version'), 'SELECT')").Scan(&may)
	if err != nil || may == nil || !*may {
		return 0, err
	}
	err = node.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version)
	return version, err
}
