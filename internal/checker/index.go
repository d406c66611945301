package checker

import (
	"slices"
	"time"
)

// index is what several invariants look up.
type index struct {
	ops    []*Op // by Call
	groups []*group
	carts  map[string]*cartLog
	orders map[string]*orderLog // by id, of every order that was answered or kept
	// Of the rows on the first node: orders by cart, and ids of orders by key.
	byCart map[string]*orderLog
	keys   map[string]string
}

// A group is all attempts at one write: those with the same key, or the only one.
// What it did, it did once.
type group struct {
	kind    Kind
	key     string
	cart    string
	ops     []*Op
	call    time.Duration // of the first attempt
	ok      *Op           // the success that returned first
	final   *Op           // the final failure that returned first
	unknown bool          // an attempt's outcome is
}

// mayAct is false only if every attempt was definitely without effect.
func (g *group) mayAct() bool { return g.ok != nil || g.unknown && g.final == nil }

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

func (x *index) group() {
	type name struct {
		kind      Kind
		cart, key string
	}
	byName := map[name]*group{}
	for _, op := range x.ops {
		if !op.writes() || op.Cart == "" { // a creation that was not answered has no cart yet
			continue
		}
		at := name{op.Kind, op.Cart, op.Key}
		g := byName[at]
		if g == nil || op.Key == "" {
			g = &group{kind: op.Kind, key: op.Key, cart: op.Cart, call: op.Call}
			byName[at] = g
			x.groups = append(x.groups, g)
			c := x.cart(op.Cart)
			c.groups = append(c.groups, g)
			if op.Kind == Checkout {
				c.checkouts = append(c.checkouts, g)
			}
		}
		g.add(op)
	}
}

func (g *group) add(op *Op) {
	g.ops = append(g.ops, op)
	switch {
	case op.Outcome == OK && (g.ok == nil || op.Return < g.ok.Return):
		g.ok = op
	case op.Outcome == Unknown:
		g.unknown = true
	case op.finally() && (g.final == nil || op.Return < g.final.Return):
		g.final = op
	}
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

// note is called in the order of Call.
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

// A ladder answers how high a version was known by an instant.
type ladder struct{ steps []step }

type step struct {
	at      time.Duration
	version int64
	op      *Op // may be nil
}

func (l *ladder) add(at time.Duration, version int64) {
	l.steps = append(l.steps, step{at, version, nil})
}

// build sorts the steps and makes each the highest so far.
func (l *ladder) build() {
	slices.SortStableFunc(l.steps, func(a, b step) int { return compare(a.at, b.at) })
	for i := 1; i < len(l.steps); i++ {
		if before := l.steps[i-1]; before.version > l.steps[i].version {
			l.steps[i].version, l.steps[i].op = before.version, before.op
		}
	}
}

// top is the highest step before t, and zero if there is none.
func (l *ladder) top(t time.Duration) step {
	i, _ := slices.BinarySearchFunc(l.steps, t, func(s step, t time.Duration) int { return compare(s.at, t) })
	if i == 0 {
		return step{}
	}
	return l.steps[i-1]
}

func (l *ladder) before(t time.Duration) int64 { return l.top(t).version }
