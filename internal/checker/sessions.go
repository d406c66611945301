package checker

import "time"

// sessions is I1 and I2: one scan for each session and key. Both speak of what was
// called after something had returned; answers that overlap may come in any order.
func (j *judge) sessions() {
	all := map[string]*session{}
	var names []string
	for _, op := range j.ops {
		if op.Session == "" {
			continue
		}
		s := all[op.Session]
		if s == nil {
			s = &session{map[ref][]sighting{}, map[ref]*ladder{}, map[string]time.Duration{}, nil}
			all[op.Session] = s
			names = append(names, op.Session)
		}
		s.note(op)
	}
	for _, op := range j.ops {
		if s := all[op.Session]; s != nil {
			j.see(s, op)
		}
	}
	for _, name := range names {
		s := all[name]
		for _, l := range s.acks {
			l.build()
		}
		for _, key := range s.keys() {
			j.ownWrites(s, key)
			j.monotonic(s, key)
		}
	}
}

// ownWrites is I1.
func (j *judge) ownWrites(s *session, key ref) {
	// A cart that became an order is told by its status as well: the answer to a
	// checkout is an order, and names no version of the cart.
	acks := s.acks[key]
	for _, seen := range s.seen[key] {
		if acks != nil {
			if own := acks.top(seen.op.Call); own.version > 0 {
				j.checked("I1", 1)
				if seen.version < own.version {
					j.fail("I1", []*Op{own.op, seen.op}, "%v: the session wrote version %d by %v, and then saw version %d in %v",
						key, own.version, own.op, seen.version, seen.op)
					continue
				}
			}
		}
		closed, ordered := s.closed[key.id]
		if key.kind == 'c' && ordered && seen.cart != nil && closed < seen.op.Call {
			j.checked("I1", 1)
			if seen.cart.Status == open {
				j.fail("I1", []*Op{seen.op}, "%v: its checkout was acknowledged to the session at %v, and then it is open in %v",
					key, closed, seen.op)
			}
		}
	}
}

// monotonic is I2. What came before are reads only: a write that is not seen
// afterwards is I1's.
func (j *judge) monotonic(s *session, key ref) {
	var reads ladder
	for _, seen := range s.seen[key] {
		if !seen.op.writes() {
			reads.steps = append(reads.steps, step{seen.op.Return, seen.version, seen.op})
		}
	}
	reads.build()
	for _, later := range s.seen[key] {
		before := reads.top(later.op.Call)
		if before.op == nil {
			continue
		}
		j.checked("I2", 1)
		if before.version > later.version {
			j.wentBack(key, s.seen[key], later)
		}
	}
}

// wentBack tells a violation from the exception. One earlier read that nothing
// excuses makes it a violation, and is the one that is named.
func (j *judge) wentBack(key ref, all []sighting, later sighting) {
	var excused []sighting
	for _, first := range all {
		if first.op.writes() || first.op.Return >= later.op.Call || first.version <= later.version {
			continue
		}
		if !j.excused(key, first, later) {
			j.fail("I2", []*Op{first.op, later.op}, "%v: version %d in %v, and then version %d in %v",
				key, first.version, first.op, later.version, later.op)
			return
		}
		excused = append(excused, first)
	}
	first := excused[len(excused)-1]
	j.except("I2", []*Op{first.op, later.op}, "%v: version %d, not yet acknowledged to anybody, in %v, and then version %d in %v",
		key, first.version, first.op, later.version, later.op)
	for _, first := range excused {
		j.excepted[first.op] = true
	}
}

// excused is the exception of the package comment: nobody had been told that the
// version was there, and either it was shown by a replica and not yet by the
// primary, or a failover lies between the two reads and may have lost it.
func (j *judge) excused(key ref, first, later sighting) bool {
	if key.kind == 'c' && j.carts[key.id].ackedBefore(first.cart, later.op.Call) {
		return false
	}
	if o := j.orders[key.id]; key.kind == 'o' && o.acked != nil && o.acked.Return < later.op.Call {
		return false
	}
	ahead := first.op.Source != nil && !first.op.Source.Primary && later.op.fromPrimary()
	return ahead || failedOver(first.op, later.op)
}

// failedOver tells that the later answer comes from a newer timeline. Without both
// tokens it does not: the exception must be shown, not assumed.
func failedOver(first, later *Op) bool {
	return first.timeline() != 0 && first.timeline() < later.timeline()
}

// timeline counts the request's token too, for answers that set none, as a 404.
func (op *Op) timeline() uint32 { return max(op.TokenIn.Timeline, op.TokenOut.Timeline) }
