package web

import (
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestPatchTellsNullFromAbsent(t *testing.T) {
	type body struct {
		Name   *string   `json:"name"`
		Parent *string   `json:"parent"`
		Tags   *[]string `json:"tags"`
	}
	for _, test := range []struct {
		body  string
		nulls []string
		code  string
	}{
		{`{}`, nil, ""},
		{`{"name":"a"}`, nil, ""},
		{`{"parent":"p"}`, nil, ""},
		{`{"parent": null }`, []string{"parent"}, ""},
		{`{"name":null}`, nil, "wrong_type"},
		{`{"tags":null,"parent":null}`, nil, "wrong_type"},
		{`{"nam":"a"}`, nil, "unknown_field"},
		{`{"name":"a","name":"b"}`, nil, "duplicate_field"},
		{`{"name":1}`, nil, "wrong_type"},
		{`null`, nil, "wrong_type"},
		{`[]`, nil, "wrong_type"},
		{``, nil, "malformed_json"},
	} {
		r := httptest.NewRequest("PATCH", "/", strings.NewReader(test.body))
		r.Header.Set("Content-Type", "application/json")
		var v body
		nulls, err := Patch(httptest.NewRecorder(), r, &v, "parent")
		code := ""
		if p, ok := errors.AsType[*Problem](err); ok {
			code = p.Code
		}
		if code != test.code || !slices.Equal(nulls, test.nulls) {
			t.Errorf("%s: nulls %v, err %v; want %v %q", test.body, nulls, err, test.nulls, test.code)
		}
	}
}

func TestRequiredMatch(t *testing.T) {
	for _, test := range []struct {
		header []string
		want   int64
		status int
	}{
		{nil, 0, 428},
		{[]string{`"3"`}, 3, 0},
		{[]string{`*`}, AnyVersion, 0},
		{[]string{`W/"3"`}, 0, 412},
		{[]string{`3`}, 0, 400},
	} {
		r := httptest.NewRequest("PATCH", "/", nil)
		r.Header["If-Match"] = test.header
		got, err := RequiredMatch(r)
		status := 0
		if p, ok := errors.AsType[*Problem](err); ok {
			status = p.Status
		}
		if status != test.status || got != test.want {
			t.Errorf("If-Match %q: %d, %v; want %d, %d", test.header, got, err, test.want, test.status)
		}
	}
}
