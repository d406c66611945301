package main

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/leeway/internal/dbtest"
)

// serveSecond serves the same shop by another process, so to speak, that the
// test stops itself.
func (s *shop) serveSecond(t *testing.T, shutdown time.Duration) (addr string, stop func(), ended <-chan error) {
	t.Helper()
	set := s.settings
	set.ShutdownTimeout = shutdown
	second, err := newServer(set, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- second.serve(ctx, listener) }()
	if err := second.router.AwaitPrimary(t.Context()); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String(), stop, result
}

// A request that is being worked on when the process is asked to stop gets its
// answer.
func TestStoppingFinishesWhatIsUnderWay(t *testing.T) {
	s := newShop(t)
	me := s.newShopper(t, item(s.variant, "1"))

	addr, stop, ended := s.serveSecond(t, s.ShutdownTimeout)

	// Hold the cart's row, so that the request hangs on it.
	holder, observer := s.Admin(t, s.Primary()), s.Admin(t, s.Primary())
	if _, err := holder.Exec(t.Context(), "BEGIN; UPDATE carts SET version = version"); err != nil {
		t.Fatal(err)
	}
	got := make(chan answer)
	go func() {
		got <- send(t, "PUT", "http://"+addr+me.cart+"/items/"+s.variant, strings.NewReader(`{"quantity":5}`), "Authorization", me.auth)
	}()
	dbtest.Eventually(t, "the request waits for the row", func() bool {
		var waits bool
		err := observer.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'leeway-write' AND wait_event_type = 'Lock' AND datname = current_database())").Scan(&waits)
		return err == nil && waits
	})
	stop()
	dbtest.Eventually(t, "new connections are refused", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.status != 200 {
		t.Errorf("%d %s, want the answer to a request under way", a.status, a.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// With every standby gone a COMMIT waits, and Ctrl-C must end the process all
// the same.
func TestStoppingDoesNotWaitForAStandby(t *testing.T) {
	s := newShop(t)
	addr, stop, ended := s.serveSecond(t, 200*time.Millisecond)
	for _, n := range s.Replicas() {
		t.Cleanup(func() { dbtest.Do(t, n.Thaw) })
		dbtest.Do(t, n.Freeze)
	}
	got := make(chan answer)
	go func() {
		got <- send(t, "POST", "http://"+addr+"/v1/carts", strings.NewReader(`{}`))
	}()
	observer := s.Admin(t, s.Primary())
	dbtest.Eventually(t, "a COMMIT waits", func() bool {
		var waits bool
		err := observer.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database())").Scan(&waits)
		return err == nil && waits
	})
	stop()
	if a := <-got; a.status != 503 || a.field("code") != "outcome_unknown" {
		t.Errorf("%d %s, want 503 outcome_unknown", a.status, a.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestMetricsAreOnTheInternalListenerOnly(t *testing.T) {
	internal, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := internal.Addr().String()
	internal.Close()
	s := newShop(t, func(c *serveCmd) { c.InternalAddr = addr })
	s.get(t, "/v1/products/"+s.slug)
	if _, a := exchange(t, http.DefaultClient, "GET", "http://"+addr+"/metrics", nil); a.status != 200 || !strings.Contains(string(a.body), "leeway_reads_total{") {
		t.Errorf("internal: %d %.200s", a.status, a.body)
	}
	for _, path := range []string{"/healthz", "/readyz"} { // there as well
		if _, a := exchange(t, http.DefaultClient, "GET", "http://"+addr+path, nil); a.status != 200 {
			t.Errorf("internal %s: %d %s", path, a.status, a.body)
		}
	}
	if a := s.get(t, "/metrics"); a.status != 404 {
		t.Errorf("public: %d, want 404", a.status)
	}
}

func TestHealth(t *testing.T) {
	s := newShop(t)
	if a := s.get(t, "/healthz"); a.status != 200 || a.field("status") != "live" {
		t.Errorf("healthz: %d %s", a.status, a.body)
	}
	t.Cleanup(func() { dbtest.Do(t, s.Primary().Thaw) })
	dbtest.Do(t, s.Primary().Freeze)
	dbtest.Eventually(t, "browse only", func() bool {
		a := s.get(t, "/readyz")
		return a.status == 200 && a.field("status") == "degraded"
	})
	me := send(t, "POST", s.url+"/v1/carts", strings.NewReader(`{}`))
	if me.status != 503 || me.field("code") != "primary_unavailable" || me.header.Get("Retry-After") == "" {
		t.Errorf("POST /v1/carts without a primary: %d %s", me.status, me.body)
	}
}
