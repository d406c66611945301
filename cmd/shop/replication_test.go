package main

import (
	"encoding/json"
	"testing"
	"time"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

func (s *shop) replicationView(t *testing.T) (v replicationView) {
	t.Helper()
	a := s.get(t, "/v1/replication")
	if err := json.Unmarshal(a.body, &v); err != nil || a.status != 200 {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return v
}

func (v replicationView) has(code string) bool {
	for _, a := range v.Alarms {
		if a.Code == code {
			return true
		}
	}
	return false
}

func TestReplicationOfAHealthyShop(t *testing.T) {
	s := newShop(t)
	s.get(t, "/v1/products")
	var v replicationView
	dbtest.Eventually(t, "all is well", func() bool {
		v = s.replicationView(t)
		return v.Verdict == "good"
	})
	if v.Primary == nil || v.Primary.Name != "primary" || v.Primary.Timeline != 1 || v.Sync.Quorum != 1 || len(v.Sync.Standbys) != 2 {
		t.Errorf("primary %+v, sync %+v", v.Primary, v.Sync)
	}
	for _, r := range v.Replicas {
		if r.State != "streaming" || r.SyncState != "quorum" || r.BoundMS == nil || r.LagBytes == nil {
			t.Errorf("%+v", r)
		}
	}
	if len(v.Replicas) != 2 || v.Budgets["browse"] != 5000 || len(v.Reads) == 0 {
		t.Errorf("%d replicas, budgets %v, reads %v", len(v.Replicas), v.Budgets, v.Reads)
	}
}

// A standby that was promoted while the old primary lives, and the one that
// nobody has told of it.
func TestReplicationTellsOfASplitBrain(t *testing.T) {
	config := dbtest.Config()
	config.Async = true
	s := serveOn(t, dbtest.NewOn(t, config))
	dbtest.Do(t, s.Replicas()[0].Promote)
	dbtest.Eventually(t, "the alarm", func() bool { return s.replicationView(t).has("split_brain") })
	v := s.replicationView(t)
	if v.Verdict != "critical" || v.Primary == nil || v.Primary.Name != "replica-1" || v.Primary.Timeline != 2 {
		t.Errorf("verdict %s, primary %+v", v.Verdict, v.Primary)
	}
	for name, state := range map[string]string{"primary": "writable", "replica-2": "detached"} {
		for _, r := range v.Replicas {
			if r.Name == name && (r.State != state || r.BoundMS != nil || r.LagBytes != nil) {
				t.Errorf("%+v, want it %s, and nothing claimed of it", r, state)
			}
		}
	}
}

// Nodes of two clusters, as after a slip in a DSN: who answers first is believed, and
// the others are read for nothing.
func TestReplicationTellsOfForeignNodes(t *testing.T) {
	config := dbtest.Config()
	config.Replicas = 0
	stranger := dbtest.NewOn(t, config)
	s := newShop(t, func(c *serveCmd) {
		c.Nodes += ",stranger=" + stranger.DSN(stranger.Primary(), "shop_rw")
		c.ReadUser, c.ReadPassword = "", "" // each cluster has passwords of its own
	})
	dbtest.Eventually(t, "the alarm", func() bool { return s.replicationView(t).has("replica_foreign") })
	for _, r := range s.replicationView(t).Replicas {
		if r.State == "foreign" && (r.BoundMS != nil || r.LagBytes != nil || r.FullySynced) {
			t.Errorf("claimed of a foreign node: %+v", r)
		}
	}
}

func TestReplicationTellsThatNothingConfirms(t *testing.T) {
	s := newShop(t)
	for _, n := range s.Replicas() {
		t.Cleanup(func() { dbtest.Do(t, n.Start) })
		dbtest.Do(t, n.Kill)
	}
	dbtest.Eventually(t, "the alarm", func() bool { return s.replicationView(t).has("no_synchronous_standby") })
	a := send(t, "POST", s.url+"/v1/carts", nil)
	if a.status != 503 || a.field("code") != "no_synchronous_standby" || a.header.Get("Retry-After") == "" {
		t.Errorf("a new cart: %d %s", a.status, a.body)
	}
	if a := s.get(t, "/readyz"); a.status != 200 || a.field("status") != "degraded" {
		t.Errorf("readyz: %d %s", a.status, a.body)
	}
}

// A bound that is told is never less than what was proven; Data-Source says the same.
func TestTheBoundOfAReplicaIsRoundedUp(t *testing.T) {
	node := fresh.NodeStatus{Name: "replica-1", Up: true, Standby: true, Bound: 12*time.Millisecond + 1}
	if v := new(server).newReplicaView(node, fresh.Status{}); v.BoundMS == nil || *v.BoundMS != 13 {
		t.Errorf("a bound of %v is told as %+v", node.Bound, v)
	}
}
