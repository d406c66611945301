package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"example.com/leeway/internal/id"
)

// statusClientGone is nginx's 499. It is only ever logged: a client that left
// would otherwise be counted among our own failures.
const statusClientGone = 499

// AccessLog writes one line per request. Of what a client sent it holds the method,
// and of the path what loggedPath lets through: no query, because people search for
// names and illnesses, no header, and no body. Others add to the line with Note. Use
// it inside the chi router, or the route stays empty.
func AccessLog(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			notes := new([]slog.Attr)
			r = r.WithContext(context.WithValue(r.Context(), notesKey{}, notes))
			defer func() { // deferred: an aborted stream is logged as well
				line := []slog.Attr{
					slog.String("request_id", RequestIDFrom(r.Context())),
					slog.String("client", Client(r)),
					slog.String("method", r.Method),
					slog.String("route", routePattern(r)),
					slog.Int("status", loggedStatus(r, ww.Status())),
					slog.Int("bytes", ww.BytesWritten()),
					slog.Duration("duration", time.Since(start)),
				}
				if path := loggedPath(r, ww.Status()); path != "" {
					line = append(line, slog.String("path", path))
				}
				if source := ww.Header().Get("Data-Source"); source != "" {
					line = append(line, slog.String("source", source))
				}
				log.LogAttrs(r.Context(), slog.LevelInfo, "request", append(line, *notes...)...)
			}()
			next.ServeHTTP(ww, r)
		})
	}
}

type notesKey struct{}

// Note adds to the line of the request that ctx belongs to. It is for names that the
// shop gave, such as that of an admin key, and must be called by the request's own
// goroutine. Without an AccessLog it does nothing.
func Note(ctx context.Context, attrs ...slog.Attr) {
	if notes, ok := ctx.Value(notesKey{}).(*[]slog.Attr); ok {
		*notes = append(*notes, attrs...)
	}
}

func routePattern(r *http.Request) string {
	if rctx := chi.RouteContext(r.Context()); rctx != nil {
		return rctx.RoutePattern()
	}
	return ""
}

// loggedPath is the path if it says more than the route and nothing that is nobody's
// business: the answer was a success, so that it names something of ours, or its
// parameters are ids. Any other path may be a token that slipped into the wrong place.
func loggedPath(r *http.Request, status int) string {
	rctx := chi.RouteContext(r.Context())
	if rctx == nil || len(rctx.URLParams.Values) == 0 {
		return ""
	}
	if status >= http.StatusBadRequest {
		for _, value := range rctx.URLParams.Values {
			if _, err := id.Parse(value); err != nil {
				return ""
			}
		}
	}
	return r.URL.Path
}

func loggedStatus(r *http.Request, status int) int {
	gone := errors.Is(r.Context().Err(), context.Canceled)
	switch {
	case gone && (status == 0 || status >= http.StatusInternalServerError):
		return statusClientGone
	case status == 0:
		return http.StatusOK // net/http sends it for a handler that wrote nothing
	}
	return status
}
