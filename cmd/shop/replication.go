package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/web"
)

// replicationView is what the shop believes of its database, and what it did with
// its reads so far.
type replicationView struct {
	At       time.Time                     `json:"at"`
	Verdict  string                        `json:"verdict"` // good, warning or critical
	Alarms   []alarm                       `json:"alarms"`
	Primary  *primaryView                  `json:"primary"` // null: none answers
	Sync     syncView                      `json:"sync"`
	Replicas []replicaView                 `json:"replicas"`
	Budgets  map[string]int64              `json:"budgets"` // milliseconds
	Reads    map[string]map[string]float64 `json:"reads"`   // by node and reason
	Counters map[string]float64            `json:"counters"`
}

type alarm struct {
	Code     string `json:"code"`
	Severity string `json:"severity"` // warning or critical
	Detail   string `json:"detail"`
}

type primaryView struct {
	Name     string `json:"name"`
	Timeline uint32 `json:"timeline"`
	FlushLSN string `json:"flush_lsn"`
}

type syncView struct {
	Mode     string        `json:"mode"` // synchronous_standby_names; empty: asynchronous
	Quorum   int           `json:"quorum"`
	Standbys []standbyView `json:"standbys"`
}

type standbyView struct {
	Name      string `json:"name"`
	State     string `json:"state"`
	SyncState string `json:"sync_state"`
	FlushLSN  string `json:"flush_lsn"`
}

type replicaView struct {
	Name string `json:"name"`
	// State is streaming; lagging (behind the browse budget); detached (on a
	// timeline of its own, or nothing proven); writable (a second primary); foreign
	// (of another cluster); down.
	State       string `json:"state"`
	SyncState   string `json:"sync_state,omitempty"`
	Timeline    uint32 `json:"timeline,omitempty"`
	ReplayLSN   string `json:"replay_lsn,omitempty"`
	LagBytes    *int64 `json:"lag_bytes"` // null: not comparable
	BoundMS     *int64 `json:"bound_ms"`  // proven staleness; null: nothing is proven
	FullySynced bool   `json:"fully_synced"`
}

func (s *server) replication(w http.ResponseWriter, _ *http.Request) error {
	v, err := s.newReplicationView()
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return web.JSON(w, http.StatusOK, v)
}

// newReplicationView is replicationView with its counters.
func (s *server) newReplicationView() (replicationView, error) {
	v := s.replicationView(s.router.Status())
	return v, v.count(s)
}

func (s *server) replicationView(status fresh.Status) replicationView {
	v := replicationView{
		At:     time.Now().UTC().Truncate(time.Millisecond),
		Alarms: []alarm{}, Replicas: []replicaView{},
		Sync:    newSyncView(status.Sync),
		Budgets: map[string]int64{"browse": s.BrowseBudget.Milliseconds(), "session": s.SessionBudget.Milliseconds()},
	}
	for _, n := range status.Nodes {
		if n.Primary {
			v.Primary = &primaryView{Name: n.Name, Timeline: status.Timeline, FlushLSN: n.Position.LSN.String()}
		}
	}
	for _, n := range status.Nodes {
		if !n.Primary {
			v.Replicas = append(v.Replicas, s.newReplicaView(n, status))
		}
	}
	v.raise(status)
	return v
}

func newSyncView(s fresh.SyncStatus) syncView {
	v := syncView{Mode: s.Names, Quorum: s.Quorum, Standbys: []standbyView{}}
	for _, standby := range s.Standbys {
		v.Standbys = append(v.Standbys, standbyView{standby.Name, standby.State, standby.Sync, standby.Flushed.String()})
	}
	return v
}

func (s *server) newReplicaView(n fresh.NodeStatus, status fresh.Status) replicaView {
	v := replicaView{Name: n.Name, State: s.replicaState(n, status)}
	if !n.Up {
		return v
	}
	v.Timeline, v.ReplayLSN = n.Position.Timeline, n.Position.LSN.String()
	if n.Bound >= 0 {
		ms := (n.Bound + time.Millisecond - 1).Milliseconds() // rounded up, as in Data-Source
		v.BoundMS = &ms
	}
	for _, standby := range status.Sync.Standbys {
		if standby.Name == n.Name { // application_name; the operator may have named it otherwise
			v.SyncState = standby.Sync
		}
	}
	for _, p := range status.Nodes {
		if p.Primary && !n.Foreign && p.Position.Timeline == n.Position.Timeline {
			lag := max(0, int64(p.Position.LSN)-int64(n.Position.LSN)) // the two were not seen at once
			v.LagBytes, v.FullySynced = &lag, lag == 0
		}
	}
	return v
}

func (s *server) replicaState(n fresh.NodeStatus, status fresh.Status) string {
	switch {
	case !n.Up:
		return "down"
	case n.Foreign:
		return "foreign"
	case !n.Standby:
		return "writable"
	case n.Position.Timeline != status.Timeline || n.Bound < 0:
		return "detached"
	case n.Bound > s.BrowseBudget:
		return "lagging"
	}
	return "streaming"
}

// raise lists what is wrong, worst first, and sums it up.
func (v *replicationView) raise(status fresh.Status) {
	critical := func(code, detail string) { v.Alarms = append(v.Alarms, alarm{code, "critical", detail}) }
	if split := status.Split(); split != nil {
		critical("split_brain", fmt.Sprintf("%s accept writes; fence all but the one with the newest timeline",
			strings.Join(split, " and ")))
	}
	switch {
	case status.Primary == "":
		critical("no_primary", "no node is known to be the primary and answers; promote a standby")
	case !status.Writable:
		critical("no_synchronous_standby", "fewer standbys confirm than synchronous_standby_names asks for; start or rejoin one")
	}
	for _, r := range v.Replicas {
		if r.State != "streaming" && r.State != "writable" { // that one is the split brain
			v.Alarms = append(v.Alarms, alarm{"replica_" + r.State, "warning", r.Name + " is " + r.State})
		}
	}
	v.Verdict = "good"
	if len(v.Alarms) > 0 {
		v.Verdict = v.Alarms[0].Severity
	}
}

// count takes the counters from where they are kept: mostly the metrics.
func (v *replicationView) count(s *server) error {
	families, err := s.registry.Gather()
	if err != nil {
		return err
	}
	v.Reads, v.Counters = map[string]map[string]float64{}, map[string]float64{}
	placed, units := s.orders.Sold()
	v.Counters["orders_placed"], v.Counters["units_sold"] = float64(placed), float64(units)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			n := metric.GetCounter().GetValue()
			switch name := family.GetName(); name {
			case "leeway_reads_total":
				if n > 0 {
					label := map[string]string{}
					for _, pair := range metric.GetLabel() {
						label[pair.GetName()] = pair.GetValue()
					}
					v.countReads(label["node"], label["reason"], n)
				}
			case "leeway_history_rewound_total", "leeway_fallback_shed_total", "leeway_commit_unknown_total", "leeway_write_retries_total":
				v.Counters[strings.TrimSuffix(strings.TrimPrefix(name, "leeway_"), "_total")] = n
			}
		}
	}
	return nil
}

func (v *replicationView) countReads(node, reason string, n float64) {
	if v.Reads[node] == nil {
		v.Reads[node] = map[string]float64{}
	}
	v.Reads[node][reason] = n
}
