package web

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"runtime/debug"
	"time"

	"example.com/leeway/internal/id"
)

type requestIDKey struct{}

// saneRequestID keeps what a client chose from forging log lines or headers.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// RequestID takes a sane X-Request-Id from the request or makes one, puts it
// into the context and onto the answer. It comes first, before AccessLog.
func RequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rid := r.Header.Get("X-Request-Id")
		if !saneRequestID.MatchString(rid) {
			rid = id.New().String()
		}
		w.Header().Set("X-Request-Id", rid)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, rid)))
	})
}

// RequestIDFrom returns "" outside of RequestID.
func RequestIDFrom(ctx context.Context) string {
	rid, _ := ctx.Value(requestIDKey{}).(string)
	return rid
}

// Recover turns a panic into the opaque 500 and logs it once, with its stack.
// If the answer had begun, the connection is cut instead, so that the client
// does not take half an answer for a whole one.
func (rn *Renderer) Recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w = tracked(w, r)
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // a panic value, never wrapped
				panic(v)
			}
			rn.log.ErrorContext(r.Context(), "panic",
				"request_id", RequestIDFrom(r.Context()),
				"error", panicText(v), "stack", string(debug.Stack()))
			if started(w) {
				panic(http.ErrAbortHandler)
			}
			rn.write(w, r, internal)
		}()
		next.ServeHTTP(w, r)
	})
}

// panicText is what the runtime says, such as an index out of range. Any other value
// may hold what a client sent; its type and the stack tell where it came from.
func panicText(v any) string {
	if err, ok := v.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a value of type %T", v)
}

// Deadline bounds the context of a request. Handlers notice it through their
// queries and answer 504. Not for streams.
func Deadline(d time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), d)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// SecureHeaders sets what fits JSON: nothing may be sniffed, framed or loaded.
// A handler that serves a page sets its own Content-Security-Policy.
func SecureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// InFlight answers 503 at once when n requests are already being served. A
// queue would only add waiting to overload. Keep health checks and streams out
// of it.
func (rn *Renderer) InFlight(n int) func(http.Handler) http.Handler {
	slots := make(chan struct{}, n)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				next.ServeHTTP(w, r)
			default:
				rn.Error(w, r, overloaded)
			}
		})
	}
}

var overloaded = &Problem{Status: http.StatusServiceUnavailable, Code: "overloaded", RetryAfter: time.Second}
