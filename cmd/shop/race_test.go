package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"example.com/leeway/internal/dbtest"
)

// Two admins, at two processes, edit one product with one ETag. One gets 200. The
// other gets 412, is told to read again, and then reads what the first one wrote,
// though no replica has it yet.
func TestOfTwoAdminsOneWins(t *testing.T) {
	const rounds = 5
	b := newBackOffice(t)
	desks := []*backOffice{b, b.openWith(t, twoAdmins)}
	own := b.newShopper(t, item(b.variant, "1")).newStaff(t)
	path := "/v1/admin/products/" + own.product
	b.CatchUp(t)
	b.Pause(t)
	etag := b.must(t, 200, "GET", path, "").header.Get("ETag")
	for round := range rounds {
		answers := make([]answer, len(desks))
		var all sync.WaitGroup
		for i, desk := range desks {
			all.Go(func() {
				answers[i] = desk.adminDo(t, "PATCH", path, fmt.Sprintf(`{"name":"desk %d in round %d"}`, i, round), "If-Match", etag)
			})
		}
		all.Wait()
		won, lost := 0, 1
		if answers[1].status == 200 {
			won, lost = 1, 0
		}
		if answers[won].status != 200 || answers[lost].status != 412 || answers[lost].source() != "primary;reason=policy" {
			t.Fatalf("round %d: %d %s and %d %s from %q", round, answers[won].status, answers[won].body,
				answers[lost].status, answers[lost].body, answers[lost].source())
		}
		again := desks[lost].must(t, 200, "GET", path, "", "Consistency-Token", answers[lost].token())
		etag = again.header.Get("ETag")
		if again.field("name") != fmt.Sprintf("desk %d in round %d", won, round) || etag != answers[won].header.Get("ETag") {
			t.Errorf("round %d: who lost reads %s with ETag %s, want %s", round, again.body, etag, answers[won].body)
		}
		if again.source() != "primary;reason=token" {
			t.Errorf("round %d: read again from %q; a replica has it, so the test shows nothing", round, again.source())
		}
	}
}

// One payment, sent 20 times at once to two processes, is one payment, and every
// answer is the same. So is one adjustment of stock.
func TestOneKeyIsOnePaymentThroughTwoProcesses(t *testing.T) {
	b := newBackOffice(t)
	desks := []*backOffice{b, b.openWith(t, twoAdmins)}
	me := b.newShopper(t, item(b.variant, "1"))
	order := me.checkout(t, "k").field("id")
	admin := b.Admin(t, b.Primary())
	count := func(sql string) (n int) {
		t.Helper()
		if err := admin.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	stock := count("SELECT stock_quantity FROM variants WHERE id = '" + b.variant + "'")
	for what, send := range map[string]func(*backOffice) answer{
		"payment": func(desk *backOffice) answer {
			return send(t, "POST", desk.url+"/v1/orders/"+order+"/payments", strings.NewReader(`{"method":"test"}`),
				"Authorization", me.auth, "Idempotency-Key", "the-one")
		},
		"adjustment": func(desk *backOffice) answer {
			return desk.adminDo(t, "POST", "/v1/admin/variants/"+b.variant+"/stock-adjustments",
				fmt.Sprintf(`{"delta":5,"reason":"delivery","expected_stock":%d}`, stock), "Idempotency-Key", "the-one")
		},
	} {
		answers := make([]answer, 20)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = send(desks[i%len(desks)]) })
		}
		all.Wait()
		first := 0
		for _, a := range answers {
			if a.status >= 300 || string(a.body) != string(answers[0].body) {
				t.Errorf("%s: %d %s, want the same success as the others: %s", what, a.status, a.body, answers[0].body)
			}
			if a.header.Get("Idempotent-Replayed") == "" {
				first++
			}
		}
		if first != 1 {
			t.Errorf("%s: %d answers were not replays, want 1", what, first)
		}
	}
	if n := count("SELECT count(*) FROM payments WHERE outcome = 'approved'"); n != 1 {
		t.Errorf("%d payments", n)
	}
	if n := count("SELECT stock_quantity FROM variants WHERE id = '" + b.variant + "'"); n != stock+5 {
		t.Errorf("%d in stock after one delivery of 5 to %d", n, stock)
	}
}

// 32 clients at two processes cancel orders whose time is over, while both processes
// sweep. Each order ends once, in one way, and its stock comes back once.
func TestCancelledOrExpiredStockReturnsOnce(t *testing.T) {
	const orders, clients, stock = 12, 32, 200
	b := newBackOffice(t)
	desks := []*backOffice{b, b.openWith(t, twoAdmins)}
	admin := b.Admin(t, b.Primary())
	if _, err := admin.Exec(t.Context(), "UPDATE variants SET stock_quantity = $1 WHERE id = $2", stock, b.variant); err != nil {
		t.Fatal(err)
	}
	var shoppers []*shopper
	var paths []string
	for range orders {
		me := b.newShopper(t, item(b.variant, "2"))
		shoppers = append(shoppers, me)
		paths = append(paths, "/v1/orders/"+me.checkout(t, "k").field("id")+"/cancel")
	}
	// Half of them are over. The others can only be cancelled, so both ways are taken.
	if _, err := admin.Exec(t.Context(), "UPDATE orders SET expires_at = now() - interval '1 second' WHERE number % 2 = 0"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			for i := range orders {
				i = (i + n) % orders
				a := send(t, "POST", desks[n%2].url+paths[i], nil, "Authorization", shoppers[i].auth)
				if a.status != 200 && (a.status != 409 || a.field("code") != "order_not_cancellable") {
					t.Errorf("%d %s", a.status, a.body)
				}
			}
		})
	}
	for _, desk := range desks {
		all.Go(func() {
			if _, err := desk.orders.ExpireOrders(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var left, returned, twice, open int
	err := admin.QueryRow(t.Context(), `SELECT (SELECT stock_quantity FROM variants WHERE id = $1),
		(SELECT count(*) FROM stock_movements WHERE kind IN ('cancelled', 'expired')),
		(SELECT count(*) FROM (SELECT FROM stock_movements WHERE kind IN ('cancelled', 'expired') GROUP BY order_id HAVING count(*) > 1) m),
		(SELECT count(*) FROM orders WHERE status NOT IN ('cancelled', 'expired'))`, b.variant).Scan(&left, &returned, &twice, &open)
	if err != nil || left != stock || returned != orders || twice != 0 || open != 0 {
		t.Errorf("%d in stock, %d returns, %d orders returned twice, %d have not ended, %v; want %d, %d, 0 and 0",
			left, returned, twice, open, err, stock, orders)
	}
	dbtest.Eventually(t, "every shopper sees the end", func() bool {
		for i, me := range shoppers {
			status := me.do(t, "GET", strings.TrimSuffix(paths[i], "/cancel"), "").field("status")
			if status != "cancelled" && status != "expired" {
				return false
			}
		}
		return true
	})
}
