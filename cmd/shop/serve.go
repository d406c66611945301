package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/leeway/catalog"
	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/lab"
	"example.com/leeway/internal/tracing"
	"example.com/leeway/internal/web"
	"example.com/leeway/orders"
)

// gcPercent is how much garbage may be made until it is collected, in percent of what is
// in use: some 10 MB here, so that Go's default of 100 would collect many times a second
// for the sake of 40 MB. GOGC decides otherwise.
const gcPercent = 400

// Run serves until ctx ends, then finishes what is under way.
func (c *serveCmd) Run(ctx context.Context, app *app) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	settings, err := c.settings()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(app.stderr, &slog.HandlerOptions{Level: c.LogLevel}))
	if c.ReadUser == "" {
		log.Warn("reads use the role that writes; a role without the right to write is safer", "setting", "SHOP_READ_USER")
	}
	if names := unverified(settings.reads.Nodes); names != nil {
		log.Warn("the certificates of these nodes are not checked; add sslmode=verify-full to their DSNs", "setting", "SHOP_NODES", "nodes", names)
	}
	listener, err := listen(ctx, "--addr", settings.Addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	s, err := newServer(settings, log)
	if err != nil {
		return err
	}
	if settings.AdminAddr != "" {
		if s.admin, err = listen(ctx, "--admin-addr", settings.AdminAddr); err != nil {
			s.closeRouter()
			return err
		}
		log.Info("serving the back office", "url", "http://"+s.admin.Addr().String(), "keys", len(settings.adminKeys))
	}
	log.Info("serving", "url", "http://"+listener.Addr().String(), "nodes", len(settings.reads.Nodes))
	return s.serve(ctx, listener)
}

func listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w; give another %s, for example 127.0.0.1:0", err, flag)
	}
	return listener, nil
}

// server is the shop, wired by hand.
type server struct {
	settings
	log      *slog.Logger
	requests *slog.Logger // what becomes of requests
	registry *prometheus.Registry
	observer *observer
	tracing  *tracing.Tracing // nil: off
	router   *fresh.Router
	catalog  *catalog.Store
	orders   *orders.Store
	admin    net.Listener // nil: there is no back office
	sweeper  *sweeper
	schema   *schemaCheck
	lab      *lab.Hub
	controls *lab.Controls // of the demo; nil: there are none
}

// newServer connects nothing yet: nodes may come up later.
func newServer(set settings, log *slog.Logger) (*server, error) {
	return newObserved(set, log, newObserver(set))
}

func newObserved(set settings, log *slog.Logger, o *observer) (*server, error) {
	log = slog.New(tracing.Logs(log.Handler()))
	s := &server{settings: set, log: log, requests: log, registry: prometheus.NewRegistry(), observer: o}
	var err error
	if set.traces != "" {
		if s.tracing, err = tracing.New(context.Background(), set.traces, log); err != nil {
			return nil, err
		}
	}
	config := set.reads
	config.Log, config.Metrics = log, s.registry
	config.Hooks.Start = s.tracing.Hook()
	if o != nil {
		config.Hooks.Read = o.read
		o.registry.MustRegister(alarmGauges{s})
	}
	if s.router, err = fresh.New(config); err != nil {
		return nil, err
	}
	database := db.New(s.router)
	s.catalog = catalog.New(database, s.catalogConfig())
	s.orders = orders.New(database, s.ordersConfig())
	s.sweeper = newSweeper(s.orders, s.ExpireEvery, log, s.registry)
	s.schema = &schemaCheck{router: s.router, log: log}
	s.lab = lab.NewHub(func() (any, error) { return s.newReplicationView() }, log)
	return s, nil
}

func (s *server) catalogConfig() catalog.Config {
	config := catalog.DefaultConfig()
	config.Currency = s.Currency
	config.Browse = fresh.Bounded(s.BrowseBudget).Else(fresh.ServeStale)
	config.Product = fresh.Bounded(s.BrowseBudget)
	config.Coalesce = s.Coalesce
	config.Availability, config.Admin = s.sessionPolicy(), s.sessionPolicy()
	return config
}

func (s *server) ordersConfig() orders.Config {
	config := orders.DefaultConfig()
	config.Currency = s.Currency
	config.PaymentWindow = s.PaymentWindow
	config.HotBatch, config.HotHooks = s.HotBatch, s.observer.hotHooks()
	config.HotHooks.Failed = func(err error) {
		s.log.Warn("checkouts could not share; each of them goes alone", "error", web.ErrorText(err))
	}
	config.CartRead, config.OrderRead = s.sessionPolicy(), s.sessionPolicy()
	return config
}

func (s *server) sessionPolicy() fresh.Policy { return fresh.Session().Within(s.SessionBudget) }

// serve answers requests and sweeps until ctx ends, lets what is under way finish,
// and closes the router. It ends a second after twice ShutdownTimeout at the latest.
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	defer s.closeRouter()
	defer inBackground(ctx, s.sweeper.run, s.schema.run)()
	requests, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	servers := []*http.Server{s.httpServer(requests, s.withControls(s.handler()))}
	servers[0].RegisterOnShutdown(s.endLab) // streams do not end by themselves, and would be waited for
	defer s.endLab()
	listeners := []net.Listener{listener}
	if s.admin != nil {
		servers = append(servers, s.httpServer(requests, s.adminHandler()))
		listeners = append(listeners, s.admin)
	}
	internal, err := s.serveInternal(ctx)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	defer internal.Close()
	failed := make(chan error, len(servers))
	for i, server := range servers {
		go func() { failed <- server.Serve(listeners[i]) }()
	}
	select {
	case err := <-failed:
		return errors.Join(err, closeAll(servers))
	case <-ctx.Done():
	}
	s.log.Info("stopping: no new requests", "wait", s.ShutdownTimeout)
	if err := shutdown(servers, s.ShutdownTimeout); err == nil {
		return nil
	}
	s.log.Warn("giving up requests that are still under way")
	abandon() // they answer 503 now
	if err := shutdown(servers, abandonWait); err == nil {
		return nil
	}
	return closeAll(servers)
}

func closeAll[C io.Closer](all []C) error {
	var errs []error
	for _, one := range all {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// inBackground returns what stops all of them and waits for their end.
func inBackground(ctx context.Context, all ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, run := range all {
		running.Go(func() { run(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// abandonWait is how long a request that was given up may take to say so.
const abandonWait = time.Second

// shutdown asks all of them at once: none should take requests while another waits
// for its last ones.
func shutdown(servers []*http.Server, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	ended := make(chan error)
	for _, server := range servers {
		go func() { ended <- server.Shutdown(ctx) }()
	}
	var errs []error
	for range servers {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// closeRouter closes the router and sends the last traces. It leaves COMMITs alone that
// still wait for a standby: the server goes on with them, and their callers have been
// told that the outcome is unknown.
func (s *server) closeRouter() {
	ctx, cancel := context.WithTimeout(context.Background(), s.ShutdownTimeout)
	defer cancel()
	if err := s.router.Close(ctx); err != nil {
		s.log.Warn("COMMITs still wait for a standby; what becomes of them is not known here", "error", err)
	}
	if err := s.tracing.Close(ctx); err != nil {
		s.log.Warn("the last traces were not sent", "error", err)
	}
}

// serveInternal serves internalHandler, when an address was given for it. Profiles take
// as long as was asked for, so no timeout ends their answers.
func (s *server) serveInternal(ctx context.Context) (*http.Server, error) {
	internal := s.httpServer(context.WithoutCancel(ctx), web.ReadBody(s.internalHandler()))
	internal.WriteTimeout = 0
	if s.InternalAddr == "" {
		return internal, nil
	}
	listener, err := listen(ctx, "--internal-addr", s.InternalAddr)
	if err != nil {
		return nil, err
	}
	go func() {
		if err := internal.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("internal listener ended", "error", err)
		}
	}()
	return internal, nil
}
