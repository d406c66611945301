package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"example.com/leeway/internal/id"
)

// A Query reads query parameters. Its accessors never fail: they note what is
// wrong, and Err tells the client all of it at once. A value that was wrong
// reads as its default, so check Err before use.
type Query struct {
	values url.Values
	errs   []FieldError
}

// ParseQuery refuses every parameter that is not among names: a misspelt filter
// would otherwise silently widen the answer. It does not go through
// r.URL.Query, which drops what it cannot parse.
func ParseQuery(r *http.Request, names ...string) (*Query, error) {
	if r.URL.RawQuery == "" {
		return &Query{}, nil // of most pages
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &Problem{
			Status: http.StatusBadRequest, Code: "invalid_parameter",
			Detail: "The query has a malformed percent-encoding or a semicolon.",
		}
	}
	q := &Query{values: values}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(names, name) {
			q.Fail(name, "unknown_parameter", "is not a parameter of this route")
		}
	}
	if len(q.errs) > 0 {
		return nil, Invalid(http.StatusBadRequest, "unknown_parameter", q.errs...)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if slices.ContainsFunc(values[name], func(s string) bool { return !CleanText(s, "") }) {
			q.Fail(name, "invalid_text", "must be UTF-8 without control characters")
		}
	}
	if err := q.Err(); err != nil {
		return nil, err
	}
	return q, nil
}

// Err is nil or a 400 invalid_parameter with everything collected.
func (q *Query) Err() error {
	if len(q.errs) == 0 {
		return nil
	}
	return Invalid(http.StatusBadRequest, "invalid_parameter", q.errs...)
}

// Fail notes an error of the caller's own, such as price_min above price_max.
func (q *Query) Fail(name, code, detail string) {
	if len(q.errs) < maxFieldErrors {
		q.errs = append(q.errs, FieldError{Pointer: name, Code: code, Detail: detail})
	}
}

// one returns the only value of name. Two values are refused rather than the
// first taken: a cache or proxy in front may take the last.
func (q *Query) one(name string) (string, bool) {
	values := q.values[name]
	if len(values) > 1 {
		q.Fail(name, "repeated", "must appear once")
	}
	if len(values) != 1 {
		return "", false
	}
	return values[0], true
}

// Int returns a decimal integer in lo..hi, or def if the parameter is absent.
func (q *Query) Int(name string, def, lo, hi int) int {
	n := q.Int64Ptr(name, int64(lo), int64(hi))
	if n == nil {
		return def
	}
	return int(*n)
}

// Int64Ptr returns a decimal integer in lo..hi, or nil if it is absent.
func (q *Query) Int64Ptr(name string, lo, hi int64) *int64 {
	s, ok := q.one(name)
	if !ok {
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < lo || n > hi {
		q.Fail(name, "out_of_range", fmt.Sprintf("must be an integer in %d..%d", lo, hi))
		return nil
	}
	return &n
}

// Bool returns nil if the parameter is absent; "1" and "yes" are refused.
func (q *Query) Bool(name string) *bool {
	s, ok := q.one(name)
	if !ok {
		return nil
	}
	b := s == "true"
	if !b && s != "false" {
		q.Fail(name, "invalid_boolean", "must be true or false")
		return nil
	}
	return &b
}

// String returns "" if the parameter is absent or empty.
func (q *Query) String(name string, maxRunes int) string {
	s, _ := q.one(name)
	if utf8.RuneCountInString(s) > maxRunes {
		q.Fail(name, "too_long", fmt.Sprintf("must have at most %d characters", maxRunes))
		return ""
	}
	return s
}

// Limit returns the parameter limit, the number of rows of a page.
func (q *Query) Limit() int { return q.Int("limit", DefaultLimit, 1, MaxLimit) }

// Cursor returns the parameter cursor, of any length: one that is too long is
// an invalid_cursor like any other, and OpenCursor says so.
func (q *Query) Cursor() string {
	s, _ := q.one("cursor")
	return s
}

// Enum returns one of allowed, or def if the parameter is absent.
func (q *Query) Enum(name, def string, allowed ...string) string {
	s, ok := q.one(name)
	if !ok {
		return def
	}
	if !slices.Contains(allowed, s) {
		q.Fail(name, "not_allowed", "must be one of "+strings.Join(allowed, ", "))
		return def
	}
	return s
}

// All returns every value of a parameter that may repeat.
func (q *Query) All(name string, maxCount int) []string {
	values := q.values[name]
	if len(values) > maxCount {
		q.Fail(name, "too_many", fmt.Sprintf("must appear at most %d times", maxCount))
		return nil
	}
	return values
}

// IDs is All for identifiers.
func (q *Query) IDs(name string, maxCount int) []id.ID {
	var ids []id.ID
	for _, s := range q.All(name, maxCount) {
		parsed, err := id.Parse(s)
		if err != nil {
			q.Fail(name, "invalid_id", "must be a UUID of 36 characters")
			return nil
		}
		ids = append(ids, parsed)
	}
	return ids
}
