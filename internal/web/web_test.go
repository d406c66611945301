package web_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"example.com/leeway/internal/web"
)

// problemCode returns the code of a problem, "" for nil, and the error's text
// for what is no problem, so that tables can compare it.
func problemCode(err error) string {
	if err == nil {
		return ""
	}
	if p, ok := err.(*web.Problem); ok {
		return p.Code
	}
	return err.Error()
}

// serve runs one handler behind a Renderer and returns the answer and the log.
func serve(t *testing.T, r *http.Request, fn func(http.ResponseWriter, *http.Request) error, table ...web.Mapping) (*http.Response, []map[string]any) {
	t.Helper()
	log, lines := logger(t)
	rec := httptest.NewRecorder()
	web.NewRenderer(log, table...).Handle(fn)(rec, r)
	return rec.Result(), lines()
}

func logger(t *testing.T) (*slog.Logger, func() []map[string]any) {
	t.Helper()
	var buf bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return log, func() (lines []map[string]any) {
		dec := json.NewDecoder(&buf)
		for dec.More() {
			var line map[string]any
			if err := dec.Decode(&line); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, line)
		}
		return lines
	}
}

func document(t *testing.T, res *http.Response) map[string]any {
	t.Helper()
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("Content-Type = %q, want a problem", got)
	}
	var doc map[string]any
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}
