package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/migrations"
)

// The faults that a healthy server makes: conflicts with recovery, a lack of
// connections, a change of the schema.

// recoveryConflicts: locks that are replayed cancel the reads of the standbys.
func recoveryConflicts(ctx context.Context, w *world) error {
	began := w.Record.Mark()
	w.awaitThat(ctx, "reads are cancelled by replay", func() bool {
		// An exclusive lock is in the log, and a standby that waits for nobody ends
		// whoever reads the table.
		err := w.exec(ctx, w.node("primary"), "BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE; SELECT pg_current_xact_id(); COMMIT")
		return err == nil && count(w.Record.Since(began), because("conflict")) >= 5
	})
	w.awaitThat(ctx, "the standbys count conflicts", func() bool {
		conflicts := int64(0)
		for _, n := range w.standbys() { // which may cancel the question, too
			c, err := w.ask(ctx, n, "SELECT confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock FROM pg_stat_database_conflicts WHERE datname = current_database()")
			if err == nil {
				conflicts += c
			}
		}
		return conflicts > 0
	})
	w.bit(int64(count(w.Record.Since(began), because("conflict"))))
	w.browsingWentOn(began)
	return nil
}

// connectionsExhausted: other sessions take every connection that the primary has
// left. The instance that has its own goes on; one that starts anew is told to wait.
func connectionsExhausted(ctx context.Context, w *world) error {
	victim, survivor := w.Apps[0], w.Apps[1]
	victim.Kill()
	taken, err := w.takeConnections(ctx, w.node("primary"))
	release := func() {
		for _, conn := range taken {
			conn.Close(ctx)
		}
	}
	defer release()
	if err != nil {
		return err
	}
	if err := victim.Start(ctx); err != nil {
		return err
	}
	m := w.Record.Mark()
	w.await(ctx, m, "the other instance takes checkouts", 20, func(op checker.Op) bool { return acknowledged(op) && op.App == survivor.Name })
	w.await(ctx, m, "the new one says that it cannot", fewRefused, func(op checker.Op) bool { return op.App == victim.Name && notNow(op) })
	w.await(ctx, m, "the new one browses", fewRefused, func(op checker.Op) bool {
		return op.App == victim.Name && op.Kind == checker.Browse && op.Outcome == checker.OK
	})
	w.bit(int64(count(w.Record.Since(m), func(op checker.Op) bool { return op.App == victim.Name && notNow(op) })))
	if _, err := w.ask(ctx, w.node("primary"), "SELECT 1"); err != nil { // by a connection that is kept for superusers
		w.expect("behaviour", false, "nobody can look at the server: %v", err)
	}
	release()
	taken = nil
	healed := w.Record.Mark()
	w.recovers(ctx, healed, "new instance", recoveredWrites, func(op checker.Op) bool { return op.App == victim.Name && op.Outcome == checker.OK && !isRead(op) })
	return nil
}

// takeConnections opens sessions until the server refuses each role another one.
func (w *world) takeConnections(ctx context.Context, n *pgcluster.Node) (taken []*pgx.Conn, err error) {
	for _, role := range migrations.Roles { // each has a share of its own
		refused := false
		for range 500 {
			conn, err := pgx.Connect(ctx, n.DSN(role))
			if refused = err != nil; refused {
				break
			}
			taken = append(taken, conn)
		}
		if !refused {
			return taken, fmt.Errorf("%s never refused %s a connection", n.Name(), role)
		}
	}
	return taken, nil
}

// schemaChange: what a migration does to a shop that is open.
func schemaChange(ctx context.Context, w *world) error {
	began := w.Record.Mark()
	owner, err := pgx.Connect(ctx, w.node("primary").DSN("shop_owner"))
	if err != nil {
		return err
	}
	defer owner.Close(ctx)
	if _, err := owner.Exec(ctx, "SET lock_timeout = '500ms'"); err != nil {
		return err
	}
	for _, sql := range []string{
		"ALTER TABLE products ADD COLUMN chaos_note text",
		"ALTER TABLE variants ADD COLUMN chaos_note text",
		"CREATE INDEX CONCURRENTLY chaos_products ON products (chaos_note)",
		"ALTER TABLE orders ADD COLUMN chaos_note text DEFAULT 'none'",
		"ALTER TABLE carts ALTER COLUMN status TYPE varchar(20)", // rewrites no row, and changes every plan
		"ALTER TABLE products ALTER COLUMN slug TYPE varchar",
		"ALTER TABLE products DROP COLUMN chaos_note",
	} {
		m := w.Record.Mark()
		if err := w.migrate(ctx, owner, sql); err != nil {
			return err
		}
		w.bit(1)
		w.await(ctx, m, "every kind of read after "+sql, 4, isBrowsing)
		w.await(ctx, m, "checkouts after "+sql, 4, acknowledged)
	}
	w.browsingWentOn(began)
	for _, op := range w.Record.Since(began) {
		w.expect("behaviour", op.Status < 500, "%s was answered %d %s during a change of the schema", op.Kind, op.Status, op.Code)
	}
	return nil
}

// migrate tries again when a lock is not to be had, as a migrator should.
func (w *world) migrate(ctx context.Context, owner *pgx.Conn, sql string) error {
	var err error
	for range 10 {
		if _, err = owner.Exec(ctx, sql); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", sql, err)
}
