package web

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Problem is an RFC 9457 problem. It is also an error, so that a handler can
// return one. The package-level problems below are shared between requests:
// copy one before changing it.
type Problem struct {
	Status int
	// Code is the stable name that clients branch on; the type URI is
	// "/problems/" + Code.
	Code string
	// Title is the same for every occurrence of Code (RFC 9457, section
	// 3.1.3). Empty means the code in words.
	Title string
	// Detail is sent as it is: never put the text of a foreign error here.
	Detail string
	Errors []FieldError
	// Fields are extension members (section 3.2), such as the lines of
	// insufficient_stock. The members named by the RFC and by this package win
	// over a field of the same name.
	Fields map[string]any
	// RetryAfter is rounded up to whole seconds; 429 and 503 always say at
	// least 1, since a client left without a number retries at once.
	RetryAfter time.Duration
	// Header holds further headers, such as Allow or WWW-Authenticate.
	Header http.Header
}

// A FieldError says what is wrong with one member of the request. Pointer is an
// RFC 6901 JSON pointer into a body ("/items/0/quantity", "" is the whole
// body), or the bare name of a query parameter.
type FieldError struct {
	Pointer string `json:"pointer"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// Problems that belong to HTTP rather than to a domain.
var (
	// NotFound is the answer for unknown, malformed and foreign ids alike, so
	// that a guesser learns nothing from the difference.
	NotFound = &Problem{Status: http.StatusNotFound, Code: "not_found"}
	// Unauthorized carries the challenge that RFC 9110, section 15.5.2, demands.
	Unauthorized = &Problem{
		Status: http.StatusUnauthorized, Code: "unauthorized",
		Header: http.Header{"Www-Authenticate": {`Bearer realm="leeway"`}},
	}
	// InvalidCursor is the answer for every cursor that is not one of the list
	// it came with, whatever is wrong with it.
	InvalidCursor = &Problem{
		Status: http.StatusBadRequest, Code: "invalid_cursor",
		Detail: "The cursor is not one of this list with these filters. Start again without it.",
	}
	PreconditionFailed = &Problem{
		Status: http.StatusPreconditionFailed, Code: "precondition_failed",
		Detail: "The resource has another version than If-Match names.",
	}
	PreconditionRequired = &Problem{
		Status: http.StatusPreconditionRequired, Code: "precondition_required",
		Detail: "Send If-Match with the ETag of the version you mean to change.",
	}
)

// Invalid is a problem made of field errors.
func Invalid(status int, code string, errs ...FieldError) *Problem {
	return &Problem{Status: status, Code: code, Errors: errs}
}

// Error implements error; the text is for logs. It names no pointer, since one may
// hold a name that the client made up.
func (p *Problem) Error() string {
	s := fmt.Sprintf("%d %s", p.Status, p.Code)
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	for _, e := range p.Errors {
		s += "; " + e.Code
	}
	return s
}

// document is the body of the answer; instance is the path of the request
// without its query, which may hold search text.
func (p *Problem) document(instance, requestID string) ([]byte, error) {
	doc := maps.Clone(p.Fields)
	if doc == nil {
		doc = map[string]any{}
	}
	doc["type"] = "/problems/" + p.Code
	doc["title"] = p.title()
	doc["status"] = p.Status
	doc["code"] = p.Code
	doc["instance"] = instance
	optional := map[string]string{"detail": p.Detail, "request_id": requestID}
	for name, value := range optional {
		delete(doc, name)
		if value != "" {
			doc[name] = value
		}
	}
	delete(doc, "errors")
	if len(p.Errors) > 0 {
		doc["errors"] = p.Errors
	}
	return Encode(doc)
}

func (p *Problem) title() string {
	if p.Title != "" || p.Code == "" {
		return p.Title
	}
	words := strings.ReplaceAll(p.Code, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// setHeader replaces what the handler meant for a success. ETag, Location and
// the like describe a representation that is not sent (http.Error clears the
// same kind), while Consistency-Token, cookies and rate limits stay: they are
// about the exchange.
func (p *Problem) setHeader(h http.Header) {
	for _, name := range []string{
		"Content-Encoding", "Content-Length", "Etag", "Last-Modified", "Link", "Location",
	} {
		h.Del(name)
	}
	maps.Copy(h, p.Header)
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if s := p.retryAfter(); s > 0 {
		h.Set("Retry-After", strconv.FormatInt(s, 10))
	}
}

func (p *Problem) retryAfter() int64 {
	s := int64((p.RetryAfter + time.Second - 1) / time.Second)
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		return max(s, 1)
	}
	return s
}

// internal is the opaque 500, and what is sent when even a problem cannot be
// encoded: it has no field that could fail.
var internal = &Problem{Status: http.StatusInternalServerError, Code: "internal"}
