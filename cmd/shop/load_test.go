package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.com/leeway/internal/load"
)

// TestLoadOnARealShop: the command measures what it should, and finds every promise
// kept, oversell included.
func TestLoadOnARealShop(t *testing.T) {
	b := newBackOffice(t)
	files := filepath.Join(t.TempDir(), "report")
	for _, scenario := range load.Scenarios {
		t.Run(scenario, func(t *testing.T) {
			var out, progress bytes.Buffer
			code := run(t.Context(), []string{
				"load", scenario, "--url", b.url, "--admin-url", b.back, "--admin-key", canaryStock,
				"--rate", "60", "--duration", "2s", "--warm-up", "0s", "--stock", "500",
				"--json", files + ".json", "--plot", files + ".svg",
			}, &app{&out, &progress})
			if code != 0 {
				t.Fatalf("exit code %d\n%s\n%s", code, &progress, &out)
			}
			var report load.Report
			read(t, files+".json", func(raw []byte) error { return json.Unmarshal(raw, &report) })
			if report.Requests < 60 || len(report.Ops) == 0 || report.Sources["replica"] == 0 {
				t.Errorf("%d requests of %d kinds, read from %v\n%s", report.Requests, len(report.Ops), report.Sources, &out)
			}
			for _, op := range report.Ops {
				for failure, n := range op.Failures {
					t.Errorf("%s: %d x %s", op.Name, n, failure)
				}
			}
			sells := scenario == "checkout" || scenario == "hot"
			if c := report.Checks; sells && (c.OwnReads < 60 || c.Replays < 60 || len(c.Ledger) == 0) {
				t.Errorf("hardly anything was checked: %+v", c)
			}
			var svg struct {
				XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
			}
			read(t, files+".svg", func(raw []byte) error { return xml.Unmarshal(raw, &svg) })
		})
	}
}

// TestLoadThatCannotBeChecked: the back office that told every stock before tells none
// afterwards. Its exit code is its own.
func TestLoadThatCannotBeChecked(t *testing.T) {
	b := newBackOffice(t)
	address, err := url.Parse(b.back)
	if err != nil {
		t.Fatal(err)
	}
	var told sync.Map
	proxy := httputil.NewSingleHostReverseProxy(address)
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, again := told.LoadOrStore(r.URL.Path, true); again {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(back.Close)
	var out, progress bytes.Buffer
	code := run(t.Context(), []string{
		"load", "hot", "--url", b.url, "--admin-url", back.URL, "--admin-key", canaryStock,
		"--rate", "20", "--duration", "1s", "--warm-up", "0s",
	}, &app{&out, &progress})
	if code != 3 || !strings.Contains(out.String(), "COULD NOT BE CHECKED: oversell: the stock of 1 of 1 variants cannot be read") ||
		strings.Contains(out.String(), "BROKEN") {
		t.Errorf("exit code %d\n%s\n%s", code, &progress, &out)
	}
}

func read(t *testing.T, path string, parse func([]byte) error) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err == nil {
		err = parse(raw)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestLoadSaysWhatItNeeds before it begins.
func TestLoadSaysWhatItNeeds(t *testing.T) {
	for want, args := range map[string][]string{
		"does a shop listen there":     {"load", "browse", "--url", "http://127.0.0.1:1"},
		"the admin URL and the key go": {"load", "hot", "--admin-url", "http://127.0.0.1:1"},
		"zipf: more than 1":            {"load", "browse", "--zipf", "1"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), args, &app{&out, &out}); code != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("%v: exit code %d, %s", args, code, &out)
		}
	}
}
