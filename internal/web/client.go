package web

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/httprate"
)

// ClientAddress decides which address a request came from. Whoever counts, limits or
// records clients asks Client or ClientNet, so that no two of them can differ.
//
// Without trusted proxies it is the other end of the connection, and no header
// counts. X-Forwarded-For is believed when the other end is in trusted, and then the
// right-most address of it that is not: each proxy appends the one it was asked by,
// and whatever is left of that a client may have made up. A proxy that sends nothing
// readable is the client itself, and all whom it serves are one.
//
// An X-Forwarded-For from elsewhere is logged once: behind a proxy that nobody
// configured, everybody shares that proxy's limits.
func ClientAddress(log *slog.Logger, trusted ...netip.Prefix) func(http.Handler) http.Handler {
	resolve := middleware.ClientIPFromRemoteAddr
	if len(trusted) > 0 {
		cidrs := make([]string, len(trusted))
		for i, prefix := range trusted {
			cidrs[i] = prefix.String()
		}
		resolve = middleware.ClientIPFromXFF(cidrs...)
	}
	var once sync.Once
	return func(next http.Handler) http.Handler {
		return resolve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Forwarded-For") != "" && Client(r) == peer(r) {
				once.Do(func() {
					log.WarnContext(r.Context(), "X-Forwarded-For is not believed; if this client is a proxy of yours, trust it, or all whom it serves share its limits",
						"client", Client(r))
				})
			}
			next.ServeHTTP(w, r)
		}))
	}
}

// Client is the address that a request came from, as ClientAddress has decided;
// outside of it, and where that could not, the other end of the connection.
func Client(r *http.Request) string {
	if address := middleware.GetClientIP(r.Context()); address != "" {
		return address
	}
	return peer(r)
}

// ClientNet is Client as one who is counted: an IPv6 client has a whole /64 to choose
// from (RFC 6177).
func ClientNet(r *http.Request) string { return httprate.CanonicalizeIP(Client(r)) }

func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String()
	}
	return host
}
