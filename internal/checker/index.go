package checker

import (
	"slices"
	"time"
)

// index is what several invariants look up. Slices are in the order of Call, and no
// report depends on the order of a map.
type index struct {
	ops    []*Op // by Call
	groups []*group
	carts  map[string]*cartLog
	orders map[string]*orderLog // by id, of every order that was answered or kept
	// Of the rows on the first node: orders by cart, and ids of orders by key.
	byCart map[string]*orderLog
	keys   map[string]string
}

// A cartLog is all that was asked and answered about one cart.
type cartLog struct {
	id        string
	ops       []*Op // in the order of Call
	groups    []*group
	checkouts []*group
	acks      ladder        // versions by when they were first acknowledged
	closed    time.Duration // when its checkout was first acknowledged; forever: never
	variants  map[string]time.Duration
}

// An orderLog is all that is known of one order.
type orderLog struct {
	id      string
	cart    string
	row     *Order // on the first node
	acked   *Op    // the first acknowledgement of its checkout
	shown   time.Duration
	shownBy *Op // the first answer that showed it; nil: none did
}

func newIndex(h History) index {
	x := index{carts: map[string]*cartLog{}, orders: map[string]*orderLog{}, byCart: map[string]*orderLog{}, keys: map[string]string{}}
	for i := range h.Ops {
		x.ops = append(x.ops, &h.Ops[i])
	}
	slices.SortStableFunc(x.ops, func(a, b *Op) int { return compare(a.Call, b.Call) })
	x.group()
	for _, op := range x.ops {
		x.note(op)
	}
	if len(h.Nodes) > 0 {
		rows := h.Nodes[0].Orders
		for i := range rows {
			o := x.order(rows[i].ID)
			o.row, o.cart = &rows[i], rows[i].Cart
			x.byCart[o.cart] = o
		}
		for _, row := range h.Nodes[0].Keys {
			x.keys[row.Key] = row.Order
		}
	}
	for _, c := range x.carts {
		c.acks.build()
	}
	return x
}

func compare(a, b time.Duration) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (x *index) cart(id string) *cartLog {
	c := x.carts[id]
	if c == nil {
		c = &cartLog{id: id, closed: forever, variants: map[string]time.Duration{}}
		x.carts[id] = c
	}
	return c
}

func (x *index) order(id string) *orderLog {
	o := x.orders[id]
	if o == nil {
		o = &orderLog{id: id, shown: forever}
		x.orders[id] = o
	}
	return o
}

// note is called in the order of Call. An order is filed under every answer that shows
// it, since being shown proves that it had been placed by then.
func (x *index) note(op *Op) {
	if op.Cart != "" || op.SeenCart != nil {
		x.cart(op.Cart).note(op)
	}
	if op.Outcome != OK {
		return
	}
	if op.SeenOrder != nil {
		o := x.order(op.SeenOrder.ID)
		o.show(op)
		if op.Kind == Checkout {
			o.cart = op.Cart
			if o.acked == nil || op.Return < o.acked.Return {
				o.acked = op
			}
		}
	}
	for i := range op.SeenOrders {
		x.order(op.SeenOrders[i].ID).show(op)
	}
}

// show keeps the earliest proof that the order was placed.
func (o *orderLog) show(op *Op) {
	if op.Return < o.shown {
		o.shown, o.shownBy = op.Return, op
	}
}

func (c *cartLog) note(op *Op) {
	c.ops = append(c.ops, op)
	c.ask(op)
	if op.Outcome != OK || !op.writes() {
		return
	}
	if op.SeenCart != nil {
		c.acks.add(op.Return, op.SeenCart.Version)
	}
	if op.Kind == Checkout {
		c.closed = min(c.closed, op.Return)
	}
}

// ask notes when each variant was first asked for. Items of a creation that was
// answered are noted too; a creation that was not has no cart to note them for.
func (c *cartLog) ask(op *Op) {
	for variant := range op.asked() {
		if _, known := c.variants[variant]; !known {
			c.variants[variant] = op.Call
		}
	}
}

// asked is the lines that a creation or change may make.
func (op *Op) asked() map[string]int {
	switch op.Kind {
	case CreateCart, AddItem, SetItem:
	default:
		return nil
	}
	if op.Quantity <= 0 {
		return op.Items
	}
	all := map[string]int{op.Variant: op.Quantity}
	for variant, n := range op.Items {
		all[variant] += n
	}
	return all
}

// ackedBefore tells whether the state of the cart that was seen had been
// acknowledged to somebody before t. A later version counts: it came after.
func (c *cartLog) ackedBefore(seen *Cart, t time.Duration) bool {
	return c.acks.before(t) >= seen.Version || seen.Status != open && c.closed < t
}

// firstCall is when the order was first asked for; known is false if no checkout
// of its cart is in the history.
func (x *index) firstCall(o *orderLog) (at time.Duration, known bool) {
	c := x.carts[o.cart]
	if c == nil || len(c.checkouts) == 0 {
		return 0, false
	}
	return c.checkouts[0].call, true // groups are in the order of their first Call
}
