package fresh

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// A demand is a policy compiled for one read: the positions that its answer
// must have reached. Every contract ends here; nothing below knows policies.
type demand struct {
	task    task
	policy  Policy
	carrier *Carrier
	start   time.Time
	samples samples  // as of the start
	token   Position // of the session; never given up, not even by ServeStale
	floor   Position // token and budget together
	refused Reason   // why no replica can prove it; ReasonReplica: one may
	stamp   bool     // measure what was seen
	raise   bool     // and make it the session's token

	result *result // of a statement
	served Served  // by whom in the end, for the hooks
	tries  int
}

// compile turns the policy and the session's token into a demand.
func (r *Router) compile(ctx context.Context, p Policy) demand {
	d := demand{policy: p, carrier: CarrierFrom(ctx), start: time.Now(), samples: r.history.samples()}
	if d.carrier != nil {
		d.token, _ = d.carrier.Token()
		d.raise = p.kind == kindSession || p.kind == kindStrong
		d.stamp = d.raise || p.bookmark
	}
	d.floor = d.token
	if p.kind == kindStrong {
		d.refused = ReasonPolicy
		return d
	}
	if p.kind == kindBounded || p.budget > 0 {
		budget, provable := d.samples.floor(d.start, p.budget)
		switch {
		case provable && d.token.IsZero():
			d.floor = budget
		case provable && d.token.Timeline == budget.Timeline:
			d.floor = d.token.Merge(budget)
		case !provable && (p.kind == kindBounded || d.token.IsZero()):
			// A session whose token is there needs no budget: it can be proven alone.
			d.refused = ReasonPrimaryDown
		}
	}
	r.checkTimeline(&d)
	return d
}

// checkTimeline sends a token of another timeline than the primary's to the
// primary: positions before and after a fork cannot be compared.
func (r *Router) checkTimeline(d *demand) {
	if d.token.IsZero() {
		return
	}
	_, timeline := r.currentPrimary()
	switch {
	case d.token.Timeline == timeline || timeline == 0:
		return
	case d.token.Timeline < timeline:
		r.metrics.rewound.Inc() // whether the fork lost the session's writes is not known here
	default:
		r.rediscover() // another process has seen a promotion before this one
	}
	d.refused = ReasonTimeline
}

// A task is what a read does on the node that it comes to: one statement, or a
// transaction. It may be done several times.
type task struct {
	Work
	args []any
	fn   func(context.Context, ReadTx) error // of a WorkSnapshot
}

// route answers a read: by the first replica that proves the demand, else as
// the policy degrades. The result is that of a statement.
func (r *Router) route(ctx context.Context, p Policy, t task) (*result, error) {
	d := r.compile(ctx, p)
	d.task = t
	ctx, end := r.config.Hooks.start(ctx, t.Work)
	err := r.satisfy(ctx, &d)
	if end != nil {
		if d.served.Node == "" {
			d.served.Reason = d.refused
		}
		end(Outcome{d.served, d.tries, err})
	}
	return d.result, err
}

func (r *Router) satisfy(ctx context.Context, d *demand) error {
	if d.refused == ReasonReplica {
		var done bool
		var err error
		if done, d.refused, err = r.tryReplicas(ctx, d); done {
			return err
		}
	}
	return r.degrade(ctx, d)
}

// tryReplicas tries one candidate after the other. The read is done when one has
// answered, or has failed in a way that is the caller's own; else the reason
// says why it must go on elsewhere.
func (r *Router) tryReplicas(ctx context.Context, d *demand) (done bool, reason Reason, err error) {
	var room [8]*node // enough for most clusters to stay off the heap
	candidates := r.candidates(d.floor, room[:0])
	if len(candidates) == 0 {
		return false, r.whyNone(d), nil
	}
	for i, n := range candidates {
		wait := time.Duration(0)
		if d.policy.kind == kindSession && i == len(candidates)-1 {
			wait = r.config.SessionWait
		}
		l := r.lease(n, d, d.floor, Served{Node: n.name})
		err := l.onReplica(ctx, wait)
		if err == nil {
			r.answered(ctx, d, l)
			return true, ReasonReplica, nil
		}
		if errors.Is(err, errBehind) {
			n.behind.Inc()
			reason = d.missing(l.proven)
			continue
		}
		switch v := r.judge(ctx, err, onReplica); v {
		case conflict:
			return false, ReasonConflict, nil
		case damaged:
			r.retire(n)
			reason = ReasonNoReplica
		case elsewhere, demoted:
			r.rediscover()
			reason = ReasonNoReplica
		case replan: // query and Snapshot have tried it once more
			reason = ReasonNoReplica
		default:
			r.tell(d, l) // a failure that was read there was read there, too
			return true, ReasonReplica, told(v, err)
		}
	}
	return false, reason, nil
}

// missing names the part of the demand that pos has not reached.
func (d *demand) missing(pos Position) Reason {
	if !pos.Reached(d.token) {
		return ReasonToken
	}
	return ReasonLag
}

// whyNone explains an empty list of candidates, by the standby that lacks least.
func (r *Router) whyNone(d *demand) Reason {
	reason, era := ReasonNoReplica, r.topology.era.Load()
	for _, n := range r.nodes {
		if v := n.view.Load(); era.has(v) && !n.damaged.Load() && v.pos.Timeline == d.floor.Timeline && reason != ReasonLag {
			reason = d.missing(v.pos)
		}
	}
	return reason
}

// keepsUp is how far behind, by the monitor's view, a replica may be and still
// be asked for a position that it had not reached when it was seen. The view is
// up to a sample old, and a healthy replica replays within milliseconds.
const keepsUp = 500 * time.Millisecond

// candidates lists the replicas worth asking, the best first: those seen at or
// past the floor, by load, then those that keep up, furthest along first.
func (r *Router) candidates(floor Position, list []*node) []*node {
	turn, era := int(r.turn.Add(1)), r.topology.era.Load()
	for i := range r.nodes {
		n := r.nodes[(i+turn)%len(r.nodes)] // equals take turns: the sort is stable
		v := n.view.Load()
		if !era.has(v) || n.damaged.Load() || !floor.IsZero() && v.pos.Timeline != floor.Timeline {
			continue
		}
		if !v.pos.Reached(floor) {
			if lag, ok := r.history.samples().bound(v.at, v.pos); !ok || lag > keepsUp {
				continue
			}
		}
		list = append(list, n)
	}
	slices.SortStableFunc(list, func(a, b *node) int {
		av, bv := a.view.Load().pos, b.view.Load().pos
		ar, br := av.Reached(floor), bv.Reached(floor)
		switch {
		case ar && br:
			return cmp.Compare(a.inUse.Load(), b.inUse.Load())
		case ar:
			return -1
		case br:
			return 1
		}
		return cmp.Compare(bv.LSN, av.LSN)
	})
	return list
}

// degrade answers a read that no replica could prove.
func (r *Router) degrade(ctx context.Context, d *demand) error {
	switch {
	case d.policy.degrade == Fail:
		return ErrUnprovable
	case d.policy.degrade == ServeStale && maybeStale(d.refused):
		if err := r.serveStale(ctx, d); !errors.Is(err, errBehind) {
			return err
		}
	}
	return r.readPrimary(ctx, d)
}

// maybeStale reports whether an older answer would do. A session's own writes
// must not be missed, and a replica that cancelled a read to go on replaying
// must not be asked again: that would only delay it further.
func maybeStale(reason Reason) bool {
	return reason == ReasonLag || reason == ReasonNoReplica || reason == ReasonPrimaryDown
}

// serveStale answers from the best replica that has reached the session's
// token, and says so. errBehind means that no replica could.
func (r *Router) serveStale(ctx context.Context, d *demand) error {
	var room [8]*node
	candidates := r.candidates(d.token, room[:0])
	slices.SortStableFunc(candidates, func(a, b *node) int {
		return cmp.Compare(b.view.Load().pos.LSN, a.view.Load().pos.LSN)
	})
	for _, n := range candidates {
		l := r.lease(n, d, d.token, Served{Node: n.name, Stale: true, Reason: d.refused})
		err := l.onReplica(ctx, 0)
		if err == nil {
			r.answered(ctx, d, l)
			return nil
		}
		if errors.Is(err, errBehind) {
			continue
		}
		switch v := r.judge(ctx, err, onReplica); v {
		case conflict:
			return errBehind // and none of the others: replay has the right of way
		case damaged:
			r.retire(n)
		case final, exhausted:
			r.tell(d, l)
			return told(v, err)
		}
	}
	return errBehind
}

// readPrimary answers from the primary, within the cap. A token that comes here
// is stamped anew, so that the next read may find a replica.
func (r *Router) readPrimary(ctx context.Context, d *demand) error {
	primary, timeline := r.currentPrimary()
	if primary == nil || d.token.Timeline > timeline {
		// Such a token proves a promotion that this process has not seen: its primary
		// has been superseded and lacks what the session wrote since.
		return ErrNoPrimary
	}
	if err := r.fallback.enter(ctx); err != nil {
		if errors.Is(err, ErrOverloaded) {
			d.served = Served{Node: primary.name, Primary: true, Reason: ReasonShed}
			r.count(ctx, primary, d.served)
		}
		return err
	}
	defer r.fallback.leave()
	d.raise = d.raise || !d.token.IsZero()
	d.stamp = d.stamp || d.raise
	l := r.lease(primary, d, Position{}, Served{Node: primary.name, Primary: true, Reason: d.refused})
	err := l.run(ctx, primary.fallback, 0)
	v := r.judge(ctx, err, onPrimary)
	if v == again || v == once || v == elsewhere || v == demoted {
		err = l.run(ctx, primary.fallback, 0) // the connection may have been an old one
		v = r.judge(ctx, err, onPrimary)
	}
	switch {
	case err == nil:
		r.answered(ctx, d, l)
		return nil
	case v == elsewhere || v == demoted:
		r.rediscover()
	}
	r.tell(d, l)
	return told(v, err)
}

// answered is the one place where a read's source is told and counted.
func (r *Router) answered(ctx context.Context, d *demand, l *lease) {
	d.result = l.result
	r.tell(d, l)
	r.count(ctx, l.node, l.served)
	if d.carrier == nil || !d.stamp {
		return
	}
	d.carrier.see(l.stamp)
	if !d.raise {
		return
	}
	if l.primary && l.stamp.Timeline == d.token.Timeline && l.stamp.LSN < d.token.LSN {
		r.metrics.rewound.Inc()
		d.carrier.rewind(l.stamp)
		return
	}
	d.carrier.raise(l.stamp)
}

// tell notes the source and what it had proven before the query.
func (r *Router) tell(d *demand, l *lease) {
	if !l.primary {
		l.served.Bound = d.samples.boundOrNone(d.start, l.proven)
	}
	d.served = l.served
	if d.carrier != nil {
		d.carrier.note(l.served)
	}
}
