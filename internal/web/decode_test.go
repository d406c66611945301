package web_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

type embedded struct {
	Note string `json:"note"`
}

type line struct {
	Variant  id.ID `json:"variant_id"`
	Quantity int32 `json:"quantity"`
}

type payload struct {
	embedded
	Name    string            `json:"name"`
	Parent  *id.ID            `json:"parent"`
	Items   []line            `json:"items"`
	Options map[string]string `json:"options"`
	At      time.Time         `json:"at"`
	Free    json.RawMessage   `json:"free"`
	Amount  json.Number       `json:"amount"`
	Hidden  string            `json:"-"`
}

func TestUnmarshalFaults(t *testing.T) {
	t.Parallel()
	tests := []struct{ body, code, pointer string }{
		{``, "malformed_json", ""},
		{`{"name":"a"} {}`, "malformed_json", ""},
		{`{"name":"a"`, "malformed_json", ""},
		{"{\"name\":\"\xff\"}", "malformed_json", ""},
		{"\ufeff{}", "malformed_json", ""},
		{strings.Repeat("[", 20000), "malformed_json", ""},
		{` null `, "wrong_type", ""},
		{`[]`, "wrong_type", ""},
		{`{"nome":1}`, "unknown_field", "/nome"},
		{`{"Name":"a"}`, "unknown_field", "/Name"},
		{`{"-":"a"}`, "unknown_field", "/-"},
		{`{"Hidden":"a"}`, "unknown_field", "/Hidden"},
		{`{"embedded":{}}`, "unknown_field", "/embedded"},
		{`{"a/b~c":1}`, "unknown_field", "/a~1b~0c"},
		{`{"name":"a","name":"b"}`, "duplicate_field", "/name"},
		{`{"name":1}`, "wrong_type", "/name"},
		{`{"name":null}`, "wrong_type", "/name"},
		{`{"note":1}`, "wrong_type", "/note"},
		{`{"parent":"1"}`, "wrong_type", "/parent"},
		{`{"items":{}}`, "wrong_type", "/items"},
		{`{"items":[{},{"quantity":2147483648}]}`, "wrong_type", "/items/1/quantity"},
		{`{"items":[{"quantity":1.5}]}`, "wrong_type", "/items/0/quantity"},
		{`{"items":[{"variant_id":null}]}`, "wrong_type", "/items/0/variant_id"},
		{`{"items":[null]}`, "wrong_type", "/items/0"},
		{`{"items":[{"sku":1}]}`, "unknown_field", "/items/0/sku"},
		{`{"options":{"a":1}}`, "wrong_type", "/options/a"},
		{`{"options":{"a":"1","a":"2"}}`, "duplicate_field", "/options/a"},
		{`{"options":{"a/b":1}}`, "wrong_type", "/options/a~1b"},
		{`{"name":"a","n\u0061me":"b"}`, "duplicate_field", "/name"},
		{`{"n\u0061mes":1}`, "unknown_field", "/names"},
		{`{"items":[],"items":[]}`, "duplicate_field", "/items"},
		{`{"note":"a","name":"\"","items":[{"quantity":1},{"quantity":1,"quantity":2}]}`, "duplicate_field", "/items/1/quantity"},
		{`{"at":"yesterday"}`, "wrong_type", "/at"},
		{`{"amount":"many"}`, "wrong_type", "/amount"},
	}
	for _, tt := range tests {
		var v payload
		p, ok := errors.AsType[*web.Problem](web.Unmarshal([]byte(tt.body), &v))
		if !ok {
			t.Errorf("%.40s: accepted", tt.body)
			continue
		}
		status, pointer := http.StatusBadRequest, ""
		if tt.code != "malformed_json" {
			status = http.StatusUnprocessableEntity
			pointer = p.Errors[0].Pointer
		}
		if p.Status != status || p.Code != tt.code || pointer != tt.pointer {
			t.Errorf("%.40s: got %v at %q, want %s at %q", tt.body, p, pointer, tt.code, tt.pointer)
		}
	}
}

func TestUnmarshalTakesWhatFits(t *testing.T) {
	t.Parallel()
	variant := id.New()
	body := `{"note":"n","name":"a","parent":null,"items":[{"variant_id":"` + variant.String() + `","quantity":3}],
		"options":{"color":"red"},"at":"2026-01-02T03:04:05Z","free":{"any":[1,null]}}` + "\n"
	want := payload{
		embedded: embedded{"n"}, Name: "a", Items: []line{{variant, 3}},
		Options: map[string]string{"color": "red"}, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Free: json.RawMessage(`{"any":[1,null]}`),
	}
	var got payload
	if err := web.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(payload{})); diff != "" {
		t.Error(diff)
	}
}

func TestNullBodyFitsNothing(t *testing.T) {
	t.Parallel()
	var m map[string]string
	if err := web.Unmarshal([]byte("null"), &m); problemCode(err) != "wrong_type" {
		t.Errorf("got %v", err)
	}
}

func TestUnmarshalReportsAllButNotWithoutBound(t *testing.T) {
	t.Parallel()
	var v payload
	p := web.Unmarshal([]byte(`{"name":1,"items":[{"quantity":"x"}],"zz":0}`), &v).(*web.Problem)
	if len(p.Errors) != 3 {
		t.Errorf("got %v, want 3 errors", p)
	}
	p = web.Unmarshal([]byte(`{"items":[`+strings.Repeat("1,", 1000)+`1]}`), &v).(*web.Problem)
	if len(p.Errors) != 20 {
		t.Errorf("got %d errors, want 20", len(p.Errors))
	}
}

func TestDecodeFraming(t *testing.T) {
	t.Parallel()
	const ok = `{"name":"a"}`
	exact := `{"name":"` + strings.Repeat("a", web.MaxBody-len(ok)+1) + `"}`
	tests := []struct {
		name, contentType, body, want, wantOptional string
	}{
		{"plain", "application/json", ok, "", ""},
		{"utf-8", "application/json; charset=UTF-8", ok, "", ""},
		{"latin-1", "application/json; charset=iso-8859-1", ok, "unsupported_media_type", "unsupported_media_type"},
		{"form", "application/x-www-form-urlencoded", ok, "unsupported_media_type", "unsupported_media_type"},
		{"none", "", ok, "unsupported_media_type", "unsupported_media_type"},
		{"malformed", "application/json;;=", ok, "unsupported_media_type", "unsupported_media_type"},
		{"empty", "", "", "malformed_json", ""},
		{"empty, typed", "application/json", "", "malformed_json", ""},
		{"at the limit", "application/json", exact, "", ""},
		{"over the limit", "application/json", exact + " ", "body_too_large", "body_too_large"},
	}
	for _, tt := range tests {
		request := func() *http.Request {
			r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
			if tt.contentType != "" {
				r.Header.Set("Content-Type", tt.contentType)
			}
			return r
		}
		var v payload
		if got := problemCode(web.Decode(httptest.NewRecorder(), request(), &v)); got != tt.want {
			t.Errorf("%s: Decode = %q, want %q", tt.name, got, tt.want)
		}
		if got := problemCode(web.DecodeOptional(httptest.NewRecorder(), request(), &v)); got != tt.wantOptional {
			t.Errorf("%s: DecodeOptional = %q, want %q", tt.name, got, tt.wantOptional)
		}
	}
}

func TestBodyHeadersAndReadErrors(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/", strings.NewReader(" {} "))
	r.Header.Set("Content-Type", "application/json")
	if got, err := web.Body(httptest.NewRecorder(), r); err != nil || string(got) != " {} " {
		t.Errorf("Body = %q, %v; want the bytes as they came", got, err)
	}
	for name, value := range map[string]string{"Content-Type": "text/plain", "Content-Encoding": "gzip"} {
		r := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Add(name, value)
		if _, err := web.Body(httptest.NewRecorder(), r); problemCode(err) != "unsupported_media_type" {
			t.Errorf("additional %s: %v", name, err)
		}
	}
	broken := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("{"), failing{}))
	broken.Header.Set("Content-Type", "application/json")
	if _, err := web.Body(httptest.NewRecorder(), broken); problemCode(err) != "body_unreadable" {
		t.Errorf("broken body: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("read tcp 10.0.0.1: reset") }

// FuzzUnmarshal holds the shape check against encoding/json: whatever passes
// must also pass the standard decoder with unknown fields refused.
