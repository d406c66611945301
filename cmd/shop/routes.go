package main

import (
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"example.com/leeway/api"
	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/admin"
	"example.com/leeway/internal/lab"
	"example.com/leeway/internal/web"
	"example.com/leeway/orders"
)

// problems maps what the router of reads and writes may answer on any route.
var problems = []web.Mapping{
	{Err: fresh.ErrCommitUnknown, Problem: web.Problem{
		Status: http.StatusServiceUnavailable, Code: "outcome_unknown", RetryAfter: time.Second,
		Detail: "It is not known whether this was done. With an Idempotency-Key, send the same request again; without one, look first.",
	}},
	{Err: fresh.ErrNoPrimary, Problem: web.Problem{
		Status: http.StatusServiceUnavailable, Code: "primary_unavailable", RetryAfter: time.Second,
		Detail: "The database does not accept this at the moment. Nothing was done.",
	}},
	{Err: fresh.ErrNoSynchronousStandby, Problem: web.Problem{
		Status: http.StatusServiceUnavailable, Code: "no_synchronous_standby", RetryAfter: 2 * time.Second,
		Detail: "No standby confirms what is written, so nothing is accepted that could be lost. Nothing was done.",
	}},
	{Err: fresh.ErrUnavailable, Problem: web.Problem{
		Status: http.StatusServiceUnavailable, Code: "database_unavailable", RetryAfter: 2 * time.Second,
		Detail: "The database could not do this now. Nothing was done.",
	}},
	{Err: fresh.ErrOverloaded, Problem: web.Problem{
		Status: http.StatusServiceUnavailable, Code: "overloaded", RetryAfter: time.Second,
		Detail: "Too many requests need the primary at the moment.",
	}},
	{Err: fresh.ErrUnprovable, Problem: web.Problem{
		Status: http.StatusServiceUnavailable, Code: "not_fresh_enough", RetryAfter: time.Second,
		Detail: "No replica is known to be fresh enough at the moment.",
	}},
}

// newMux is what every request goes through, on either listener. The body comes first:
// what follows is then about what the shop does, and not about how fast a client sends.
func (s *server) newMux(render *web.Renderer) *chi.Mux {
	r := chi.NewRouter()
	r.Use(web.ReadBody, web.RequestID, web.ClientAddress(s.log, s.proxies...), s.tracing.Middleware)
	if s.AccessLog {
		r.Use(web.AccessLog(s.log))
	}
	r.Use(s.observer.measure, render.Recover, web.SecureHeaders, middleware.GetHead)
	return r
}

// handler serves those who shop.
func (s *server) handler() http.Handler {
	render := web.NewRenderer(s.requests, problems...).Tell(s.observer.problem)
	r := s.newMux(render)
	byAddress, byKey := render.RateLimit(s.RateAddress, web.ClientNet), render.RateLimit(s.RateKey, web.BearerBucket)

	// Not limited: they cost nothing, and a process whose checks are refused is
	// restarted while it is busy.
	r.Get("/healthz", render.Handle(s.healthz))
	r.Get("/readyz", render.Handle(s.readyz))
	r.Group(func(r chi.Router) {
		r.Use(byAddress)
		// The pages are in memory, and the largest answers of all.
		api.Routes(r, render)
		lab.Routes(r, s.lab, render)
		r.With(render.AcceptJSON).Get("/v1/replication", render.Handle(s.replication))
		r.Group(func(r chi.Router) {
			r.Use(byKey, render.InFlight(s.MaxInFlight), s.observer.capped("public"), render.AcceptJSON,
				web.Deadline(s.RequestTimeout), s.router.Middleware(s.keys), s.observer.sales)
			catalog.Routes(r, s.catalog, render)
			orders.Routes(r, s.orders, render)
		})
	})
	r.NotFound(byAddress(http.HandlerFunc(render.NotFound)).ServeHTTP)
	r.MethodNotAllowed(byAddress(http.HandlerFunc(render.MethodNotAllowed)).ServeHTTP)
	return r
}

// adminHandler serves those who run the shop, on a listener of its own: what is
// not routed on the public one cannot be reached there by any mistake in a key. Who
// has no key learns nothing, not even which paths there are.
func (s *server) adminHandler() http.Handler {
	render := web.NewRenderer(s.requests, problems...).Tell(s.observer.problem)
	gate := admin.NewGate(s.adminKeys, s.log, render)
	r := s.newMux(render)
	r.Use(render.RateLimit(s.RateAddress, web.ClientNet), gate.Authenticate,
		render.RateLimit(s.RateKey, web.HeaderBucket(admin.Header)), gate.Audit, render.InFlight(s.MaxInFlight),
		s.observer.capped("admin"), render.AcceptJSON, web.Deadline(s.RequestTimeout), s.router.Middleware(s.keys))
	r.NotFound(render.NotFound)
	r.MethodNotAllowed(render.MethodNotAllowed)

	catalog.AdminRoutes(r, s.catalog, render)
	orders.AdminRoutes(r, s.orders, render)
	return r
}

type health struct {
	Status string `json:"status"`
}

// healthz says that the process lives; it asks nobody.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) error {
	return web.JSON(w, http.StatusOK, health{"live"})
}

// readyz says what can be served: everything while the primary takes
// transactions, else browsing; nothing without the schema.
func (s *server) readyz(w http.ResponseWriter, _ *http.Request) error {
	status := s.router.Status()
	answers := slices.ContainsFunc(status.Nodes, func(n fresh.NodeStatus) bool { return n.Up })
	if !answers {
		return notReady("No database node answers.")
	}
	if err := s.schema.err(); err != nil {
		return err
	}
	if !status.Writable {
		return web.JSON(w, http.StatusOK, health{"degraded"})
	}
	return web.JSON(w, http.StatusOK, health{"ready"})
}
