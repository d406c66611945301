package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/leeway/api/client"
)

// A script answers the tries of a request, one after the other; each of its lines is
// a status, a code and what Retry-After says.
type script struct {
	mu      sync.Mutex
	lines   []string
	seen    []*http.Request
	bodies  []string
	respond func(*http.Request) *http.Response
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, req)
	body := ""
	if req.Body != nil {
		b, _ := io.ReadAll(req.Body)
		body = string(b)
	}
	s.bodies = append(s.bodies, body)
	if s.respond != nil {
		return s.respond(req), nil
	}
	line := s.lines[min(len(s.seen), len(s.lines))-1]
	if line == "lost" {
		return nil, errors.New("connection reset")
	}
	var status int
	var code, after string
	_, _ = fmt.Sscan(line, &status, &code, &after)
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Type", "application/problem+json")
	if after != "" {
		rec.Header().Set("Retry-After", after)
	}
	rec.WriteHeader(status)
	fmt.Fprintf(rec, `{"code":%q,"status":%d}`, code, status)
	return rec.Result(), nil
}

func TestWhatIsSentAgain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, key string
		lines             []string
		tries, status     int
		least             time.Duration
	}{
		{"a doubt is resolved with the same key", "POST", "k", []string{"503 outcome_unknown 1", "409 idempotency_in_progress 2", "201 -"}, 3, 201, 3 * time.Second},
		{"no standby", "POST", "k", []string{"503 no_synchronous_standby 2", "201 -"}, 2, 201, 2 * time.Second},
		{"a lost connection", "POST", "k", []string{"lost", "201 -"}, 2, 201, time.Second},
		{"never without a key", "POST", "", []string{"503 outcome_unknown 1"}, 1, 503, 0},
		{"nor by another verb", "DELETE", "", []string{"503 outcome_unknown 1"}, 1, 503, 0},
		{"its own first try was in the way", "POST", "k", []string{"503 outcome_unknown 1", "504 deadline", "201 -"}, 3, 201, 2 * time.Second},
		{"a read needs no key", "GET", "", []string{"503 overloaded 1", "200 -"}, 2, 200, time.Second},
		{"a refusal is final", "POST", "k", []string{"409 insufficient_stock"}, 1, 409, 0},
		{"a mistake of the shop too", "POST", "k", []string{"500 internal"}, 1, 500, 0},
		{"the tries have an end", "POST", "k", []string{"503 outcome_unknown 1"}, 5, 503, 4 * time.Second},
		{"and the wait", "POST", "k", []string{"503 outcome_unknown 86400", "201 -"}, 2, 201, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shop := &script{lines: tt.lines}
				s := &client.Session{HTTP: &http.Client{Transport: shop}}
				var body io.Reader
				if tt.method == "POST" {
					body = strings.NewReader("{}")
				}
				req, _ := http.NewRequestWithContext(t.Context(), tt.method, "http://shop/", body)
				if tt.key != "" {
					req.Header.Set("Idempotency-Key", tt.key)
				}
				start := time.Now()
				res, err := s.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(start)
				if len(shop.seen) != tt.tries || res.StatusCode != tt.status {
					t.Errorf("%d tries, status %d; want %d and %d", len(shop.seen), res.StatusCode, tt.tries, tt.status)
				}
				if took < tt.least || took > tt.least*3/2+time.Millisecond {
					t.Errorf("waited %v, want at least %v and at most half as much again", took, tt.least)
				}
				for i, again := range shop.seen {
					if again.Header.Get("Idempotency-Key") != tt.key || shop.bodies[i] != shop.bodies[0] {
						t.Errorf("try %d is another request", i+1)
					}
				}
			})
		})
	}
}

func TestTheContextEndsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		shop := &script{lines: []string{"503 overloaded 1"}}
		s := &client.Session{HTTP: &http.Client{Transport: shop}}
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://shop/", nil)
		start := time.Now()
		if _, err := s.Do(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// Two answers that come in the wrong order: neither token may be lost, and both go
// once an answer covers them.
func TestNoTokenIsLost(t *testing.T) {
	t.Parallel()
	first, second := make(chan string), make(chan string)
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/first":
			w.Header().Set("Consistency-Token", <-first)
		case "/second":
			w.Header().Set("Consistency-Token", <-second)
		default:
			w.Header().Set("Consistency-Token", "merged-of-"+strings.ReplaceAll(r.Header.Get("Consistency-Token"), ",", "+"))
		}
	}))
	defer shop.Close()
	s := &client.Session{}
	do := func(path string) {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", shop.URL+path, nil)
		res, err := s.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		res.Body.Close()
	}
	var wg sync.WaitGroup
	wg.Go(func() { do("/first") })
	wg.Go(func() { do("/second") })
	second <- "newer"
	first <- "older"
	wg.Wait()
	if got := s.Token(); got != "newer,older" {
		t.Fatalf("tokens %q after two parallel answers", got)
	}
	do("/")
	if got := s.Token(); got != "merged-of-newer+older" {
		t.Errorf("tokens %q after an answer that covers them", got)
	}
	var other client.Session
	other.SetToken("a,b")
	if got := other.Token(); got != "a,b" {
		t.Errorf("handed on as %q", got)
	}
}
