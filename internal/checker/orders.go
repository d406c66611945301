package checker

import (
	"maps"
	"slices"
)

// acknowledged is I5. Every answer counts, replays too: a replay that was served by a
// plain SELECT acknowledges an order that no standby may have.
func (j *judge) acknowledged() {
	byID := make([]map[string]*Order, len(j.Nodes))
	for i, n := range j.Nodes {
		byID[i] = make(map[string]*Order, len(n.Orders))
		for k := range n.Orders {
			byID[i][n.Orders[k].ID] = &n.Orders[k]
		}
	}
	for _, op := range j.ops {
		if op.Kind != Checkout || op.Outcome != OK || op.SeenOrder == nil {
			continue
		}
		for i, n := range j.Nodes {
			j.checked("I5", 1)
			row := byID[i][op.SeenOrder.ID]
			switch {
			case row == nil:
				j.fail("I5", []*Op{op}, "order %s is not on %s, and was acknowledged by %v", op.SeenOrder.ID, n.Name, op)
			case !sameOrder(row, op.SeenOrder) || row.Cart != op.Cart:
				j.fail("I5", []*Op{op}, "order %s is %+v on %s, and was acknowledged as %+v by %v", row.ID, *row, n.Name, *op.SeenOrder, op)
			}
		}
	}
	for i := 1; i < len(j.Nodes); i++ {
		j.sameOrders(byID[0], byID[i], j.Nodes[0].Name, j.Nodes[i].Name)
	}
}

// sameOrders also compares the orders that nobody was told of: once at rest, a replica
// with other rows than the primary is not a replica. Versions count here and not
// above, as an answer keeps the one that it was given with.
func (j *judge) sameOrders(first, other map[string]*Order, firstName, otherName string) {
	all := map[string]bool{}
	for id := range first {
		all[id] = true
	}
	for id := range other {
		all[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		j.checked("I5", 1)
		a, b := first[id], other[id]
		acked := j.orders[id] != nil && j.orders[id].acked != nil
		switch {
		case (a == nil || b == nil) && acked: // reported by its acknowledgement
		case a == nil:
			j.fail("I5", nil, "order %s is on %s and not on %s", id, otherName, firstName)
		case b == nil:
			j.fail("I5", nil, "order %s is on %s and not on %s", id, firstName, otherName)
		case !sameOrder(a, b) || a.Cart != b.Cart || a.Version != b.Version:
			j.fail("I5", nil, "order %s is %+v on %s and %+v on %s", id, *a, firstName, *b, otherName)
		}
	}
}

// money is I9. Lists have no lines; their totals are held to the rows.
func (j *judge) money() {
	for _, n := range j.Nodes {
		for i := range n.Orders {
			o := &n.Orders[i]
			j.checked("I9", 1)
			if sum := sumOf(o.Lines); sum != o.Total {
				j.fail("I9", nil, "%s: order %s has the total %d, and its lines add up to %d", n.Name, o.ID, o.Total, sum)
			}
		}
	}
	for _, op := range j.ops {
		if op.Outcome != OK {
			continue
		}
		if op.SeenCart != nil {
			j.cartTotal(op)
		}
		if o := op.SeenOrder; o != nil {
			j.checked("I9", 1)
			if sum := sumOf(o.Lines); sum != o.Total {
				j.fail("I9", []*Op{op}, "order %s has the total %d, and its lines add up to %d, in %v", o.ID, o.Total, sum, op)
			}
			j.asInRow(op, o, true)
		}
		for i := range op.SeenOrders {
			j.asInRow(op, &op.SeenOrders[i], false)
		}
	}
}

// cartTotal uses the prices that the answer itself shows. The catalog's may have moved
// since the lines were added, and a cart promises none.
func (j *judge) cartTotal(op *Op) {
	j.checked("I9", 1)
	var sum int64
	priced := 0
	for variant, n := range op.SeenCart.Lines {
		if price, there := op.SeenCart.Prices[variant]; there {
			sum += int64(n) * price
			priced++
		}
	}
	if unpriced := len(op.SeenCart.Lines) - priced; unpriced > 0 {
		j.fail("I9", []*Op{op}, "cart %s shows no price for %d of its lines in %v", op.Cart, unpriced, op)
	}
	if sum != op.SeenCart.Total {
		j.fail("I9", []*Op{op}, "cart %s has the total %d, and its lines add up to %d, in %v", op.Cart, op.SeenCart.Total, sum, op)
	}
}

// asInRow leaves an order that is in no row to I5 and I6.
func (j *judge) asInRow(op *Op, o *Order, lines bool) {
	known := j.orders[o.ID]
	if known == nil || known.row == nil {
		return
	}
	j.checked("I9", 1)
	row := known.row
	if o.Total != row.Total || o.Number != row.Number || lines && !slices.Equal(o.Lines, row.Lines) {
		j.fail("I9", []*Op{op}, "order %s is kept as %+v, and was answered as %+v in %v", o.ID, *row, *o, op)
	}
}

func sumOf(lines []Line) (sum int64) {
	for _, l := range lines {
		sum += int64(l.Quantity) * l.UnitPrice
	}
	return sum
}
