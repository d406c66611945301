package fresh_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"example.com/leeway/db/fresh"
)

// Each of three statements sees what those before it did, and all go in one round trip:
// the client sends one Sync (manual, section 55.2.4).
func TestTogetherIsOneRoundTrip(t *testing.T) {
	b := setup(t)
	ctx, _ := session(t, fresh.Position{})
	for range 2 { // the second time the statements are prepared
		var sent bytes.Buffer
		var added pgconn.CommandTag
		var one int
		var both []int
		err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			wire := tx.(interface{ PgConn() *pgconn.PgConn }).PgConn()
			wire.Frontend().Trace(&sent, pgproto3.TracerOptions{SuppressTimestamps: true})
			defer wire.Frontend().Untrace()
			return fresh.Together(ctx,
				func(ctx context.Context) (err error) { added, err = tx.Exec(ctx, addOne); return err },
				func(ctx context.Context) error { return tx.QueryRow(ctx, readCounter).Scan(&one) },
				func(ctx context.Context) error {
					rows, err := tx.Query(ctx, "SELECT n FROM counter ORDER BY id")
					if err != nil {
						return err
					}
					both, err = pgx.CollectRows(rows, pgx.RowTo[int])
					return err
				},
			)
		})
		if err != nil || added.RowsAffected() != 1 || one == 0 || len(both) != 2 || both[0] != one || both[1] != 0 {
			t.Fatalf("%v, then %d, then %v, %v", added, one, both, err)
		}
		if one == 1 {
			continue // had to be prepared
		}
		if n := strings.Count(sent.String(), "F\tSync"); n != 1 {
			t.Errorf("%d round trips:\n%s", n, sent.String())
		}
	}
}

// Whatever goes wrong, the error is that of who failed, nothing is kept, and the
// connection can be used.
func TestTogetherFails(t *testing.T) {
	b := setup(t)
	mine := errors.New("mine")
	tests := []struct {
		name      string
		state     string // the SQLSTATE of the error
		mine      bool   // the error is the function's own
		text      string
		functions func(tx fresh.WriteTx) []func(context.Context) error
	}{
		{"the first statement", "22012", false, "first", func(tx fresh.WriteTx) []func(context.Context) error {
			return []func(context.Context) error{statement(tx, "first", "SELECT 1/0"), statement(tx, "second", addOne)}
		}},
		{"the second statement", "22012", false, "second", func(tx fresh.WriteTx) []func(context.Context) error {
			return []func(context.Context) error{statement(tx, "first", addOne), statement(tx, "second", "SELECT 1/0"), statement(tx, "third", addOne)}
		}},
		{"a statement that cannot be parsed", "42601", false, "first", func(tx fresh.WriteTx) []func(context.Context) error {
			return []func(context.Context) error{statement(tx, "first", "NONSENSE"), statement(tx, "second", addOne)}
		}},
		{"a statement that cannot be parsed, behind another", "42601", false, "first", func(tx fresh.WriteTx) []func(context.Context) error {
			return []func(context.Context) error{statement(tx, "first", addOne), statement(tx, "second", "NONSENSE")}
		}},
		{"a function before its statement", "", true, "", func(tx fresh.WriteTx) []func(context.Context) error {
			return []func(context.Context) error{statement(tx, "first", addOne), func(context.Context) error { return mine }}
		}},
		{"a function behind its statement", "", true, "", func(tx fresh.WriteTx) []func(context.Context) error {
			return []func(context.Context) error{statement(tx, "first", addOne), func(ctx context.Context) error {
				_, err := tx.Exec(ctx, addOne)
				return errors.Join(err, mine)
			}, statement(tx, "third", addOne)}
		}},
		{"a function that is together with others itself", "", false, "one statement", func(tx fresh.WriteTx) []func(context.Context) error {
			return []func(context.Context) error{statement(tx, "first", addOne), func(ctx context.Context) error {
				return fresh.Together(ctx, statement(tx, "second", addOne), statement(tx, "third", addOne))
			}}
		}},
		{"a function with two", "", false, "one statement", func(tx fresh.WriteTx) []func(context.Context) error {
			return []func(context.Context) error{func(ctx context.Context) error {
				if _, err := tx.Exec(ctx, addOne); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, addOne)
				return err
			}}
		}},
	}
	for _, tt := range tests {
		ctx, _ := session(t, fresh.Position{})
		err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			return fresh.Together(ctx, tt.functions(tx)...)
		})
		if err == nil || sqlState(err) != tt.state || errors.Is(err, mine) != tt.mine || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); n != 0 {
		t.Errorf("%d additions were kept", n)
	}
}

// Who sends nothing keeps nobody, and another connection is used as ever.
func TestTogetherWithoutStatements(t *testing.T) {
	b := setup(t)
	ctx, _ := session(t, fresh.Position{})
	plain, n := b.Admin(t, b.Primary()), 0
	err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		nothing := func(context.Context) error { return nil }
		return errors.Join(
			fresh.Together(ctx),
			fresh.Together(ctx, nothing, nothing),
			fresh.Together(ctx, nothing, statement(tx, "first", addOne), nothing, statement(tx, "second", addOne)),
			fresh.Together(ctx, func(ctx context.Context) error { return plain.QueryRow(ctx, "SELECT 7").Scan(&n) }),
		)
	})
	if got, _ := b.read(t, fresh.Strong(), fresh.Position{}); err != nil || got != 2 || n != 7 {
		t.Errorf("%d, %d, %v", got, n, err)
	}
}

// statement returns a function that sends sql and calls its error by name.
func statement(tx fresh.WriteTx, name, sql string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := tx.Exec(ctx, sql)
		if err != nil {
			return errors.Join(errors.New(name), err)
		}
		return nil
	}
}

// A panic reaches the caller, who rolls back, with the others still waiting and with
// answers that nobody has read.
func TestTogetherPanics(t *testing.T) {
	b := setup(t)
	for _, sendsFirst := range []bool{false, true} {
		ctx, _ := session(t, fresh.Position{})
		func() {
			defer func() {
				if recover() != "mine" {
					t.Error("the panic was lost")
				}
			}()
			_ = b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
				return fresh.Together(ctx, statement(tx, "first", addOne), func(ctx context.Context) error {
					if sendsFirst {
						_, _ = tx.Exec(ctx, addOne)
					}
					panic("mine")
				}, statement(tx, "third", addOne))
			})
		}()
	}
	if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); n != 0 {
		t.Errorf("%d additions were kept", n)
	}
	b.add(t)
}
