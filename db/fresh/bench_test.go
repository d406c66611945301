package fresh_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// The cost of a proof: the same row of the same replica read through a bare
// pool, and through the router under each contract, by readers that carry a
// deadline, as a request does.
func readings(b *testing.B) []dbtest.Contender {
	s := setup(b)
	one := s.Config()
	one.Nodes = one.Nodes[:2] // one replica, as the bare pool has
	s.router = s.NewRouter(b, one)
	token := s.add(b)
	s.CatchUp(b)

	var list []dbtest.Contender
	for _, name := range []string{"bare", "bare again"} { // the second one shows the noise
		pool := s.barePool(b)
		list = append(list, dbtest.Contender{Name: name, Do: func(ctx context.Context) error {
			return pool.QueryRow(ctx, readCounter).Scan(new(int))
		}})
	}
	for _, contract := range []struct {
		name   string
		policy fresh.Policy
	}{
		{"bounded", fresh.Bounded(5 * second)},
		{"bounded and shared", fresh.Bounded(5 * second).Shared()},
		{"session", fresh.Session()},
	} {
		reader := s.router.Reader(contract.policy)
		list = append(list, dbtest.Contender{Name: contract.name, Do: func(ctx context.Context) error {
			ctx = fresh.WithCarrier(ctx, fresh.NewCarrier(token))
			return reader.QueryRow(ctx, readCounter).Scan(new(int))
		}})
	}
	return list
}

func (b *bench) barePool(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	config, err := pgxpool.ParseConfig(b.DSN(b.Replicas()[0], "shop_ro"))
	if err != nil {
		tb.Fatal(err)
	}
	config.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

// BenchmarkRead shows the allocations of each.
func BenchmarkRead(b *testing.B) {
	for _, r := range readings(b) {
		b.Run(r.Name, func(b *testing.B) {
			b.ReportAllocs()
			ctx, cancel := context.WithTimeout(context.Background(), dbtest.Limit)
			defer cancel()
			for b.Loop() {
				if err := r.Do(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRatio compares them, in rounds; see dbtest.Ratio:
//
//	go test -run '^$' -bench Ratio -benchtime 101x ./db/fresh
func BenchmarkRatio(b *testing.B) { dbtest.Ratio(b, readings(b)) }
