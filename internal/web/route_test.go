package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"example.com/leeway/internal/web"
)

func TestUnroutedRequests(t *testing.T) {
	t.Parallel()
	log, _ := logger(t)
	rn := web.NewRenderer(log)
	ok := func(http.ResponseWriter, *http.Request) {}
	mux := chi.NewRouter()
	mux.Use(middleware.GetHead)
	mux.NotFound(rn.NotFound)
	mux.MethodNotAllowed(rn.MethodNotAllowed)
	mux.Route("/v1", func(r chi.Router) {
		r.Get("/carts/{id}", ok)
		r.Delete("/carts/{id}", ok)
		r.Post("/carts", ok)
	})
	tests := []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v1/carts/7", 200, ""},
		{"HEAD", "/v1/carts/7", 200, ""},
		{"POST", "/v1/carts/7", 405, "GET, HEAD, DELETE"},
		{"POST", "/v1/carts/a%2Fb", 405, "GET, HEAD, DELETE"},
		{"BREW", "/v1/carts/7", 405, "GET, HEAD, DELETE"},
		{"BREW", "/nowhere", 404, ""},
		{"GET", "/v1/carts", 405, "POST"},
		{"GET", "/v1/nowhere", 404, ""},
		{"GET", "/", 404, ""},
	}
	for _, tt := range tests {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest(tt.method, tt.path, nil))
		if rec.Code != tt.status || rec.Header().Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q", tt.method, tt.path, rec.Code, rec.Header().Get("Allow"))
		}
		if tt.status != 200 {
			document(t, rec.Result())
		}
	}
}

func TestAcceptJSON(t *testing.T) {
	t.Parallel()
	log, _ := logger(t)
	h := web.NewRenderer(log).AcceptJSON(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	tests := []struct {
		accept []string
		want   int
	}{
		{nil, 200},
		{[]string{""}, 200},
		{[]string{"gibberish"}, 200},
		{[]string{"application/json"}, 200},
		{[]string{"Application/JSON; charset=utf-8"}, 200},
		{[]string{"text/html, */*;q=0.1"}, 200},
		{[]string{"text/html", "application/*"}, 200},
		{[]string{"application/json;q=x"}, 200},
		{[]string{"*/*;q=0, application/json"}, 200},
		{[]string{"text/html"}, 406},
		{[]string{"application/json;q=0"}, 406},
		{[]string{"application/json;q=0.0, */*"}, 406},
		{[]string{"text/html, application/*;q=0"}, 406},
	}
	for _, tt := range tests {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, withHeader("Accept", tt.accept...))
		if rec.Code != tt.want {
			t.Errorf("%q: %d, want %d", tt.accept, rec.Code, tt.want)
		}
	}
}
