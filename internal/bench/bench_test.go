package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const log = `[leeway-read] LOG:  execute stmtcache_1: -- name: ProductBySlug :many
	SELECT p.id FROM products p
	WHERE p.slug = $1 AND p.name <> 'a	b'
[leeway-read] DETAIL:  parameters: $1 = 'o''hara, $2 = NULL'
[leeway-read] LOG:  execute stmtcache_2: SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint
[leeway-monitor] LOG:  execute stmtcache_2: SELECT standby
[psql] LOG:  statement: SELECT 1
[leeway-write] LOG:  statement: begin
[leeway-write] LOG:  execute stmtcache_3: SELECT $1, $2, $2
[leeway-write] DETAIL:  parameters: $1 = NULL, $2 = '{a,"b"}'
[leeway-write] LOG:  statement: COMMIT; SELECT pg_current_wal_flush_lsn()::text, pg_walfile_name(pg_current_wal_flush_lsn())
[leeway-write] ERROR:  something
`

// What pgbench gets is what the server says it executed, to the byte.
func TestTheLogIsReadToTheByte(t *testing.T) {
	want := []statement{
		{"-- name: ProductBySlug :many\nSELECT p.id FROM products p\nWHERE p.slug = $1 AND p.name <> 'a\tb'", []string{`'o''hara, $2 = NULL'`}},
		{"begin", nil},
		{"SELECT $1, $2, $2", []string{"NULL", `'{a,"b"}'`}},
		{"COMMIT", nil},
	}
	if diff := cmp.Diff(want, parseLog(log), cmp.AllowUnexported(statement{})); diff != "" {
		t.Error(diff)
	}
}

func TestScripts(t *testing.T) {
	even := func(int) int { return 1 }
	for name, tt := range map[string]struct {
		paths [][]statement
		mode  string
		text  string
		vars  []string
	}{
		"bound": {
			[][]statement{{{"-- name: A :many\nSELECT a FROM b WHERE c = $1::text AND d > $2", []string{"'it''s'", "'2'"}}}},
			"prepared", "SELECT a FROM b WHERE c = :p0_0_1::text AND d > :p0_0_2;\n",
			[]string{"p0_0_1=it's", "p0_0_2=2"},
		},
		"NULL": {
			[][]statement{{{"-- name: A :many\nSELECT $1::bigint", []string{"NULL"}}}},
			"simple", "\\if :ready = 0\nPREPARE q0 AS -- name: A :many\nSELECT $1::bigint;\n\\set ready 1\n\\endif\nEXECUTE q0(NULL);\n",
			[]string{"ready=0"},
		},
		"a parameter twice": {
			[][]statement{{{"SELECT $1, $1", []string{"'x'"}}}},
			"simple", "\\if :ready = 0\nPREPARE q0 AS SELECT $1, $1;\n\\set ready 1\n\\endif\nEXECUTE q0('x');\n",
			[]string{"ready=0"},
		},
		"not in order": {
			[][]statement{{{"SELECT $2, $1", []string{"'x'", "'y'"}}}},
			"simple",
			"\\if :ready = 0\nPREPARE q0 AS SELECT $2, $1;\n\\set ready 1\n\\endif\nEXECUTE q0('x', 'y');\n",
			[]string{"ready=0"},
		},
		"two paths, one statement": {
			[][]statement{{{"SELECT $1, $1", []string{"'x'"}}}, {{"SELECT $1, $1", []string{"'y'"}}}},
			"simple", "\\if :ready = 0\nPREPARE q0 AS SELECT $1, $1;\n\\set ready 1\n\\endif\nEXECUTE q0('x');\n",
			[]string{"ready=0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := browsing(tt.paths, even)
			if got.mode != tt.mode || got.files[0].text != tt.text || len(got.files) != len(tt.paths) {
				t.Errorf("-M %s, %d files:\n%s", got.mode, len(got.files), got.files[0].text)
			}
			if diff := cmp.Diff(tt.vars, got.vars); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Each id of a checkout becomes that of cart :n, a new one, or stays, if it is the
// catalog's; one id becomes the same one everywhere.
func TestACheckoutBecomesAnyCheckout(t *testing.T) {
	const variant, order, move = "0190901f-3d4d-7172-a2bd-5544c07c95e1", "01a20805-0caf-776a-be75-49d61b49888f", "01a20805-0caf-776a-be75-49d61b498890"
	n := int64(firstCart + 7)
	got := numbered([]statement{
		{"a", []string{fmt.Sprintf("'%s%d'", cartID, n), fmt.Sprintf("'bench-%d'", n), "'" + order + "'"}},
		{"b", []string{"'{" + variant + "}'", "'{" + move + "}'", "'" + order + "'", fmt.Sprintf("'%s%d'", shopperID, n)}},
	}, n, map[string]bool{variant: true})
	want := []statement{
		{"a", []string{"'" + cartID + ":n'", "'bench-:n'", "'00000001" + madeID + ":n'"}},
		{"b", []string{"'{" + variant + "}'", "'{00000002" + madeID + ":n}'", "'00000001" + madeID + ":n'", "'" + shopperID + ":n'"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(statement{})); diff != "" {
		t.Error(diff)
	}
}

// What a sweep does is no part of a checkout.
func TestASweepIsNoPartOfASample(t *testing.T) {
	checkout := func(param string) []statement {
		return []statement{{"BEGIN", nil}, {"a", []string{param}}, {"COMMIT", nil}}
	}
	if err := alike([][]statement{checkout("'1'"), checkout("'2'")}); err != nil {
		t.Error(err)
	}
	swept := append([]statement{{"sweep", nil}}, checkout("'2'")...)
	for _, sample := range [][][]statement{{checkout("'1'"), swept}, {swept, checkout("'1'")}} {
		if err := alike(sample); err == nil {
			t.Error("pgbench is to sweep as well")
		}
	}
}

func TestMedians(t *testing.T) {
	for want, values := range map[float64][]float64{3: {3}, 2: {9, 2, 1}, 1.5: {2, 1}, 2.5: {4, 1, 2, 3}} {
		if got := median(values); got != want {
			t.Errorf("median of %v is %v", values, got)
		}
	}
	// Ratios are those of neighbours: the median of these is not the ratio of medians.
	f := compare("x", []side{{name: "a"}, {name: "b"}}, [][]float64{{10, 100, 1}, {10, 50, 4}}, 1)
	if f.Median != 1 || f.Min != 0.25 || f.Max != 2 {
		t.Errorf("%+v", f)
	}
}

func TestTheFirstSecondOfPgbenchDoesNotCount(t *testing.T) {
	const out = "progress: 1.0 s, 100.0 tps, lat 1.0 ms\nprogress: 2.0 s, 300.0 tps, lat 1 ms\nprogress: 3.0 s, 500.0 tps, lat 1 ms\n"
	if got, err := perSecond(out); got != 400 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	for _, nothing := range []string{"", "progress: 1.0 s, 100.0 tps\n", "progress: 1.0 s, 9.0 tps\nprogress: 2.0 s, 0.0 tps\n"} {
		if got, err := perSecond(nothing); err == nil {
			t.Errorf("%q is %v a second", nothing, got)
		}
	}
}

func TestWhatGoPrints(t *testing.T) {
	const out = "BenchmarkRatio-2  11  80 ns/op  1.1 bare-again/bare  19 bare/s  0.98 bounded/bare\nBenchmarkRatio-2  11  80 ns/op  1.0 bare-again/bare  19 bare/s  0.94 bounded/bare\nPASS\n"
	g := goBench{least: map[string]float64{"bounded/bare": 0.97}}
	all, err := g.figures([]byte(out))
	if err != nil || len(all) != 2 || all[1].Name != "bounded/bare" || all[1].Median != 0.96 || all[1].Held() {
		t.Errorf("%+v, %v", all, err)
	}
	g.least["session/bare"] = 0.8
	if _, err := g.figures([]byte(out)); err == nil {
		t.Error("a figure with a target is not there, and nobody says so")
	}
	all, err = allocs.figures([]byte("BenchmarkAllocations/list-2  500  80 ns/op  81986 B/op  423 allocs/op\n"))
	if err != nil || len(all) != 2 || all[1].Name != "list" || all[1].Unit != "allocs" || all[1].Median != 423 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestTargets(t *testing.T) {
	for _, tt := range []struct {
		f    Figure
		want string
	}{
		{Figure{Median: 0.6, AtLeast: new(0.6)}, "at least 0.6: held"},
		{Figure{Median: 0.59, AtLeast: new(0.6)}, "at least 0.6: **missed**"},
		{Figure{Median: 0, AtMost: new(0.0)}, "at most 0: held"},
		{Figure{Median: 1, AtMost: new(0.0)}, "at most 0: **missed**"},
		{Figure{Median: 1}, ""},
	} {
		if got := tt.f.Target(); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.f.Median, got, tt.want)
		}
	}
}

// A shop that refuses, or whose replicas do not answer, is no side of a comparison.
func TestAShopThatRefusesIsNoFigure(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"refuses": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusServiceUnavailable) },
		"answers from the primary": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Data-Source", "primary;reason=lag")
			fmt.Fprint(w, "{}")
		},
	} {
		server := httptest.NewServer(handler)
		defer server.Close()
		w := &world{options: options{Clients: 2, Seconds: 1}}
		b := w.busy(server.Listener.Addr().String(), route{paths: []string{"/v1/products"}})
		b.WarmUp, b.Duration = 0, time.Second/5
		if rate, err := w.asking("shop", b).rate(t.Context()); err == nil {
			t.Errorf("a shop that %s does %v a second", name, rate)
		}
	}
}

// The document is what the template makes of the results: neither was edited alone.
func TestTheDocumentIsInStep(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	results, err := readResults(docs)
	if err != nil {
		t.Fatal(err)
	}
	if len(results.Parts) == 0 {
		t.Fatal("there are no results")
	}
	want, err := results.document()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(docs, documentFile))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/%s is not what the results say; go run ./internal/bench --only any part writes it anew:\n%s", documentFile, diff)
	}
	for _, p := range parts {
		if !strings.Contains(documentText, fmt.Sprintf("{{table %q}}", p.name)) {
			t.Errorf("the document has no table of %s", p.name)
		}
	}
}

// A path that is asked for more often is so on both sides.
func TestBothSidesAskForTheSame(t *testing.T) {
	r := route{paths: []string{"/a", "/b", "/c"}}
	count := map[int]int{}
	for _, n := range r.order() {
		count[n]++
	}
	s := browsing([][]statement{{{"A", nil}}, {{"B", nil}}, {{"C", nil}}}, r.weight)
	for n, f := range s.files {
		if f.weight != count[n] || f.weight == 0 {
			t.Errorf("path %d: %d of the requests, weight %d", n, count[n], f.weight)
		}
	}
}
