package checker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// invented is I6: whatever is read or kept, somebody must have asked for before. It
// finds the row of a rolled back transaction, a crossed connection, and the divergent
// rows of an old primary that was taken back without being rewound.
func (j *judge) invented() {
	for _, n := range j.Nodes {
		for i := range n.Orders {
			j.inventedRow(n.Name, &n.Orders[i])
		}
	}
	var sent ladder
	for _, s := range j.Stamps {
		sent.add(s.Sent, s.Value)
	}
	sent.build()
	states := map[stateKey][]*state{}
	for _, op := range j.ops {
		if op.Outcome != OK {
			continue
		}
		if op.Kind == ReadProbe {
			j.checked("I6", 1)
			if most := sent.before(op.Return + 1); op.SeenProbe > most {
				j.fail("I6", []*Op{op}, "%v shows value %d, and the highest that was sent until then is %d", op, op.SeenProbe, most)
			}
		}
		if op.SeenCart != nil {
			j.inventedCart(op)
			j.sameState(states, op)
		}
		if op.SeenOrder != nil {
			j.inventedOrder(op, op.SeenOrder.ID)
		}
		for i := range op.SeenOrders {
			j.inventedOrder(op, op.SeenOrders[i].ID)
		}
	}
}

// inventedRow also takes an order whose checkout is in doubt: asking is enough.
func (j *judge) inventedRow(node string, o *Order) {
	j.checked("I6", 1)
	c := j.carts[o.Cart]
	if c == nil || len(c.checkouts) == 0 {
		j.fail("I6", nil, "%s: order %s of cart %q is there, and nobody asked for a checkout of this cart", node, o.ID, o.Cart)
		return
	}
	for _, l := range o.Lines {
		if _, asked := c.variants[l.Variant]; !asked {
			j.fail("I6", nil, "%s: order %s has variant %s, which nobody put into cart %s", node, o.ID, l.Variant, o.Cart)
		}
	}
}

// inventedOrder: an answer may show an order that no node holds only if its
// checkout was never acknowledged, a replica showed it early or a failover came
// after, and it was lost. One that was acknowledged is I5's.
func (j *judge) inventedOrder(op *Op, id string) {
	o := j.orders[id]
	j.checked("I6", 1)
	if len(j.Nodes) == 0 || o.row != nil || o.acked != nil || j.onAnyNode(id) {
		return
	}
	if try := j.openCheckout(op); try != nil {
		j.except("I6", []*Op{try, op}, "order %s is on no node and was seen in %v; it may be what %v lost", id, op, try)
		return
	}
	j.fail("I6", []*Op{op}, "order %s is on no node and was seen in %v, and no checkout of the session is in doubt", id, op)
}

func (j *judge) onAnyNode(order string) bool {
	for _, n := range j.Nodes {
		if slices.ContainsFunc(n.Orders, func(o Order) bool { return o.ID == order }) {
			return true
		}
	}
	return false
}

// openCheckout is a checkout of the same session, or at least the same client,
// whose outcome nobody was told and which has left no order.
func (j *judge) openCheckout(seen *Op) *Op {
	for _, g := range j.groups {
		first := g.ops[0]
		if g.kind == Checkout && g.ok == nil && g.mayAct() && j.byCart[g.cart] == nil && g.call <= seen.Return &&
			(first.Session == seen.Session || first.Client == seen.Client) {
			return first
		}
	}
	return nil
}

// inventedCart bounds the version by the changes that were asked for, and the
// lines by the variants. A change that was refused counts for neither, and all attempts
// under one key count once. The bound is loose, since a request that was sent may not
// have arrived; I8 is the sharp one, and cannot be asked about reads on replicas.
func (j *judge) inventedCart(op *Op) {
	c := j.carts[op.Cart]
	if c == nil {
		return // the record is flawed, and says so
	}
	most := int64(1)
	for _, g := range c.groups {
		if g.kind != CreateCart && g.mayAct() && g.call <= op.Return {
			most++
		}
	}
	j.checked("I6", 1)
	if op.SeenCart.Version > most {
		j.fail("I6", []*Op{op}, "cart %s has version %d in %v, and at most %d by the changes that were asked for", op.Cart, op.SeenCart.Version, op, most)
	}
	for _, variant := range slices.Sorted(maps.Keys(op.SeenCart.Lines)) {
		if at, asked := c.variants[variant]; !asked || at > op.Return {
			j.fail("I6", []*Op{op}, "cart %s has variant %s in %v, which nobody had put there", op.Cart, variant, op)
		}
	}
}

type stateKey struct {
	cart    string
	version int64
}

// A state is what a version of a cart was seen to be.
type state struct {
	text  string
	acked bool
	op    *Op
}

// sameState: a version is one state. Two are an exception only if one of them was
// never acknowledged and a failover may have lost it: its number is then given
// again.
func (j *judge) sameState(states map[stateKey][]*state, op *Op) {
	at := stateKey{op.Cart, op.SeenCart.Version}
	text := op.SeenCart.Status + " " + lines(op.SeenCart.Lines)
	acked := op.writes() || op.SeenCart.Status != open && j.carts[op.Cart].closed != forever
	j.checked("I6", 1)
	for _, known := range states[at] {
		if known.text == text {
			known.acked = known.acked || acked
			return
		}
	}
	for _, known := range states[at] {
		apart := failedOver(known.op, op) || failedOver(op, known.op)
		if known.acked && acked || !apart {
			j.fail("I6", []*Op{known.op, op}, "cart %s, version %d: %q in %v, and %q in %v", at.cart, at.version, known.text, known.op, text, op)
		} else {
			j.except("I6", []*Op{known.op, op}, "cart %s, version %d: %q in %v, and %q in %v", at.cart, at.version, known.text, known.op, text, op)
		}
	}
	states[at] = append(states[at], &state{text, acked, op})
}

// lines is one text for one content. Neither = nor ; is in the id of a variant.
func lines(of map[string]int) string {
	var b strings.Builder
	for _, variant := range slices.Sorted(maps.Keys(of)) {
		fmt.Fprintf(&b, "%s=%d;", variant, of[variant])
	}
	return b.String()
}
