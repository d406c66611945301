package main

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/web"
	"example.com/leeway/orders"
)

// observer measures what the program around the router does. A nil one measures
// nothing. docs/metrics.md explains each metric.
//
// Its registry is another one than the router's, which /v1/replication gathers at
// every request of a stranger: that should not cost a look at each histogram and at
// /proc.
type observer struct {
	registry  *prometheus.Registry
	http      *web.Metrics
	checkouts *prometheus.CounterVec
	inFlight  *prometheus.GaugeVec
	hot       *prometheus.CounterVec
	batches   prometheus.Histogram
}

func newObserver(set settings) *observer {
	o := &observer{
		registry: prometheus.NewRegistry(),
		checkouts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leeway_checkouts_total", Help: "Checkouts by what came of them: placed, replayed, or the code of the problem.",
		}, []string{"outcome"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "leeway_http_in_flight", Help: "Requests worked on now, of those that the cap counts.",
		}, []string{"listener"}),
	}
	o.hot = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leeway_hot_checkouts_total", Help: "Checkouts of a hot variant: together in one transaction, alone because that decided nothing, or refused since the queue was full.",
	}, []string{"lane"})
	o.batches = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "leeway_hot_batch_checkouts", Help: "Checkouts in a shared transaction.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 11),
	})
	o.http = web.NewMetrics(o.registry)
	limit := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "leeway_http_in_flight_limit", Help: "How many requests are worked on at once, on each listener; more are answered 503.",
	})
	limit.Set(float64(set.MaxInFlight))
	budgets := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "leeway_budget_seconds", Help: "How stale an answer may be: browse for lists, searches and product pages, session for carts and orders without a token.",
	}, []string{"policy"})
	budgets.WithLabelValues("browse").Set(set.BrowseBudget.Seconds())
	budgets.WithLabelValues("session").Set(set.SessionBudget.Seconds())
	o.registry.MustRegister(o.checkouts, o.inFlight, o.hot, o.batches, limit, budgets,
		collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return o
}

// read counts a read by its route, which the router of reads does not know: ctx is
// that of the request.
func (o *observer) read(ctx context.Context, s fresh.Served) {
	o.http.Read(ctx, s.Node, s.Source(), s.Reason.String())
}

// hotHooks count what becomes of the checkouts that share transactions.
func (o *observer) hotHooks() orders.HotHooks {
	if o == nil {
		return orders.HotHooks{}
	}
	together, alone, refused := o.hot.WithLabelValues("together"), o.hot.WithLabelValues("alone"), o.hot.WithLabelValues("refused")
	return orders.HotHooks{
		Batch: func(n, left int) {
			together.Add(float64(n))
			alone.Add(float64(left))
			o.batches.Observe(float64(n + left))
		},
		Full: refused.Inc,
	}
}

// measure counts and times every request.
func (o *observer) measure(next http.Handler) http.Handler {
	if o == nil {
		return next
	}
	return o.http.Measure(next)
}

// capped counts the requests that are within the cap; it stands behind InFlight.
func (o *observer) capped(listener string) func(http.Handler) http.Handler {
	if o == nil {
		return func(next http.Handler) http.Handler { return next }
	}
	gauge := o.inFlight.WithLabelValues(listener)
	return func(next http.Handler) http.Handler { return promhttp.InstrumentHandlerInFlight(gauge, next) }
}

const checkoutRoute = "/v1/carts/{id}/checkout"

// problem counts a problem, and the checkout that it is the outcome of.
func (o *observer) problem(r *http.Request, p *web.Problem) {
	if o == nil {
		return
	}
	o.http.Problem(r, p)
	if chi.RouteContext(r.Context()).RoutePattern() == checkoutRoute {
		o.checkouts.WithLabelValues(p.Code).Inc()
	}
}

// sales counts the checkouts that succeed; problem counts the others. It stands where
// the route is known.
func (o *observer) sales(next http.Handler) http.Handler {
	if o == nil {
		return next
	}
	placed, replayed := o.checkouts.WithLabelValues("placed"), o.checkouts.WithLabelValues("replayed")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if chi.RouteContext(r.Context()).RoutePattern() != checkoutRoute {
			next.ServeHTTP(w, r)
			return
		}
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(ww, r)
		switch {
		case ww.Status() != http.StatusCreated:
		case ww.Header().Get("Idempotent-Replayed") != "":
			replayed.Inc()
		default:
			placed.Inc()
		}
	})
}

// alarmGauges shows the alarms of /v1/replication, at each scrape, so that what
// people look at and what wakes them agree.
type alarmGauges struct{ server *server }

var alarmDesc = prometheus.NewDesc("leeway_alarms", "Alarms of /v1/replication that are raised now.", []string{"code"}, nil)

// alarmCodes are those that can be raised; each is shown also when it is not.
var alarmCodes = []string{
	"split_brain", "no_primary", "no_synchronous_standby",
	"replica_down", "replica_detached", "replica_lagging", "replica_foreign",
}

// Describe implements prometheus.Collector.
func (alarmGauges) Describe(ch chan<- *prometheus.Desc) { ch <- alarmDesc }

// Collect implements prometheus.Collector.
func (g alarmGauges) Collect(ch chan<- prometheus.Metric) {
	raised := map[string]int{}
	for _, a := range g.server.replicationView(g.server.router.Status()).Alarms {
		raised[a.Code]++
	}
	for _, code := range alarmCodes {
		ch <- prometheus.MustNewConstMetric(alarmDesc, prometheus.GaugeValue, float64(raised[code]), code)
	}
}
