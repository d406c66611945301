package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"example.com/leeway/internal/dbtest"
)

// enough requests at once to meet a limit of 1 a second, which is 10 in ten seconds,
// on the slowest machine.
const enough = 100

// untilRefused sends until the answer is a 429, which must be a whole one, and returns
// how many came through. The clock is real: a request more may pass each second.
func untilRefused(t *testing.T, do func(i int) answer) int {
	t.Helper()
	for i := range enough {
		a := do(i)
		if a.status != http.StatusTooManyRequests {
			continue
		}
		if a.field("code") != "rate_limited" || a.header.Get("Content-Type") != "application/problem+json" ||
			a.header.Get("Retry-After") != "10" || a.header.Get("X-RateLimit-Limit") != "10" || a.header.Get("X-RateLimit-Remaining") != "0" {
			t.Errorf("%v %s", a.header, a.body)
		}
		return i
	}
	t.Errorf("%d requests at once, and none is refused", enough)
	return enough
}

// passes reports whether one of a few requests gets through: of one whose limit is
// used up the first would be refused.
func passes(t *testing.T, what string, a answer) {
	t.Helper()
	if a.status >= 400 {
		t.Errorf("%s: %d %s", what, a.status, a.body)
	}
}

func TestAddressesAreLimited(t *testing.T) {
	s := newShop(t, func(c *serveCmd) { c.RateAddress = 1 })
	first := s.get(t, "/v1/products")
	if first.status != 200 || first.header.Get("X-RateLimit-Limit") != "10" || first.header.Get("X-RateLimit-Remaining") != "9" || first.header.Get("X-RateLimit-Reset") == "" {
		t.Errorf("the first request: %d %v", first.status, first.header)
	}
	// Whatever it asks for, and whoever it says it is.
	paths := []string{"/v1/products", "/openapi.json", "/nowhere", "/v1/replication", "/docs/docs.js"}
	came := untilRefused(t, func(i int) answer {
		return s.get(t, paths[i%len(paths)], "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i), "X-Real-IP", fmt.Sprintf("198.51.100.%d", i))
	})
	if came < 9 {
		t.Errorf("%d requests came through after the first, of 10 that may", came)
	}
	if a := send(t, "POST", s.url+"/v1/products", nil); a.status != 429 {
		t.Errorf("a method that there is not: %d, want it counted as well", a.status)
	}
	for range 3 * 10 {
		for _, path := range []string{"/healthz", "/readyz"} {
			if a := s.get(t, path); a.status != 200 || a.header.Get("X-RateLimit-Limit") != "" {
				t.Fatalf("%s: %d %v, want it not limited", path, a.status, a.header)
			}
		}
	}
}

// Through a proxy that is trusted, the client is the right-most address that is not.
func TestClientsBehindAProxyAreLimited(t *testing.T) {
	s := newShop(t, func(c *serveCmd) { c.RateAddress, c.TrustedProxies = 1, "127.0.0.0/8, 10.0.0.0/8" })
	via := func(forwarded string) answer { return s.get(t, "/v1/products", "X-Forwarded-For", forwarded) }
	untilRefused(t, func(i int) answer { return via(fmt.Sprintf("198.51.100.%d, 203.0.113.7, 10.0.0.2", i)) })
	passes(t, "another client of the same proxy", via("203.0.113.8"))
	passes(t, "the same address as a claim", via("203.0.113.7, 203.0.113.9"))
	untilRefused(t, func(i int) answer { return via(fmt.Sprintf("2001:db8:1:2::%d", i)) })
	passes(t, "another network", via("2001:db8:1:3::1"))
}

func TestKeysAreLimited(t *testing.T) {
	s := newShop(t, func(c *serveCmd) { c.RateKey, c.TrustedProxies = 1, "127.0.0.1/32" })
	me, other := s.newShopper(t, item(s.variant, "1")), s.newShopper(t, item(s.variant, "1"))
	untilRefused(t, func(i int) answer { // wherever it comes from
		return me.do(t, "GET", me.cart, "", "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
	})
	passes(t, "another shopper", other.do(t, "GET", other.cart, ""))
	for range 2 * 10 {
		if a := s.get(t, "/v1/products"); a.status != 200 || a.header.Get("X-RateLimit-Limit") != "" {
			t.Fatalf("without a token: %d %v", a.status, a.header)
		}
	}
}

func TestAdminsAreLimited(t *testing.T) {
	b := newBackOffice(t, func(c *serveCmd) { c.RateKey, c.TrustedProxies = 1, "127.0.0.1/32" })
	untilRefused(t, func(int) answer { return b.adminDo(t, "GET", "/v1/admin/orders", "") })
	passes(t, "another key", send(t, "GET", b.back+"/v1/admin/variants/"+b.variant+"/stock-movements", nil, "X-API-Key", canaryStock))

	b = newBackOffice(t, func(c *serveCmd) { c.RateAddress, c.TrustedProxies = 1, "127.0.0.1/32" })
	via := func(client string) answer {
		return b.adminDo(t, "GET", "/v1/admin/orders", "", "X-Forwarded-For", client)
	}
	untilRefused(t, func(int) answer { return via("203.0.113.7") })
	passes(t, "another address", via("203.0.113.8"))
}

// The limit of failures, the audit and the log of requests mean the same client.
func TestOneClientAddressForAll(t *testing.T) {
	b := newBackOffice(t, func(c *serveCmd) { c.TrustedProxies = "127.0.0.1/32" })
	const guesser, admin = "203.0.113.7", "203.0.113.8"
	var a answer
	for i := range 11 {
		a = send(t, "GET", b.back+"/v1/admin/orders", nil, "X-API-Key", "a guess", "X-Forwarded-For", fmt.Sprintf("198.51.100.%d, %s", i, guesser))
	}
	if a.status != 429 || a.field("code") != "too_many_failures" {
		t.Errorf("an eleventh guess: %d %s", a.status, a.body)
	}
	change := func(client string) answer {
		return b.adminDo(t, "POST", "/v1/admin/categories", `{"name":"Lamps","slug":"lamps"}`, "X-Forwarded-For", client)
	}
	if a := change(guesser); a.status != 429 {
		t.Errorf("the guesser with a valid key: %d", a.status)
	}
	if a := change(admin); a.status != 201 {
		t.Errorf("an admin behind the same proxy: %d %s", a.status, a.body)
	}
	for what, line := range map[string][]string{
		"a guess":           {`msg="admin key refused"`, "client=" + guesser},
		"what an admin did": {`msg="admin action"`, "key=ada", "client=" + admin},
		"the request":       {"msg=request", "status=201", "client=" + admin, "key=ada", `source="primary;reason=policy"`},
	} {
		dbtest.Eventually(t, what+" is logged", func() bool {
			for logged := range strings.Lines(b.log.String()) {
				all := true
				for _, part := range line {
					all = all && strings.Contains(logged, part)
				}
				if all {
					return true
				}
			}
			return false
		})
	}
}

// Beyond the cap on requests in flight the answer is 503 at once; health checks, and
// clients that have not sent their bodies yet, take no place in it.
func TestInFlightCap(t *testing.T) {
	s := newShop(t, func(c *serveCmd) { c.MaxInFlight = 1 })
	me := s.newShopper(t, item(s.variant, "1"))
	slow := s.dial(t, s.url)
	slow.say(t, "POST /v1/carts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")

	holder, observer := s.Admin(t, s.Primary()), s.Admin(t, s.Primary())
	if _, err := holder.Exec(t.Context(), "BEGIN; UPDATE carts SET version = version"); err != nil {
		t.Fatal(err)
	}
	got := make(chan answer)
	go func() { got <- me.do(t, "PUT", me.cart+"/items/"+s.variant, `{"quantity":5}`) }()
	dbtest.Eventually(t, "the request waits for the row", func() bool {
		var waits bool
		err := observer.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'leeway-write' AND wait_event_type = 'Lock' AND datname = current_database())").Scan(&waits)
		return err == nil && waits
	})
	if a := s.get(t, "/v1/products"); a.status != 503 || a.field("code") != "overloaded" || a.header.Get("Retry-After") != "1" {
		t.Errorf("beyond the cap: %d %s, Retry-After %q", a.status, a.body, a.header.Get("Retry-After"))
	}
	for _, path := range []string{"/healthz", "/readyz", "/v1/replication", "/docs"} {
		if a := s.get(t, path); a.status != 200 {
			t.Errorf("%s: %d, which no cap should keep out", path, a.status)
		}
	}
	if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.status != 200 {
		t.Errorf("the request in flight: %d %s", a.status, a.body)
	}
	if a := s.get(t, "/v1/products"); a.status != 200 {
		t.Errorf("afterwards: %d", a.status)
	}
}
