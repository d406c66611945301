package web_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/web"
)

func TestValidatorText(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, line, multiline string }{
		{"ab", "", ""},
		{"äöü", "", ""},
		{"a", "too_short", "too_short"},
		{" a ", "too_short", "too_short"},
		{"äöüä", "too_long", "too_long"},
		{"a\x00b", "invalid_text", "invalid_text"},
		{"a\u0085b", "invalid_text", "invalid_text"},
		{"ab\xff", "invalid_text", "invalid_text"},
		{"a\nb", "invalid_text", ""},
	}
	for _, tt := range tests {
		var line, multiline web.Validator
		line.Text(tt.text, "/x", 2, 3)
		multiline.Multiline(tt.text, "/x", 2, 3)
		if got := firstCode(line.Err()); got != tt.line {
			t.Errorf("Text(%q): %q, want %q", tt.text, got, tt.line)
		}
		if got := firstCode(multiline.Err()); got != tt.multiline {
			t.Errorf("Multiline(%q): %q, want %q", tt.text, got, tt.multiline)
		}
	}
}

func firstCode(err error) string {
	if err == nil {
		return ""
	}
	return err.(*web.Problem).Errors[0].Code
}

func TestValidatorCollects(t *testing.T) {
	t.Parallel()
	var v web.Validator
	v.Check(true, "/ok", "x", "")
	if err := v.Err(); err != nil {
		t.Fatalf("Err = %v, want an untyped nil", err)
	}
	v.Check(false, "/quantity", "out_of_range", "must be 1..999")
	v.Check(false, "/email", "required", "is missing")
	want := &web.Problem{Status: 422, Code: "invalid_body", Errors: []web.FieldError{
		{Pointer: "/quantity", Code: "out_of_range", Detail: "must be 1..999"},
		{Pointer: "/email", Code: "required", Detail: "is missing"},
	}}
	if diff := cmp.Diff(error(want), v.Err()); diff != "" {
		t.Error(diff)
	}
}
