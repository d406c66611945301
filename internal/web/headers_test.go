package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

func withHeader(name string, values ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for _, v := range values {
		r.Header.Add(name, v)
	}
	return r
}

func TestPathID(t *testing.T) {
	t.Parallel()
	variant := id.New().String()
	for param, want := range map[string]string{
		variant: "", "1": "not_found", variant + "0": "not_found", "%30" + variant[1:]: "not_found",
	} {
		var err error
		var got id.ID
		mux := chi.NewRouter()
		mux.Get("/v1/carts/{id}", func(_ http.ResponseWriter, r *http.Request) { got, err = web.PathID(r, "id") })
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v1/carts/"+param, nil))
		if problemCode(err) != want || want == "" && got.String() != variant {
			t.Errorf("%s: got %v, %v; want %q", param, got, err, want)
		}
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		values  []string
		token   string
		present bool
	}{
		{nil, "", false},
		{[]string{"Bearer abc-._~+/9=="}, "abc-._~+/9==", true},
		{[]string{"bearer abc"}, "abc", true},
		{[]string{"Bearer  abc"}, "", true},
		{[]string{"Bearer abc def"}, "", true},
		{[]string{"Bearer"}, "", true},
		{[]string{"Bearer =abc"}, "", true},
		{[]string{"Basic abc"}, "", true},
		{[]string{""}, "", true},
		{[]string{"Bearer a", "Bearer b"}, "", true},
	}
	for _, tt := range tests {
		token, present := web.Bearer(withHeader("Authorization", tt.values...))
		if token != tt.token || present != tt.present {
			t.Errorf("%q: got %q, %t", tt.values, token, present)
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 255)
	tests := []struct {
		values    []string
		key, code string
	}{
		{nil, "", ""},
		{[]string{"a b~"}, "a b~", ""},
		{[]string{long}, long, ""},
		{[]string{long + "k"}, "", "idempotency_key_invalid"},
		{[]string{""}, "", "idempotency_key_invalid"},
		{[]string{"a\tb"}, "", "idempotency_key_invalid"},
		{[]string{"\x7f"}, "", "idempotency_key_invalid"},
		{[]string{"é"}, "", "idempotency_key_invalid"},
		{[]string{"a", "a"}, "", "idempotency_key_invalid"},
	}
	for _, tt := range tests {
		key, err := web.IdempotencyKey(withHeader("Idempotency-Key", tt.values...))
		if key != tt.key || problemCode(err) != tt.code {
			t.Errorf("%.20q: got %q, %v", tt.values, key, err)
		}
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		values  []string
		version int64
		present bool
		code    string
	}{
		{nil, 0, false, ""},
		{[]string{web.ETag(7)}, 7, true, ""},
		{[]string{" * "}, web.AnyVersion, true, ""},
		{[]string{`W/"7"`}, 0, true, "precondition_failed"},
		{[]string{`"x"`}, 0, true, "precondition_failed"},
		{[]string{`"0"`}, 0, true, "precondition_failed"},
		{[]string{`"-1"`}, 0, true, "precondition_failed"},
		{[]string{`"07"`}, 0, true, "precondition_failed"},
		{[]string{`"+7"`}, 0, true, "precondition_failed"},
		{[]string{`"9223372036854775808"`}, 0, true, "precondition_failed"},
		{[]string{`7`}, 0, true, "if_match_invalid"},
		{[]string{``}, 0, true, "if_match_invalid"},
		{[]string{`"7`}, 0, true, "if_match_invalid"},
		{[]string{`"7" "8"`}, 0, true, "if_match_invalid"},
		{[]string{`"7", "8"`}, 0, true, "if_match_invalid"},
		{[]string{`"7"`, `"7"`}, 0, true, "if_match_invalid"},
	}
	for _, tt := range tests {
		version, present, err := web.IfMatch(withHeader("If-Match", tt.values...))
		if version != tt.version || present != tt.present || problemCode(err) != tt.code {
			t.Errorf("%q: got %d, %t, %v", tt.values, version, present, err)
		}
	}
}

func TestNotModified(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method string
		values []string
		want   bool
	}{
		{"GET", nil, false},
		{"GET", []string{`"7"`}, true},
		{"HEAD", []string{`"7"`}, true},
		{"GET", []string{`W/"7"`}, true},
		{"GET", []string{`*`}, true},
		{"GET", []string{`"a,b" , ,"7"`}, true},
		{"GET", []string{`"6"`, `"7"`}, true},
		{"GET", []string{`"6"`}, false},
		{"GET", []string{`"6" "7"`}, false},
		{"GET", []string{`7`}, false},
		{"GET", []string{`"6,7"`}, false},
		{"POST", []string{`"7"`}, false},
	}
	for _, tt := range tests {
		r := withHeader("If-None-Match", tt.values...)
		r.Method = tt.method
		rec := httptest.NewRecorder()
		if got := web.NotModified(rec, r, web.ETag(7)); got != tt.want {
			t.Errorf("%s %q: got %t", tt.method, tt.values, got)
		}
		if tt.want != (rec.Code == http.StatusNotModified) || rec.Header().Get("ETag") != `"7"` {
			t.Errorf("%s %q: status %d, ETag %q", tt.method, tt.values, rec.Code, rec.Header().Get("ETag"))
		}
	}
}
