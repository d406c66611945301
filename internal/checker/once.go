package checker

import "slices"

// once is I4. What a node holds is checked on every node, for a standby that was
// promoted wrongly shows it first; what was answered is checked once.
func (j *judge) once() {
	for i := range j.Nodes {
		j.onceOn(&j.Nodes[i])
		j.ledgerOf(&j.Nodes[i])
		j.keysOn(&j.Nodes[i])
	}
	for _, g := range j.groups {
		if g.kind != Checkout {
			continue
		}
		j.checked("I4", 1)
		j.oneAnswer(g)
		if c := j.carts[g.cart]; c.checkouts[0] == g { // each cart once, in a fixed order
			j.oneOrder(c)
		}
	}
}

// onceOn does what two unique constraints do, because a mutant may have dropped them.
func (j *judge) onceOn(n *Node) {
	byID, byCart := map[string]bool{}, map[string]string{}
	for _, o := range n.Orders {
		j.checked("I4", 1)
		if byID[o.ID] {
			j.fail("I4", nil, "%s: order %s is there twice", n.Name, o.ID)
		} else if other, twice := byCart[o.Cart]; twice {
			j.fail("I4", nil, "%s: cart %s has become the orders %s and %s", n.Name, o.Cart, other, o.ID)
		}
		byID[o.ID], byCart[o.Cart] = true, o.ID
	}
}

// ledgerOf holds the ledger to the order lines: each has one movement of kind
// checkout, of its quantity, and there is none besides.
func (j *judge) ledgerOf(n *Node) {
	type line struct{ order, variant string }
	due := map[line]int{}
	for _, o := range n.Orders {
		for _, l := range o.Lines {
			due[line{o.ID, l.Variant}] = l.Quantity
		}
	}
	for _, m := range n.Movements {
		if m.Kind != "checkout" {
			continue
		}
		j.checked("I4", 1)
		at := line{m.Order, m.Variant}
		if n1, there := due[at]; !there || n1 != -m.Delta {
			j.fail("I4", nil, "%s: the ledger moves variant %s by %d for order %s, whose line is of %d or was moved already",
				n.Name, m.Variant, m.Delta, m.Order, n1)
		}
		delete(due, at) // a second movement of the line finds nothing due
	}
	for _, o := range n.Orders {
		for _, l := range o.Lines {
			if _, left := due[line{o.ID, l.Variant}]; left {
				j.fail("I4", nil, "%s: %d of variant %s in order %s were never taken from the stock", n.Name, l.Quantity, l.Variant, o.ID)
			}
		}
	}
}

// keysOn holds the remembered keys to the orders and to what was answered. The
// key commits with its order, so neither is there without the other. A final failure
// is kept too: forgotten, the same key could place the order after all.
func (j *judge) keysOn(n *Node) {
	if len(n.Keys) == 0 { // not read
		return
	}
	orders := map[string]bool{}
	for _, o := range n.Orders {
		orders[o.ID] = true
	}
	rows := map[string]KeyRow{}
	for _, row := range n.Keys {
		rows[row.Key] = row
		j.checked("I4", 1)
		if row.Order != "" && !orders[row.Order] {
			j.fail("I4", nil, "%s: key %s stands for order %s, which is not there", n.Name, row.Key, row.Order)
		}
	}
	for _, g := range j.groups {
		if g.kind != Checkout {
			continue
		}
		row, kept := rows[g.key]
		switch {
		case g.ok != nil && g.ok.SeenOrder != nil && (!kept || row.Order != g.ok.SeenOrder.ID):
			j.fail("I4", []*Op{g.ok}, "%s: key %s was answered with order %s and stands for %q", n.Name, g.key, g.ok.SeenOrder.ID, row.Order)
		case g.ok == nil && g.final != nil && (!kept || row.Order != ""):
			j.fail("I4", []*Op{g.final}, "%s: key %s stands for order %q, and failed for good in %v", n.Name, g.key, row.Order, g.final)
		}
	}
}

// oneAnswer: a success and a final failure are both kept, so all answers of either
// kind to one key are the same answer, in whichever order they came.
func (j *judge) oneAnswer(g *group) {
	if g.ok == nil {
		return
	}
	if g.final != nil {
		j.fail("I4", []*Op{g.ok, g.final}, "key %s: %v succeeded, and %v failed for good", g.key, g.ok, g.final)
	}
	for _, op := range g.ops {
		if op.Outcome == OK && op.SeenOrder != nil && g.ok.SeenOrder != nil && !sameOrder(op.SeenOrder, g.ok.SeenOrder) {
			j.fail("I4", []*Op{g.ok, op}, "key %s: %v and %v succeeded with different orders, %+v and %+v",
				g.key, g.ok, op, *g.ok.SeenOrder, *op.SeenOrder)
			return
		}
	}
}

// oneOrder: of all keys of a cart one may succeed, and an order must come from one
// that may have. "Not now" may be followed by success, but an order whose attempts
// were all told that nothing was done makes one of these answers a lie.
func (j *judge) oneOrder(c *cartLog) {
	var won *group
	possible := false
	for _, g := range c.checkouts {
		possible = possible || g.mayAct()
		if g.ok == nil {
			continue
		}
		if won != nil {
			j.fail("I4", []*Op{won.ok, g.ok}, "cart %s: the checkouts %v and %v both succeeded, under two keys", c.id, won.ok, g.ok)
		}
		won = g
	}
	if order := j.byCart[c.id]; order != nil && !possible {
		j.fail("I4", attempts(c.checkouts), "cart %s: order %s is there, and each of its %d checkouts was answered as without effect",
			c.id, order.id, len(c.checkouts))
	}
}

func attempts(groups []*group) []*Op {
	var ops []*Op
	for _, g := range groups {
		ops = append(ops, g.ops...)
	}
	return ops
}

func sameOrder(a, b *Order) bool {
	return a.ID == b.ID && a.Number == b.Number && a.Total == b.Total && slices.Equal(a.Lines, b.Lines)
}
