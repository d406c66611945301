package fresh

import (
	"log/slog"
	"sync"
	"time"
)

// topology is what is believed of the cluster as a whole.
type topology struct {
	mu       sync.Mutex
	primary  *node
	timeline uint32 // of the primary; never goes back
	system   int64
	writable int // nodes out of recovery
	known    chan struct{}
}

// publish takes in what was just seen of a node. It is called by the node's own
// watcher only.
func (r *Router) publish(n *node, v view) {
	before := n.view.Swap(&v)
	if (before.err == nil) != (v.err == nil) {
		r.nodeTurned(n, v)
	}
	if v.err != nil {
		// Each time: a frozen node takes new connections, and the driver waits on
		// those that it is giving up.
		n.cutReads()
	}
	if v.err == nil && !v.standby && r.acceptPrimary(n, v) {
		r.history.add(sample{at: v.at, pos: v.pos})
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
	switch {
	case t.system != 0 && v.system != t.system:
		return false
	case t.primary == n && v.pos.Timeline == t.timeline:
		return true
	case v.pos.Timeline <= t.timeline:
		return false
	}
	r.config.Log.Info("new primary", "node", n.name, "timeline", v.pos.Timeline, "was", t.timeline)
	if t.primary == nil {
		close(t.known)
	}
	t.primary, t.timeline, t.system = n, v.pos.Timeline, v.system
	// Whatever is connected was connected under the old roles.
	for _, other := range r.nodes {
		other.cutReads()
		other.write.Reset()
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
		if v := n.view.Load(); v.err == nil && !v.standby && v.system == t.system {
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
	t := &r.topology
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.primary == nil {
		return nil, 0
	}
	v := t.primary.view.Load()
	if v.err == nil && (v.standby || v.pos.Timeline != t.timeline || v.system != t.system) {
		return nil, t.timeline // demoted or replaced, and its successor is not seen yet
	}
	if v.err != nil && r.history.silentFor(time.Now()) > primaryGrace {
		return nil, t.timeline
	}
	return t.primary, t.timeline
}

// cluster is what the standbys of one primary have in common; zero while no
// primary has been seen.
type cluster struct {
	system   int64
	timeline uint32
}

func (r *Router) cluster() cluster {
	t := &r.topology
	t.mu.Lock()
	defer t.mu.Unlock()
	return cluster{t.system, t.timeline}
}

// has reports whether a node was seen as a standby of the cluster, on its
// timeline: one that stayed on a dead timeline has a history of its own.
func (c cluster) has(v *view) bool {
	return v.err == nil && v.standby && (c == cluster{} || v.system == c.system && v.pos.Timeline == c.timeline)
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
