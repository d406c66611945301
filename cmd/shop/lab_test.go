package main

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/lab"
	"example.com/leeway/internal/web"
)

// watch opens the stream of events and returns its lines, after the first event.
func watch(t *testing.T, url string) *bufio.Scanner {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), dbtest.Limit)
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/v1/replication/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		res.Body.Close()
	})
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data: ") {
			return lines
		}
	}
	t.Fatalf("no event: %d %v", res.StatusCode, lines.Err())
	return nil
}

// Viewers do not count as requests under way.
func TestViewersTakeNoPlaceOfShoppers(t *testing.T) {
	s := newShop(t, func(c *serveCmd) { c.MaxInFlight = 1 })
	for range 5 {
		watch(t, s.url)
	}
	if a := s.get(t, "/v1/products"); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	// HEAD is answered to its end: its connection is there for the next request.
	one := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer one.CloseIdleConnections()
	for _, path := range []string{"/v1/replication/events", "/v1/products"} {
		if a := sendWith(t, one, "HEAD", s.url+path, nil); a.status != 200 {
			t.Errorf("HEAD %s: %d", path, a.status)
		}
	}
}

// A stream has no end of its own, and the process has one all the same: without waiting
// for as long as it would for a request.
func TestStoppingDoesNotWaitForViewers(t *testing.T) {
	s := newShop(t)
	addr, stop, ended := s.serveSecond(t, dbtest.Limit)
	lines := watch(t, "http://"+addr)
	stop()
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(dbtest.Limit / 2): // far more than it takes, and half of what it would wait
		t.Error("it waits")
	}
}

// What breaks servers is not there where no demo is, whatever the key.
func TestServeHasNoControls(t *testing.T) {
	s := newShop(t)
	for _, ask := range [][2]string{
		{"GET", "state"}, {"POST", "nodes/primary/kill"}, {"POST", "nodes/replica-1/pause"}, {"POST", "load/start"},
	} {
		for _, key := range []string{"", "x"} {
			a := send(t, ask[0], s.url+lab.ControlsPath+ask[1], nil, lab.KeyHeader, key)
			if a.status != 404 || a.field("code") != "not_found" {
				t.Errorf("%s %s: %d %s", ask[0], ask[1], a.status, a.body)
			}
		}
	}
	if s.controls != nil {
		t.Error("there are controls")
	}
}

func TestOrdersAreCountedOnce(t *testing.T) {
	s := newShop(t)
	sold := func() [2]float64 {
		v := s.replicationView(t)
		return [2]float64{v.Counters["orders_placed"], v.Counters["units_sold"]}
	}
	me := s.newShopper(t, item(s.variant, "2"))
	if got := sold(); got != [2]float64{} {
		t.Errorf("before an order: %v", got)
	}
	for range 2 { // the second is a replay
		if a := me.checkout(t, "one"); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if a := me.checkout(t, "another key"); a.status != 409 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := sold(); got != [2]float64{1, 2} {
		t.Errorf("orders and units: %v, want one of two", got)
	}
}

// What one look at the shop costs, for all who watch it together.
func BenchmarkReplicationView(b *testing.B) {
	flags := testFlags(b)
	flags.nodeFlags = flagsOf(dbtest.New(b).Config().Nodes)
	set, err := flags.settings()
	if err != nil {
		b.Fatal(err)
	}
	s, err := newServer(set, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer s.closeRouter()
	if err := awaitPrimary(b.Context(), s.router); err != nil {
		b.Fatal(err)
	}
	if _, _, err := s.catalog.Products(b.Context(), catalog.ListQuery{Sort: catalog.Newest, Limit: 1}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		v, err := s.newReplicationView()
		if err != nil {
			b.Fatal(err)
		}
		body, err := web.Encode(v)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(body)), "bytes")
	}
}
