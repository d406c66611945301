package orders

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/leeway/internal/id"
)

// BenchmarkHotItem sells one variant to 64 clients at once.
func BenchmarkHotItem(b *testing.B) {
	for _, batch := range []int{0, 64} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			s := newShop(b, hotBatch(batch))
			variant := s.variant(b, 700, b.N)
			carts := s.carts(b, variant, b.N)
			var next atomic.Int64
			var done sync.WaitGroup
			start := time.Now()
			b.ResetTimer()
			for range 64 {
				done.Go(func() {
					for {
						i := int(next.Add(1)) - 1
						if i >= b.N {
							return
						}
						key := NewKey(carts[i].Shopper, "checkout", "k", "POST", "/", nil)
						if _, err := s.store.Checkout(b.Context(), key, carts[i], form(), answerWith[Order](201)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			done.Wait()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "orders/s")
			b.ReportMetric(float64(b.N)/float64(s.transactions(b)), "orders/tx")
		})
	}
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
