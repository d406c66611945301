package web_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/leeway/internal/web"
)

// ask sends one request as somebody, and returns the status and what is left.
func ask(t *testing.T, h http.Handler, from string, headers ...string) (status, limit, remaining int) {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = from
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	number := func(name string) int {
		n, err := strconv.Atoi(w.Header().Get(name))
		if err != nil {
			n = -1
		}
		return n
	}
	if reset, now := number("X-RateLimit-Reset"), int(time.Now().Unix()); reset >= 0 && (reset <= now || reset > now+10) {
		t.Errorf("X-RateLimit-Reset is %d s from now", reset-now)
	}
	if w.Code == http.StatusTooManyRequests && (w.Header().Get("Retry-After") != "10" || !strings.Contains(w.Body.String(), `"code":"rate_limited"`)) {
		t.Errorf("429 with Retry-After %q: %s", w.Header().Get("Retry-After"), w.Body)
	}
	return w.Code, number("X-RateLimit-Limit"), number("X-RateLimit-Remaining")
}

var ok = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// Two requests a second are twenty in ten seconds, whenever they come, and twenty
// more in the next ten.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // its clock stands still, and sleeping moves it
		log, _ := logger(t)
		h := web.NewRenderer(log).RateLimit(2, web.ClientNet)(ok)
		const me, other = "203.0.113.7:1", "203.0.113.8:1"
		for i := range 20 {
			if status, limit, remaining := ask(t, h, me); status != 200 || limit != 20 || remaining != 19-i {
				t.Fatalf("request %d: %d, %d of %d left", i+1, status, remaining, limit)
			}
		}
		for range 3 { // and what is refused is not counted, or who insists would never get in
			if status, limit, remaining := ask(t, h, me); status != 429 || limit != 20 || remaining != 0 {
				t.Errorf("beyond the limit: %d, %d of %d left", status, remaining, limit)
			}
		}
		if status, _, _ := ask(t, h, other); status != 200 {
			t.Errorf("another address: %d", status)
		}
		time.Sleep(15 * time.Second) // half of the window before counts
		passed := 0
		for range 30 {
			if status, _, _ := ask(t, h, me); status == 200 {
				passed++
			}
		}
		if passed != 10 {
			t.Errorf("%d requests pass after 15 s, want 10", passed)
		}
		time.Sleep(20 * time.Second)
		if _, _, remaining := ask(t, h, me); remaining != 19 {
			t.Errorf("%d left after a rest, want 19", remaining)
		}
	})
}

// An answer tells of the limit that is nearer; a refusal of the one that refused.
func TestTheTighterLimitIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, _ := logger(t)
		rn := web.NewRenderer(log)
		h := rn.RateLimit(3, web.ClientNet)(rn.RateLimit(2, web.BearerBucket)(ok))
		const me, auth, mine = "203.0.113.7:1", "Authorization", "Bearer abc"
		for i, want := range []struct {
			times                    int
			auth                     string
			status, limit, remaining int // of the last one
		}{
			{1, "", 200, 30, 29},
			{1, mine, 200, 20, 19},
			{18, mine, 200, 20, 1},
			{8, "Bearer other", 200, 30, 2},
			{1, mine, 200, 20, 0}, // 1 left by address
			{1, mine, 429, 20, 0}, // 0 left by address, which it has used up in vain
			{1, mine, 429, 30, 0},
			{1, "", 429, 30, 0},
		} {
			var status, limit, remaining int
			for range want.times {
				status, limit, remaining = ask(t, h, me, auth, want.auth)
			}
			if status != want.status || limit != want.limit || remaining != want.remaining {
				t.Errorf("%d: %d, %d of %d left; want %+v", i, status, remaining, limit, want)
			}
		}
		if status, _, _ := ask(t, h, "203.0.113.8:1", auth, mine); status != 429 {
			t.Errorf("the key from another address: %d", status)
		}
	})
}

func TestWhatIsNotLimited(t *testing.T) {
	t.Parallel()
	log, _ := logger(t)
	rn := web.NewRenderer(log)
	for name, h := range map[string]http.Handler{
		"0":        rn.RateLimit(0, web.ClientNet)(ok),
		"no token": rn.RateLimit(1, web.BearerBucket)(ok),
		"no key":   rn.RateLimit(1, web.HeaderBucket("X-API-Key"))(ok),
	} {
		for range 50 {
			if status, limit, _ := ask(t, h, "203.0.113.7:1", "Authorization", "no form of ours"); status != 200 || limit != -1 {
				t.Fatalf("%s: %d, limit %d", name, status, limit)
			}
		}
	}
}

// A bucket is not named after the secret, and is another one for another secret.
func TestBucketsHideTheSecret(t *testing.T) {
	t.Parallel()
	header := web.HeaderBucket("X-API-Key")
	bearer := web.BearerBucket(withHeader("Authorization", "Bearer "+canary))
	key := header(withHeader("X-API-Key", canary))
	if bearer != key || key == "" || strings.Contains(key, canary) || key == header(withHeader("X-API-Key", canary+"2")) {
		t.Errorf("buckets %q and %q", bearer, key)
	}
}

// At the turn of its window a limit is not forgotten, not even by a hair: what Take
// refuses is Spent.
func TestSpent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Minute - time.Millisecond) // windows begin with the minute
		limiter := web.NewLimiter(10, time.Minute)
		r := httptest.NewRequest("GET", "/", nil)
		for i := range 10 {
			if limiter.Spent("a") || !limiter.Take(httptest.NewRecorder(), r, "a") {
				t.Fatalf("request %d is refused", i+1)
			}
		}
		time.Sleep(2 * time.Millisecond)
		if !limiter.Spent("a") || limiter.Take(httptest.NewRecorder(), r, "a") {
			t.Error("a new window has begun, and the limit is forgotten")
		}
		if limiter.Spent("b") {
			t.Error("another bucket is spent")
		}
		time.Sleep(2 * time.Minute)
		if limiter.Spent("a") {
			t.Error("the limit is spent for ever")
		}
	})
}
