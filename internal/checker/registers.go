package checker

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxQuantity is what the shop allows of one variant in a cart; above, a change is
// refused.
const maxQuantity = 999

// A register is the state of one cart. Version 0: there is none yet.
type register struct {
	version int64
	closed  bool
	lines   string // as lines writes them
}

func registerOf(c *Cart) register {
	return register{c.Version, c.Status != open, lines(c.Lines)}
}

// registers is I8. A change in doubt is a move that may be placed at any time
// since it was called, which is after everything too: then nobody saw it.
//
// I1 and I2 look at versions one by one. This finds what needs two operations to be
// seen: a change that was overwritten, an order of less than the cart held, a cart that
// was changed after its checkout.
func (j *judge) registers(steps *int) {
	seen := map[string]bool{}
	for _, g := range j.groups { // each cart once, in a fixed order
		if seen[g.cart] {
			continue
		}
		seen[g.cart] = true
		j.register(j.carts[g.cart], steps)
	}
}

func (j *judge) register(c *cartLog, steps *int) {
	created := c.groups[0]
	if created.kind != CreateCart || created.ok == nil {
		j.skipped("I8", len(c.ops)) // how it began is not known
		return
	}
	var moves []move[register]
	add := func(call, ret time.Duration, op *Op, text string, step func(register) (register, bool)) {
		moves = append(moves, move[register]{int64(call), int64(ret), op, step, text})
	}
	for _, g := range c.groups {
		j.changes(c, g, add)
	}
	for _, op := range c.ops {
		if op.Kind != ReadCart || op.SeenCart == nil && !op.notFound() {
			continue
		}
		if !j.telling(c, op) {
			j.skipped("I8", 1)
			continue
		}
		add(op.Call, op.Return, op, "", readsAs(op.SeenCart))
	}
	if len(j.Nodes) > 0 {
		if status, known := j.Nodes[0].CartsOpen[c.id]; known {
			add(forever+1, forever+1, nil, "the cart's status "+status+" at the end", func(r register) (register, bool) {
				return r, r.closed == (status != open)
			})
		}
	}
	j.checked("I8", len(moves))
	if result, stuck := search(register{}, moves, steps); result != explained {
		j.unexplained("I8", "cart "+c.id, len(moves), result, describe(stuck))
	}
}

type adder func(call, ret time.Duration, op *Op, text string, step func(register) (register, bool))

// changes adds what a group did or was told. A definite failure that names no
// state of the cart says nothing.
func (j *judge) changes(c *cartLog, g *group, add adder) {
	if g.kind == Checkout {
		j.closes(c, g, add)
		return
	}
	if g.ok != nil {
		add(g.call, g.ok.Return, g.ok, "", changesTo(g.ok))
		return
	}
	for _, op := range g.ops {
		switch {
		case op.Outcome == Failed && op.Code == "cart_closed":
			add(g.call, op.Return, op, "", isClosed(true))
			return
		case op.Outcome == Failed && op.notFound():
			add(op.Call, op.Return, op, "", readsAs(nil))
		}
	}
	if g.mayAct() {
		add(g.call, forever+2, g.ops[0], "in doubt", mayChangeTo(g.ops[0]))
	}
}

// closes: a shortage and a changed price were found in a cart that was open, for
// the shop closes it first and opens it again with the rollback.
func (j *judge) closes(c *cartLog, g *group, add adder) {
	if order, call, ret := j.took(c, g); order != nil {
		add(call, ret, g.ops[0], "that placed "+order.ID, places(order))
		return
	}
	if g.final != nil {
		closed := g.final.Code == "cart_closed"
		add(g.call, g.final.Return, g.final, "", isClosed(closed))
	}
}

// telling tells whether a read must fit. Three kinds need not: one that is
// excepted already; one from a replica under another session's writes, which the
// shop does not order; and one of what was never acknowledged and may have been
// lost by a failover after it.
func (j *judge) telling(c *cartLog, op *Op) bool {
	if j.excepted[op] {
		return false
	}
	for _, other := range c.ops {
		if !op.fromPrimary() && other.Session != op.Session {
			return false
		}
		if failedOver(op, other) && op.SeenCart != nil && !c.ackedBefore(op.SeenCart, other.Call) {
			return false
		}
	}
	return op.fromPrimary() || op.Session != ""
}

func readsAs(seen *Cart) func(register) (register, bool) {
	if seen == nil {
		return func(r register) (register, bool) { return r, r.version == 0 }
	}
	want := registerOf(seen)
	return func(r register) (register, bool) { return r, r == want }
}

// isClosed is an answer that tells only whether the cart can be changed.
func isClosed(closed bool) func(register) (register, bool) {
	return func(r register) (register, bool) { return r, r.version > 0 && r.closed == closed }
}

// changesTo is a change that succeeded: it was allowed, and made what it answered.
func changesTo(op *Op) func(register) (register, bool) {
	if op.SeenCart == nil {
		return mayChangeTo(op) // the record is flawed, and says so
	}
	seen := registerOf(op.SeenCart)
	return func(r register) (register, bool) {
		next, ok := change(r, op)
		return next, ok && next == seen
	}
}

// mayChangeTo is a change in doubt: where it is not allowed it did nothing.
func mayChangeTo(op *Op) func(register) (register, bool) {
	return func(r register) (register, bool) {
		if next, ok := change(r, op); ok {
			return next, true
		}
		return r, true
	}
}

// places also holds the order to the cart: it has exactly the lines of the moment at
// which it closed it.
func places(order *Order) func(register) (register, bool) {
	of := make(map[string]int, len(order.Lines))
	for _, l := range order.Lines {
		of[l.Variant] += l.Quantity
	}
	want := lines(of)
	return func(r register) (register, bool) {
		next := register{r.version + 1, true, r.lines}
		return next, r.version > 0 && !r.closed && r.lines == want
	}
}

// change is what the shop does, and false where it refuses.
func change(r register, op *Op) (register, bool) {
	if op.Kind == CreateCart {
		return register{1, false, lines(op.asked())}, r.version == 0
	}
	if r.version == 0 || r.closed {
		return r, false
	}
	n := op.Quantity
	if op.Kind == AddItem {
		n += quantity(r.lines, op.Variant)
	}
	if n > maxQuantity {
		return r, false
	}
	return register{r.version + 1, false, setLine(r.lines, op.Variant, n)}, true
}

func quantity(lines, variant string) int {
	for line := range strings.SplitSeq(lines, ";") {
		if v, n, _ := strings.Cut(line, "="); v == variant && n != "" {
			q, _ := strconv.Atoi(n)
			return q
		}
	}
	return 0
}

// setLine keeps the order of lines. 0 removes.
func setLine(lines, variant string, n int) string {
	var b strings.Builder
	placed := n == 0
	for line := range strings.SplitAfterSeq(lines, ";") {
		v, _, _ := strings.Cut(line, "=")
		if !placed && (line == "" || v >= variant) {
			fmt.Fprintf(&b, "%s=%d;", variant, n)
			placed = true
		}
		if v != variant {
			b.WriteString(line)
		}
	}
	return b.String()
}
