package main

import (
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/faults"
	"example.com/leeway/internal/pgcluster"
)

func fromReplica(a answer) bool { return strings.HasPrefix(a.source(), `replica;name="replica-`) }

// Two standbys that stop replaying serve the product page for as long as its
// budget of 5 s allows, then the primary does, and they are back at once.
func TestTheProductPageFollowsTheLag(t *testing.T) {
	s := newShop(t)
	page := "/v1/products/" + s.slug
	dbtest.Eventually(t, "a replica serves the page", func() bool { return fromReplica(s.get(t, page)) })
	s.Pause(t)
	s.newShopper(t, item(s.variant, "1")) // something to miss
	paused := time.Now()
	var a answer
	dbtest.Eventually(t, "the page comes from the primary", func() bool {
		a = s.get(t, page)
		return !fromReplica(a)
	})
	if a.status != 200 || a.source() != "primary;reason=lag" {
		t.Errorf("%d from %q, want primary;reason=lag", a.status, a.source())
	}
	// The budget runs from the last sample before the write, at most a period of
	// the monitor earlier.
	if used := time.Since(paused); used < 4500*time.Millisecond {
		t.Errorf("the replicas were given up after %v of a budget of 5 s", used)
	}
	list := s.get(t, "/v1/products")
	if list.status != 200 || !strings.Contains(list.source(), ";stale;reason=lag") {
		t.Errorf("the list: %d from %q, want a stale replica that says so", list.status, list.source())
	}
	s.Resume(t)
	resumed := time.Now()
	dbtest.Eventually(t, "a replica serves the page again", func() bool { return fromReplica(s.get(t, page)) })
	if took := time.Since(resumed); took > time.Second {
		t.Errorf("it took %v, want at most 1 s", took)
	}
}

func TestAShopperSeesTheirCartWhileReplayIsPaused(t *testing.T) {
	s := newShop(t)
	me := s.newShopper(t, "")
	s.CatchUp(t)
	s.Pause(t)
	wrote := me.do(t, "POST", me.cart+"/items", item(s.variant, "2"))
	if wrote.status != 200 || wrote.token() == "" {
		t.Fatalf("%d %s", wrote.status, wrote.body)
	}
	read := me.do(t, "GET", me.cart, "", "Consistency-Token", wrote.token())
	if !strings.Contains(string(read.body), s.variant) || read.source() != "primary;reason=token" {
		t.Errorf("%s from %q, want the item from primary;reason=token", read.body, read.source())
	}
	// The fault is there: without the token the replica still shows the empty cart.
	if old := me.do(t, "GET", me.cart, ""); strings.Contains(string(old.body), s.variant) || !fromReplica(old) {
		t.Errorf("%s from %q, want the empty cart from a replica", old.body, old.source())
	}
}

func TestTheSameWithTheCookie(t *testing.T) {
	s := newShop(t)
	me := s.newShopper(t, "")
	s.CatchUp(t)
	s.Pause(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	sendWith(t, browser, "POST", s.url+me.cart+"/items", strings.NewReader(item(s.variant, "2")), "Authorization", me.auth)
	read := sendWith(t, browser, "GET", s.url+me.cart, nil, "Authorization", me.auth)
	if !strings.Contains(string(read.body), s.variant) || read.source() != "primary;reason=token" {
		t.Errorf("%s from %q, want the item from primary;reason=token", read.body, read.source())
	}
	// Browsing with the cookie honours it too.
	if page := sendWith(t, browser, "GET", s.url+"/v1/products/"+s.slug, nil); page.source() != "primary;reason=token" {
		t.Errorf("the product page came from %q", page.source())
	}
}

// At normal lag the replicas answer what was just written. The think time of
// a client is a round trip here, less than any real one.
func TestMostOwnReadsAreAnsweredByAReplica(t *testing.T) {
	s := newShop(t)
	me := s.newShopper(t, "")
	replica := 0
	const rounds = 200
	for range rounds {
		wrote := me.do(t, "PUT", me.cart+"/items/"+s.variant, `{"quantity":2}`)
		read := me.do(t, "GET", me.cart, "", "Consistency-Token", wrote.token())
		if got, want := read.field("version"), wrote.field("version"); got != want {
			t.Fatalf("read version %s of the cart after %s was written, from %q", got, want, read.source())
		}
		if fromReplica(read) {
			replica++
		}
	}
	t.Logf("%d of %d own reads were answered by a replica", replica, rounds)
	if replica < rounds*9/10 {
		t.Errorf("%d of %d own reads were answered by a replica, want at least 90 %%", replica, rounds)
	}
}

// A shop without a single write for longer than the budget.
func TestAnIdleShopKeepsItsReplicas(t *testing.T) {
	s := newShop(t, func(c *serveCmd) { c.BrowseBudget = time.Second })
	dbtest.Eventually(t, "a replica serves", func() bool { return fromReplica(s.get(t, "/v1/products/"+s.slug)) })
	for start := time.Now(); time.Since(start) < 5*time.Second/2; {
		if a := s.get(t, "/v1/products/"+s.slug); !fromReplica(a) {
			t.Fatalf("answered from %q after %v without a write", a.source(), time.Since(start))
		}
	}
}

// A standby whose replication connection is a black hole still says that it has
// replayed everything that it received.
func TestAStandbyThatIsCutOffStopsServing(t *testing.T) {
	config := dbtest.Config()
	config.Replicas, config.Async = 1, true
	var link *faults.Link
	config.Upstream = func(_, addr string) string {
		if link == nil {
			link = dbtest.Link(t, addr)
		}
		return link.Addr()
	}
	s := serveOn(t, dbtest.NewOn(t, config))
	page := "/v1/products/" + s.slug
	dbtest.Eventually(t, "the standby serves", func() bool { return fromReplica(s.get(t, page)) })
	link.BlackHole()
	s.newShopper(t, "")
	cut := time.Now()
	var last answer
	dbtest.Eventually(t, "the standby is given up", func() bool {
		last = s.get(t, page)
		return !fromReplica(last)
	})
	took := time.Since(cut)
	if last.source() != "primary;reason=lag" || took > 5500*time.Millisecond {
		t.Errorf("answered from %q after %v, want primary;reason=lag within 5.5 s", last.source(), took)
	}
	t.Logf("given up after %v", took)
	if link.Counts().DroppedBytes == 0 {
		t.Error("the black hole swallowed nothing")
	}
	believesInSync(t, s, s.Replicas()[0])
}

func believesInSync(t *testing.T, s *shop, standby *pgcluster.Node) {
	t.Helper()
	var inSync bool
	err := s.Admin(t, standby).QueryRow(t.Context(), "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()").Scan(&inSync)
	if err != nil || !inSync {
		t.Errorf("%v, %v: the standby knows that it is behind; the fault is another one", inSync, err)
	}
}
