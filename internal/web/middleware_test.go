package web_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

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

func TestRecover(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		fn      http.HandlerFunc
		lines   int
		aborted bool
	}{
		{"of the runtime", func(http.ResponseWriter, *http.Request) { panic(errors.New("secret").(runtime.Error)) }, 1, false},
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
			if tt.lines == 0 {
				return
			}
			if !strings.Contains(got[0]["stack"].(string), "middleware_test.go") {
				t.Error("no stack of the handler in the log")
			}
			if text := got[0]["error"].(string); strings.Contains(text, "secret") || strings.Contains(text, "conversion") != (tt.name == "of the runtime") {
				t.Errorf("the log says %q", text)
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
