package web

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
)

// NotFound answers for paths without a route.
func (rn *Renderer) NotFound(w http.ResponseWriter, r *http.Request) { rn.Error(w, r, NotFound) }

// MethodNotAllowed answers 405 with Allow (RFC 9110, section 15.5.6). chi tells
// only its own handler which methods exist, so the router is asked again. It
// also comes here for methods that chi has never heard of, on any path; where
// no method is allowed, the path itself is unknown.
func (rn *Renderer) MethodNotAllowed(w http.ResponseWriter, r *http.Request) {
	allow := allowed(r)
	if len(allow) == 0 {
		rn.Error(w, r, NotFound)
		return
	}
	rn.Error(w, r, &Problem{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Header: http.Header{"Allow": {strings.Join(allow, ", ")}},
	})
}

// allowed lists HEAD with every GET: a server has both (RFC 9110, section 9.1),
// and chi's middleware.GetHead, which answers HEAD, leaves no route to be found.
func allowed(r *http.Request) (methods []string) {
	rctx := chi.RouteContext(r.Context())
	if rctx == nil {
		return nil
	}
	path := r.URL.EscapedPath()
	if r.URL.RawPath == "" {
		path = r.URL.Path // as chi routes it
	}
	for _, m := range []string{
		http.MethodGet, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions,
	} {
		if rctx.Routes.Match(chi.NewRouteContext(), m, path) {
			methods = append(methods, m)
			if m == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
		}
	}
	return methods
}

// AcceptJSON answers 406 to those who say that they do not take JSON. Keep it
// off routes that send something else, such as event streams. A 406 is itself a
// problem document, which RFC 9110, section 15.5.7, permits.
func (rn *Renderer) AcceptJSON(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !takesJSON(r.Header.Values("Accept")) {
			rn.Error(w, r, &Problem{
				Status: http.StatusNotAcceptable, Code: "not_acceptable",
				Detail: "Answers are application/json and application/problem+json.",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// takesJSON finds the most specific range that covers application/json (RFC
// 9110, section 12.5.1); only its weight counts. Nothing that parses at all is
// no preference.
func takesJSON(accept []string) bool {
	precedence := map[string]int{"*/*": 1, "application/*": 2, "application/json": 3}
	best, takes, stated := 0, false, false
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		mediaType, params, err := mime.ParseMediaType(part)
		if err != nil || !strings.Contains(mediaType, "/") {
			continue
		}
		stated = true
		if p := precedence[mediaType]; p > best {
			best, takes = p, weight(params) > 0
		}
	}
	return takes || !stated
}

// weight is 1 for a q that is absent or malformed: better to answer than not.
func weight(params map[string]string) float64 {
	q, err := strconv.ParseFloat(params["q"], 64)
	if err != nil {
		return 1
	}
	return q
}
