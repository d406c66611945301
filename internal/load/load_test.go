package load

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAnOpenLoopCountsTheWait: a shop that stands still for a second keeps all those
// waiting who come in it, and a closed loop of one client would have met one of them.
func TestAnOpenLoopCountsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Plan{Rate: 100, Clients: 1}
		var latencies []time.Duration
		start := time.Now()
		openLoop(t.Context(), p, start, start.Add(2*time.Second), func(n int, meant time.Time) {
			if n == 50 {
				time.Sleep(time.Second) // the shop stands still
			}
			latencies = append(latencies, time.Since(meant))
		}, func(time.Duration) {})
		if len(latencies) != 200 {
			t.Fatalf("%d journeys, want 200", len(latencies))
		}
		waited := 0
		for _, l := range latencies {
			if l >= 100*time.Millisecond {
				waited++
			}
		}
		// Those of n = 50 to 140: the one at n waits until 1.5 s and was meant at n / 100 s.
		if waited != 91 {
			t.Errorf("%d journeys waited for 100 ms or more, want 91", waited)
		}
	})
}

func TestArrivalsKeepTheirRate(t *testing.T) {
	for _, poisson := range []bool{false, true} {
		start := time.Now()
		a := newArrivals(Plan{Rate: 1000, Poisson: poisson, Seed: 7}, start)
		const n = 100_000
		last, even := start, 0
		for range n {
			at := a.take()
			if at.Sub(last) == time.Millisecond {
				even++
			}
			last = at
		}
		if took := last.Sub(start).Seconds(); took < 98 || took > 102 { // 1 % is three standard deviations
			t.Errorf("poisson %v: %d arrivals in %.1f s, want 100 s", poisson, n, took)
		}
		if poisson == (even > n/2) {
			t.Errorf("poisson %v: %d of %d gaps are a millisecond", poisson, even, n)
		}
	}
}

func TestEndedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var begun atomic.Int32
		start := time.Now()
		time.AfterFunc(time.Second, cancel)
		openLoop(ctx, Plan{Rate: 10, Clients: 4}, start, start.Add(time.Hour), func(int, time.Time) { begun.Add(1) }, func(time.Duration) {})
		if n := begun.Load(); n < 9 || n > 11 {
			t.Errorf("%d journeys in the second before the end, want about 10", n)
		}
		closedLoop(ctx, Plan{Clients: 4}, start.Add(time.Hour), func(int, time.Time) { t.Error("a journey after the end") })
	})
}

func TestPlanSaysAllThatIsWrong(t *testing.T) {
	err := Plan{URL: "shop:8080", Scenario: "buy", Rate: -1, Poisson: true, Key: "k", Stock: 3}.Check()
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{"URL", "go together", "scenario", "rate", "poisson", "clients", "duration", "zipf", "stock"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %q in %v", want, err)
		}
	}
}

func TestSourceOf(t *testing.T) {
	for header, want := range map[string]string{
		`replica;name="replica-1";bound-ms=12`:                  "replica",
		`replica;name="replica-1";bound-ms=12;stale;reason=lag`: "stale lag",
		"primary;reason=token":                                  "primary token",
		"":                                                      "",
	} {
		if got := sourceOf(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		m    measure
		want string
	}{
		{measure{status: 200}, ""},
		{measure{status: 409, code: "insufficient_stock"}, ""},
		{measure{status: 429, code: "rate_limited"}, "rate_limited"},
		{measure{status: 503, code: "overloaded"}, "overloaded"},
		{measure{status: 502}, "5xx"},
		{measure{}, "no answer"},
	} {
		if got := c.m.failure(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.m, got, c.want)
		}
	}
}

// liar is a shop that keeps the promises it is not told to break.
type liar struct {
	sameOrder   bool // gives everybody the same order
	forgets     bool // does not know an order that was just placed
	doubles     bool // makes another order of the same key
	oversells   bool // sells what the ledger never lost
	shuts       bool // its back office answers 503 once it has sold something
	tires       bool // answers 503 to a checkout that it has answered before
	limits      bool // answers 429 to who looks at an order: no lie, but no answer either
	unavailable int32

	mu     sync.Mutex
	orders map[string]string // by cart
	sold   int
}

const shelf = 1000

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cart, checkout := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v1/carts/"), "/checkout")
	order, seen := strings.CutPrefix(r.URL.Path, "/v1/orders/")
	switch {
	case r.URL.Path == "/v1/products":
		fmt.Fprint(w, `{"data":[{"slug":"tea","name":"Green tea","category":{"slug":"teas"}}],"page":{"next_cursor":null}}`)
	case r.URL.Path == "/v1/products/tea":
		fmt.Fprint(w, `{"variants":[{"id":"v1","availability":"in_stock"}]}`)
	case strings.HasSuffix(r.URL.Path, "/stock-movements") && l.shuts && l.sold > 0:
		w.WriteHeader(503)
		fmt.Fprint(w, `{"code":"unavailable"}`)
	case strings.HasSuffix(r.URL.Path, "/stock-movements"):
		after := shelf - l.sold
		if l.oversells {
			after = shelf
		}
		fmt.Fprintf(w, `{"data":[{"after":%d}]}`, after)
	case r.Method == "POST" && r.URL.Path == "/v1/carts":
		w.WriteHeader(201)
		fmt.Fprintf(w, `{"id":"c%d","shopper_token":"t"}`, len(l.orders)+1000)
		l.orders[fmt.Sprint("c", len(l.orders)+1000)] = ""
	case checkout:
		l.checkout(w, cart)
	case seen && l.limits:
		w.WriteHeader(429)
		fmt.Fprint(w, `{"code":"rate_limited"}`)
	case seen && !l.forgets:
		fmt.Fprintf(w, `{"id":%q,"items":[{"variant_id":"v1"}]}`, order)
	default:
		http.NotFound(w, r)
	}
}

func (l *liar) checkout(w http.ResponseWriter, cart string) {
	if l.unavailable > 0 {
		l.unavailable--
		w.WriteHeader(503)
		fmt.Fprint(w, `{"code":"outcome_unknown"}`)
		return
	}
	if l.orders[cart] != "" && l.tires {
		w.WriteHeader(503)
		return
	}
	if l.orders[cart] == "" || l.doubles {
		l.sold++
		l.orders[cart] = fmt.Sprint("o", l.sold)
		if l.sameOrder {
			l.orders[cart] = "o"
		}
	} else {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	w.WriteHeader(201)
	fmt.Fprintf(w, `{"id":%q}`, l.orders[cart])
}

func runOn(t *testing.T, l *liar, p Plan) *Report {
	t.Helper()
	l.orders = map[string]string{}
	shop := httptest.NewServer(l)
	t.Cleanup(shop.Close)
	p.URL, p.Admin, p.Key = shop.URL, shop.URL, "k"
	p.Clients, p.Duration, p.Zipf = 4, time.Second, 1.2
	report, err := Run(t.Context(), p, func(Second) {})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestAnHonestShopIsFoundHonest(t *testing.T) {
	t.Parallel()
	report := runOn(t, &liar{unavailable: 1}, Plan{Scenario: "hot", Rate: 50})
	checks := report.Checks
	if err := checks.Err(); err != nil {
		t.Fatalf("%v: %v", err, checks.Broken)
	}
	if checks.OwnReads < 40 || checks.Replays < 40 || checks.Unknown != 0 || len(checks.Ledger) != 1 || checks.Ledger[0].Sold < 40 {
		t.Errorf("hardly anything was checked: %+v", checks)
	}
	var out bytes.Buffer
	report.Print(&out)
	for _, want := range []string{"hot, open, constant at 50 journeys/s", "checkout", "1 x 503 outcome_unknown", "has held"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing of %q in\n%s", want, &out)
		}
	}
	out.Reset()
	if err := report.Plot(&out); err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(&out)
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the plot is not XML: %v", err)
		}
	}
}

func TestALimitBreaksNoPromise(t *testing.T) {
	t.Parallel()
	checks := runOn(t, &liar{limits: true}, Plan{Scenario: "hot", Rate: 50}).Checks
	if err := checks.Err(); err != nil || checks.OwnReads != 0 {
		t.Errorf("%v: %q, after %d reads", err, checks.Broken, checks.OwnReads)
	}
}

// Nobody knows what a shop has kept that does not answer at the end. It broke nothing.
func TestWhatCannotBeCheckedIsNotBroken(t *testing.T) {
	t.Parallel()
	for want, l := range map[string]*liar{
		"oversell: the stock of 1 of 1 variants cannot be read": {shuts: true},
		"one key, one order: no checkout":                       {tires: true},
	} {
		report := runOn(t, l, Plan{Scenario: "hot", Rate: 50})
		err := report.Checks.Err()
		if !errors.Is(err, ErrUnchecked) || errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %q", err, report.Checks.Broken)
		}
		var out bytes.Buffer
		report.Print(&out)
		if !strings.Contains(out.String(), "COULD NOT BE CHECKED: "+want) || strings.Contains(out.String(), "BROKEN") ||
			strings.Contains(out.String(), "--admin-url") {
			t.Errorf("printed\n%s", &out)
		}
	}
}

func TestABrokenPromiseIsFound(t *testing.T) {
	for want, l := range map[string]*liar{
		"was acknowledged for two carts":   {sameOrder: true},
		"and its shopper then read 404":    {forgets: true},
		"sent once more with its key":      {doubles: true},
		"were sold, and the stock fell by": {oversells: true},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			checks := runOn(t, l, Plan{Scenario: "checkout", Rate: 50}).Checks
			if !errors.Is(checks.Err(), ErrBroken) || !strings.Contains(strings.Join(checks.Broken, "\n"), want) {
				t.Errorf("found %q", checks.Broken)
			}
		})
	}
}
