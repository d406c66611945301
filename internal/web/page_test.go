package web_test

import (
	"net/http/httptest"
	"testing"

	"example.com/leeway/internal/web"
)

func TestListIsNeverNull(t *testing.T) {
	t.Parallel()
	tests := []struct {
		list web.List[string]
		want string
	}{
		{web.List[string]{Page: web.NewPage(24, "")}, `{"data":[],"page":{"limit":24,"next_cursor":null}}`},
		{
			web.List[string]{Data: []string{"<a&b>"}, Page: web.NewPage(1, "c")},
			`{"data":["<a&b>"],"page":{"limit":1,"next_cursor":"c"}}`,
		},
	}
	for _, tt := range tests {
		if got, err := web.Encode(tt.list); err != nil || string(got) != tt.want+"\n" {
			t.Errorf("got %s, %v, want %s", got, err, tt.want)
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
