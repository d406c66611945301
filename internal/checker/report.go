package checker

import (
	"fmt"
	"strings"
)

// maxFindings is how many findings of each invariant keep their text. One broken
// guard makes thousands, and the first few say which it was; all are counted.
const maxFindings = 20

// statements are the invariants in the order of the report.
var statements = []struct{ name, statement string }{
	{Record, "the history itself is whole, and means what it must for the rest to hold"},
	{"I1", "a session reads its own acknowledged writes"},
	{"I2", "a session's reads of a cart or an order never go back"},
	{"I3", "stock is what it was less what was sold, on every node, and never below zero"},
	{"I4", "one Idempotency-Key, one order; one cart, one order; stock taken once for each line"},
	{"I5", "every acknowledged order is on every node, and all nodes hold the same orders"},
	{"I6", "nothing is read or kept that nobody wrote"},
	{"I7", "the decisions on each variant's stock have an order that explains them"},
	{"I8", "the changes and reads of each cart have an order that explains them"},
	{"I9", "totals are the sums of their lines, and answers agree with rows"},
	{"G2", "a read misses nothing acknowledged earlier than its claimed bound before it began"},
	{"deadline", "every request ends within its deadline"},
}

// Record is the name of the check of the history itself. What it reports is a
// mistake in the harness far more often than one in the shop.
const Record = "record"

// A Finding is one violation or exception.
type Finding struct {
	Invariant string
	Ops       []int // ids of the operations that show it
	Text      string
}

func (f Finding) String() string { return f.Invariant + ": " + f.Text }

// A Result is what became of one invariant.
type Result struct {
	Name      string
	Statement string
	// Checked counts the single comparisons, or for I7 and I8 the operations that
	// were put in order. A pass of none is no pass: let the test say how many it
	// expects.
	Checked int
	// Skipped counts what could soundly not be judged, such as a read that claims
	// no bound.
	Skipped    int
	Violated   int       // all of them
	Violations []Finding // the first of them
	Excepted   int
	Exceptions []Finding
}

// A Report has one Result for each invariant, in a fixed order.
type Report struct{ Results []Result }

// OK tells whether no invariant was violated. Exceptions do not count.
func (r Report) OK() bool { return len(r.Violated()) == 0 }

// Violated names the invariants that do not hold.
func (r Report) Violated() []string {
	var names []string
	for _, res := range r.Results {
		if res.Violated > 0 {
			names = append(names, res.Name)
		}
	}
	return names
}

// Violations returns those that were kept, at most 20 for each invariant.
func (r Report) Violations() []Finding {
	var all []Finding
	for _, res := range r.Results {
		all = append(all, res.Violations...)
	}
	return all
}

// Exceptions returns what broke an invariant in the one way that is documented,
// at most 20 for each.
func (r Report) Exceptions() []Finding {
	var all []Finding
	for _, res := range r.Results {
		all = append(all, res.Exceptions...)
	}
	return all
}

// Result returns the result of one invariant. It panics on a name that is none:
// a test that asked for the wrong one would pass for ever.
func (r Report) Result(name string) Result {
	for _, res := range r.Results {
		if res.Name == name {
			return res
		}
	}
	panic("checker: no invariant named " + name)
}

// String is for people: a line for each invariant, with its findings below it.
func (r Report) String() string {
	var b strings.Builder
	for _, res := range r.Results {
		verdict := "ok"
		switch {
		case res.Violated > 0:
			verdict = "VIOLATED"
		case res.Checked == 0:
			verdict = "nothing to check"
		}
		fmt.Fprintf(&b, "%-8s %-16s checked %d, skipped %d, violations %d, exceptions %d: %s\n",
			res.Name, verdict, res.Checked, res.Skipped, res.Violated, res.Excepted, res.Statement)
		list(&b, "violation", res.Violations, res.Violated)
		list(&b, "exception", res.Exceptions, res.Excepted)
	}
	return b.String()
}

func list(b *strings.Builder, what string, kept []Finding, all int) {
	for _, f := range kept {
		fmt.Fprintf(b, "  %s: %s\n", what, f.Text)
	}
	if more := all - len(kept); more > 0 {
		fmt.Fprintf(b, "  and %d more\n", more)
	}
}
