package web

import (
	"crypto/sha256"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/httprate"
)

// A Limiter allows each bucket so many requests in a window that slides: the count of
// the window before weighs as much as is left of it. It is safe for concurrent use.
//
// It counts in this process only: behind a balancer with n processes a client is
// allowed up to n times as much.
type Limiter struct {
	requests int
	rate     *httprate.RateLimiter
}

// NewLimiter takes 2 MiB, however many buckets there will be.
func NewLimiter(requests int, window time.Duration) *Limiter {
	told := httprate.ResponseHeaders{Remaining: remainingHeader, Reset: resetHeader}
	return &Limiter{requests, httprate.NewRateLimiter(requests, window,
		httprate.WithLimitCounter(newCounter()), httprate.WithResponseHeaders(told))}
}

// As net/http writes them; names are the same in any case (RFC 9110, section 5.1).
const (
	limitHeader     = "X-Ratelimit-Limit"
	remainingHeader = "X-Ratelimit-Remaining"
	resetHeader     = "X-Ratelimit-Reset"
)

// Take counts a request, unless its bucket has used up the limit: then it returns
// false. Either way it puts X-RateLimit-Limit, -Remaining and -Reset onto the answer,
// but not over those of a tighter limit that let the request through.
func (l *Limiter) Take(w http.ResponseWriter, r *http.Request, bucket string) bool {
	said, answer := headersOnly{}, w.Header()
	taken := !l.rate.OnLimit(said, r, bucket)
	remaining, _ := strconv.Atoi(http.Header(said).Get(remainingHeader)) // a number, always
	nearer, err := strconv.Atoi(answer.Get(remainingHeader))
	if taken && err == nil && nearer <= remaining {
		return true
	}
	answer.Set(limitHeader, strconv.Itoa(l.requests))
	answer.Set(remainingHeader, strconv.Itoa(max(0, remaining))) // a count may be too high
	answer.Set(resetHeader, http.Header(said).Get(resetHeader))
	return taken
}

// Spent reports whether Take would refuse, and counts nothing.
func (l *Limiter) Spent(bucket string) bool {
	_, rate, err := l.rate.Status(bucket)
	return err != nil || math.Round(rate) >= float64(l.requests) // rounded as Take does
}

// headersOnly receives what httprate tells, which is headers and nothing else.
type headersOnly http.Header

func (h headersOnly) Header() http.Header       { return http.Header(h) }
func (headersOnly) Write(b []byte) (int, error) { return len(b), nil }
func (headersOnly) WriteHeader(int)             {}

// rateWindow is short, so that who was refused need not wait for long, and long
// enough for a page that asks for twenty things at once.
const rateWindow = 10 * time.Second

var rateLimited = &Problem{
	Status: http.StatusTooManyRequests, Code: "rate_limited", RetryAfter: rateWindow,
	Detail: "Too many requests from this address or with this key.",
}

// RateLimit answers 429 beyond perSecond requests a second, on the average of ten
// seconds, from one bucket; so ten times as many may come at once. A request without
// a bucket, "", is not counted, and with 0 none is. Put the limit by address before
// the one by key: it also bounds how many keys somebody can make up.
func (rn *Renderer) RateLimit(perSecond int, bucket func(*http.Request) string) func(http.Handler) http.Handler {
	if perSecond == 0 {
		return func(next http.Handler) http.Handler { return next }
	}
	limiter := NewLimiter(perSecond*int(rateWindow/time.Second), rateWindow)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if name := bucket(r); name != "" && !limiter.Take(w, r, name) {
				rn.Error(w, r, rateLimited)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// BearerBucket is one bucket for each bearer token, whoever sends it, and none for
// requests without. The token itself names no bucket: counts may be kept elsewhere
// some day, and may be looked at.
func BearerBucket(r *http.Request) string {
	token, _ := Bearer(r)
	return digest(token)
}

// HeaderBucket is the same for the value of a header.
func HeaderBucket(name string) func(*http.Request) string {
	return func(r *http.Request) string { return digest(r.Header.Get(name)) }
}

func digest(secret string) string {
	if secret == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(secret))
	return string(sum[:])
}
