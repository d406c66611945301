package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/leeway/orders"
)

// sweeper does what nobody asks for: it expires orders that were not paid in time and
// forgets old Idempotency-Keys. Every process of the shop may run one; they share
// the work, since each takes rows that no other has. It writes like a request does, so
// it is refused without a primary, and tries again at its next round.
type sweeper struct {
	orders *orders.Store
	every  time.Duration // 0: never
	log    *slog.Logger

	expired   prometheus.Counter
	forgotten prometheus.Counter
	failed    prometheus.Counter
}

func newSweeper(store *orders.Store, every time.Duration, log *slog.Logger, registry prometheus.Registerer) *sweeper {
	s := &sweeper{
		orders: store, every: every, log: log,
		expired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "leeway_orders_expired_total", Help: "Orders that this process has expired, their stock returned.",
		}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "leeway_idempotency_keys_forgotten_total", Help: "Idempotency-Keys older than a day that this process has removed.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "leeway_sweep_failures_total", Help: "Rounds of the sweeper that failed; the next one takes up the work.",
		}),
	}
	registry.MustRegister(s.expired, s.forgotten, s.failed)
	return s
}

// run sweeps until ctx ends. A COMMIT that is under way then goes on by itself, like
// that of any write, and the router waits for it when it is closed.
func (s *sweeper) run(ctx context.Context) {
	if s.every <= 0 {
		return
	}
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.round(ctx)
		}
	}
}

// round says nothing when there was nothing to do.
func (s *sweeper) round(ctx context.Context) {
	s.sweep(ctx, "orders expired, their stock is back", s.expired, s.orders.ExpireOrders)
	s.sweep(ctx, "idempotency keys forgotten", s.forgotten, s.orders.ForgetKeys)
}

// sweep counts also what was done before an error.
func (s *sweeper) sweep(ctx context.Context, what string, done prometheus.Counter, fn func(context.Context) (int, error)) {
	bounded, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	n, err := fn(bounded)
	if n > 0 {
		done.Add(float64(n))
		s.log.Info(what, "count", n)
	}
	if err != nil && ctx.Err() == nil { // else the process stops
		s.failed.Inc()
		s.log.Warn("sweep failed; the next one tries again", "wanted", what, "error", err)
	}
}

// sweepTimeout bounds a round. What it leaves is the next one's.
const sweepTimeout = time.Minute
