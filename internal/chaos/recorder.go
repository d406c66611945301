package main

import (
	"slices"
	"sync"
	"time"

	"example.com/leeway/internal/checker"
)

// A recorder keeps every operation of a run. It is safe for concurrent use.
type recorder struct {
	start time.Time

	mu     sync.Mutex
	ops    []checker.Op
	stamps []checker.Stamp
	begun  int
}

func newRecorder() *recorder { return &recorder{start: time.Now()} }

// now is the instant on the one clock of the run.
func (r *recorder) now() time.Duration { return time.Since(r.start) }

// begin numbers an operation that is about to be sent.
func (r *recorder) begin(op *checker.Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	op.ID, op.Call = r.begun, r.now()
}

func (r *recorder) end(op checker.Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}

func (r *recorder) stamp(s checker.Stamp) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stamps = append(r.stamps, s)
}

// A mark is a place in the record: what returned after it is new.
type mark struct {
	index int
	at    time.Duration
}

func (r *recorder) mark() mark {
	r.mu.Lock()
	defer r.mu.Unlock()
	return mark{len(r.ops), r.now()}
}

// since returns the operations that were called and returned after the mark.
func (r *recorder) since(m mark) []checker.Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ops []checker.Op
	for _, op := range r.ops[m.index:] {
		if op.Call >= m.at {
			ops = append(ops, op)
		}
	}
	return ops
}

// answeredSince returns the operations that returned after the mark, also those that
// were under way at it.
func (r *recorder) answeredSince(m mark) []checker.Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops[m.index:])
}

func (r *recorder) all() []checker.Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

func count(ops []checker.Op, is func(checker.Op) bool) int {
	n := 0
	for _, op := range ops {
		if is(op) {
			n++
		}
	}
	return n
}

// What operations are counted by.

func acknowledged(op checker.Op) bool { return op.Kind == checker.Checkout && op.Outcome == checker.OK }
func unknown(op checker.Op) bool      { return op.Outcome == checker.Unknown && !isRead(op) }

func isRead(op checker.Op) bool {
	switch op.Kind {
	case checker.ReadCart, checker.ReadOrder, checker.ListOrders, checker.ReadProbe, checker.Browse:
		return true
	}
	return false
}

// isBrowsing: the reads that anybody may do, and that must go on whatever happens.
func isBrowsing(op checker.Op) bool { return op.Kind == checker.Browse || op.Kind == checker.ReadProbe }

func fromReplica(op checker.Op) bool {
	return isRead(op) && op.Outcome == checker.OK && op.Source != nil && !op.Source.Primary && !op.Source.Stale
}

func fromNode(name string) func(checker.Op) bool {
	return func(op checker.Op) bool { return fromReplica(op) && op.Source.Node == name }
}

// because counts the reads that no replica answered, by the reason that was given.
func because(reason string) func(checker.Op) bool {
	return func(op checker.Op) bool {
		return isRead(op) && op.Source != nil && op.Source.Reason == reason
	}
}

func withCode(code string) func(checker.Op) bool {
	return func(op checker.Op) bool { return op.Code == code }
}
