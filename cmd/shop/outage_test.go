package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"example.com/leeway/internal/dbtest"
)

func TestNoReplicaAtAll(t *testing.T) {
	config := dbtest.Config()
	config.Replicas = 0
	s := serveOn(t, dbtest.NewOn(t, config))
	if a := s.get(t, "/v1/products/"+s.slug); a.status != 200 || a.source() != "primary;reason=no_replica" {
		t.Errorf("%d from %q", a.status, a.source())
	}
	me := s.newShopper(t, item(s.variant, "1"))
	if a := me.checkout(t, "k1"); a.status != 201 {
		t.Errorf("checkout: %d %s", a.status, a.body)
	}
}

func TestAReplicaThatIsDownAtStart(t *testing.T) {
	env := dbtest.New(t)
	victim := env.Replicas()[0]
	t.Cleanup(func() { dbtest.Do(t, victim.Start) })
	dbtest.Do(t, victim.Kill)
	s := serveOn(t, env)
	dbtest.Eventually(t, "the other replica serves", func() bool {
		a := s.get(t, "/v1/products/"+s.slug)
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return fromReplica(a)
	})
}

// Every replica dies under 32 browsing clients: the reads that reach the primary
// stay within their cap, nobody gets anything but an answer or a 503, and
// checkout goes on. Replication is asynchronous here: with the only synchronous
// standbys dead a commit waits, which is another promise.
func TestCheckoutSurvivesTheDeathOfAllReplicas(t *testing.T) {
	config := dbtest.Config()
	config.Async = true
	const fallbackCap = 3
	s := serveOn(t, dbtest.NewOn(t, config), func(c *serveCmd) { c.FallbackConns = fallbackCap })
	ctx, stop := context.WithCancel(context.Background())
	var browsers sync.WaitGroup
	for i := range 32 {
		path := []string{"/v1/products/" + s.slug, "/v1/products?limit=50", "/v1/categories"}[i%3]
		browsers.Go(func() {
			for ctx.Err() == nil {
				if a := s.get(t, path); a.status != 200 && (a.status != 503 || a.header.Get("Retry-After") == "") {
					t.Errorf("%s: %d %s", path, a.status, a.body)
					return
				}
			}
		})
	}
	for _, n := range s.Replicas() {
		dbtest.Do(t, n.Kill)
	}
	dbtest.Eventually(t, "browsing comes from the primary", func() bool {
		return s.get(t, "/v1/products").source() == "primary;reason=no_replica"
	})
	admin := s.Admin(t, s.Primary())
	most, orders := 0, 0
	for start := time.Now(); time.Since(start) < 2*time.Second; orders++ {
		me := s.newShopper(t, item(s.variant, "1"))
		if a := me.checkout(t, "k"); a.status != 201 && a.field("code") != "insufficient_stock" {
			t.Fatalf("checkout: %d %s", a.status, a.body)
		}
		var conns int
		err := admin.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leeway-fallback' AND datname = current_database()").Scan(&conns)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, conns)
	}
	stop()
	browsers.Wait()
	t.Logf("%d checkouts while at most %d connections read from the primary", orders, most)
	if most == 0 || most > fallbackCap {
		t.Errorf("%d connections read from the primary, want 1 to %d", most, fallbackCap)
	}
}
