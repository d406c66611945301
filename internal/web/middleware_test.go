package web_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/web"
)

func TestRequestID(t *testing.T) {
	t.Parallel()
	for sent, kept := range map[string]bool{
		"": false, "abc.DEF_9-": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
		"a b": false, "a\nb": false, "a\"": false,
	} {
		var inside string
		h := web.RequestID(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			inside = web.RequestIDFrom(r.Context())
		}))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, withHeader("X-Request-Id", sent))
		if inside == "" || inside != rec.Header().Get("X-Request-Id") || (inside == sent) != kept {
			t.Errorf("%q: inside %q, answered %q", sent, inside, rec.Header().Get("X-Request-Id"))
		}
	}
}

// canary stands for everything that a log must not hold.
const canary = "canary"

func TestAccessLogLine(t *testing.T) {
	t.Parallel()
	log, lines := logger(t)
	mux := chi.NewRouter()
	mux.Use(web.RequestID, web.AccessLog(log))
	mux.Post("/v1/carts/{id}", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, canary)
	})
	r := httptest.NewRequest("POST", "/v1/carts/"+canary+"?q="+canary, strings.NewReader(canary))
	r.Header.Set("Authorization", "Bearer "+canary)
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
		"level": "INFO", "msg": "request", "request_id": "rid", "method": "POST",
		"route": "/v1/carts/{id}", "status": 201.0, "bytes": 6.0,
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Error(diff)
	}
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

func TestRecover(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		fn      http.HandlerFunc
		lines   int
		aborted bool
	}{
		{"before the answer", func(http.ResponseWriter, *http.Request) { panic("secret") }, 1, false},
		{"within the answer", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic("secret") }, 1, true},
		{"abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log, lines := logger(t)
			rec := httptest.NewRecorder()
			var again any
			func() {
				defer func() { again = recover() }()
				web.NewRenderer(log).Recover(tt.fn).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
			}()
			if (again == http.ErrAbortHandler) != tt.aborted {
				t.Errorf("panicked again with %v", again)
			}
			if !tt.aborted && document(t, rec.Result())["code"] != "internal" {
				t.Errorf("code %d, want the opaque 500", rec.Code)
			}
			if strings.Contains(rec.Body.String(), "secret") {
				t.Error("the panic value leaked")
			}
			got := lines()
			if len(got) != tt.lines {
				t.Fatalf("log = %v, want %d lines", got, tt.lines)
			}
			if tt.lines == 1 && !strings.Contains(got[0]["stack"].(string), "middleware_test.go") {
				t.Error("no stack of the handler in the log")
			}
		})
	}
}

func TestSecureHeaders(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	web.SecureHeaders(http.NotFoundHandler()).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

// TestStreaming: the wrapped writer still flushes, or event streams would hang.
