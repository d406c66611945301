package orders

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/leeway/internal/id"
	"example.com/leeway/internal/pgcluster"
)

// hotClients want one variant at once.
const hotClients = 64

// BenchmarkHotItem sells one variant to them on servers that write to their disks: by
// checkouts that are alone, by ones that share transactions, and by pgbench, whose
// order is three statements on tables without keys, foreign keys or a ledger. Give it
// a number of orders: -benchtime 4000x.
func BenchmarkHotItem(b *testing.B) {
	durable(b)
	for _, batch := range []int{0, 64} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			s := newShop(b, hotBatch(batch))
			variant := s.variant(b, 700, b.N)
			carts := s.carts(b, variant, b.N)
			took := make([]time.Duration, b.N)
			start := time.Now()
			b.ResetTimer()
			each(hotClients, b.N, func(i int) {
				began := time.Now()
				if _, err := s.store.Checkout(b.Context(), keyOf(carts[i]), carts[i], form(), answerWith[Order](201)); err != nil {
					b.Error(err)
				}
				took[i] = time.Since(began)
			})
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "orders/s")
			b.ReportMetric(float64(b.N)/float64(s.transactions(b)), "orders/tx")
			slices.Sort(took)
			b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
			if left := one[int](b, s, "SELECT stock_quantity FROM variants WHERE id = $1", variant); left != 0 {
				b.Errorf("%d of %d are left", left, b.N)
			}
		})
	}
	b.Run("pgbench", func(b *testing.B) {
		s := newShop(b)
		b.ReportMetric(pgbenchHot(b, s, max(1, b.N/hotClients)), "orders/s")
	})
}

// each calls do for 0 to n-1 from so many clients.
func each(clients, n int, do func(int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

// durable turns fsync on for the benchmark, which tests do without.
func durable(b *testing.B) {
	s := newShop(b)
	set := func(ctx context.Context, sql string) {
		for _, n := range s.Cluster.Nodes() {
			admin := s.Admin(b, n)
			for _, statement := range []string{sql, "SELECT pg_reload_conf()"} {
				if _, err := admin.Exec(ctx, statement); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	set(b.Context(), "ALTER SYSTEM SET fsync = on")
	b.Cleanup(func() { set(context.Background(), "ALTER SYSTEM RESET fsync") })
}

const pgbenchTables = `
CREATE TABLE bench_stock (id integer PRIMARY KEY, quantity integer NOT NULL CHECK (quantity >= 0));
CREATE TABLE bench_orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client integer NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE bench_lines (order_id bigint, variant integer, quantity integer, PRIMARY KEY (order_id, variant));
INSERT INTO bench_stock VALUES (1, 1000000000)`

const pgbenchScript = `BEGIN;
UPDATE bench_stock SET quantity = quantity - 1 WHERE id = 1 AND quantity >= 1;
INSERT INTO bench_orders (client) VALUES (:client_id) RETURNING id \gset
INSERT INTO bench_lines VALUES (:id, 1, 1);
COMMIT;
`

var tps = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)

// pgbenchHot reports the orders in a second.
func pgbenchHot(b *testing.B, s *shop, each int) float64 {
	bin, err := pgcluster.FindBin(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	admin := s.Admin(b, s.Primary())
	s.exec(b, admin, pgbenchTables)
	script := filepath.Join(b.TempDir(), "hot.sql")
	if err := os.WriteFile(script, []byte(pgbenchScript), 0o600); err != nil {
		b.Fatal(err)
	}
	out, err := exec.CommandContext(b.Context(), filepath.Join(bin, "pgbench"), "-n", "-M", "prepared", "-f", script,
		"-c", strconv.Itoa(hotClients), "-j", "2", "-t", strconv.Itoa(each), admin.Config().ConnString()).CombinedOutput()
	found := tps.FindSubmatch(out)
	if err != nil || found == nil {
		b.Fatalf("pgbench: %v\n%s", err, out)
	}
	rate, _ := strconv.ParseFloat(string(found[1]), 64)
	return rate
}

// carts makes n carts of n shoppers, each with one of the variant.
func (s *shop) carts(tb testing.TB, variant id.ID, n int) []CartRef {
	tb.Helper()
	admin := s.Admin(tb, s.Primary())
	defer admin.Close(tb.Context())
	carts := make([]CartRef, n)
	ids, digests := make([]id.ID, n), make([][]byte, n)
	for i := range carts {
		carts[i] = CartRef{ID: id.New(), Shopper: Shopper{sha256.Sum256(fmt.Append(nil, variant, i))}}
		ids[i], digests[i] = carts[i].ID, carts[i].digest()
	}
	s.exec(tb, admin, `INSERT INTO shoppers (id, token_digest) SELECT unnest($1::uuid[]), unnest($2::bytea[])`, ids, digests)
	s.exec(tb, admin, `INSERT INTO carts (id, shopper_id) SELECT id, id FROM shoppers WHERE id = ANY ($1)`, ids)
	s.exec(tb, admin, `INSERT INTO cart_lines (cart_id, variant_id, quantity, unit_price) SELECT unnest($1::uuid[]), $2, 1, 700`, ids, variant)
	s.CatchUp(tb)
	return carts
}
