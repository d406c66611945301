package main

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// 64 clients buy one variant, of which there are 100, over HTTP.
func TestExactlyTheStockIsSold(t *testing.T) {
	const clients, purchases, stock = 64, 2, 100
	s := newShop(t)
	admin := s.Admin(t, s.Primary())
	if _, err := admin.Exec(t.Context(), "UPDATE variants SET stock_quantity = $1 WHERE id = $2", stock, s.variant); err != nil {
		t.Fatal(err)
	}
	var sold, refused atomic.Int32
	var last sync.Map // the tokens of the buyers
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for n := range purchases {
				me := s.newShopper(t, item(s.variant, "1"))
				switch a := me.checkout(t, "k"); {
				case a.status == 201:
					sold.Add(1)
					last.Store(strconv.Itoa(client)+"/"+strconv.Itoa(n), a.token())
				case a.status == 409 && a.field("code") == "insufficient_stock":
					refused.Add(1)
				default:
					t.Errorf("%d %s", a.status, a.body)
				}
			}
		})
	}
	all.Wait()
	if sold.Load() != stock || refused.Load() != clients*purchases-stock {
		t.Errorf("%d sold and %d refused, want %d and %d", sold.Load(), refused.Load(), stock, clients*purchases-stock)
	}
	var left, orders int
	err := admin.QueryRow(t.Context(), "SELECT stock_quantity, (SELECT count(*) FROM orders) FROM variants WHERE id = $1", s.variant).Scan(&left, &orders)
	if err != nil || left != 0 || orders != stock {
		t.Errorf("%d left and %d orders in the database, %v; want 0 and %d", left, orders, err, stock)
	}
	// Any buyer sees what the shop sees: all of them have bought before this read.
	last.Range(func(_, token any) bool {
		a := s.get(t, "/v1/availability?variant_id="+s.variant, "Consistency-Token", token.(string))
		if a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
		return true
	})
	var newest []string
	last.Range(func(_, token any) bool { newest = append(newest, token.(string)); return true })
	a := s.get(t, "/v1/availability?variant_id="+s.variant, "Consistency-Token", strings.Join(newest, ", "))
	if !strings.Contains(string(a.body), `"status":"out"`) || !strings.Contains(string(a.body), `"available":0`) {
		t.Errorf("the API says %s, want out", a.body)
	}
}

// One key, sent 20 times at once to two processes of the shop.
func TestOneKeyIsOneOrderThroughTwoProcesses(t *testing.T) {
	s := newShop(t)
	addr, stop, ended := s.serveSecond(t, s.ShutdownTimeout)
	me := s.newShopper(t, item(s.variant, "1"))
	urls := []string{s.url, "http://" + addr}
	answers := make([]answer, 20)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			answers[i] = send(t, "POST", urls[i%2]+me.cart+"/checkout", strings.NewReader(checkoutBody),
				"Authorization", me.auth, "Idempotency-Key", "the-one")
		})
	}
	all.Wait()
	first := 0
	for _, a := range answers {
		if a.status != 201 || string(a.body) != string(answers[0].body) {
			t.Errorf("%d %s, want the same 201 as the others: %s", a.status, a.body, answers[0].body)
		}
		if a.header.Get("Idempotent-Replayed") == "" {
			first++
		}
	}
	if first != 1 {
		t.Errorf("%d answers were not replays, want 1", first)
	}
	if a := me.do(t, "GET", "/v1/orders", "", "Consistency-Token", answers[0].token()); strings.Count(string(a.body), `"number"`) != 1 {
		t.Errorf("the shopper's orders: %s, want one", a.body)
	}
	other := strings.Replace(checkoutBody, "ada@", "eve@", 1)
	if a := me.do(t, "POST", me.cart+"/checkout", other, "Idempotency-Key", "the-one"); a.status != 422 || a.field("code") != "idempotency_key_reused" {
		t.Errorf("the same key with another body: %d %s", a.status, a.body)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
