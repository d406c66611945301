package fresh_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// The cost of a proof: the same row read through a bare pool on one replica, and
// through the router under each contract. Compare the lines of one run only:
//
//	go test -run '^$' -bench Read -benchtime 3s -count 5 ./db/fresh
//
// Each operation is one read; several run at once, as in a server. All of them
// carry a deadline, as a request's context does.
func BenchmarkRead(b *testing.B) {
	s := setup(b)
	one := s.Config()
	one.Nodes = one.Nodes[:2] // one replica, as the bare pool has
	s.router = s.NewRouter(b, one)
	token := s.add(b)
	s.CatchUp(b)

	pool := s.barePool(b)
	b.Run("bare pool", func(b *testing.B) {
		readInParallel(b, func(ctx context.Context) error {
			return pool.QueryRow(ctx, readCounter).Scan(new(int))
		})
	})
	policies := []struct {
		name string
		p    fresh.Policy
	}{
		{"any", fresh.Any()}, {"bounded", fresh.Bounded(5 * second)}, {"session", fresh.Session()},
	}
	for _, policy := range policies {
		reader := s.router.Reader(policy.p)
		b.Run(policy.name, func(b *testing.B) {
			readInParallel(b, func(ctx context.Context) error {
				ctx = fresh.WithCarrier(ctx, fresh.NewCarrier(token))
				return reader.QueryRow(ctx, readCounter).Scan(new(int))
			})
		})
	}
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

func readInParallel(b *testing.B, read func(context.Context) error) {
	b.SetParallelism(4)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx, cancel := context.WithTimeout(context.Background(), dbtest.Limit)
		defer cancel()
		for pb.Next() {
			if err := read(ctx); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}
