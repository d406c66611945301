package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// family is a metric as it is served.
type family struct {
	kind   string
	labels []string
	series []map[string]string
}

// served is what /metrics has, by name.
type served map[string]family

func (s *shop) served(t *testing.T) served {
	t.Helper()
	families, err := s.metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := served{}
	for _, f := range families {
		one := family{kind: strings.ToLower(f.GetType().String())}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			one.series = append(one.series, labels)
			one.labels = slices.Sorted(maps.Keys(labels))
		}
		all[f.GetName()] = one
	}
	return all
}

// newSeasonedShop has met everything that makes a series: also what only happens to
// shops in trouble.
func newSeasonedShop(t *testing.T) *shop {
	t.Helper()
	s := newShop(t, func(c *serveCmd) { c.BrowseBudget = 200 * time.Millisecond })
	me := s.newShopper(t, item(s.variant, "1"))
	for range 2 { // the second is a replay
		if a := me.checkout(t, "once"); a.status != 201 {
			t.Fatalf("checkout: %d %s", a.status, a.body)
		}
	}
	if a := me.checkout(t, "twice"); a.status != 409 {
		t.Fatalf("checkout of a cart that is ordered: %d %s", a.status, a.body)
	}
	if a := s.get(t, "/nothing"); a.status != 404 {
		t.Fatalf("GET /nothing: %d", a.status)
	}

	owner := s.Admin(t, s.Primary())
	_, err := owner.Exec(t.Context(), `CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN RAISE EXCEPTION USING ERRCODE = 'LW001'; END $$;
		CREATE TRIGGER fail BEFORE INSERT ON carts EXECUTE FUNCTION public.fail()`)
	if err != nil {
		t.Fatal(err)
	}
	if a := send(t, "POST", s.url+"/v1/carts", strings.NewReader(`{}`)); a.status != 500 {
		t.Fatalf("POST /v1/carts: %d %s", a.status, a.body)
	}
	if _, err := owner.Exec(t.Context(), "DROP TRIGGER fail ON carts"); err != nil {
		t.Fatal(err)
	}

	s.Pause(t)
	s.newShopper(t, "") // replicas that do not replay it are behind from now on
	dbtest.Eventually(t, "a list is stale", func() bool {
		return strings.Contains(s.get(t, "/v1/products").source(), ";stale")
	})
	s.Resume(t)
	return s
}

// documented reads the tables of docs/metrics.md: name, type, labels.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `([a-z_*]+)` \\| ([a-z]*) ?\\| ([a-z, ]*?) ?\\| [^|]+ \\| [^|]+ \\|$")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		if rows[m[1]] != "" {
			t.Errorf("docs/metrics.md has %s twice", m[1])
		}
		rows[m[1]] = m[2] + " {" + m[3] + "}"
	}
	return rows
}

// docs/metrics.md has each metric that is served, with its type and its labels, and
// no other.
func TestMetricsAreDocumented(t *testing.T) {
	s := newSeasonedShop(t)
	got, all := map[string]string{}, s.served(t)
	for name, f := range all {
		if prefix, _, _ := strings.Cut(name, "_"); prefix != "leeway" {
			got[prefix+"_*"] = " {}" // the libraries' own, documented by them
			continue
		}
		got[name] = f.kind + " {" + strings.Join(f.labels, ", ") + "}"
	}
	want := documented(t)
	for name, row := range want { // the page orders labels by their weight
		kind, labels, _ := strings.Cut(strings.TrimSuffix(row, "}"), " {")
		sorted := strings.Split(labels, ", ")
		slices.Sort(sorted)
		want[name] = kind + " {" + strings.Join(sorted, ", ") + "}"
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/metrics.md (-) and what is served (+) differ:\n%s", diff)
	}
	if problems, err := testutil.GatherAndLint(s.metrics()); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	t.Run("what is watched exists", func(t *testing.T) { watched(t, all) })
	t.Run("the numbers are true", func(t *testing.T) { s.wantCounts(t) })
}

// wantCounts checks what newSeasonedShop has done.
func (s *shop) wantCounts(t *testing.T) {
	for series, want := range map[string]float64{
		`leeway_checkouts_total{outcome="placed"}`:                                                    1,
		`leeway_checkouts_total{outcome="replayed"}`:                                                  1,
		`leeway_checkouts_total{outcome="cart_closed"}`:                                               1,
		`leeway_http_problems_total{code="internal",route="/v1/carts"}`:                               1,
		`leeway_http_problems_total{code="not_found",route="none"}`:                                   1,
		`leeway_http_request_seconds_count{method="POST",route="` + checkoutRoute + `",status="2xx"}`: 2,
		`leeway_http_request_seconds_count{method="POST",route="` + checkoutRoute + `",status="4xx"}`: 1,
		`leeway_http_request_seconds_count{method="GET",route="none",status="4xx"}`:                   1,
		`leeway_unexpected_sqlstate_total{code="LW001"}`:                                              1,
		`leeway_budget_seconds{policy="browse"}`:                                                      0.2,
		`leeway_http_in_flight_limit`:                                                                 512,
		`leeway_node_primary{node="` + s.Primary().Name() + `"}`:                                      1,
		`leeway_node_primary{node="` + s.Replicas()[0].Name() + `"}`:                                  0,
		`leeway_alarms{code="split_brain"}`:                                                           0,
	} {
		text := s.scrape(t)
		if line := fmt.Sprintf("\n%s %v\n", series, want); !strings.Contains(text, line) {
			found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` .*$`).FindString(text)
			t.Errorf("want %s, got %q", strings.TrimSpace(line), found)
		}
	}
	// The reads by route are the reads.
	sum := func(text, name string) (n float64) {
		for _, m := range regexp.MustCompile(`(?m)^`+name+`\{.*node="([^"]*)".*\} ([0-9]+)$`).FindAllStringSubmatch(text, -1) {
			var v float64
			fmt.Sscan(m[2], &v)
			n += v
		}
		return n
	}
	text := s.scrape(t)
	if all, byRoute := sum(text, "leeway_reads_total"), sum(text, "leeway_http_reads_total"); all == 0 || all != byRoute {
		t.Errorf("%v reads, and %v by their routes", all, byRoute)
	}
}

func (s *shop) scrape(t *testing.T) string {
	t.Helper()
	rec := httptest.NewRecorder()
	s.internalHandler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// A fault shows in the metric that an alert looks at, and in /v1/replication, alike.
func TestAlarmsAreMetrics(t *testing.T) {
	s := newShop(t)
	gauge := func(code string) string { return `leeway_alarms{code="` + code + `"} 1` }
	t.Cleanup(func() { dbtest.Do(t, s.Replicas()[0].Thaw) })
	dbtest.Do(t, s.Replicas()[0].Freeze)
	dbtest.Eventually(t, "a replica is down", func() bool { return strings.Contains(s.scrape(t), gauge("replica_down")) })
	if text := s.scrape(t); !strings.Contains(text, `leeway_node_up{node="`+s.Replicas()[0].Name()+`"} 0`) {
		t.Error("leeway_node_up says 1 of a node that is down")
	}
	t.Cleanup(func() { dbtest.Do(t, s.Primary().Thaw) })
	dbtest.Do(t, s.Primary().Freeze)
	dbtest.Eventually(t, "no primary", func() bool { return strings.Contains(s.scrape(t), gauge("no_primary")) })
	a := s.get(t, "/v1/replication")
	for _, code := range []string{"replica_down", "no_primary"} {
		if !strings.Contains(a.field("alarms"), code) {
			t.Errorf("/v1/replication does not raise %s: %s", code, a.field("alarms"))
		}
	}
	for _, code := range regexp.MustCompile(`"code":"([a-z_]+)"`).FindAllStringSubmatch(a.field("alarms"), -1) {
		if !slices.Contains(alarmCodes, code[1]) {
			t.Errorf("the alarm %s is in no metric", code[1])
		}
	}
}

func TestHotCheckoutsAreMeasured(t *testing.T) {
	o := newObserver(settings{})
	hooks := o.hotHooks()
	hooks.Batch(5, 2)
	hooks.Batch(1, 0)
	hooks.Full()
	for lane, want := range map[string]float64{"together": 6, "alone": 2, "refused": 1} {
		if n := testutil.ToFloat64(o.hot.WithLabelValues(lane)); n != want {
			t.Errorf("%s: %v, not %v", lane, n, want)
		}
	}
	want := strings.NewReader(`# HELP leeway_hot_batch_checkouts Checkouts in a shared transaction.
# TYPE leeway_hot_batch_checkouts histogram
leeway_hot_batch_checkouts_bucket{le="1"} 1
leeway_hot_batch_checkouts_bucket{le="2"} 1
leeway_hot_batch_checkouts_bucket{le="4"} 1
leeway_hot_batch_checkouts_bucket{le="8"} 2
leeway_hot_batch_checkouts_bucket{le="16"} 2
leeway_hot_batch_checkouts_bucket{le="32"} 2
leeway_hot_batch_checkouts_bucket{le="64"} 2
leeway_hot_batch_checkouts_bucket{le="128"} 2
leeway_hot_batch_checkouts_bucket{le="256"} 2
leeway_hot_batch_checkouts_bucket{le="512"} 2
leeway_hot_batch_checkouts_bucket{le="1024"} 2
leeway_hot_batch_checkouts_bucket{le="+Inf"} 2
leeway_hot_batch_checkouts_sum 8
leeway_hot_batch_checkouts_count 2
`)
	if err := testutil.CollectAndCompare(o.batches, want); err != nil {
		t.Error(err)
	}
}

// TestABatchThatFailsIsTold, and nothing of what was in it.
func TestABatchThatFailsIsTold(t *testing.T) {
	var said bytes.Buffer
	s := &server{log: slog.New(slog.NewTextHandler(&said, nil))}
	s.ordersConfig().HotHooks.Failed(fmt.Errorf("settle: %w", &pgconn.PgError{Code: "22021", Message: "invalid byte in ada@example.com"}))
	if line := said.String(); !strings.Contains(line, "level=WARN") || !strings.Contains(line, "settle: SQLSTATE 22021") || strings.Contains(line, "ada") {
		t.Errorf("the log has %q", line)
	}
}

// While a request waits it is in flight, and what is outside of the cap is not.
func TestInFlightIsMeasured(t *testing.T) {
	s := newShop(t)
	me := s.newShopper(t, item(s.variant, "1"))
	holder, observer := s.Admin(t, s.Primary()), s.Admin(t, s.Primary())
	if _, err := holder.Exec(t.Context(), "BEGIN; UPDATE carts SET version = version"); err != nil {
		t.Fatal(err)
	}
	got := make(chan answer)
	go func() {
		got <- me.do(t, "PUT", me.cart+"/items/"+s.variant, `{"quantity":5}`)
	}()
	dbtest.Eventually(t, "the request waits for the row", func() bool {
		var waits bool
		err := observer.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'leeway-write' AND wait_event_type = 'Lock' AND datname = current_database())").Scan(&waits)
		return err == nil && waits
	})
	s.get(t, "/healthz")
	if text := s.scrape(t); !strings.Contains(text, `leeway_http_in_flight{listener="public"} 1`) ||
		!strings.Contains(text, `leeway_pool_connections{node="`+s.Primary().Name()+`",pool="write",state="in_use"} 1`) {
		t.Error("a request that waits for a row is not in flight, or holds no connection")
	}
	if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if text := s.scrape(t); !strings.Contains(text, `leeway_http_in_flight{listener="public"} 0`) {
		t.Error("nothing is under way, and something is in flight")
	}
}

func TestProfilesAreOnTheInternalListener(t *testing.T) {
	t.Parallel()
	set, err := func() (settings, error) {
		flags := testFlags(t)
		flags.nodeFlags = flagsOf([]fresh.NodeConfig{{Name: "a", WriteDSN: "postgres://u@127.0.0.1:1/x", ReadDSN: "postgres://u@127.0.0.1:1/x"}})
		return flags.settings()
	}()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(set, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.closeRouter()
	ask := func(handler http.Handler, method, path string) int {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		return rec.Code
	}
	for path, want := range map[string]int{
		"GET /debug/pprof/": 200, "GET /debug/pprof/goroutine?debug=1": 200, "GET /debug/pprof/heap": 200,
		"GET /debug/pprof/symbol": 200, "POST /debug/pprof/symbol": 200,
		"GET /debug/pprof/cmdline": 404, // it may hold a password
		"GET /metrics":             200, "POST /metrics": 405, "GET /": 404,
	} {
		method, path, _ := strings.Cut(path, " ")
		if got := ask(s.internalHandler(), method, path); got != want {
			t.Errorf("%s %s: %d, want %d", method, path, got, want)
		}
		if path != "/" && method == "GET" {
			if got := ask(s.handler(), method, path); got != 404 {
				t.Errorf("%s on the public listener: %d, want 404", path, got)
			}
		}
	}
}
