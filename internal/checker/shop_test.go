package checker

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// A shop is the correct shop, one operation after the other: it makes the histories
// that must pass. Every variant costs 100.
type shop struct {
	h      History
	now    time.Duration
	carts  map[string]*Cart
	stock  map[string]int
	rows   []Order
	keys   map[string]*Op // the kept answer
	bought map[string][]string
	pad    func() time.Duration // how much longer than its effect an operation takes, on either side
}

const unitPrice = 100

func newShop(stock map[string]int) *shop {
	return &shop{
		h: History{
			Deadline: time.Second, Slack: 250 * time.Millisecond, Stock: stock,
			Ops: make([]Op, 0, 64), // room for those that a test holds on to, and alters
		},
		carts: map[string]*Cart{}, stock: maps.Clone(stock), keys: map[string]*Op{}, bought: map[string][]string{},
		pad: func() time.Duration { return time.Millisecond },
	}
}

// do records an operation around this instant. It comes to be known as its place
// in Ops, which is its ID.
func (s *shop) do(op Op) *Op {
	s.now += 10 * time.Millisecond
	op.ID, op.Call, op.Return = len(s.h.Ops), max(0, s.now-s.pad()), s.now+s.pad()
	if op.Outcome == "" {
		op.Outcome, op.Status = OK, 200
	}
	s.h.Ops = append(s.h.Ops, op)
	return &s.h.Ops[op.ID]
}

func fail(op Op, status int, code string) Op {
	op.Outcome, op.Status, op.Code = Failed, status, code
	return op
}

func (s *shop) see(cart string) *Cart {
	c := *s.carts[cart]
	c.Lines, c.Prices, c.Total = maps.Clone(c.Lines), map[string]int64{}, 0
	for v, n := range c.Lines {
		c.Prices[v] = unitPrice
		c.Total += int64(n) * unitPrice
	}
	return &c
}

func (s *shop) create(session, cart string) *Op {
	s.carts[cart] = &Cart{ID: cart, Version: 1, Status: open, Lines: map[string]int{}}
	return s.do(Op{Kind: CreateCart, Session: session, Cart: cart, SeenCart: s.see(cart)})
}

// apply makes a change and answers it; false is cart_closed.
func (s *shop) apply(op Op) bool {
	c := s.carts[op.Cart]
	if c.Status != open {
		return false
	}
	n := op.Quantity
	if op.Kind == AddItem {
		n += c.Lines[op.Variant]
	}
	c.Version++
	c.Lines[op.Variant] = n
	if n == 0 {
		delete(c.Lines, op.Variant)
	}
	return true
}

func (s *shop) change(kind Kind, session, cart, variant string, n int) *Op {
	op := Op{Kind: kind, Session: session, Cart: cart, Variant: variant, Quantity: n}
	if !s.apply(op) {
		return s.do(fail(op, 409, "cart_closed"))
	}
	op.SeenCart = s.see(cart)
	return s.do(op)
}

func (s *shop) add(session, cart, variant string, n int) *Op {
	return s.change(AddItem, session, cart, variant, n)
}

// settle is the checkout's transaction: what the key stands for from now on.
func (s *shop) settle(session, cart, key string) Op {
	op := Op{Kind: Checkout, Session: session, Cart: cart, Key: key}
	if kept := s.keys[key]; kept != nil {
		again := *kept
		again.Session, again.Replayed = session, true
		return again
	}
	c := s.carts[cart]
	switch missing := s.short(c); {
	case c.Status != open:
		op = fail(op, 409, "cart_closed")
	case missing != "":
		op = fail(op, 409, "insufficient_stock")
		op.Available, op.Requested = min(s.stock[missing], maxShown), c.Lines[missing]
	default:
		op.SeenOrder = s.place(c, session)
	}
	s.keys[key] = &op
	return op
}

func (s *shop) short(c *Cart) string {
	for _, v := range slices.Sorted(maps.Keys(c.Lines)) {
		if s.stock[v] < c.Lines[v] {
			return v
		}
	}
	return ""
}

func (s *shop) place(c *Cart, session string) *Order {
	c.Version++
	c.Status = "ordered"
	n := len(s.rows) + 1
	o := Order{ID: fmt.Sprintf("o%d", n), Number: fmt.Sprintf("LW-%06d", n), Version: 1}
	for _, v := range slices.Sorted(maps.Keys(c.Lines)) {
		s.stock[v] -= c.Lines[v]
		o.Lines = append(o.Lines, Line{v, c.Lines[v], unitPrice})
		o.Total += int64(c.Lines[v]) * unitPrice
	}
	row := o
	row.Cart = c.ID
	s.rows = append(s.rows, row)
	s.bought[session] = append(s.bought[session], o.ID)
	return &o
}

func (s *shop) checkout(session, cart, key string) *Op { return s.do(s.settle(session, cart, key)) }

// doubt is a checkout that nobody answered; it happened if effect is true.
func (s *shop) doubt(session, cart, key string, effect bool) *Op {
	if effect {
		s.settle(session, cart, key)
	}
	return s.do(Op{Kind: Checkout, Session: session, Cart: cart, Key: key, Outcome: Unknown})
}

func replica() *Source { return &Source{Node: "replica-1", Bound: 5 * time.Millisecond} }
func primary() *Source { return &Source{Primary: true} }

func (s *shop) read(session, cart string, from *Source) *Op {
	return s.do(Op{Kind: ReadCart, Session: session, Cart: cart, SeenCart: s.see(cart), Source: from})
}

func (s *shop) order(id string) Order {
	o := s.rows[slices.IndexFunc(s.rows, func(o Order) bool { return o.ID == id })]
	o.Cart = ""
	return o
}

func (s *shop) readOrder(session, id string, from *Source) *Op {
	o := s.order(id)
	return s.do(Op{Kind: ReadOrder, Session: session, Order: id, SeenOrder: &o, Source: from})
}

func (s *shop) list(session string, page int, from *Source) *Op {
	op := Op{Kind: ListOrders, Session: session, Source: from}
	for _, id := range slices.Backward(s.bought[session]) {
		if op.Partial = len(op.SeenOrders) == page; op.Partial {
			break
		}
		o := s.order(id)
		o.Lines = nil
		op.SeenOrders = append(op.SeenOrders, o)
	}
	return s.do(op)
}

func (s *shop) stamp() {
	s.now += 10 * time.Millisecond
	s.h.Stamps = append(s.h.Stamps, Stamp{int64(len(s.h.Stamps) + 1), s.now - time.Millisecond, s.now + time.Millisecond})
}

// probe reads a replica that is as far behind as it claims.
func (s *shop) probe(behind time.Duration) *Op {
	op := Op{Kind: ReadProbe, Session: "p", Source: &Source{Node: "replica-1", Bound: behind}}
	at := s.now + 10*time.Millisecond - behind
	for _, stamp := range s.h.Stamps {
		if stamp.Sent <= at {
			op.SeenProbe = stamp.Value
		}
	}
	return s.do(op)
}

// history ends the run: three nodes, equal and at rest.
func (s *shop) history() *History {
	for i, name := range []string{"primary", "replica-1", "replica-2"} {
		n := Node{Name: name, Primary: i == 0, Stock: maps.Clone(s.stock), CartsOpen: map[string]string{}}
		for v, q := range s.h.Stock {
			n.Movements = append(n.Movements, Movement{"", v, "initial", q})
		}
		for _, o := range s.rows {
			o.Lines = slices.Clone(o.Lines)
			n.Orders = append(n.Orders, o)
			for _, l := range o.Lines {
				n.Movements = append(n.Movements, Movement{o.ID, l.Variant, "checkout", -l.Quantity})
			}
		}
		for _, key := range slices.Sorted(maps.Keys(s.keys)) {
			row := KeyRow{Key: key, Status: 409}
			if o := s.keys[key].SeenOrder; o != nil {
				row = KeyRow{key, 201, o.ID}
			}
			n.Keys = append(n.Keys, row)
		}
		for id, c := range s.carts {
			n.CartsOpen[id] = c.Status
		}
		s.h.Nodes = append(s.h.Nodes, n)
	}
	return &s.h
}
