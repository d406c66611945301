package web_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/web"
)

// canary stands for everything that a log must not hold.
const canary = "canary"

func TestAccessLogLine(t *testing.T) {
	t.Parallel()
	const cart, token = "01980000-0000-7000-8000-000000000001", "hTx_" + canary
	for _, tt := range []struct {
		name, path  string
		status      float64
		route, kept string // the path, when it is logged
	}{
		{"an id", "/v1/carts/" + cart, 201, "/v1/carts/{id}", "/v1/carts/" + cart},
		{"an id that there is not", "/v1/carts/" + cart, 404, "/v1/carts/{id}", "/v1/carts/" + cart},
		{"a token for an id", "/v1/carts/" + token, 404, "/v1/carts/{id}", ""},
		{"a slug", "/v1/products/oak-chair", 200, "/v1/products/{id}", "/v1/products/oak-chair"},
		{"a token for a slug", "/v1/products/" + token, 404, "/v1/products/{id}", ""},
		{"a token, and nobody knew", "/v1/products/" + token, 500, "/v1/products/{id}", ""},
		{"as the route", "/v1/products", 200, "/v1/products", ""},
		{"no route", "/v2/" + token, 404, "", ""},
	} {
		log, lines := logger(t)
		mux := chi.NewRouter()
		mux.Use(web.RequestID, web.AccessLog(log))
		answer := func(w http.ResponseWriter, r *http.Request) {
			web.Note(r.Context(), slog.String("key", "ada"))
			w.Header().Set("Data-Source", "primary;reason=token")
			w.WriteHeader(int(tt.status))
			io.WriteString(w, "body "+canary)
		}
		mux.Post("/v1/carts/{id}", answer)
		mux.Post("/v1/products/{id}", answer)
		mux.Post("/v1/products", answer)
		r := httptest.NewRequest("POST", tt.path+"?q="+canary, strings.NewReader(canary))
		for _, name := range []string{"Authorization", "X-API-Key", "Idempotency-Key", "Consistency-Token", "Cookie", "Referer", "User-Agent", "X-Forwarded-For"} {
			r.Header.Set(name, canary)
		}
		r.Header.Set("X-Request-Id", "rid")
		mux.ServeHTTP(httptest.NewRecorder(), r)
		got := lines()
		if len(got) != 1 {
			t.Fatalf("log = %v, want one line", got)
		}
		if d, ok := got[0]["duration"].(float64); !ok || d < 0 {
			t.Errorf("duration = %v", got[0]["duration"])
		}
		delete(got[0], "duration")
		delete(got[0], "time")
		want := map[string]any{
			"level": "INFO", "msg": "request", "request_id": "rid", "client": "192.0.2.1", "method": "POST",
			"route": tt.route, "status": tt.status, "bytes": 19.0, // those of a 404 without a route
		}
		if tt.route != "" {
			want["key"], want["source"], want["bytes"] = "ada", "primary;reason=token", float64(len("body "+canary))
		}
		if tt.kept != "" {
			want["path"] = tt.kept
		}
		if diff := cmp.Diff(want, got[0]); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// Without a log a note goes nowhere.
func TestNoteWithoutALog(t *testing.T) {
	t.Parallel()
	web.Note(t.Context(), slog.String("key", "ada"))
}

func TestAccessLogStatus(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		ctx    context.Context
		status int
		want   float64
	}{
		{t.Context(), 0, 200},
		{t.Context(), 503, 503},
		{cancelled, 0, 499},
		{cancelled, 503, 499},
		{cancelled, 201, 201},
	}
	for _, tt := range tests {
		log, lines := logger(t)
		h := web.AccessLog(log)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if tt.status != 0 {
				w.WriteHeader(tt.status)
			}
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(tt.ctx, "GET", "/", nil))
		if got := lines(); got[0]["status"] != tt.want {
			t.Errorf("%d, context %v: logged %v, want %v", tt.status, tt.ctx.Err(), got[0]["status"], tt.want)
		}
	}
}
