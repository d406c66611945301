package fresh_test

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// The errors themselves, provoked on real servers rather than raised: that the
// codes in the rules are those that PostgreSQL uses for what the rules say.
// Elsewhere: 40001 of a replica (TestARecoveryConflictGoesToThePrimary), 40P01
// (TestADeadlockIsRetried), 23503 at COMMIT
// (TestADeferredConstraintIsAnErrorAndNoDoubt), 01000 and 57P01 during COMMIT
// (write_test.go).

func TestProvokedInATransaction(t *testing.T) {
	b := setup(t)
	b.exec(t, b.Admin(t, b.Primary()), `CREATE TABLE stock (n int CHECK (n >= 0)); GRANT INSERT ON stock TO shop_rw`)
	admin := b.Admin(t, b.Primary())
	b.exec(t, admin, "BEGIN; UPDATE counter SET n = 0 WHERE id = 2")
	for _, tt := range []struct {
		code string
		want kind
		sql  []string
	}{
		{"55P03", gaveUp, []string{"SET LOCAL lock_timeout = '10ms'", "UPDATE counter SET n = 1 WHERE id = 2"}},
		{"57014", gaveUp, []string{"SET LOCAL statement_timeout = '10ms'", "SELECT pg_sleep(20)"}},
		{"23505", fails, []string{"INSERT INTO counter VALUES (1, 0)"}},
		{"23514", fails, []string{"INSERT INTO stock VALUES (-1)"}},
		{"22003", fails, []string{"SELECT 2147483647 + id FROM counter"}},
		{"42501", fails, []string{"DELETE FROM counter"}},
		{"42601", fails, []string{"SELEC 1"}},
		{"42P01", gaveUp, []string{"SELECT FROM nothing"}},
		{"42703", gaveUp, []string{"SELECT nothing FROM counter"}},
		{"42883", gaveUp, []string{"SELECT nothing()"}},
		{"26000", replanned, []string{"EXECUTE nothing"}},
		{"55000", threeTries, []string{"SELECT lastval()"}},
		{"25006", threeTries, []string{"SET LOCAL transaction_read_only = on", addOne}},
	} {
		t.Run(tt.code, func(t *testing.T) {
			ctx, _ := session(t, fresh.Position{})
			runs := 0
			err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
				runs++
				for _, sql := range tt.sql {
					if _, err := tx.Exec(ctx, sql); err != nil {
						return err
					}
				}
				return nil
			})
			if sqlState(err) != tt.code || runs != triesOf[tt.want] || !isExactly(err, toldOf[tt.want]) {
				t.Errorf("%v after %d tries, want %v after %d", err, runs, toldOf[tt.want], triesOf[tt.want])
			}
		})
	}
}

// Under REPEATABLE READ a row that changed since the snapshot is 40001.
func TestASerializationFailureIsRetried(t *testing.T) {
	b := setup(t)
	ctx, _ := session(t, fresh.Position{})
	admin, runs := b.Admin(t, b.Primary()), 0
	err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		runs++
		if _, err := tx.Exec(ctx, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, readCounter).Scan(new(int)); err != nil {
			return err
		}
		if runs == 1 {
			b.exec(t, admin, addOne)
		}
		_, err := tx.Exec(ctx, addOne)
		return err
	})
	if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); err != nil || runs != 2 || n != 2 {
		t.Errorf("%v after %d tries, n = %d; want success at the second, and 2", err, runs, n)
	}
}

// Sessions that end before COMMIT, by real FATAL errors.
func TestASessionThatEndsIsReplaced(t *testing.T) {
	b := setup(t)
	admin := b.Admin(t, b.Primary())
	for _, tt := range []struct {
		code string
		want kind
		end  func(tx fresh.WriteTx, pid int) error
	}{
		{"57P01", threeTries, func(_ fresh.WriteTx, pid int) error {
			b.exec(t, admin, "SELECT pg_terminate_backend("+itoa(pid)+", 5000)")
			return nil
		}},
		{"25P03", onceMore, func(tx fresh.WriteTx, pid int) error {
			_, err := tx.Exec(t.Context(), "SET LOCAL idle_in_transaction_session_timeout = '10ms'")
			dbtest.Eventually(t, "the idle session is ended", func() bool {
				var there bool
				err := admin.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid).Scan(&there)
				return err == nil && !there
			})
			return err
		}},
	} {
		ctx, _ := session(t, fresh.Position{})
		var backends []int
		err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			var pid int
			if err := tx.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
				return err
			}
			backends = append(backends, pid)
			if err := tt.end(tx, pid); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, addOne)
			return err
		})
		slices.Sort(backends)
		if different := len(slices.Compact(backends)); different != triesOf[tt.want] || sqlState(err) != tt.code || !isExactly(err, toldOf[tt.want]) {
			t.Errorf("%s: %v after tries on %v, want %v after %d", tt.code, err, backends, toldOf[tt.want], triesOf[tt.want])
		}
	}
}

// A database that becomes read-only as that of a demoted primary does: its
// connections are of no use, and new ones are once it takes writes again.
func TestReadOnlyConnectionsAreReplaced(t *testing.T) {
	b := setup(t, func(c *fresh.Config) { c.WriteConns = 1 })
	admin := b.Admin(t, b.Primary())
	b.exec(t, admin, "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_read_only = on'; END $$")
	ctx, _ := session(t, fresh.Position{})
	write := func() (runs int, err error) {
		err = b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			runs++
			_, err := tx.Exec(ctx, addOne)
			return err
		})
		return runs, err
	}
	if runs, err := write(); runs != 3 || sqlState(err) != "25006" || !isExactly(err, fresh.ErrNoPrimary) {
		t.Errorf("%v after %d tries, want ErrNoPrimary after 3", err, runs)
	}
	b.exec(t, admin, "SET default_transaction_read_only = off")
	b.exec(t, admin, "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' RESET default_transaction_read_only'; END $$")
	if runs, err := write(); runs != 1 || err != nil {
		t.Errorf("%v after %d tries: a connection from before was kept", err, runs)
	}
}

// DDL spoils the plans of every connection in the pool; one more try is enough.
func TestACachedPlanCostsOneTry(t *testing.T) {
	b := setup(t, func(c *fresh.Config) { c.WriteConns = 4 })
	ctx, _ := session(t, fresh.Position{})
	run := func(ctx context.Context, held chan<- struct{}, release <-chan struct{}) (runs int, err error) {
		err = b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			runs++
			rows, err := tx.Query(ctx, "SELECT * FROM counter")
			if err != nil {
				return err
			}
			if _, err = pgx.CollectRows(rows, pgx.RowToMap); err == nil && held != nil {
				held <- struct{}{}
				<-release
			}
			return err
		})
		return runs, err
	}
	// together runs it on four connections at once, all there are.
	together := func() (runs int) {
		type result struct {
			runs int
			err  error
		}
		held, release, results := make(chan struct{}), make(chan struct{}), make(chan result)
		for range 4 {
			go func() {
				n, err := run(ctx, held, release)
				results <- result{n, err}
			}()
		}
		for range 4 {
			<-held
		}
		close(release)
		for range 4 {
			r := <-results
			runs += r.runs
			if r.err != nil {
				t.Error(r.err)
			}
		}
		return runs
	}
	together() // now all have the plan
	b.exec(t, b.Admin(t, b.Primary()), "ALTER TABLE counter ADD COLUMN extra int")
	if runs, err := run(ctx, nil, nil); err != nil || runs != 2 {
		t.Errorf("%v after %d tries, want success at the second", err, runs)
	}
	if runs := together(); runs != 4 {
		t.Errorf("%d tries of four transactions: connections with an old plan were kept", runs)
	}
}

func TestProvokedOnAReplica(t *testing.T) {
	registry, log := prometheus.NewRegistry(), &logged{}
	b := setup(t, watched(registry, log), func(c *fresh.Config) {
		for i := range c.Nodes {
			c.Nodes[i].ReadDSN += "&options=-cstatement_timeout%3D200"
		}
	})
	admin := b.Admin(t, b.Primary())
	b.exec(t, admin, "CREATE TABLE secret (n int)")
	b.CatchUp(t)
	b.Pause(t)
	b.exec(t, admin, `CREATE TABLE late (n int); INSERT INTO late VALUES (7); GRANT SELECT ON late TO shop_ro;
		ALTER TABLE counter ADD COLUMN late int;
		CREATE FUNCTION late() RETURNS int LANGUAGE sql AS 'SELECT 7'`)
	for _, tt := range []struct {
		code string
		want kind
		seen float64
		sql  string
	}{
		{"42P01", goesOn, 2, "SELECT n FROM late"},
		{"42703", goesOn, 2, "SELECT late FROM counter"},
		{"42883", goesOn, 2, "SELECT late()"},
		{"25006", fails, 1, addOne},
		{"42501", fails, 1, "SELECT n FROM secret"},
		{"22003", fails, 1, "SELECT 2147483647 + id FROM counter"},
		{"57014", gaveUp, 0, "SELECT pg_sleep(20)"},
		{"55000", fails, 1, "SELECT pg_current_wal_flush_lsn()"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			ctx, c := session(t, fresh.Position{})
			rows, err := b.router.Reader(fresh.Any()).Query(ctx, tt.sql)
			rows.Close()
			served, _ := c.Served()
			if tt.want == goesOn {
				if err != nil || !served.Primary {
					t.Errorf("%v from %+v, want an answer of the primary", err, served)
				}
			} else if sqlState(err) != tt.code || !isExactly(err, toldOf[tt.want]) || served.Primary {
				t.Errorf("%v from %+v, want %s and %v from a replica", err, served, tt.code, toldOf[tt.want])
			}
			if got := sumOf(t, registry, "leeway_unexpected_sqlstate_total", tt.code); got != tt.seen {
				t.Errorf("counted %v times, want %v", got, tt.seen)
			}
		})
	}
}

// With the connections of the database used up, what is pooled goes on, and
// nobody else dials more than once.
func TestTooManyConnections(t *testing.T) {
	b := setup(t)
	b.add(t) // one writing connection is there
	b.exec(t, b.Admin(t, b.Primary()), "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' CONNECTION LIMIT 0'; END $$")
	b.CatchUp(t)
	b.add(t) // and goes on
	ctx, _ := session(t, fresh.Position{})
	runs := 0
	release := b.holdWriter(t)
	defer release()
	err := b.router.Write(ctx, func(context.Context, fresh.WriteTx) error { runs++; return nil })
	if runs != 0 || sqlState(err) != "53300" || !isExactly(err, fresh.ErrUnavailable) {
		t.Errorf("transaction: %v after %d runs, want ErrUnavailable and none", err, runs)
	}
	if _, _, err := b.tryRead(t, fresh.Any(), fresh.Position{}); sqlState(err) != "53300" || !isExactly(err, fresh.ErrUnavailable) {
		t.Errorf("read: %v, want ErrUnavailable", err)
	}
}
