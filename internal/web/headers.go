package web

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/id"
)

// PathID reads a path parameter. A malformed id is the same 404 as an unknown
// one: the path names nothing either way.
func PathID(r *http.Request, name string) (id.ID, error) {
	v, err := id.Parse(chi.URLParam(r, name))
	if err != nil {
		return id.ID{}, NotFound
	}
	return v, nil
}

// bearerForm is RFC 6750, section 2.1, with the scheme in any case (RFC 9110,
// section 11.1).
var bearerForm = regexp.MustCompile(`^(?i:bearer) ([A-Za-z0-9._~+/-]+=*)$`)

// Bearer reads the Authorization header. present is true as soon as the header
// is there; with an empty token it is malformed, another scheme or repeated,
// and the answer is 401 rather than that for an anonymous caller.
func Bearer(r *http.Request) (token string, present bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", len(values) > 0
	}
	if m := bearerForm.FindStringSubmatch(values[0]); m != nil {
		token = m[1]
	}
	return token, true
}

// IdempotencyKey returns "" if there is none. The key is taken as it is, quotes
// included; 1..255 printable ASCII characters, or 400.
func IdempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	printable := !strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' })
	if len(values) > 1 || len(key) < 1 || len(key) > 255 || !printable {
		return "", &Problem{
			Status: http.StatusBadRequest, Code: "idempotency_key_invalid",
			Detail: "Send one Idempotency-Key of 1 to 255 printable ASCII characters.",
		}
	}
	return key, nil
}

// AnyVersion is what IfMatch returns for "*": whatever version exists. No
// version is 0, so a caller that forgets the case answers 412.
const AnyVersion int64 = 0

// ETag is the strong entity tag of a version, which starts at 1.
func ETag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// IfMatch reads the If-Match header (RFC 9110, section 13.1.1). A weak tag and
// one that is not a version of ours are well-formed but never match: 412. What
// is no entity tag is a 400, and so is a list of several: the RFC allows it,
// but nobody edits two versions at once.
func IfMatch(r *http.Request) (version int64, present bool, err error) {
	values := r.Header.Values("If-Match")
	if len(values) == 0 {
		return 0, false, nil
	}
	joined := strings.TrimSpace(strings.Join(values, ","))
	if joined == "*" {
		return AnyVersion, true, nil
	}
	tags, ok := entityTags(joined)
	if !ok || len(tags) != 1 {
		return 0, true, &Problem{
			Status: http.StatusBadRequest, Code: "if_match_invalid",
			Detail: `Send one entity tag as in ETag, such as "3", or *.`,
		}
	}
	n, err := strconv.ParseInt(strings.Trim(tags[0], `"`), 10, 64)
	if err != nil || n < 1 || tags[0] != ETag(n) {
		return 0, true, PreconditionFailed
	}
	return n, true, nil
}

// NotModified sets ETag and, if If-None-Match of a GET or HEAD names it, answers
// 304 and returns true. The comparison is weak (RFC 9110, section 13.1.2), since
// a proxy that compresses weakens our tag. Set Cache-Control and Vary before:
// the 304 must carry them too (section 15.4.5).
func NotModified(w http.ResponseWriter, r *http.Request, etag string) bool {
	w.Header().Set("ETag", etag)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	joined := strings.TrimSpace(strings.Join(r.Header.Values("If-None-Match"), ","))
	match := joined == "*"
	tags, _ := entityTags(joined)
	for _, tag := range tags {
		match = match || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/")
	}
	if match {
		w.WriteHeader(http.StatusNotModified)
	}
	return match
}

// entityTag is RFC 9110, section 8.8.3. Commas may stand inside the quotes, so
// a list cannot simply be split.
var entityTag = regexp.MustCompile(`^(?:W/)?"[^\x00-\x20"\x7F]*"`)

// entityTags splits a list; ok is false when some element is not an entity tag.
// Empty elements are skipped (section 5.6.1.2).
func entityTags(list string) (tags []string, ok bool) {
	for {
		list = strings.TrimLeft(list, " \t,")
		if list == "" {
			return tags, true
		}
		tag := entityTag.FindString(list)
		list = strings.TrimLeft(list[len(tag):], " \t")
		if tag == "" || list != "" && list[0] != ',' {
			return nil, false
		}
		tags = append(tags, tag)
	}
}
