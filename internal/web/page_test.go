package web_test

import (
	"net/http/httptest"
	"testing"

	"example.com/leeway/internal/web"
)

func TestListIsNeverNull(t *testing.T) {
	t.Parallel()
	tests := []struct {
		data       []string
		limit      int
		next, want string
	}{
		{nil, 24, "", `{"data":[],"page":{"limit":24,"next_cursor":null}}`},
		{[]string{"<a&b>"}, 1, "c", `{"data":["<a&b>"],"page":{"limit":1,"next_cursor":"c"}}`},
	}
	for _, tt := range tests {
		rec := httptest.NewRecorder()
		if err := web.SendList(rec, httptest.NewRequest("GET", "/", nil), tt.data, tt.limit, tt.next); err != nil {
			t.Error(err)
		}
		if got := rec.Body.String(); got != tt.want+"\n" {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestNextLink(t *testing.T) {
	t.Parallel()
	tests := []struct{ target, cursor, want string }{
		{
			"http://evil.example/v1/products?option=a&option=b&limit=2&cursor=old", "n+w",
			`</v1/products?cursor=n%2Bw&limit=2&option=a&option=b>; rel="next"`,
		},
		{"/v1/products", "c", `</v1/products?cursor=c>; rel="next"`},
		{"/v1/a%3Eb?q=%3E%22", "c", `</v1/a%3Eb?cursor=c&q=%3E%22>; rel="next"`},
		{"/v1/products", "", ""},
	}
	for _, tt := range tests {
		rec := httptest.NewRecorder()
		web.NextLink(rec, httptest.NewRequest("GET", tt.target, nil), tt.cursor)
		if got := rec.Header().Get("Link"); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.target, got, tt.want)
		}
	}
}
