package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"example.com/leeway/internal/web"
)

// limitFlags are what one client may take of this process, and all of them together.
type limitFlags struct {
	RateAddress    int    `env:"SHOP_RATE_ADDRESS" default:"100" help:"Requests a second from one client address, on the average of 10 s, on each listener; more are answered 429. An IPv6 client is its /64. Each process counts for itself: n of them allow n times as much. 0: no limit."`
	RateKey        int    `env:"SHOP_RATE_KEY" default:"20" help:"The same for one shopper's token or one admin key, wherever it comes from."`
	TrustedProxies string `env:"SHOP_TRUSTED_PROXIES" placeholder:"CIDR,..." help:"Proxies whose X-Forwarded-For is believed, for example 10.0.0.0/8,127.0.0.1/32. Without, the client is whoever connects: behind a proxy, the proxy."`
	MaxInFlight    int    `env:"SHOP_MAX_IN_FLIGHT" default:"512" help:"Requests worked on at once, on each listener; more are answered 503."`
	MaxConns       int    `env:"SHOP_MAX_CONNS" default:"2000" help:"Open connections, on each listener. For one more, the connection that has waited longest for its client is closed."`
}

func (f limitFlags) checkClientLimits(errs *configErrors) {
	errs.unless("--rate-address", f.RateAddress >= 0 && f.RateAddress <= maxRate, "0 (no limit) to 1000000")
	errs.unless("--rate-key", f.RateKey >= 0 && f.RateKey <= maxRate, "0 (no limit) to 1000000")
	errs.unless("--max-in-flight", f.MaxInFlight > 0, "more than 0")
	// Else requests in flight alone could fill the cap, and keep health checks out.
	errs.unless("--max-conns", f.MaxConns > f.MaxInFlight, "more than --max-in-flight, so that there is room for who is told to wait")
}

// maxRate keeps counts within 32 bits.
const maxRate = 1_000_000

// parseProxies reads networks. One that holds every address would trust the clients
// as well.
func (f limitFlags) parseProxies(errs *configErrors) []netip.Prefix {
	const setting, remedy = "--trusted-proxies, SHOP_TRUSTED_PROXIES", "10.0.0.0/8, or 127.0.0.1/32 for a single address"
	var proxies []netip.Prefix
	for entry := range strings.SplitSeq(f.TrustedProxies, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(entry)
		if err != nil || prefix.Bits() == 0 || prefix.Addr().Is4In6() { // those are never met: they are unmapped
			errs.add(setting, fmt.Sprintf("%q is not a network that can be trusted", entry), remedy)
			continue
		}
		proxies = append(proxies, prefix)
	}
	return proxies
}

const (
	// headerTimeout is how long a client that sends its headers a byte at a time holds
	// a connection, readTimeout the same for headers and body. A body is 64 KiB at
	// most, which takes 5 s at 13 KB/s.
	headerTimeout = 2 * time.Second
	readTimeout   = 5 * time.Second
	idleTimeout   = time.Minute
	// maxHeader is api.md's 16 KiB, of the request line and all headers. net/http
	// adds 4 KiB to what it is told; TestOversizedHeaders holds the sum.
	maxHeader = 16<<10 - 4<<10
)

// httpServer has the limits of a connection. The time to write begins when the headers
// are in, so it holds the body, the work and the answer.
func (s *server) httpServer(requests context.Context, handler http.Handler) *http.Server {
	server := &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + s.RequestTimeout + 5*time.Second,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	web.NewConns(s.MaxConns).Attach(server)
	return server
}
