package main

import (
	"log/slog"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/leeway/internal/web"
)

// internalHandler serves those who run the process: metrics and profiles. Whoever
// reaches it can slow the process down, and read its memory. The health checks are there
// as well: whoever fills the public listener does not reach them.
//
// /debug/pprof/cmdline is left out: a command line may hold a password.
func (s *server) internalHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics(), promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError),
	}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol) // as go tool pprof asks
	render := web.NewRenderer(s.log)
	mux.Handle("GET /healthz", render.Handle(s.healthz))
	mux.Handle("GET /readyz", render.Handle(s.readyz))
	return mux
}

func (s *server) metrics() prometheus.Gatherer {
	if s.observer == nil {
		return s.registry
	}
	return prometheus.Gatherers{s.registry, s.observer.registry}
}
