package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"example.com/leeway/internal/dbtest"
)

func (s *server) counted(t *testing.T, name string) float64 {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func (s *shop) available(t *testing.T) string {
	t.Helper()
	var list struct {
		Data []struct {
			Status    string
			Available int
		}
	}
	a := s.get(t, "/v1/availability?variant_id="+s.variant)
	if err := json.Unmarshal(a.body, &list); err != nil || len(list.Data) != 1 {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return fmt.Sprint(list.Data[0].Status, " ", list.Data[0].Available)
}

// An order that nobody pays expires by itself, two processes sweeping, and what it
// took is for sale again.
func TestUnpaidOrdersExpire(t *testing.T) {
	often := func(c *serveCmd) { c.PaymentWindow, c.ExpireEvery = time.Second, 20*time.Millisecond }
	s := newShop(t, often)
	if _, err := s.Admin(t, s.Primary()).Exec(t.Context(), "UPDATE variants SET stock_quantity = 3 WHERE id = $1", s.variant); err != nil {
		t.Fatal(err)
	}
	set := s.settings
	second, err := newServer(set, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, second)

	var mine []*shopper
	var orders []answer
	for range 3 {
		me := s.newShopper(t, item(s.variant, "1"))
		order := me.checkout(t, "k")
		if order.status != 201 || order.field("expires_at") == "null" {
			t.Fatalf("%d %s", order.status, order.body)
		}
		mine, orders = append(mine, me), append(orders, order)
	}
	for i, me := range mine {
		path := "/v1/orders/" + orders[i].field("id")
		dbtest.Eventually(t, "the order has expired", func() bool {
			return me.do(t, "GET", path, "", "Consistency-Token", orders[i].token()).field("status") == "expired"
		})
		if a := me.do(t, "POST", path+"/payments", `{"method":"test"}`, "Idempotency-Key", "pay"); a.status != 409 || a.field("code") != "order_expired" {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a := me.do(t, "POST", path+"/cancel", ""); a.status != 409 || a.field("code") != "order_not_cancellable" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	dbtest.Eventually(t, "all of it is for sale again", func() bool { return s.available(t) == "low 3" })
	if n := s.counted(t, "leeway_orders_expired_total") + second.counted(t, "leeway_orders_expired_total"); n != 3 {
		t.Errorf("%v orders are counted as expired, want 3", n)
	}
}

// A process that is told to leave it to others does, and says so by doing nothing.
func TestExpireEveryZeroIsNever(t *testing.T) {
	s := newShop(t, func(c *serveCmd) { c.ExpireEvery = 0 })
	s.sweeper.run(t.Context()) // returns
	if s.PaymentWindow != 15*time.Minute {
		t.Errorf("an order waits for %v by default", s.PaymentWindow)
	}
}

// Without a primary a round fails, is counted and logged, and changes nothing; the
// next one does the work. Rounds that find nothing are silent.
func TestASweepWithoutAPrimaryIsTriedAgain(t *testing.T) {
	s := newShop(t, func(c *serveCmd) { c.ExpireEvery = 0 })
	me := s.newShopper(t, item(s.variant, "1"))
	order := me.checkout(t, "k")
	if _, err := s.Admin(t, s.Primary()).Exec(t.Context(), "UPDATE orders SET expires_at = now() - interval '1 minute'"); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	blind := newBlind(t)
	blind.sweeper.log = log
	blind.sweeper.round(t.Context())
	if n := blind.counted(t, "leeway_sweep_failures_total"); n != 2 || !strings.Contains(said.String(), "sweep failed") {
		t.Errorf("%v failures are counted, and it says %q", n, said.String())
	}
	said.Reset()
	s.sweeper.log = log
	s.sweeper.round(t.Context())
	if text := said.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "orders expired") || !strings.Contains(text, "count=1") {
		t.Errorf("a round with one order says %q", text)
	}
	said.Reset()
	s.sweeper.round(t.Context())
	if said.Len() != 0 {
		t.Errorf("a round with nothing to do says %q", said.String())
	}
	s.CatchUp(t)
	if a := me.do(t, "GET", "/v1/orders/"+order.field("id"), ""); a.field("status") != "expired" {
		t.Errorf("%s", a.body)
	}
}

// newBlind is a process whose nodes do not answer.
func newBlind(t *testing.T) *server {
	t.Helper()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	flags := testFlags(t)
	flags.Nodes = "primary=postgres://shop_rw@" + closed.Addr().String() + "/shop"
	set, err := flags.settings()
	if err != nil {
		t.Fatal(err)
	}
	blind, err := newServer(set, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(blind.closeRouter)
	return blind
}

// Stopping waits for the sweeper, which waits for a lock at that moment.
func TestStoppingStopsTheSweeper(t *testing.T) {
	s := newShop(t, func(c *serveCmd) { c.ExpireEvery = 0 })
	me := s.newShopper(t, item(s.variant, "1"))
	if a := me.checkout(t, "k"); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	holder, observer := s.Admin(t, s.Primary()), s.Admin(t, s.Primary())
	if _, err := holder.Exec(t.Context(), "UPDATE orders SET expires_at = now() - interval '1 minute'"); err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), "BEGIN; UPDATE variants SET version = version"); err != nil {
		t.Fatal(err)
	}
	s.ExpireEvery = time.Millisecond
	_, stop, ended := s.serveSecond(t, s.ShutdownTimeout)
	dbtest.Eventually(t, "the sweeper waits for the stock", func() bool {
		var waits bool
		err := observer.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'leeway-write' AND wait_event_type = 'Lock' AND datname = current_database())").Scan(&waits)
		return err == nil && waits
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	var status string
	if err := holder.QueryRow(t.Context(), "SELECT status FROM orders").Scan(&status); err != nil || status != "pending_payment" {
		t.Errorf("the order is %s, %v: its sweeper was stopped", status, err)
	}
}

// A client goes through a list, and every page has what the first one had: also by
// the second process, and while one of the standbys does not replay. Nobody sends a
// token.
func TestNextPageIsNotOlder(t *testing.T) {
	s := newShop(t, func(c *serveCmd) { c.BrowseBudget = time.Hour }) // or the late standby is out after 5 s
	addr, stop, ended := s.serveSecond(t, s.ShutdownTimeout)
	late, good := s.Replicas()[0], s.Replicas()[1]
	s.CatchUp(t)
	s.Pause(t, late)
	if _, err := s.Admin(t, s.Primary()).Exec(t.Context(), "UPDATE products SET description = description || ' anew', version = version + 1"); err != nil {
		t.Fatal(err)
	}
	s.CatchUpNode(t, good)
	for _, list := range []string{"/v1/products?limit=2", "/v1/products?limit=2&sort=price&in_stock=true", "/v1/search?limit=2&q=anew", "/v1/search?limit=2&q=anew&facets=price"} {
		var cursor string
		lateToo := false
		dbtest.Eventually(t, "both replicas have answered page 1", func() bool {
			a := s.get(t, list)
			if a.token() != "" {
				t.Fatalf("%s: who only browses got a token", list)
			}
			lateToo = lateToo || strings.Contains(a.source(), late.Name())
			// Who finds "anew" has read it from good, wherever the facets came from.
			found := strings.Contains(list, "q=anew") || strings.Contains(a.source(), good.Name())
			if found && a.field("page", "next_cursor") != "null" {
				cursor = a.field("page", "next_cursor")
			}
			return lateToo && cursor != ""
		})
		for i, url := range []string{s.url, "http://" + addr} {
			for range 10 {
				a := send(t, "GET", url+list+"&cursor="+cursor, nil)
				if a.status != 200 || strings.Contains(a.source(), late.Name()) {
					t.Errorf("%s, page 2 by process %d: %d from %s, want a node that has what page 1 had", list, i, a.status, a.source())
				}
			}
		}
		spoiled := []byte(cursor) // in the middle of its bookmark
		if spoiled[len(spoiled)/2] == 'A' {
			spoiled[len(spoiled)/2] = 'B'
		} else {
			spoiled[len(spoiled)/2] = 'A'
		}
		if a := s.get(t, list+"&cursor="+string(spoiled)); a.status != 400 || a.field("code") != "invalid_cursor" {
			t.Errorf("%s with a spoiled cursor: %d %s", list, a.status, a.body)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
