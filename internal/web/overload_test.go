package web_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"example.com/leeway/internal/web"
)

func TestDeadlineIsA504(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, _ := logger(t)
		h := web.Deadline(time.Second)(web.NewRenderer(log).Handle(func(_ http.ResponseWriter, r *http.Request) error {
			<-r.Context().Done() // a query that outlasts the deadline
			return r.Context().Err()
		}))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		if rec.Code != http.StatusGatewayTimeout {
			t.Errorf("status %d", rec.Code)
		}
	})
}

func TestInFlight(t *testing.T) {
	t.Parallel()
	log, _ := logger(t)
	entered, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	h := web.NewRenderer(log).InFlight(1)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-release
		}
	}))
	get := func(path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		return rec
	}
	go func() { defer close(done); get("/slow") }()
	<-entered
	refused := get("/")
	if refused.Code != 503 || refused.Header().Get("Retry-After") != "1" {
		t.Errorf("over the cap: %d, Retry-After %q", refused.Code, refused.Header().Get("Retry-After"))
	}
	close(release)
	<-done
	if again := get("/"); again.Code != 200 {
		t.Errorf("the slot was not given back: %d", again.Code)
	}
}

func TestStreaming(t *testing.T) {
	t.Parallel()
	log, _ := logger(t)
	rn := web.NewRenderer(log)
	h := web.AccessLog(log)(rn.Recover(rn.Handle(func(w http.ResponseWriter, _ *http.Request) error {
		return errors.Join(http.NewResponseController(w).Flush(),
			http.NewResponseController(w).SetWriteDeadline(time.Time{}))
	})))
	srv := httptest.NewServer(h)
	defer srv.Close()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 || len(body) != 0 {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
}
