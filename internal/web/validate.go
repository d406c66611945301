package web

import (
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFieldErrors bounds a problem document: a hostile body of 64 KiB could
// otherwise ask for thousands of errors, each longer than its cause.
const maxFieldErrors = 20

// A Validator collects what is wrong with a decoded body, so that the client
// hears of everything at once. The zero value is ready.
type Validator struct{ errs []FieldError }

// Check notes an error at pointer unless ok.
func (v *Validator) Check(ok bool, pointer, code, detail string) {
	if !ok && len(v.errs) < maxFieldErrors {
		v.errs = append(v.errs, FieldError{Pointer: pointer, Code: code, Detail: detail})
	}
}

// Text checks one line of text: lo..hi runes, without control characters.
// PostgreSQL refuses NUL in text (22021), which would otherwise be a 500.
// Blanks at the ends do not count towards lo, so that " " is no name.
func (v *Validator) Text(s, pointer string, lo, hi int) {
	v.text(s, pointer, lo, hi, CleanText(s, ""))
}

// Multiline is Text for prose, where newlines and tabs are welcome.
func (v *Validator) Multiline(s, pointer string, lo, hi int) {
	v.text(s, pointer, lo, hi, CleanText(s, "\r\n\t"))
}

func (v *Validator) text(s, pointer string, lo, hi int, clean bool) {
	v.Check(clean, pointer, "invalid_text", "must be UTF-8 without control characters")
	if utf8.RuneCountInString(strings.TrimSpace(s)) < lo {
		v.Check(false, pointer, "too_short", "must have at least "+strconv.Itoa(lo)+" characters")
	}
	if utf8.RuneCountInString(s) > hi {
		v.Check(false, pointer, "too_long", "must have at most "+strconv.Itoa(hi)+" characters")
	}
}

// Err is nil or a 422 invalid_body with everything collected.
func (v *Validator) Err() error {
	if len(v.errs) == 0 {
		return nil
	}
	return Invalid(http.StatusUnprocessableEntity, "invalid_body", v.errs...)
}

// CleanText reports whether s is UTF-8 and its only control characters (C0, DEL
// and C1) are those in allowed. It is for text that does not come over HTTP; the
// rest of this package asks it by itself.
func CleanText(s, allowed string) bool {
	bad := func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune(allowed, r) }
	return utf8.ValidString(s) && !strings.ContainsFunc(s, bad)
}
