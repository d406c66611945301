package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"
)

// MaxBody is the largest body that is read, in bytes.
const MaxBody = 64 << 10

// Decode reads the body into v: Body, then Unmarshal.
func Decode(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := Body(w, r)
	if err != nil {
		return err
	}
	return Unmarshal(body, v)
}

// DecodeOptional is Decode, except that an empty body leaves v alone.
func DecodeOptional(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := Body(w, r)
	if err != nil || len(body) == 0 {
		return err
	}
	return Unmarshal(body, v)
}

// Body reads the whole body, for those who need its bytes (the fingerprint of
// an idempotent request) beside its meaning. It refuses what is not declared
// as JSON before it reads (415), and more than MaxBody bytes (413). An empty
// body is no error here and needs no Content-Type.
func Body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength != 0 && !isJSON(r.Header) {
		return nil, &Problem{
			Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
			Detail: "Send an unencoded body of Content-Type application/json.",
			Header: http.Header{"Accept": {"application/json"}}, // RFC 9110, section 15.5.16
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &tooLarge):
		return nil, &Problem{
			Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
			Detail: fmt.Sprintf("A body has at most %d bytes.", tooLarge.Limit),
		}
	case r.Context().Err() != nil:
		return nil, fmt.Errorf("read body: %w", r.Context().Err())
	}
	// A broken chunk, a short body or the server's read timeout: all are the
	// sender's doing, and the text of err may name addresses.
	return nil, &Problem{
		Status: http.StatusBadRequest, Code: "body_unreadable",
		Detail: "The body ended early, came too slowly or was framed wrongly.",
	}
}

// isJSON wants exactly one Content-Type (a proxy might heed the other one), no
// content coding (RFC 9110, section 8.4: ignoring it would misread the bytes),
// and no charset but UTF-8.
func isJSON(h http.Header) bool {
	if len(h.Values("Content-Type")) != 1 || len(h.Values("Content-Encoding")) != 0 {
		return false
	}
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return false
	}
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

// Unmarshal is json.Unmarshal made strict. What is not one JSON value in UTF-8
// is a 400 malformed_json. What is JSON but does not fit the type of v is a 422
// that points at each place: unknown_field, duplicate_field or wrong_type. Names
// match exactly, so {"quantity":1,"Quantity":999} cannot mean two things to two
// readers.
//
// Null fits only pointers, maps, slices, interfaces and types that decode
// themselves. The ",string" option of encoding/json is not supported. A lone
// surrogate escape becomes U+FFFD, as in encoding/json.
func Unmarshal(body []byte, v any) error {
	if detail := malformed(body); detail != "" {
		return &Problem{Status: http.StatusBadRequest, Code: "malformed_json", Detail: detail}
	}
	target := reflect.TypeOf(v)
	if target == nil || target.Kind() != reflect.Pointer {
		return fmt.Errorf("web: Unmarshal into %T, want a pointer", v)
	}
	var s shape
	if value := bytes.TrimSpace(body); string(value) == "null" {
		s.add("wrong_type", "must not be null")
	} else {
		s.value(value, target.Elem())
	}
	if len(s.errs) > 0 {
		return Invalid(http.StatusUnprocessableEntity, s.errs[0].Code, s.errs...)
	}
	if json.Unmarshal(body, v) != nil {
		// Only what shape does not see, such as a map key that is no id.
		return Invalid(http.StatusUnprocessableEntity, "wrong_type",
			FieldError{Code: "wrong_type", Detail: "must be of the documented form"})
	}
	return nil
}

func malformed(body []byte) string {
	switch {
	case len(body) == 0:
		return "The body is empty."
	case !utf8.Valid(body):
		return "The body is not UTF-8." // RFC 8259, section 8.1
	case !json.Valid(body):
		return "The body is not exactly one JSON value."
	}
	return ""
}
