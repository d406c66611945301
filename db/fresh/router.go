package fresh

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A Router sends each read to a node that provably satisfies its policy, and
// each transaction to the primary. It is safe for concurrent use.
type Router struct {
	config   Config
	nodes    []*node
	topology topology
	history  history
	fallback bulkhead
	metrics  *metrics
	alarms   alarms

	turn     atomic.Uint32 // rotates among equally good replicas
	stop     context.CancelFunc
	watchers sync.WaitGroup
	commits  sync.WaitGroup // COMMITs whose callers may have gone
}

// New starts to observe the nodes and returns at once; a node that is down may
// come up later. The caller closes the router.
func New(config Config) (*Router, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	ctx, stop := context.WithCancel(context.Background())
	r := &Router{
		config:   config,
		topology: topology{known: make(chan struct{})},
		history:  history{keep: config.Keep},
		fallback: bulkhead{slots: make(chan struct{}, config.FallbackConns), wait: config.FallbackWait},
		stop:     stop,
	}
	for _, nc := range config.Nodes {
		n, err := newNode(ctx, nc, config)
		if err != nil {
			stop()
			return nil, err
		}
		r.nodes = append(r.nodes, n)
	}
	r.topology.era.Store(&era{})
	r.alarms = alarms{log: config.Log, logged: map[string]time.Time{}}
	r.metrics = newMetrics(r, config.Metrics)
	for i, nc := range config.Nodes {
		mc, err := monitorConfig(nc)
		if err != nil {
			return nil, errors.Join(err, r.Close(ctx))
		}
		r.watchers.Add(1)
		go r.watch(ctx, r.nodes[i], mc)
	}
	return r, nil
}

// AwaitPrimary returns nil as soon as a primary is known, and the context's
// error if it ends first.
func (r *Router) AwaitPrimary(ctx context.Context) error {
	select {
	case <-r.topology.known:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close waits for COMMITs under way and closes all connections. If ctx ends
// first, because a COMMIT waits for a standby that does not come back, it leaves
// the connections as they are and returns the context's error: the process may
// exit, and the servers finish the COMMITs without it. No method may be called
// after Close.
func (r *Router) Close(ctx context.Context) error {
	r.stop()
	r.watchers.Wait()
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		r.commits.Wait()
		for _, n := range r.nodes {
			n.close()
		}
	}()
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reader returns a read handle under the policy, for generated code.
func (r *Router) Reader(p Policy) *Reader { return &Reader{router: r, policy: p} }
