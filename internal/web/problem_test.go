package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/web"
)

func TestProblemDocument(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/v1/carts/7/checkout?x=1", nil)
	r.Header.Set("X-Request-Id", "abc")
	log, _ := logger(t)
	rn := web.NewRenderer(log).With(stockTable)
	rec := httptest.NewRecorder()
	web.RequestID(rn.Handle(func(http.ResponseWriter, *http.Request) error { return &lackError{2} })).ServeHTTP(rec, r)
	want := map[string]any{
		"type": "/problems/insufficient_stock", "title": "Insufficient stock", "status": 409.0,
		"code": "insufficient_stock", "instance": "/v1/carts/7/checkout", "request_id": "abc",
		"available": 2.0,
	}
	if diff := cmp.Diff(want, document(t, rec.Result())); diff != "" {
		t.Error(diff)
	}
	if stockTable.Problem.Fields != nil {
		t.Error("Fill changed the table")
	}
}

func TestProblemReplacesHeadersOfSuccess(t *testing.T) {
	t.Parallel()
	res, _ := serve(t, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Location", "/x")
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Consistency-Token", "t")
		return web.Unauthorized
	})
	document(t, res)
	want := map[string]string{
		"ETag": "", "Location": "", "Content-Encoding": "", "Cache-Control": "no-store", "Consistency-Token": "t",
		"WWW-Authenticate": `Bearer realm="leeway"`,
	}
	for name, value := range want {
		if got := res.Header.Get(name); got != value {
			t.Errorf("%s = %q, want %q", name, got, value)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		after  time.Duration
		want   string
	}{
		{503, 0, "1"},
		{429, time.Millisecond, "1"},
		{503, 1001 * time.Millisecond, "2"},
		{409, 3 * time.Second, "3"},
		{409, 0, ""},
	}
	for _, tt := range tests {
		res, _ := serve(t, httptest.NewRequest("GET", "/", nil), func(http.ResponseWriter, *http.Request) error {
			return &web.Problem{Status: tt.status, Code: "x", RetryAfter: tt.after}
		})
		if got := res.Header.Get("Retry-After"); got != tt.want {
			t.Errorf("%d after %v: Retry-After = %q, want %q", tt.status, tt.after, got, tt.want)
		}
	}
}

// TestSharedProblemStaysAsItIs: problems are package variables, read by many
// requests at once.
func TestSharedProblemStaysAsItIs(t *testing.T) {
	t.Parallel()
	shared := &web.Problem{Status: 409, Code: "x", Fields: map[string]any{"a": 1}}
	serve(t, httptest.NewRequest("GET", "/", nil), func(http.ResponseWriter, *http.Request) error { return shared })
	if diff := cmp.Diff(map[string]any{"a": 1}, shared.Fields); diff != "" {
		t.Error(diff)
	}
}
