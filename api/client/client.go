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
	// MaxWait bounds the wait before one try, whatever Retry-After says; 0 is 10 s.
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

// Do sends a request, and sends it again when that is safe and may help: after a 503,
// a 504 or a lost connection if the request only reads or has an Idempotency-Key, and after
// a 409 idempotency_in_progress. It waits for Retry-After and up to half as much
// again, so that clients that were refused together do not come back together. The
// last answer is returned as it came; the error is that of the last try, or of the
// request's context.
func (s *Session) Do(req *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		res, err := s.try(req)
		wait, again := retryAfter(req, res, err)
		if !again || try >= s.tries() || req.Context().Err() != nil {
			return res, err
		}
		if res != nil {
			res.Body.Close()
		}
		if err := sleep(req.Context(), min(wait+rand.N(wait/2), s.maxWait())); err != nil { //nolint:gosec // jitter is no secret
			return nil, err
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, fmt.Errorf("send again: %w", err)
			}
		}
	}
}

func (s *Session) try(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	shopper := s.shopper
	s.mu.Unlock()
	sent := s.Token()
	once := req.Clone(req.Context())
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
	wait = time.Second
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && n > 0 {
		wait = time.Duration(n) * time.Second
	}
	switch res.StatusCode {
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout: // 504: it may have waited for its own first try
		return wait, true
	case http.StatusConflict:
		return wait, codeOf(res) == "idempotency_in_progress"
	}
	return 0, false
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
