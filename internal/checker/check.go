package checker

import (
	"fmt"
	"time"
)

// Check judges a history. It changes nothing in it.
func Check(h History) Report {
	j := newJudge(h)
	j.record()
	j.sessions() // first, because I8 leaves out what I2 excepted
	j.stock()
	j.once()
	j.acknowledged()
	j.invented()
	j.money()
	j.bounds()
	j.deadlines()
	steps := stepsInAll
	j.decisions(&steps)
	j.registers(&steps)
	return j.report
}

// A judge is one check under way: the history, what can be looked up in it, and
// the report so far.
type judge struct {
	History
	report  Report
	results map[string]*Result
	index

	// excepted are reads that showed what was never acknowledged and later was
	// gone. No order of the operations explains them, and none needs to.
	excepted map[*Op]bool
}

func newJudge(h History) *judge {
	j := &judge{History: h, results: map[string]*Result{}, excepted: map[*Op]bool{}}
	j.report.Results = make([]Result, len(statements))
	for i, s := range statements {
		j.report.Results[i] = Result{Name: s.name, Statement: s.statement}
		j.results[s.name] = &j.report.Results[i]
	}
	j.index = newIndex(h)
	return j
}

func (j *judge) checked(name string, n int) { j.results[name].Checked += n }
func (j *judge) skipped(name string, n int) { j.results[name].Skipped += n }

// fail makes text only of the findings that are kept: a broken run has a hundred
// thousand.
func (j *judge) fail(name string, ops []*Op, text string, args ...any) {
	r := j.results[name]
	r.Violated++
	if len(r.Violations) < maxFindings {
		r.Violations = append(r.Violations, finding(name, ops, text, args))
	}
}

func (j *judge) except(name string, ops []*Op, text string, args ...any) {
	r := j.results[name]
	r.Excepted++
	if len(r.Exceptions) < maxFindings {
		r.Exceptions = append(r.Exceptions, finding(name, ops, text, args))
	}
}

func finding(name string, ops []*Op, text string, args []any) Finding {
	f := Finding{Invariant: name, Text: fmt.Sprintf(text, args...)}
	for _, op := range ops {
		f.Ops = append(f.Ops, op.ID)
	}
	return f
}

// String is how a finding names an operation.
func (op *Op) String() string {
	text := fmt.Sprintf("op %d (%s", op.ID, op.Kind)
	for _, part := range [][2]string{
		{"session", op.Session}, {"key", op.Key}, {"cart", op.Cart}, {"order", op.Order}, {"via", op.App},
	} {
		if part[1] != "" {
			text += " " + part[0] + " " + part[1]
		}
	}
	if op.Source != nil {
		text += " from " + op.Source.name()
	}
	return fmt.Sprintf("%s, %v..%v, %d %s)", text, op.Call, op.Return, op.Status, op.Code)
}

func (s *Source) name() string {
	if s.Primary {
		return "the primary"
	}
	return s.Node
}

// fromPrimary tells of answers that cannot show a commit that still waits for its
// standby: those of the primary, and of writes, which are read in their transaction.
func (op *Op) fromPrimary() bool {
	return op.writes() || op.Source != nil && op.Source.Primary
}

func (op *Op) writes() bool {
	switch op.Kind {
	case CreateCart, AddItem, SetItem, Checkout:
		return true
	}
	return false
}

// notFound tells that what was asked for is not there. SetItem says the same of a
// variant that is not for sale, and proves nothing.
func (op *Op) notFound() bool {
	return op.Outcome == Failed && op.Status == 404 && op.Kind != SetItem
}

// finally tells of a conflict that the shop keeps under the key: every later
// answer to this key must be the same one. 503, 429 and 409
// idempotency_in_progress mean "not now", and the next attempt may succeed.
func (op *Op) finally() bool {
	if op.Outcome != Failed || op.Status != 409 || op.Key == "" {
		return false
	}
	switch op.Code {
	case "insufficient_stock", "price_changed", "cart_closed":
		return true
	}
	return false
}

const (
	// forever leaves two instants behind it: for what the nodes hold at the end, and
	// for what then has still not happened.
	forever = time.Duration(1<<63 - 3)
	open    = "open" // the only status in which a cart can be changed
)
