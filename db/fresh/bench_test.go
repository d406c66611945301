package fresh_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// The cost of a proof: the same row of the same replica read through a bare
// pool, and through the router under each contract, by readers that carry a
// deadline, as a request does.
type reading struct {
	name string
	read func(context.Context) error
}

func readings(b *testing.B) []reading {
	s := setup(b)
	one := s.Config()
	one.Nodes = one.Nodes[:2] // one replica, as the bare pool has
	s.router = s.NewRouter(b, one)
	token := s.add(b)
	s.CatchUp(b)

	var list []reading
	for _, name := range []string{"bare", "bare again"} { // the second one shows the noise
		pool := s.barePool(b)
		list = append(list, reading{name, func(ctx context.Context) error {
			return pool.QueryRow(ctx, readCounter).Scan(new(int))
		}})
	}
	for _, contract := range []struct {
		name   string
		policy fresh.Policy
	}{{"bounded", fresh.Bounded(5 * second)}, {"session", fresh.Session()}} {
		reader := s.router.Reader(contract.policy)
		list = append(list, reading{contract.name, func(ctx context.Context) error {
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
		b.Run(r.name, func(b *testing.B) {
			b.ReportAllocs()
			ctx, cancel := context.WithTimeout(context.Background(), dbtest.Limit)
			defer cancel()
			for b.Loop() {
				if err := r.read(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

const (
	readers   = 8
	perReader = 400
)

// BenchmarkRatio compares them. An operation is one round, in which each kind
// has its turn; the ratio of a round is that of neighbours in time, and the
// median over the rounds is reported, so that a busy moment of the machine
// counts for all or for none. "bare again" is a second pool like the first: what
// it differs from 1 is noise:
//
//	go test -run '^$' -bench Ratio -benchtime 101x ./db/fresh
func BenchmarkRatio(b *testing.B) {
	list := readings(b)
	rates := make([][]float64, len(list))
	for b.Loop() {
		for _, k := range rand.Perm(len(list)) { // nobody always follows the same one
			rates[k] = append(rates[k], rate(b, list[k].read))
		}
	}
	for k, r := range list {
		name := strings.ReplaceAll(r.name, " ", "-")
		b.ReportMetric(median(rates[k]), name+"/s")
		if k == 0 {
			continue
		}
		ratios := make([]float64, len(rates[k]))
		for i := range ratios {
			ratios[i] = rates[k][i] / rates[0][i]
		}
		b.ReportMetric(median(ratios), name+"/"+list[0].name)
	}
}

// rate returns reads per second.
func rate(b *testing.B, read func(context.Context) error) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), dbtest.Limit)
	defer cancel()
	var all sync.WaitGroup
	start := time.Now()
	for range readers {
		all.Go(func() {
			for range perReader {
				if err := read(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return readers * perReader / time.Since(start).Seconds()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
