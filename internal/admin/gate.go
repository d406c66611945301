package admin

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// Header carries the secret.
const Header = "X-API-Key"

// How many failures an address may have. No number of guesses finds a secret; the
// limit keeps them from filling the log and from being tried at full speed.
const (
	maxFailures   = 10
	failureWindow = time.Minute
)

// A Gate stands before the admin routes.
type Gate struct {
	keys     Keys
	log      *slog.Logger
	render   *web.Renderer
	failures *web.Limiter
}

// NewGate returns a gate that lets in whoever holds one of the keys. Failures and
// actions go to log.
func NewGate(keys Keys, log *slog.Logger, render *web.Renderer) *Gate {
	return &Gate{keys: keys, log: log, render: render, failures: web.NewLimiter(maxFailures, failureWindow)}
}

var (
	unauthorized = &web.Problem{
		Status: http.StatusUnauthorized, Code: "unauthorized",
		Header: http.Header{"Www-Authenticate": {`ApiKey realm="leeway admin"`}}, // RFC 9110, section 15.5.2
	}
	tooManyFailures = &web.Problem{
		Status: http.StatusTooManyRequests, Code: "too_many_failures", RetryAfter: failureWindow,
		Detail: "Too many requests from this address had no valid key.",
	}
	forbidden = &web.Problem{
		Status: http.StatusForbidden, Code: "forbidden",
		Detail: "The key is valid, and not for this.",
	}
)

type keyInContext struct{}

// Authenticate answers 401 to a request without a valid key, the same whether it is
// missing or wrong. An address with too many failures is answered 429, with a valid
// key as well: the difference would tell a guesser of success. So where many come from
// one address, as behind a proxy that is not trusted, one who fails shuts out the
// others for a while. What is answered to those within belongs into no cache.
func (g *Gate) Authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address := web.ClientNet(r)
		if g.failures.Spent(address) {
			g.render.Error(w, r, tooManyFailures)
			return
		}
		key := g.keyOf(r)
		if key == nil {
			g.refuse(w, r, address)
			return
		}
		web.Note(r.Context(), slog.String("key", key.Name))
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), keyInContext{}, *key)))
	})
}

// keyOf takes one header only: of two, a proxy may have checked the other.
func (g *Gate) keyOf(r *http.Request) *Key {
	values := r.Header.Values(Header)
	if len(values) != 1 {
		return nil
	}
	return g.keys.find(sha256.Sum256([]byte(values[0])))
}

// refuse logs failures up to the limit, and so no faster than it.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, address string) {
	if !g.failures.Take(w, r, address) {
		g.render.Error(w, r, tooManyFailures)
		return
	}
	g.log.LogAttrs(r.Context(), slog.LevelWarn, "admin key refused",
		slog.String("request_id", web.RequestIDFrom(r.Context())),
		slog.String("client", web.Client(r)),
		slog.Bool("missing", len(r.Header.Values(Header)) == 0))
	g.render.Error(w, r, unauthorized)
}

// Audit writes a line for each request that may change something, whatever came of
// it. It stands inside of Authenticate and inside of the router that knows the
// route.
func (g *Gate) Audit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() { // deferred: a panic is an action as well, of status 0
			action := r.Method
			if rctx := chi.RouteContext(r.Context()); rctx != nil {
				action += " " + rctx.RoutePattern()
			}
			attrs := []slog.Attr{
				slog.String("key", Name(r.Context())),
				slog.String("action", action),
				slog.String("id", loggedID(r)),
				slog.Int("status", ww.Status()),
				slog.String("request_id", web.RequestIDFrom(r.Context())),
				slog.String("client", web.Client(r)),
			}
			if created := ww.Header().Get("Location"); created != "" {
				attrs = append(attrs, slog.String("created", path.Base(created)))
			}
			g.log.LogAttrs(r.Context(), slog.LevelInfo, "admin action", attrs...)
		}()
		next.ServeHTTP(ww, r)
	})
}

// loggedID is what the action was about. Anything but an id may be a key that was
// pasted into the wrong place.
func loggedID(r *http.Request) string {
	if at, err := id.Parse(chi.URLParam(r, "id")); err == nil {
		return at.String()
	}
	return ""
}

// Require answers 403 to a key without the scope. It stands in the list of routes,
// where it can be read beside what it protects.
func Require(scope Scope, render *web.Renderer) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			key, _ := r.Context().Value(keyInContext{}).(Key) // outside of Authenticate: no scope at all
			if !slices.Contains(key.scopes, scope) {
				render.Error(w, r, forbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Name is whose key the request came with.
func Name(ctx context.Context) string {
	key, _ := ctx.Value(keyInContext{}).(Key)
	return key.Name
}
