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
	switch seconds, isDate := strings.CutPrefix(after, "date+"); {
	case isDate:
		wait, _ := time.ParseDuration(seconds)
		rec.Header().Set("Retry-After", time.Now().Add(wait).UTC().Format(http.TimeFormat))
	case after != "":
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
		{"nobody is let in by asking again", "POST", "k", []string{"401 unauthorized"}, 1, 401, 0},
		{"nor found", "GET", "", []string{"404 not_found"}, 1, 404, 0},
		{"nor another version", "PUT", "k", []string{"412 version_mismatch"}, 1, 412, 0},
		{"a limit of the rate has an end", "GET", "", []string{"429 rate_limited 3", "200 -"}, 2, 200, 3 * time.Second},
		{"which is not waited for without a key", "POST", "", []string{"429 rate_limited 3", "200 -"}, 1, 429, 0},
		{"a proxy may say when", "GET", "", []string{"503 - date+4s", "200 -"}, 2, 200, 4 * time.Second},
		{"or that it is over", "GET", "", []string{"503 - date+-4s", "200 -"}, 2, 200, time.Second},
		{"or nothing", "GET", "", []string{"503 -", "200 -"}, 2, 200, time.Second},
		{"or nothing sensible", "GET", "", []string{"503 - soon", "200 -"}, 2, 200, time.Second},
		{"the tries have an end", "POST", "k", []string{"503 outcome_unknown 1"}, 5, 503, 4 * time.Second},
		{"the longest wait is waited", "POST", "k", []string{"503 outcome_unknown 10", "201 -"}, 2, 201, 10 * time.Second},
		{"and no longer one, nor less than was asked for", "POST", "k", []string{"503 outcome_unknown 11", "201 -"}, 1, 503, 0},
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

// A wait that the context would not survive is not begun: the answer that is there
// says more than a deadline that has passed. A context that is cancelled ends it.
func TestTheContextBoundsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &client.Session{HTTP: &http.Client{Transport: &script{lines: []string{"503 outcome_unknown 1"}}}}
		get := func(ctx context.Context) (*http.Response, error) {
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://shop/", nil)
			return s.Do(req)
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		if res, err := get(ctx); err != nil || res.StatusCode != 503 || time.Since(start) != 0 {
			t.Errorf("got %v and %v after %v, want the 503 at once", res, err, time.Since(start))
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(300*time.Millisecond, stop)
		if _, err := get(ctx); !errors.Is(err, context.Canceled) || time.Since(start) != 300*time.Millisecond {
			t.Errorf("got %v after %v, want that it was cancelled", err, time.Since(start))
		}
	})
}

// A body that cannot be had again is sent once, key or not; and one that can is sent
// whole each time, also when the caller's own reader is used up.
func TestTheBodyIsSentWholeOrNotAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for body, tries := range map[io.Reader]int{strings.NewReader("whole"): 3, io.MultiReader(strings.NewReader("whole")): 1} {
			shop := &script{lines: []string{"503 outcome_unknown 1", "503 outcome_unknown 1", "201 -"}}
			s := &client.Session{HTTP: &http.Client{Transport: shop}}
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://shop/", body)
			req.Header.Set("Idempotency-Key", "k")
			if _, err := s.Do(req); err != nil {
				t.Fatal(err)
			}
			if len(shop.bodies) != tries || strings.Join(shop.bodies, "") != strings.Repeat("whole", tries) {
				t.Errorf("%q were sent, want the whole body %d times", shop.bodies, tries)
			}
		}
	})
}

// Each try carries what the session knows by then: the refusal's own token as well.
func TestATryKnowsWhatTheOneBeforeLearnt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shop := &script{}
		shop.respond = func(*http.Request) *http.Response {
			rec := httptest.NewRecorder()
			rec.Header().Set("Consistency-Token", fmt.Sprint("seen-", len(shop.seen)))
			rec.WriteHeader(map[bool]int{true: 503, false: 200}[len(shop.seen) < 3])
			return rec.Result()
		}
		s := &client.Session{HTTP: &http.Client{Transport: shop}}
		s.SetToken("seen-0")
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://shop/", nil)
		if _, err := s.Do(req); err != nil {
			t.Fatal(err)
		}
		for i, try := range shop.seen {
			if got, want := try.Header.Get("Consistency-Token"), fmt.Sprint("seen-", i); got != want {
				t.Errorf("try %d carries %q, want %q", i+1, got, want)
			}
		}
		if s.Token() != "seen-3" {
			t.Errorf("tokens %q after the last try", s.Token())
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
