// Package client is the typed Go client of the shop's HTTP interface. Operations and
// types are generated from api/openapi.yaml; the [Session] below is written by hand
// and does what every client of the shop should do: it carries the consistency token
// from each answer into later requests, so that a shopper reads their own writes
// whichever replica answers, and it sends a request with an Idempotency-Key again
// until its outcome is known.
//
// It does not choose the key: one that is made anew for each call would make two
// orders of two calls. It does not keep the token beyond its own life, and it sends no
// write again that has no key.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Shop is a client with its session.
type Shop struct {
	*ClientWithResponses
	*Session
}

// New returns a client of the shop at server, "http://127.0.0.1:8080" for example.
// A nil session is a new one with its defaults.
func New(server string, session *Session) (*Shop, error) {
	if session == nil {
		session = &Session{}
	}
	generated, err := NewClientWithResponses(server, WithHTTPClient(session))
	if err != nil {
		return nil, err
	}
	return &Shop{generated, session}, nil
}

// A Session is one shopper's view of the shop. It is the [HttpRequestDoer] of the
// generated client. The zero value is ready, and it is safe for concurrent use.
type Session struct {
	// HTTP sends the requests; nil is http.DefaultClient.
	HTTP *http.Client
	// Tries is how often a request is sent at most; 0 is 5.
	Tries int
	// MaxWait is the longest wait before another try; 0 is 10 s. An answer that asks
	// for more is returned: nothing is sent again before its time.
	MaxWait time.Duration

	mu      sync.Mutex
	shopper string
	tokens  map[string]bool
}

// SetShopper makes later requests those of the holder of token.
func (s *Session) SetShopper(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shopper = token
}

const tokenHeader = "Consistency-Token"

// Token is what the session has seen, to be handed on: to another process that acts
// for the same shopper, as the header Consistency-Token. It is "" before the first
// answer that had one.
func (s *Session) Token() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(s.tokens)), ",")
}

// SetToken replaces what the session has seen by what Token returned elsewhere.
func (s *Session) SetToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = map[string]bool{}
	for one := range strings.SplitSeq(token, ",") {
		if one != "" {
			s.tokens[one] = true
		}
	}
}

// replace notes the token of an answer. It covers those that its request sent, and no
// others: parallel answers come in any order, so none may overwrite another's.
func (s *Session) replace(sent, got string) {
	if got == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range strings.SplitSeq(sent, ",") {
		delete(s.tokens, one)
	}
	if s.tokens == nil {
		s.tokens = map[string]bool{}
	}
	s.tokens[got] = true
}

// Do sends a request, and sends it again when that is safe and may help: after a 429,
// a 503, a 504 or a lost connection if the request only reads or has an
// Idempotency-Key, and after a 409 idempotency_in_progress. It waits for Retry-After
// and up to half as much again, so that clients that were refused together do not come
// back together. The last answer is returned as it came, at once if the request's
// context would end before the next try. The error is that of the last try, or of a
// context that was cancelled during the wait.
func (s *Session) Do(req *http.Request) (*http.Response, error) {
	body := req.Body
	for try := 1; ; try++ {
		res, err := s.try(req, body)
		wait, again := retryAfter(req, res, err)
		if !again || try >= s.tries() || !s.mayWait(req.Context(), wait) {
			return res, err
		}
		if res != nil {
			_, _ = io.Copy(io.Discard, res.Body) // a body that was read to its end leaves its connection for the next try
			res.Body.Close()
		}
		if err := sleep(req.Context(), min(wait+rand.N(wait/2), s.maxWait())); err != nil { //nolint:gosec // jitter is no secret
			return nil, err
		}
		if req.GetBody != nil {
			if body, err = req.GetBody(); err != nil {
				return nil, fmt.Errorf("send again: %w", err)
			}
		}
	}
}

// mayWait also spares a wait that would end in nothing.
func (s *Session) mayWait(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && wait <= s.maxWait() && (!ok || wait < time.Until(deadline))
}

// try sends body and not the request's own, which an earlier try may have read.
func (s *Session) try(req *http.Request, body io.ReadCloser) (*http.Response, error) {
	s.mu.Lock()
	shopper := s.shopper
	s.mu.Unlock()
	sent := s.Token()
	once := req.Clone(req.Context())
	once.Body = body
	if sent != "" {
		once.Header.Set(tokenHeader, sent)
	}
	if shopper != "" && once.Header.Get("Authorization") == "" {
		once.Header.Set("Authorization", "Bearer "+shopper)
	}
	client := s.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(once)
	if err != nil {
		return nil, err
	}
	s.replace(sent, res.Header.Get(tokenHeader))
	return res, nil
}

func (s *Session) tries() int {
	if s.Tries > 0 {
		return s.Tries
	}
	return 5
}

func (s *Session) maxWait() time.Duration {
	if s.MaxWait > 0 {
		return s.MaxWait
	}
	return 10 * time.Second
}

// retryAfter decides. A write without a key is never sent again: after
// outcome_unknown it may have been done.
func retryAfter(req *http.Request, res *http.Response, err error) (wait time.Duration, again bool) {
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	keyed := req.Header.Get("Idempotency-Key") != ""
	if !reads && !keyed || req.Body != nil && req.GetBody == nil {
		return 0, false
	}
	if err != nil {
		return time.Second, true
	}
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout: // 504: it may have waited for its own first try
		return asked(res), true
	case http.StatusConflict:
		return asked(res), codeOf(res) == "idempotency_in_progress"
	}
	return 0, false
}

// asked is what Retry-After says (RFC 9110, section 10.2.3), the shop in seconds and a
// proxy perhaps with a date; at least a second, since no answer is a reason to hurry.
func asked(res *http.Response) time.Duration {
	text := res.Header.Get("Retry-After")
	wait := time.Second
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = time.Until(at)
	}
	return max(wait, time.Second)
}

// codeOf reads the code of a problem and leaves its body to be read again.
func codeOf(res *http.Response) string {
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return ""
	}
	var problem struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(body, &problem) // what is no problem has no code
	return problem.Code
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Error makes a problem an error, so that a caller can return one.
func (p *Problem) Error() string {
	text := fmt.Sprintf("%d %s", p.Status, p.Code)
	if p.Detail != nil {
		text += ": " + *p.Detail
	}
	return text
}
