package fresh

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the package decides. Label values come from the
// configuration and from closed sets only, and counters on the path of a read
// are resolved once.
type metrics struct {
	tokens    map[string]prometheus.Counter
	rewound   prometheus.Counter
	retries   prometheus.Counter
	commits   prometheus.Histogram
	unknown   prometheus.Counter
	coalesced prometheus.Counter
}

func newMetrics(r *Router, registry prometheus.Registerer) *metrics {
	reads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leeway_reads_total", Help: "Reads by the node that answered and the reason it was that one; shed reads were not answered.",
	}, []string{"node", "reason"})
	behind := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leeway_guard_failures_total", Help: "Tries at a replica that had not reached the floor.",
	}, []string{"node"})
	tokens := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leeway_tokens_total", Help: "Consistency tokens that requests brought; all but valid ones count as absent.",
	}, []string{"state"})
	r.alarms.total = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leeway_unexpected_sqlstate_total", Help: "Errors of the database that somebody has to look at, by SQLSTATE.",
	}, []string{"code"})
	m := &metrics{
		tokens: map[string]prometheus.Counter{},
		rewound: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "leeway_history_rewound_total", Help: "Tokens of an older timeline, or ahead of the primary itself: writes may have been lost.",
		}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "leeway_write_retries_total", Help: "Transactions run again after a rollback.",
		}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "leeway_commit_seconds", Help: "Time from COMMIT to its answer, the wait for the standby included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "leeway_commit_unknown_total", Help: "COMMITs whose outcome the server did not tell.",
		}),
		coalesced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "leeway_coalesced_total", Help: "Answers that somebody else had read, who asked for the same at the same time.",
		}),
	}
	for _, n := range r.nodes {
		for reason := range reasonCount {
			n.answers[reason] = reads.WithLabelValues(n.name, reason.String())
		}
		n.behind = behind.WithLabelValues(n.name)
	}
	for _, state := range []string{"valid", "absent", "malformed", "forged"} {
		m.tokens[state] = tokens.WithLabelValues(state)
	}
	if registry != nil {
		registry.MustRegister(reads, behind, tokens, r.alarms.total, m.rewound, m.retries, m.commits, m.unknown, m.coalesced)
		registry.MustRegister(r.gauges()...)
		registry.MustRegister(poolStats{r.nodes})
	}
	return m
}

// gauges, and some counters, are read when they are scraped.
func (r *Router) gauges() []prometheus.Collector {
	list := []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "leeway_fallback_in_flight", Help: "Reads on the primary now.",
		}, func() float64 { return float64(len(r.fallback.slots)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "leeway_fallback_limit", Help: "How many reads may be on the primary at once.",
		}, func() float64 { return float64(cap(r.fallback.slots)) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "leeway_fallback_shed_total", Help: "Reads refused because the cap was reached.",
		}, func() float64 { return float64(r.fallback.shed.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "leeway_writable_nodes", Help: "Nodes out of recovery; more than one is a split brain.",
		}, func() float64 { return float64(r.writableNodes()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "leeway_no_synchronous_standby", Help: "1 while transactions are refused because no synchronous standby confirms.",
		}, func() float64 { primary, _ := r.currentPrimary(); return oneIf(primary != nil && primary.refuses()) }),
	}
	for _, n := range r.nodes {
		list = append(list,
			nodeGauge(n, "leeway_bound_seconds", "Proven staleness of a node; -1 when nothing is proven.",
				func() float64 { return r.boundSeconds(n) }),
			nodeGauge(n, "leeway_node_up", "1 while a node answers the monitor.",
				func() float64 { return oneIf(n.view.Load().err == nil) }),
			nodeGauge(n, "leeway_shared_waiting", "Reads that wait to be taken along on a shared connection.",
				func() float64 { return float64(n.trips.waiting()) }),
			nodeCounter(n, "leeway_trips_total", "Messages that carried the reads that had waited.",
				func() float64 { return float64(n.trips.made.Load()) }),
			nodeCounter(n, "leeway_trip_reads_total", "Reads that were taken along in one.",
				func() float64 { return float64(n.trips.carried.Load()) }),
			nodeCounter(n, "leeway_trip_skips_total", "Reads in them that had no answer for what another had done, and went again.",
				func() float64 { return float64(n.trips.skipped.Load()) }),
			nodeGauge(n, "leeway_node_primary", "1 for the node that transactions go to.",
				func() float64 { primary, _ := r.currentPrimary(); return oneIf(primary == n) }))
	}
	return list
}

func nodeGauge(n *node, name, help string, value func() float64) prometheus.Collector {
	labels := prometheus.Labels{"node": n.name}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value)
}

func nodeCounter(n *node, name, help string, value func() float64) prometheus.Collector {
	labels := prometheus.Labels{"node": n.name}
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, value)
}

func oneIf(so bool) float64 {
	if so {
		return 1
	}
	return 0
}

func (r *Router) boundSeconds(n *node) float64 {
	v := n.view.Load()
	if v.err != nil {
		return -1
	}
	bound, ok := r.history.samples().bound(time.Now(), v.pos)
	if !ok || !r.topology.era.Load().same(v) {
		return -1
	}
	return bound.Seconds()
}

func (r *Router) writableNodes() int {
	r.topology.mu.Lock()
	defer r.topology.mu.Unlock()
	return r.topology.writable
}

func (m *metrics) commit(took time.Duration, err error) {
	m.commits.Observe(took.Seconds())
	if errors.Is(err, ErrCommitUnknown) {
		m.unknown.Inc()
	}
}
