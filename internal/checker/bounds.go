package checker

// bounds is G2. The read began at or after Call, so whatever was acknowledged
// before Call less the claimed bound must be in the answer. The header rounds bounds up
// to milliseconds, so what it claims is never less than what was proven.
//
// An answer that calls itself stale may be as old as it likes, and may not lie about
// it. One that does not, and claims no bound, has served what it could not prove. The
// primary claims nothing and owes everything.
func (j *judge) bounds() {
	var acked ladder
	for _, s := range j.Stamps {
		if s.Acked != 0 {
			acked.add(s.Acked, s.Value)
		}
	}
	acked.build()
	for _, op := range j.ops {
		if op.Kind != ReadProbe || op.Source == nil || op.Outcome != OK && !op.notFound() {
			continue
		}
		bound := op.Source.Bound
		switch {
		case op.Source.Primary:
			bound = 0
		case bound < 0 && !op.Source.Stale:
			j.fail("G2", []*Op{op}, "%v claims no bound and does not call itself stale", op)
			continue
		case bound < 0:
			j.skipped("G2", 1)
			continue
		}
		j.checked("G2", 1)
		if due := acked.before(op.Call - bound); op.SeenProbe < due {
			j.fail("G2", []*Op{op}, "%v shows value %d; %d was acknowledged more than the claimed %v before", op, op.SeenProbe, due, bound)
		}
	}
}

// deadlines holds every request to the deadline, those that nobody answered as
// well: their Return is when the client gave up.
func (j *judge) deadlines() {
	for _, op := range j.ops {
		j.checked("deadline", 1)
		if took := op.Return - op.Call; took > j.Deadline+j.Slack {
			j.fail("deadline", []*Op{op}, "%v took %v, allowed are %v and %v for a busy machine", op, took, j.Deadline, j.Slack)
		}
	}
}
