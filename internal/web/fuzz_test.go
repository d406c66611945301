package web_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/web"
)

func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"name":"a","items":[{"quantity":1}]}`, `{"items":[{"quantity":1e9}]}`,
		`{"options":{"a":"b"},"options":null}`, `{"free":1,"at":null}`, "\xff", `{"":{}}`, `[[[`, `{"name":"\ud800"}`, `{"Name":"a"}`, `{}{}`, "\ufeff{}",
		strings.Repeat(`{"free":`, 5000) + "1" + strings.Repeat("}", 5000), `{"name":"\u0000"}`, `{"items":[null]}`, ` `, "{\"name\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got, want payload
		err := web.Unmarshal(body, &got)
		if err != nil {
			if p, ok := errors.AsType[*web.Problem](err); !ok || p.Status != 400 && p.Status != 422 {
				t.Fatalf("%q: not the client's problem: %v", body, err)
			}
			return
		}
		dec := json.NewDecoder(strings.NewReader(string(body)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&want); err != nil || !utf8.Valid(body) {
			t.Fatalf("%q: accepted, but encoding/json says %v", body, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(payload{})); diff != "" {
			t.Fatalf("%q: %s", body, diff)
		}
	})
}

// FuzzIfMatch: a version is read only from the one tag that ETag writes for it, and a
// conditional GET never takes the tag of another version for its own.
func FuzzIfMatch(f *testing.F) {
	for _, seed := range []string{"", "*", `"1"`, `W/"1"`, `"1", "2"`, `"01"`, `"-1"`, `"0"`, `"9223372036854775808"`, `"`, `""`, `",",`, ` "7" `, `"a,b"`, "\xff", "*  \n "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = http.Header{"If-Match": {header}, "If-None-Match": {header}}
		version, present, err := web.IfMatch(r)
		bare := strings.TrimFunc(header, func(c rune) bool { return c == ',' || unicode.IsSpace(c) })
		switch {
		case !present:
			t.Errorf("%q is not there", header)
		case err == nil && version == web.AnyVersion && bare != "*", err == nil && version != web.AnyVersion && bare != web.ETag(version):
			t.Errorf("%q is read as version %d", header, version)
		case err != nil && version != 0:
			t.Errorf("%q: version %d and %v", header, version, err)
		}
		if web.NotModified(httptest.NewRecorder(), r, `"7"`) && bare != "*" && !strings.Contains(header, `"7"`) {
			t.Errorf("%q matches version 7", header)
		}
	})
}

// FuzzParseQuery: what is accepted holds no text that the database refuses, and
// no parameter that was not named.
func FuzzParseQuery(f *testing.F) {
	for _, seed := range []string{"", "q=a", "q=%00", "q=a&q=b", "%71=1", "q", "&&", "x=1", "q=%ed%a0%80", "limit=9e9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := web.ParseQuery(withQuery(raw), "q", "limit")
		if err != nil {
			if p, ok := errors.AsType[*web.Problem](err); !ok || p.Status != 400 || q != nil {
				t.Fatalf("%q: %v, %v", raw, q, err)
			}
			return
		}
		values, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("%q accepted: %v", raw, err)
		}
		var v web.Validator
		for name, all := range values {
			if name != "q" && name != "limit" {
				t.Fatalf("%q: accepted %q", raw, name)
			}
			for _, s := range all {
				v.Text(s, name, 0, len(raw))
			}
		}
		if n := q.Int("limit", 5, 1, 9); n < 1 || n > 9 || v.Err() != nil {
			t.Fatalf("%q: limit %d, %v", raw, n, v.Err())
		}
	})
}
