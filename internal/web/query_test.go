package web_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

func withQuery(raw string) *http.Request {
	return &http.Request{Method: "GET", URL: &url.URL{Path: "/v1/products", RawQuery: raw}}
}

func TestParseQueryRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ query, code, pointer string }{
		{"limit=1", "", ""},
		{"", "", ""},
		{"limt=1", "unknown_parameter", "limt"},
		{"Limit=1", "unknown_parameter", "Limit"},
		{"zz=1&limit=1&a=1", "unknown_parameter", "a"},
		{"q=%zz", "invalid_parameter", ""},
		{"q=a;limit=1", "invalid_parameter", ""},
		{"q=%00", "invalid_parameter", "q"},
		{"q=a&q=%ff", "invalid_parameter", "q"},
		{"q=a%0Ab", "invalid_parameter", "q"},
		{"q=%7F", "invalid_parameter", "q"},
	}
	for _, tt := range tests {
		_, err := web.ParseQuery(withQuery(tt.query), "limit", "q")
		var pointer string
		if p, ok := errors.AsType[*web.Problem](err); ok && len(p.Errors) > 0 {
			pointer = p.Errors[0].Pointer
		}
		if got := problemCode(err); got != tt.code || pointer != tt.pointer {
			t.Errorf("%s: got %q at %q, want %q at %q", tt.query, got, pointer, tt.code, tt.pointer)
		}
	}
}

// read calls one accessor of each kind, as a handler would.
func read(q *web.Query) map[string]any {
	return map[string]any{
		"limit": q.Int("limit", 24, 1, 100),
		"min":   q.Int64Ptr("min", 0, 1<<62),
		"stock": q.Bool("stock"),
		"q":     q.String("q", 3),
		"sort":  q.Enum("sort", "-created_at", "-created_at", "price"),
		"opt":   q.All("opt", 2),
		"ids":   q.IDs("ids", 2),
	}
}

func TestQueryAccessors(t *testing.T) {
	t.Parallel()
	const one = "01900000-0000-7000-8000-000000000001"
	variant, err := id.Parse(one)
	if err != nil {
		t.Fatal(err)
	}
	set := func(change map[string]any) map[string]any {
		want := map[string]any{
			"limit": 24, "min": (*int64)(nil), "stock": (*bool)(nil), "q": "", "sort": "-created_at",
			"opt": []string(nil), "ids": []id.ID(nil),
		}
		for k, v := range change {
			want[k] = v
		}
		return want
	}
	tests := []struct {
		query string
		want  map[string]any
		bad   []string // names with an error
	}{
		{"", set(nil), nil},
		{"limit=100&min=0&stock=false&q=äöü&sort=price", set(map[string]any{
			"limit": 100, "min": new(int64(0)), "stock": new(false), "q": "äöü", "sort": "price",
		}), nil},
		{"opt=b&opt=a&ids=" + one, set(map[string]any{"opt": []string{"b", "a"}, "ids": []id.ID{variant}}), nil},
		{"limit=0", set(nil), []string{"limit"}},
		{"limit=101", set(nil), []string{"limit"}},
		{"limit=", set(nil), []string{"limit"}},
		{"limit=1.0", set(nil), []string{"limit"}},
		{"limit=1&limit=1", set(nil), []string{"limit"}},
		{"min=9223372036854775808", set(nil), []string{"min"}},
		{"min=-1", set(nil), []string{"min"}},
		{"stock=1", set(nil), []string{"stock"}},
		{"q=abcd", set(nil), []string{"q"}},
		{"q=a&q=b", set(nil), []string{"q"}},
		{"sort=name", set(nil), []string{"sort"}},
		{"opt=a&opt=b&opt=c", set(nil), []string{"opt"}},
		{"ids=1", set(nil), []string{"ids"}},
		{"sort=x&limit=x&stock=x", set(nil), []string{"limit", "stock", "sort"}},
	}
	for _, tt := range tests {
		q, err := web.ParseQuery(withQuery(tt.query), "limit", "min", "stock", "q", "sort", "opt", "ids")
		if err != nil {
			t.Errorf("%s: %v", tt.query, err)
			continue
		}
		got := read(q)
		var bad []string
		if p, ok := errors.AsType[*web.Problem](q.Err()); ok {
			for _, e := range p.Errors {
				bad = append(bad, e.Pointer)
			}
		}
		// The map in read is evaluated in source order, and so are the errors.
		if diff := cmp.Diff(tt.bad, bad); diff != "" {
			t.Errorf("%s: errors %s", tt.query, diff)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.query, diff)
		}
	}
}

func TestQueryFail(t *testing.T) {
	t.Parallel()
	q, err := web.ParseQuery(withQuery(""))
	if err != nil || q.Err() != nil {
		t.Fatal(err, q.Err())
	}
	q.Fail("price_min", "out_of_range", "must not exceed price_max")
	if got := problemCode(q.Err()); got != "invalid_parameter" {
		t.Errorf("Err = %q", got)
	}
}
