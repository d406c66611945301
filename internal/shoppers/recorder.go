package shoppers

import (
	"slices"
	"sync"
	"time"

	"example.com/leeway/internal/checker"
)

// A Recorder keeps every operation of a run. It is safe for concurrent use.
type Recorder struct {
	start time.Time

	mu     sync.Mutex
	ops    []checker.Op
	stamps []checker.Stamp
	begun  int
}

func newRecorder() *Recorder { return &Recorder{start: time.Now()} }

// Now is the instant on the one clock of the run.
func (r *Recorder) Now() time.Duration { return time.Since(r.start) }

// begin numbers an operation that is about to be sent.
func (r *Recorder) begin(op *checker.Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	op.ID, op.Call = r.begun, r.Now()
}

func (r *Recorder) end(op checker.Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}

func (r *Recorder) stamp(s checker.Stamp) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stamps = append(r.stamps, s)
}

// Stamps returns the stamps so far.
func (r *Recorder) Stamps() []checker.Stamp {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.stamps)
}

// A Mark is a place in the record: what returned after it is new.
type Mark struct {
	At    time.Duration
	index int
}

// Mark is the end of the record now.
func (r *Recorder) Mark() Mark {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Mark{r.Now(), len(r.ops)}
}

// Since returns the operations that were called and returned after the mark.
func (r *Recorder) Since(m Mark) []checker.Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ops []checker.Op
	for _, op := range r.ops[m.index:] {
		if op.Call >= m.At {
			ops = append(ops, op)
		}
	}
	return ops
}

// AnsweredSince returns the operations that returned after the mark, also those that
// were under way at it.
func (r *Recorder) AnsweredSince(m Mark) []checker.Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops[m.index:])
}

// All returns every operation so far.
func (r *Recorder) All() []checker.Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

// Count is how many of the operations are so.
func Count(ops []checker.Op, is func(checker.Op) bool) int {
	n := 0
	for _, op := range ops {
		if is(op) {
			n++
		}
	}
	return n
}

// What operations are counted by.

// Acknowledged tells whether the client was told that its order is placed.
func Acknowledged(op checker.Op) bool { return op.Kind == checker.Checkout && op.Outcome == checker.OK }

// InDoubt tells whether this is a write that nobody knows to be done.
func InDoubt(op checker.Op) bool { return op.Outcome == checker.Unknown && !IsRead(op) }

// IsRead tells whether it changes nothing.
func IsRead(op checker.Op) bool {
	switch op.Kind {
	case checker.ReadCart, checker.ReadOrder, checker.ListOrders, checker.ReadProbe, checker.Browse:
		return true
	}
	return false
}

// IsBrowsing tells whether it is a read that anybody may do, and that must go on
// whatever happens.
func IsBrowsing(op checker.Op) bool { return op.Kind == checker.Browse || op.Kind == checker.ReadProbe }

// FromReplica tells whether a replica has proven it.
func FromReplica(op checker.Op) bool {
	return IsRead(op) && op.Outcome == checker.OK && op.Source != nil && !op.Source.Primary && !op.Source.Stale
}

// FromNode finds what the named replica has proven.
func FromNode(name string) func(checker.Op) bool {
	return func(op checker.Op) bool { return FromReplica(op) && op.Source.Node == name }
}

// Because finds the reads that no replica proved, by the reason that was given.
func Because(reason string) func(checker.Op) bool {
	return func(op checker.Op) bool {
		return IsRead(op) && op.Source != nil && op.Source.Reason == reason
	}
}

// WithCode finds the answers that were a problem of that code.
func WithCode(code string) func(checker.Op) bool {
	return func(op checker.Op) bool { return op.Code == code }
}
