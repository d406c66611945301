package fresh

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// topology is what is believed of the cluster as a whole.
type topology struct {
	era      atomic.Pointer[era] // read by every read
	mu       sync.Mutex          // held to change it
	writable int                 // nodes out of recovery
	known    chan struct{}       // closed when the first primary is seen
}

// An era is the reign of one primary. Its timeline never goes back. The zero era
// is that before any primary was seen.
type era struct {
	primary  *node
	timeline uint32
	system   int64 // identifies the cluster
}

// has reports whether a node was seen as a standby of the cluster, on the
// primary's timeline: one that stayed on a dead timeline has a history of its own.
func (e *era) has(v *view) bool {
	return v.err == nil && v.standby && e.same(v) && (e.primary == nil || v.pos.Timeline == e.timeline)
}

// same reports whether a node belongs to the cluster, by its system identifier.
func (e *era) same(v *view) bool { return e.primary == nil || v.system == e.system }

// publish takes in what was just seen of a node. It is called by the node's own
// watcher only.
func (r *Router) publish(n *node, v view) {
	before := n.view.Swap(&v)
	if (before.err == nil) != (v.err == nil) || before.at.IsZero() {
		r.nodeTurned(n, v)
	}
	if v.err != nil {
		// Each time: a frozen node takes new connections, and the driver waits on
		// those that it is giving up.
		n.cutReads()
		n.damaged.Store(false) // see retire
	}
	if v.err == nil && !v.standby && r.acceptPrimary(n, v) {
		r.history.add(sample{at: v.at, pos: v.pos})
		r.publishSync(n, v)
	}
	r.countWritable()
}

func (r *Router) nodeTurned(n *node, v view) {
	if v.err == nil {
		r.config.Log.Info("node answers", "node", n.name, "standby", v.standby, "position", v.pos.String())
		return
	}
	r.config.Log.Warn("node does not answer", "node", n.name, "error", v.err)
	n.write.Reset()
}

// acceptPrimary decides whether a node out of recovery is the primary: the
// first that is seen, and later only one of a newer timeline, which is what a
// promotion makes. An old primary that comes back writable keeps its old
// timeline and is never followed again; only a fence keeps others from it.
func (r *Router) acceptPrimary(n *node, v view) bool {
	t := &r.topology
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.era.Load()
	switch {
	case !now.same(&v), now.primary == nil && !r.isNewest(v):
		return false
	case now.primary == n && v.pos.Timeline == now.timeline:
		return true
	case v.pos.Timeline <= now.timeline:
		return false
	}
	r.config.Log.Info("new primary", "node", n.name, "timeline", v.pos.Timeline, "was", now.timeline)
	t.era.Store(&era{primary: n, timeline: v.pos.Timeline, system: v.system})
	if now.primary == nil {
		close(t.known)
	}
	// Whatever is connected was connected under the old roles.
	for _, other := range r.nodes {
		other.cutReads()
		other.write.Reset()
	}
	return true
}

// isNewest reports whether every node was asked once, and none that accepts writes
// is on a newer timeline than v. The first to answer would else be followed at
// start, be it a primary that was superseded long ago. A node that hangs delays a
// start by connectTimeout and SampleTimeout at most.
func (r *Router) isNewest(v view) bool {
	for _, n := range r.nodes {
		other := n.view.Load()
		if other.at.IsZero() || other.err == nil && !other.standby && other.pos.Timeline > v.pos.Timeline {
			return false
		}
	}
	return true
}

// countWritable raises the alarm when two nodes accept writes. They may each
// acknowledge orders that the other does not have; Leeway cannot fence either.
func (r *Router) countWritable() {
	t := &r.topology
	t.mu.Lock()
	defer t.mu.Unlock()
	writable := 0
	for _, n := range r.nodes {
		if v := n.view.Load(); v.err == nil && !v.standby && t.era.Load().same(v) {
			writable++
		}
	}
	if writable > 1 && t.writable <= 1 {
		r.config.Log.Error("two nodes accept writes; fence the one with the lower timeline", r.viewAttrs()...)
	}
	t.writable = writable
}

func (r *Router) viewAttrs() []any {
	attrs := make([]any, 0, len(r.nodes))
	for _, n := range r.nodes {
		if v := n.view.Load(); v.err == nil {
			attrs = append(attrs, slog.Group(n.name, "standby", v.standby, "position", v.pos.String()))
		}
	}
	return attrs
}

// primaryGrace is how long a primary that stopped answering is still tried, so
// that a hiccup of the monitor does not turn into refused orders.
const primaryGrace = 2 * time.Second

// currentPrimary returns the primary and its timeline, nil when none is known
// or the known one is silent. The timeline is returned all the same.
func (r *Router) currentPrimary() (*node, uint32) {
	now := r.topology.era.Load()
	if now.primary == nil {
		return nil, 0
	}
	v := now.primary.view.Load()
	switch {
	case v.err == nil && (v.standby || v.pos.Timeline != now.timeline || v.system != now.system):
		return nil, now.timeline // demoted or replaced, and its successor is not seen yet
	case v.err != nil && r.history.samples().silentFor(time.Now()) > primaryGrace:
		return nil, now.timeline
	}
	return now.primary, now.timeline
}

// rediscover has every node observed at once, because something that was just
// seen contradicts what is believed.
func (r *Router) rediscover() {
	for _, n := range r.nodes {
		select {
		case n.kick <- struct{}{}:
		default: // one is pending already
		}
	}
}
