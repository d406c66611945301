package web

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics measures requests by their route: rate, errors and duration. A label is
// a pattern of the router, or of another closed set, never what a client chose. Which
// series a request counts in is found without a lock and without memory; a nil
// *Metrics measures nothing. It is safe for concurrent use.
type Metrics struct {
	problems *prometheus.CounterVec
	seconds  resolved[request, prometheus.Observer]
	reads    resolved[read, prometheus.Counter]
}

type (
	request struct {
		route, method string
		class         int
	}
	read struct{ route, node, source, reason string }
)

// NewMetrics registers the metrics.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "leeway_http_request_seconds", Help: "Duration of requests, the answer's last byte included; its count is the number of requests.",
		// From a read on a warm connection to the deadline of a request.
		Buckets: []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
	}, []string{"route", "method", "status"})
	reads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leeway_http_reads_total", Help: "Reads of the database by the route that asked, the node that answered, as what it did, and why it was that one.",
	}, []string{"route", "node", "source", "reason"})
	m := &Metrics{problems: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leeway_http_problems_total", Help: "Requests answered with a problem, by its code.",
	}, []string{"route", "code"})}
	m.seconds.resolve = func(r request) prometheus.Observer {
		return seconds.WithLabelValues(r.route, r.method, statusClasses[r.class])
	}
	m.reads.resolve = func(r read) prometheus.Counter {
		return reads.WithLabelValues(r.route, r.node, r.source, r.reason)
	}
	registry.MustRegister(seconds, reads, m.problems)
	return m
}

// Measure counts and times each request. Use it inside the chi router, outside of
// Recover: a panic is then a 500 like others. A client that left is counted with
// the 4xx, as in the log, not among our failures.
func (m *Metrics) Measure(next http.Handler) http.Handler {
	if m == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, ended := time.Now(), false
		w = tracked(w, r)
		defer func() {
			status := loggedStatus(r, statusOf(w))
			if !ended {
				status = http.StatusInternalServerError // half an answer, whatever it began with
			}
			m.seconds.of(request{route(r.Context()), method(r.Method), status / 100}).Observe(time.Since(start).Seconds())
		}()
		next.ServeHTTP(w, r)
		ended = true
	})
}

// Problem counts a problem that was sent; it is for Renderer.Tell.
func (m *Metrics) Problem(r *http.Request, p *Problem) {
	m.problems.WithLabelValues(route(r.Context()), p.Code).Inc()
}

// Read counts a read that a request has caused; ctx is the request's. The texts must be
// of closed sets.
func (m *Metrics) Read(ctx context.Context, node, source, reason string) {
	m.reads.of(read{route(ctx), node, source, reason}).Inc()
}

var statusClasses = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx", "other", "other", "other", "other"}

// route is the pattern, known once chi has found it. A path that nobody serves has
// none.
func route(ctx context.Context) string {
	if pattern := chi.RouteContext(ctx).RoutePattern(); pattern != "" {
		return pattern
	}
	return "none"
}

func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return name
	}
	return "other" // anybody can invent one
}

// resolved remembers what resolve makes of each key, and never forgets: keys are of a
// closed set. A lookup takes no lock; the map is replaced when a key is new. (A sync.Map
// would allocate its key at each lookup.)
type resolved[K comparable, V any] struct {
	resolve func(K) V
	mu      sync.Mutex // held to replace the map
	known   atomic.Pointer[map[K]V]
}

func (s *resolved[K, V]) of(key K) V {
	if known := s.known.Load(); known != nil {
		if v, ok := (*known)[key]; ok {
			return v
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[K]V{}
	if known := s.known.Load(); known != nil {
		next = maps.Clone(*known)
	}
	next[key] = s.resolve(key) // the same one if somebody else was first
	s.known.Store(&next)
	return next[key]
}
