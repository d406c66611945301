package fresh

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The names on the wire.
const (
	TokenHeader  = "Consistency-Token"
	SourceHeader = "Data-Source"
	cookiePrefix = "consistency-"
	// cookieAge must exceed the worst lag of a replica that may still answer a
	// session: a browser that forgets its token earlier may go back in time.
	cookieAge = 24 * time.Hour
)

// Middleware gives each request a Carrier with the token that the client sent,
// in the header or as cookies, and puts the token that the request raised, and
// the source of its answer, into the response's header before its first byte.
//
// A token that is malformed or not sealed by the keyring is counted and then
// treated as absent, so that a forged one buys nothing.
func (r *Router) Middleware(keys *Keyring) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			token, cookies := r.tokenOf(req, keys)
			c := &Carrier{token: token, keys: keys}
			tw := &tokenWriter{
				ResponseWriter: w, carrier: c, keys: keys, cookies: cookies,
				secure: req.TLS != nil || r.config.SecureCookies,
			}
			next.ServeHTTP(tw, req.WithContext(WithCarrier(req.Context(), c)))
			tw.stamp() // a handler that wrote nothing still answers 200
		})
	}
}

// tokenOf merges every token of a request; the names of its cookies are
// returned too. Answers that a browser receives in parallel arrive in any
// order, so no single one of them is the latest, and none may be passed over;
// the server's limit on the size of a header bounds how many there can be.
func (r *Router) tokenOf(req *http.Request, keys *Keyring) (token Position, cookies []string) {
	var sent []string
	for _, line := range req.Header.Values(TokenHeader) {
		for text := range strings.SplitSeq(line, ",") { // a proxy may have joined two
			sent = append(sent, strings.TrimSpace(text))
		}
	}
	for _, cookie := range req.Cookies() {
		if strings.HasPrefix(cookie.Name, cookiePrefix) {
			cookies = append(cookies, cookie.Name)
			sent = append(sent, cookie.Value)
		}
	}
	if len(sent) == 0 {
		r.metrics.tokens["absent"].Inc()
	}
	for _, text := range sent {
		pos, err := keys.Open(text)
		switch {
		case err == nil:
			r.metrics.tokens["valid"].Inc()
			token = token.Merge(pos)
		case errors.Is(err, errTokenForged):
			r.metrics.tokens["forged"].Inc()
		default:
			r.metrics.tokens["malformed"].Inc()
		}
	}
	return token, cookies
}

// tokenWriter adds the headers at the last moment before the first byte.
type tokenWriter struct {
	http.ResponseWriter
	carrier *Carrier
	keys    *Keyring
	cookies []string
	secure  bool
	stamped bool
}

// Unwrap serves http.ResponseController.
func (w *tokenWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *tokenWriter) WriteHeader(status int) {
	if status >= 200 { // before it there may be interim answers
		w.stamp()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *tokenWriter) Write(p []byte) (int, error) {
	w.stamp()
	return w.ResponseWriter.Write(p)
}

// FlushError serves http.ResponseController, which would otherwise find the
// Flusher below and send the header without the token.
func (w *tokenWriter) FlushError() error {
	w.stamp()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *tokenWriter) stamp() {
	if w.stamped {
		return
	}
	w.stamped = true
	if served, ok := w.carrier.Served(); ok {
		w.Header().Set(SourceHeader, served.String())
		if w.Header().Get("Cache-Control") == "" {
			// A shared cache would hand one shopper's token to another, and to a
			// shopper who has just written what was true before.
			w.Header().Set("Cache-Control", "private, no-cache")
		}
	}
	token, raised := w.carrier.Token()
	if !raised || token.IsZero() {
		return
	}
	sealed := w.keys.Seal(token)
	w.Header().Set(TokenHeader, sealed)
	w.setCookie(token, sealed)
	if cache := w.Header().Get("Cache-Control"); !strings.Contains(cache, "no-store") && !strings.Contains(cache, "private") {
		w.Header().Set("Cache-Control", "private, no-cache") // whatever the handler thought of it
	}
}

// setCookie names the cookie after its position and deletes those that the
// client sent, which it covers. So no answer overwrites the cookie of another
// one that is on its way at the same time, and one is left once all are in.
func (w *tokenWriter) setCookie(token Position, sealed string) {
	name := fmt.Sprintf("%s%x-%x", cookiePrefix, token.Timeline, uint64(token.LSN))
	for _, old := range w.cookies {
		if old != name {
			http.SetCookie(w, w.cookie(old, "", -1))
		}
	}
	http.SetCookie(w, w.cookie(name, sealed, int(cookieAge.Seconds())))
}

func (w *tokenWriter) cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: w.secure, SameSite: http.SameSiteLaxMode,
	}
}

// String is the value of the Data-Source header, a structured field (RFC 9651):
//
//	replica;name="replica-1";bound-ms=12
//	replica;name="replica-1";bound-ms=7012;stale;reason=lag
//	primary;reason=token
func (s Served) String() string {
	if s.Primary {
		return "primary;reason=" + s.Reason.String()
	}
	text := strconv.AppendQuote(append(make([]byte, 0, 64), "replica;name="...), s.Node)
	if s.Bound >= 0 {
		// Rounded up: a bound that is claimed must never be less than the truth.
		text = strconv.AppendInt(append(text, ";bound-ms="...), int64((s.Bound+time.Millisecond-1)/time.Millisecond), 10)
	}
	if s.Stale {
		text = append(append(text, ";stale;reason="...), s.Reason.String()...)
	}
	return string(text)
}
