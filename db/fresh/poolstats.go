package fresh

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// poolStats shows what the pools say of themselves at each scrape. One that has never
// been used has all its series as well, at 0.
type poolStats struct{ nodes []*node }

func poolDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("leeway_pool_"+name, help, append([]string{"node", "pool"}, labels...), nil)
}

var (
	poolConns    = poolDesc("connections", "Connections of a pool now, by what they do.", "state")
	poolMax      = poolDesc("connections_limit", "Connections that a pool may have.")
	poolAcquires = poolDesc("acquires_total", "Connections handed out.")
	poolWaits    = poolDesc("waits_total", "Connections that had to be waited for: none was idle, so one had to be given back or dialled.")
	poolWaited   = poolDesc("wait_seconds_total", "Time that was waited for them.")
	poolGivenUp  = poolDesc("given_up_total", "Waits whose caller left before a connection was free.")
	poolDialled  = poolDesc("dialled_total", "Connections that were opened.")
)

// Describe implements prometheus.Collector.
func (s poolStats) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{poolConns, poolMax, poolAcquires, poolWaits, poolWaited, poolGivenUp, poolDialled} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s poolStats) Collect(ch chan<- prometheus.Metric) {
	for _, n := range s.nodes {
		collectPool(ch, n.name, "read", n.read.Stat())
		collectPool(ch, n.name, "shared", n.trips.pool.Stat())
		collectPool(ch, n.name, "fallback", n.fallback.Stat())
		collectPool(ch, n.name, "write", n.write.Stat())
	}
}

func collectPool(ch chan<- prometheus.Metric, node, pool string, s *pgxpool.Stat) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, append([]string{node, pool}, labels...)...)
	}
	send(poolConns, prometheus.GaugeValue, float64(s.AcquiredConns()), "in_use")
	send(poolConns, prometheus.GaugeValue, float64(s.IdleConns()), "idle")
	send(poolConns, prometheus.GaugeValue, float64(s.ConstructingConns()), "dialling")
	send(poolMax, prometheus.GaugeValue, float64(s.MaxConns()))
	send(poolAcquires, prometheus.CounterValue, float64(s.AcquireCount()))
	send(poolWaits, prometheus.CounterValue, float64(s.EmptyAcquireCount()))
	send(poolWaited, prometheus.CounterValue, s.EmptyAcquireWaitTime().Seconds())
	send(poolGivenUp, prometheus.CounterValue, float64(s.CanceledAcquireCount()))
	send(poolDialled, prometheus.CounterValue, float64(s.NewConnsCount()))
}
