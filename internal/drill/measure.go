package drill

import (
	"cmp"
	"slices"
	"time"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/shoppers"
)

// Reads is what became of one kind of reads from the kill to the end of the drill.
type Reads struct {
	Answered, Refused int
	Because           map[string]int // problem codes of those that were refused
	// Unavailable is the time in which one of them could be refused: from when a
	// refused read was sent until the next one was answered, overlaps counted once.
	Unavailable time.Duration
	// Gap is the longest time without an answer to anybody, Slowest the longest that
	// one of those that were answered took.
	Gap, Slowest time.Duration
}

// Writes is what became of carts and checkouts in that time.
type Writes struct {
	Answered, Refused, InDoubt int
	// Unavailable is the longest time without an acknowledged write.
	Unavailable time.Duration
	// AfterPromote is from when a standby was made the primary to the first write that
	// was acknowledged then; 0: none was promoted.
	AfterPromote time.Duration
}

func isList(op checker.Op) bool {
	return op.Kind == checker.Browse && op.TokenIn == (checker.Position{})
}

func isPage(op checker.Op) bool { return op.Kind == checker.ReadProbe }

// isOwn: what a shopper's token holds: their carts and orders, and lists in between.
func isOwn(op checker.Op) bool { return shoppers.IsRead(op) && !isList(op) && !isPage(op) }

func isWrite(op checker.Op) bool { return !shoppers.IsRead(op) }

// measure looks at what returned between the kill and the end. What returned after it
// was given up by clients who went home.
func measure(ops []checker.Op, killed, promoted, end time.Duration) Report {
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b checker.Op) int { return cmp.Compare(a.Return, b.Return) })
	ops = slices.DeleteFunc(ops, func(op checker.Op) bool { return op.Return < killed || op.Return > end })
	return Report{
		Lists: reads(ops, killed, isList), Pages: reads(ops, killed, isPage), Own: reads(ops, killed, isOwn),
		Writes: writes(ops, killed, promoted),
	}
}

// reads wants ops by their return.
func reads(ops []checker.Op, from time.Duration, is func(checker.Op) bool) (r Reads) {
	r.Because = map[string]int{}
	last := from
	var down *time.Duration // since when reads are refused
	for _, op := range ops {
		if !is(op) {
			continue
		}
		if op.Outcome != checker.OK {
			r.Refused++
			r.Because[cmp.Or(op.Code, "no answer")]++
			since := max(op.Call, from)
			if down != nil {
				since = min(since, *down)
			}
			down = &since
			continue
		}
		r.Answered++
		r.Slowest = max(r.Slowest, op.Return-op.Call)
		r.Gap = max(r.Gap, op.Return-last)
		if down != nil {
			r.Unavailable += op.Return - *down
			from, down = op.Return, nil
		}
		last = op.Return
	}
	if down != nil && len(ops) > 0 { // until the end
		r.Unavailable += ops[len(ops)-1].Return - *down
	}
	return r
}

// writes wants ops by their return. A checkout that is answered again from its key
// has been written, too: that is what its answer waits for.
func writes(ops []checker.Op, killed, promoted time.Duration) (w Writes) {
	last := killed
	for _, op := range ops {
		switch {
		case !isWrite(op) || op.Outcome == checker.Failed && op.Status < 500 && op.Status > 0: // a rule of the shop said no
		case op.Outcome == checker.Failed:
			w.Refused++
		case op.Outcome == checker.Unknown:
			w.InDoubt++
		default:
			w.Answered++
			w.Unavailable = max(w.Unavailable, op.Return-last)
			last = op.Return
			if promoted > 0 && w.AfterPromote == 0 && op.Return > promoted {
				w.AfterPromote = op.Return - promoted
			}
		}
	}
	return w
}
