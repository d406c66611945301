package fresh

import "time"

// Status is what is believed of the cluster, for people and for metrics: no read
// is accepted on it.
type Status struct {
	// Primary is the node that reads and transactions go to; empty when none is
	// known or the known one is silent. Timeline is the newest that was seen.
	Primary  string
	Timeline uint32
	// Writable: a transaction would be tried. False without a primary, and while
	// its synchronous standbys do not confirm.
	Writable bool
	Nodes    []NodeStatus // in the configured order
	Sync     SyncStatus
}

// NodeStatus is what is known of a node.
type NodeStatus struct {
	Name    string
	Up      bool // it answers
	Primary bool
	// Foreign: it belongs to another cluster, and is used for nothing.
	Foreign bool
	// Standby: it is in recovery. A node that is up, neither foreign nor a standby nor
	// the primary accepts writes as well: the alarm of a split brain.
	Standby  bool
	Position Position
	// Bound is the staleness that the node is proven not to exceed, as of the last
	// sample; negative when nothing is proven.
	Bound time.Duration
}

// SyncStatus is what the primary says of its synchronous standbys.
type SyncStatus struct {
	Names    string // synchronous_standby_names; empty: commits wait for nobody
	Quorum   int    // how many standbys a COMMIT waits for
	Standbys []Standby
}

// Status returns what was seen last. It asks nobody.
func (r *Router) Status() Status {
	primary, timeline := r.currentPrimary()
	s := Status{Timeline: timeline}
	if primary != nil {
		s.Primary = primary.name
		s.Writable = !primary.refuses()
		sync := primary.view.Load().sync
		s.Sync = SyncStatus{Names: sync.names, Quorum: sync.quorum(), Standbys: sync.standbys}
	}
	now := time.Now()
	for _, n := range r.nodes {
		v := n.view.Load()
		ns := NodeStatus{
			Name: n.name, Up: v.err == nil, Primary: n == primary,
			Standby: v.standby, Position: v.pos, Bound: -1,
			Foreign: v.err == nil && !r.topology.era.Load().same(v),
		}
		if ns.Up && !ns.Foreign && v.pos.Timeline == timeline {
			ns.Bound = r.history.samples().boundOrNone(now, v.pos)
		}
		s.Nodes = append(s.Nodes, ns)
	}
	return s
}

// Split returns the names of the nodes that accept writes, if there is more than
// one: a split brain.
func (s Status) Split() []string {
	var names []string
	for _, n := range s.Nodes {
		if n.Up && !n.Standby && !n.Foreign {
			names = append(names, n.Name)
		}
	}
	if len(names) < 2 {
		return nil
	}
	return names
}
