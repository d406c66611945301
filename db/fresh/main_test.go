package fresh_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// bench is a counter in a table, its cluster, and a session that uses it.
type bench struct {
	*dbtest.Env
	router *fresh.Router
}

// setup gives a test a database with a counter at 0 on every node. Tests here
// break the cluster they share, so none of them runs in parallel.
func setup(tb testing.TB, adjust ...func(*fresh.Config)) *bench {
	tb.Helper()
	return setupOn(tb, dbtest.New(tb), adjust...)
}

func setupOn(tb testing.TB, env *dbtest.Env, adjust ...func(*fresh.Config)) *bench {
	tb.Helper()
	b := &bench{Env: env}
	b.exec(tb, b.Admin(tb, b.Primary()), `CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL);
		INSERT INTO counter VALUES (1, 0), (2, 0);
		GRANT SELECT, UPDATE, INSERT ON counter TO shop_rw; GRANT SELECT ON counter TO shop_ro`)
	b.CatchUp(tb)
	b.router = b.Router
	if len(adjust) > 0 {
		config := b.Config()
		for _, f := range adjust {
			f(&config)
		}
		b.router = b.NewRouter(tb, config)
	}
	return b
}

func (b *bench) exec(tb testing.TB, conn *pgx.Conn, sql string) {
	tb.Helper()
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		tb.Fatal(err)
	}
}

const (
	readCounter = "SELECT n FROM counter WHERE id = 1"
	addOne      = "UPDATE counter SET n = n + 1 WHERE id = 1"
)

// session is the context of a shopper whose token is pos.
func session(tb testing.TB, pos fresh.Position) (context.Context, *fresh.Carrier) {
	ctx, cancel := context.WithTimeout(context.Background(), dbtest.Limit)
	tb.Cleanup(cancel)
	c := fresh.NewCarrier(pos)
	return fresh.WithCarrier(ctx, c), c
}

// add commits one more and returns the position of the commit.
func (b *bench) add(tb testing.TB) fresh.Position {
	tb.Helper()
	ctx, c := session(tb, fresh.Position{})
	err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		_, err := tx.Exec(ctx, addOne)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	pos, _ := c.Token()
	return pos
}

// read returns the counter and where it was read, for a session at pos.
func (b *bench) read(tb testing.TB, p fresh.Policy, pos fresh.Position) (int, fresh.Served) {
	tb.Helper()
	n, served, err := b.tryRead(tb, p, pos)
	if err != nil {
		tb.Fatal(err)
	}
	return n, served
}

func (b *bench) tryRead(tb testing.TB, p fresh.Policy, pos fresh.Position) (int, fresh.Served, error) {
	ctx, c := session(tb, pos)
	var n int
	err := b.router.Reader(p).QueryRow(ctx, readCounter).Scan(&n)
	served, _ := c.Served()
	return n, served, err
}

// awaitReplica reads until a replica answers.
func (b *bench) awaitReplica(tb testing.TB, p fresh.Policy) {
	tb.Helper()
	dbtest.Eventually(tb, "a replica answers again", func() bool {
		_, served := b.read(tb, p, fresh.Position{})
		return !served.Primary && !served.Stale
	})
}

// until repeats f until d has passed.
func until(d time.Duration, f func()) {
	for start := time.Now(); time.Since(start) < d; {
		f()
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
