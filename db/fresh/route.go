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
	policy  Policy
	carrier *Carrier
	start   time.Time
	token   Position // of the session; never given up, not even by ServeStale
	floor   Position // token and budget together
	ask     Reason   // not ReasonReplica: replicas cannot prove it, and why
	stamp   bool     // tell the session what was seen
}

// compile turns the policy and the session's token into a demand.
func (r *Router) compile(ctx context.Context, p Policy) demand {
	d := demand{policy: p, carrier: CarrierFrom(ctx), start: time.Now()}
	if d.carrier != nil {
		d.token, _ = d.carrier.Token()
		d.stamp = p.kind == kindSession || p.kind == kindStrong
	}
	d.floor = d.token
	if p.kind == kindStrong {
		d.ask = ReasonPolicy
		return d
	}
	if p.budget > 0 {
		budget, provable := r.history.floor(d.start, p.budget)
		switch {
		case provable && d.token.IsZero():
			d.floor = budget
		case provable && d.token.Timeline == budget.Timeline:
			d.floor = d.token.Merge(budget)
		case !provable && (p.kind == kindBounded || d.token.IsZero()):
			// A session whose token is there needs no budget: it can be proven alone.
			d.ask = ReasonPrimaryDown
		}
	}
	r.checkTimeline(&d)
	return d
}

// checkTimeline sends a token of another timeline than the primary's to the
// primary: positions before and after a fork cannot be compared. The answer is
// stamped, so that the session comes back with a token of today.
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
	d.ask, d.stamp = ReasonTimeline, true
}

// route answers a read: by the first replica that proves the demand, else as
// the policy degrades. try runs the read on the connection it is given and may
// run several times; it is done when it returns nil.
func (r *Router) route(ctx context.Context, p Policy, try func(context.Context, *lease) error) error {
	d := r.compile(ctx, p)
	reason := d.ask
	if reason == ReasonReplica {
		var err error
		if reason, err = r.tryReplicas(ctx, &d, d.floor, try); err == nil || reason == ReasonReplica {
			return err
		}
	}
	return r.degrade(ctx, &d, reason, try)
}

// tryReplicas runs try on one candidate after the other. On failure it returns
// why the read must go on elsewhere, or ReasonReplica with an error that is the
// caller's own.
func (r *Router) tryReplicas(ctx context.Context, d *demand, floor Position, try func(context.Context, *lease) error) (Reason, error) {
	reason, failure := ReasonNoReplica, errBehind
	var room [8]*node // enough for most clusters to stay off the heap
	candidates := r.candidates(floor, d.start, room[:0])
	if len(candidates) == 0 {
		return r.whyNone(d, floor), errBehind
	}
	for i, n := range candidates {
		wait := time.Duration(0)
		if d.policy.kind == kindSession && i == len(candidates)-1 {
			wait = r.config.SessionWait
		}
		l := &lease{router: r, node: n, demand: d, floor: floor, served: Served{Node: n.name}}
		err := l.run(ctx, n.read, wait, try)
		if err == nil {
			r.answered(d, l)
			return ReasonReplica, nil
		}
		failure = err
		switch {
		case errors.Is(err, errBehind):
			r.metrics.behind[n].Inc()
			reason = d.missing(l.proven)
		case classify(ctx, err, onReplica) == conflict:
			return ReasonConflict, err
		case classify(ctx, err, onReplica) == elsewhere:
			reason = ReasonNoReplica
			r.rediscover()
		default:
			return ReasonReplica, err
		}
	}
	return reason, failure
}

// missing names the part of the demand that pos has not reached.
func (d *demand) missing(pos Position) Reason {
	if !pos.Reached(d.token) {
		return ReasonToken
	}
	return ReasonLag
}

// whyNone explains an empty list of candidates, by the standby that lacks least.
func (r *Router) whyNone(d *demand, floor Position) Reason {
	reason := ReasonNoReplica
	for _, n := range r.nodes {
		if v := n.view.Load(); v.err == nil && v.standby && v.pos.Timeline == floor.Timeline && reason != ReasonLag {
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
func (r *Router) candidates(floor Position, now time.Time, list []*node) []*node {
	turn := int(r.turn.Add(1))
	for i := range r.nodes {
		n := r.nodes[(i+turn)%len(r.nodes)] // equals take turns: the sort is stable
		v := n.view.Load()
		if v.err != nil || !v.standby || !floor.IsZero() && v.pos.Timeline != floor.Timeline {
			continue
		}
		if !v.pos.Reached(floor) {
			if lag, ok := r.history.bound(v.at, v.pos); !ok || lag > keepsUp {
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
		case ar != br:
			return cmp.Compare(b2i(br), b2i(ar))
		}
		return cmp.Compare(bv.LSN, av.LSN)
	})
	return list
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// degrade answers a read that no replica could prove.
func (r *Router) degrade(ctx context.Context, d *demand, reason Reason, try func(context.Context, *lease) error) error {
	switch {
	case d.policy.degrade == Fail:
		return ErrUnprovable
	case d.policy.degrade == ServeStale && maybeStale(reason):
		if err := r.serveStale(ctx, d, reason, try); !errors.Is(err, errBehind) {
			return err
		}
	}
	return r.readPrimary(ctx, d, reason, try)
}

// maybeStale reports whether an older answer would do. A session's own writes
// must not be missed, and a replica that cancelled a read to go on replaying
// must not be asked again: that would only delay it further.
func maybeStale(reason Reason) bool {
	return reason == ReasonLag || reason == ReasonNoReplica || reason == ReasonPrimaryDown
}

// serveStale answers from the best replica that has reached the session's
// token, and says so. errBehind means that no replica could.
func (r *Router) serveStale(ctx context.Context, d *demand, reason Reason, try func(context.Context, *lease) error) error {
	stale := *d
	stale.floor = d.token
	var room [8]*node
	candidates := r.candidates(stale.floor, d.start, room[:0])
	slices.SortStableFunc(candidates, func(a, b *node) int {
		return cmp.Compare(b.view.Load().pos.LSN, a.view.Load().pos.LSN)
	})
	for _, n := range candidates {
		l := &lease{
			router: r, node: n, demand: &stale, floor: stale.floor,
			served: Served{Node: n.name, Stale: true, Reason: reason},
		}
		err := l.run(ctx, n.read, 0, try)
		if err == nil {
			r.answered(&stale, l)
			return nil
		}
		if !errors.Is(err, errBehind) && classify(ctx, err, onReplica) == final {
			return err
		}
	}
	return errBehind
}

// readPrimary answers from the primary, within the cap.
func (r *Router) readPrimary(ctx context.Context, d *demand, reason Reason, try func(context.Context, *lease) error) error {
	primary, _ := r.currentPrimary()
	if primary == nil {
		return ErrNoPrimary
	}
	if err := r.fallback.enter(ctx); err != nil {
		r.metrics.count(primary, ReasonShed)
		return err
	}
	defer r.fallback.leave()
	l := &lease{
		router: r, node: primary, demand: d, primary: true,
		served: Served{Node: primary.name, Primary: true, Reason: reason},
	}
	err := l.run(ctx, primary.fallback, 0, try)
	switch {
	case err == nil:
		r.answered(d, l)
		return nil
	case classify(ctx, err, onPrimary) == elsewhere:
		r.rediscover()
		return errors.Join(ErrNoPrimary, err)
	}
	return err
}

// answered is the one place where a read's source is told and counted.
func (r *Router) answered(d *demand, l *lease) {
	if !l.primary {
		l.served.Bound = -1
		if bound, ok := r.history.bound(d.start, l.proven); ok {
			l.served.Bound = bound
		}
	}
	r.metrics.count(l.node, l.served.Reason)
	if d.carrier == nil {
		return
	}
	d.carrier.note(l.served)
	if d.stamp {
		if l.primary && !l.stamp.Reached(d.token) && l.stamp.Timeline == d.token.Timeline {
			r.metrics.rewound.Inc() // a token from the primary's own future: it was restored
		}
		d.carrier.raise(l.stamp)
	}
}
