package checker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestNoInvention(t *testing.T) {
	check(t, []planted{
		{"an order that nobody asked for", "I6", "", func(s *shop) *History {
			s.carts["cx"] = &Cart{ID: "cx", Status: open, Lines: map[string]int{"b": 1}}
			s.place(s.carts["cx"], "")
			return s.history()
		}},
		{"an order of a cart that nobody checked out", "I6", "", func(s *shop) *History {
			s.create("s1", "c1")
			s.add("s1", "c1", "b", 1)
			s.place(s.carts["c1"], "")
			s.carts["c1"].Status = open
			return s.history()
		}},
		{"an order of what nobody put into the cart", "I6 I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.carts["c1"].Lines["b"] = 1
			s.checkout("s1", "c1", "k1")
			return s.history()
		}},
		{"a value that nobody sent", "I6", "", func(s *shop) *History {
			s.stamp()
			s.probe(0).SeenProbe = 2
			return s.history()
		}},
		{"a value that was sent and never acknowledged", "", "", func(s *shop) *History {
			s.stamp()
			s.h.Stamps[0].Acked = 0
			s.probe(0)
			return s.history()
		}},
		{"a version above all changes", "I6", "", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.read("r", "c1", replica()).SeenCart.Version = 3
			return s.history()
		}},
		{"a version by a change in doubt", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.add("s1", "c1", "a", 1).Outcome = Unknown
			s.read("r", "c1", replica())
			return s.history()
		}},
		{"a version by a refused change", "I6", "", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			refused := s.add("s1", "c1", "a", 1)
			*refused = fail(*refused, 422, "quantity_out_of_range")
			s.read("r", "c1", replica())
			return s.history()
		}},
		{"a variant that nobody put there", "I6", "", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.add("s1", "c1", "a", 1).Outcome = Unknown
			read := s.read("r", "c1", replica())
			read.SeenCart.Lines = map[string]int{"b": 2}
			read.SeenCart.Prices = map[string]int64{"b": unitPrice}
			return s.history()
		}},
		{"two contents of one version", "I6", "", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			read := s.read("r", "c1", replica())
			read.SeenCart.Lines["a"], read.SeenCart.Total = 2, 2*unitPrice
			return s.history()
		}},
		{"two contents of one version, one lost by a failover", "", "I6", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.add("s1", "c1", "a", 5).Outcome = Unknown
			early := s.read("s1", "c1", replica())
			early.TokenOut = Position{1, 900}
			s.carts["c1"].Version, s.carts["c1"].Lines["a"] = 2, 1
			s.add("s1", "c1", "a", 1).TokenOut = Position{2, 800}
			return s.history()
		}},
		{"the same, and both acknowledged", "I6 I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.add("s1", "c1", "a", 5).TokenOut = Position{1, 900}
			s.carts["c1"].Version, s.carts["c1"].Lines["a"] = 2, 1
			s.add("s1", "c1", "a", 1).TokenOut = Position{2, 800}
			return s.history()
		}},
		{"an order on no node, and none in doubt", "I6", "", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.list("s1", 10, replica()).SeenOrders = []Order{{ID: "o9", Number: "LW-000009", Version: 1}}
			return s.history()
		}},
		{"an order on no node, and one in doubt", "", "I6", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.doubt("s1", "c1", "k1", false)
			s.list("s1", 10, replica()).SeenOrders = []Order{{ID: "o9", Number: "LW-000009", Version: 1}}
			return s.history()
		}},
	})
}

func TestStockDecisions(t *testing.T) {
	// refused asks for four of three.
	refused := func(s *shop) *Op {
		filled(s, "s2", "c2", 4)
		return s.checkout("s2", "c2", "k2")
	}
	check(t, []planted{
		{"told of what is left", "", "", func(s *shop) *History {
			ordered(s, 2)
			refused(s)
			return s.history()
		}},
		{"sold out too early", "I7", "", func(s *shop) *History {
			ordered(s, 2)
			refused(s).Available = 0
			return s.history()
		}},
		{"refused though there was enough", "I7", "", func(s *shop) *History {
			ordered(s, 2)
			refused(s).Requested = 1
			return s.history()
		}},
		{"told of what was left before an order that had ended", "I7", "", func(s *shop) *History {
			ordered(s, 2)
			refused(s).Available = 3
			return s.history()
		}},
		{"told of what was left before an order that had not", "", "", func(s *shop) *History {
			placed := ordered(s, 2)
			no := refused(s)
			no.Available, placed.Return = 3, no.Call
			return s.history()
		}},
		{"told of 99 of 200", "", "", func(s *shop) *History {
			s.create("s1", "c1")
			s.add("s1", "c1", "b", 201)
			s.checkout("s1", "c1", "k1")
			return s.history()
		}},
		{"told of 98 of 200", "I7", "", func(s *shop) *History {
			s.create("s1", "c1")
			s.add("s1", "c1", "b", 201)
			s.checkout("s1", "c1", "k1").Available = 98
			return s.history()
		}},
		{"in doubt, and taken late", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", false)
			refused(s) // of three
			s.settle("s1", "c1", "k1")
			return s.history()
		}},
		{"in doubt, taken and shown, and told of what was before", "I7", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", true)
			s.readOrder("s1", "o1", primary())
			refused(s).Available = 3
			return s.history()
		}},
		{"in doubt under two keys, and taken by the second", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k0", false)
			refused(s) // of three
			s.doubt("s1", "c1", "k1", true)
			return s.history()
		}},
		{"in doubt under two keys, and told before the second as if taken", "I7", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k0", false)
			refused(s).Available = 1
			s.doubt("s1", "c1", "k1", true)
			return s.history()
		}},
		{"in doubt, not taken, and told as if it were", "I7", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", false)
			refused(s).Available = 1
			return s.history()
		}},
		{"an order of several lines", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.add("s1", "c1", "b", 5)
			s.checkout("s1", "c1", "k1")
			refused(s)
			return s.history()
		}},
		{"an order of several lines, and sold out too early", "I7", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.add("s1", "c1", "b", 5)
			s.checkout("s1", "c1", "k1")
			refused(s).Available = 0
			return s.history()
		}},
	})
}

// many sells one of b to each of n carts, one after the other, and then refuses 201.
func many(s *shop, n int) *Op {
	for i := range n + 1 {
		cart, quantity := fmt.Sprintf("cart%d", i), 1
		if i == n {
			quantity = 201
		}
		s.create("s", cart)
		s.add("s", cart, "b", quantity)
		s.checkout("s", cart, "key of "+cart)
	}
	return &s.h.Ops[len(s.h.Ops)-1]
}

// A long history is searched in pieces, and a decision in doubt belongs to all.
func TestStockDecisionsInPieces(t *testing.T) {
	check(t, []planted{
		{"told of what is left", "", "", func(s *shop) *History {
			many(s, 150)
			return s.history()
		}},
		{"sold out too early", "I7", "", func(s *shop) *History {
			many(s, 150).Available--
			return s.history()
		}},
		{"in doubt from the first to the last", "", "", func(s *shop) *History {
			s.create("s1", "c1")
			s.add("s1", "c1", "b", 10)
			s.doubt("s1", "c1", "k1", false)
			many(s, 150)
			s.settle("s1", "c1", "k1")
			return s.history()
		}},
	})
}

func TestCartRegister(t *testing.T) {
	check(t, []planted{
		{"a change overwritten", "I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.carts["c1"].Lines["a"] = 0
			s.add("s1", "c1", "a", 1)
			return s.history()
		}},
		{"two changes at once, answered in the other order", "", "", func(s *shop) *History {
			s.create("s1", "c1")
			first, later := s.add("s1", "c1", "a", 1), s.add("s1", "c1", "b", 1)
			first.Call, first.Return, later.Call, later.Return = later.Call, later.Return, first.Call, later.Call
			return s.history()
		}},
		{"set, removed, read", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.add("s1", "c1", "b", 7)
			s.change(SetItem, "s1", "c1", "a", 5)
			s.change(SetItem, "s1", "c1", "b", 0)
			s.change(SetItem, "s1", "c1", "b", 0)
			s.read("s1", "c1", replica())
			return s.history()
		}},
		{"a change of a closed cart", "I8", "", func(s *shop) *History {
			ordered(s, 2)
			s.carts["c1"].Status = open
			s.add("s2", "c1", "a", 1)
			s.carts["c1"].Status = "ordered"
			return s.history()
		}},
		{"a change of a closed cart that changed nothing", "I8", "", func(s *shop) *History {
			ordered(s, 2)
			s.do(Op{Kind: AddItem, Session: "s2", Cart: "c1", Variant: "a", Quantity: 1, SeenCart: s.see("c1")})
			return s.history()
		}},
		{"closed said of an open cart", "I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.do(fail(Op{Kind: AddItem, Session: "s1", Cart: "c1", Variant: "a", Quantity: 1}, 409, "cart_closed"))
			return s.history()
		}},
		{"closed said of a closed cart", "", "", func(s *shop) *History {
			ordered(s, 2)
			s.add("s1", "c1", "a", 1)
			return s.history()
		}},
		{"closed at the end, without an order", "I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.carts["c1"].Status = "ordered"
			return s.history()
		}},
		{"an order of less than the cart", "I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.carts["c1"].Lines["a"] = 1
			s.checkout("s1", "c1", "k1")
			return s.history()
		}},
		{"begun with items", "", "", func(s *shop) *History {
			made := s.create("s1", "c1")
			s.carts["c1"].Lines["a"], s.carts["c1"].Lines["b"] = 2, 1
			made.Variant, made.Quantity, made.Items, made.SeenCart = "a", 2, map[string]int{"b": 1}, s.see("c1")
			s.add("s1", "c1", "a", 1)
			return s.history()
		}},
		{"begun with other items", "I8", "", func(s *shop) *History {
			made := s.create("s1", "c1")
			s.carts["c1"].Lines["a"] = 2
			made.Variant, made.Quantity, made.SeenCart = "a", 1, s.see("c1")
			return s.history()
		}},
		{"a thousand of one variant", "I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 999)
			s.add("s1", "c1", "a", 1)
			return s.history()
		}},
		{"a thousand of one variant, in doubt and refused", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 999)
			s.do(Op{Kind: AddItem, Session: "s1", Cart: "c1", Variant: "a", Quantity: 1, Outcome: Unknown})
			s.read("s1", "c1", replica())
			return s.history()
		}},
		{"one key added twice", "I6 I8", "", func(s *shop) *History {
			s.create("s1", "c1")
			s.add("s1", "c1", "a", 1).Key = "add"
			s.add("s1", "c1", "a", 1).Key = "add"
			s.read("s1", "c1", replica())
			return s.history()
		}},
		{"a change in doubt, seen", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.add("s1", "c1", "a", 1).Outcome = Unknown
			s.read("s1", "c1", replica())
			return s.history()
		}},
		{"a change in doubt, never seen", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.do(Op{Kind: AddItem, Session: "s1", Cart: "c1", Variant: "a", Quantity: 1, Outcome: Unknown})
			s.read("s1", "c1", replica())
			s.add("s1", "c1", "b", 1)
			return s.history()
		}},
		{"a change in doubt, seen late", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.do(Op{Kind: AddItem, Session: "s1", Cart: "c1", Variant: "a", Quantity: 1, Outcome: Unknown})
			s.read("s1", "c1", replica())
			s.apply(Op{Kind: AddItem, Cart: "c1", Variant: "a", Quantity: 1})
			s.read("s1", "c1", replica())
			return s.history()
		}},
	})
}

func TestMoney(t *testing.T) {
	check(t, []planted{
		{"a wrong total, everywhere", "I9", "", func(s *shop) *History {
			ordered(s, 2).SeenOrder.Total = 199
			s.rows[0].Total = 199
			return s.history()
		}},
		{"a wrong total in a list", "I9", "", func(s *shop) *History {
			ordered(s, 2)
			s.list("s1", 10, replica()).SeenOrders[0].Total = 199
			return s.history()
		}},
		{"a wrong total of an order that was lost", "I9", "I6", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", false)
			lost := &Order{ID: "o9", Number: "LW-000009", Version: 1, Total: 199, Lines: []Line{{"a", 2, unitPrice}}}
			s.do(Op{Kind: ReadOrder, Session: "s1", Order: "o9", SeenOrder: lost, Source: replica()})
			return s.history()
		}},
		{"other lines than were placed", "I9", "", func(s *shop) *History {
			ordered(s, 2)
			s.readOrder("s1", "o1", replica()).SeenOrder.Lines = []Line{{"a", 1, 2 * unitPrice}}
			return s.history()
		}},
		{"a wrong total of a cart", "I9", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.read("s1", "c1", replica()).SeenCart.Total = 100
			return s.history()
		}},
		{"a cart without a price", "I9", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			read := s.read("s1", "c1", replica())
			read.SeenCart.Prices, read.SeenCart.Total = nil, 0
			return s.history()
		}},
		{"another price than before", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			read := s.read("s1", "c1", replica())
			read.SeenCart.Prices["a"], read.SeenCart.Total = 150, 300
			return s.history()
		}},
	})
}

func TestBoundedStaleness(t *testing.T) {
	// late shows nothing of a stamp that was acknowledged 17 ms before.
	late := func(from Source) func(*shop) *History {
		return func(s *shop) *History {
			s.stamp()
			s.now += 9 * ms
			read := s.probe(0)
			read.SeenProbe, read.Source = 0, &from
			return s.history()
		}
	}
	check(t, []planted{
		{"older than its bound", "G2", "", late(Source{Node: "replica-1", Bound: 16 * ms})},
		{"as old as its bound", "", "", late(Source{Node: "replica-1", Bound: 17 * ms})},
		{"old on the primary", "G2", "", late(Source{Primary: true, Bound: 50 * ms})},
		{"fresh on the primary, which claims no bound", "", "", func(s *shop) *History {
			s.stamp()
			s.probe(0).Source = &Source{Primary: true, Bound: -1}
			return s.history()
		}},
		{"stale, and says how much", "", "", late(Source{Node: "replica-1", Bound: 50 * ms, Stale: true})},
		{"stale, and lies about it", "G2", "", late(Source{Node: "replica-1", Bound: 10 * ms, Stale: true})},
		{"stale, and claims nothing", "", "", late(Source{Node: "replica-1", Bound: -1, Stale: true})},
		{"fresh, and claims nothing", "G2", "", late(Source{Node: "replica-1", Bound: -1})},
		{"not there at all", "G2", "", func(s *shop) *History {
			s.stamp()
			read := s.probe(0)
			missing(read, 404)
			read.SeenProbe = 0
			return s.history()
		}},
		{"in doubt, and not seen", "", "", func(s *shop) *History {
			s.stamp()
			s.h.Stamps[0].Acked = 0
			s.probe(0).SeenProbe = 0
			return s.history()
		}},
	})
}

func TestDeadline(t *testing.T) {
	slow := func(by int) func(*shop) *History {
		return func(s *shop) *History {
			op := s.create("s1", "c1")
			op.Return = op.Call + s.h.Deadline + s.h.Slack
			for range by {
				op.Return++
			}
			return s.history()
		}
	}
	check(t, []planted{
		{"at the last moment", "", "", slow(0)},
		{"a nanosecond late", "deadline", "", slow(1)},
		{"late, and never answered", "deadline", "", func(s *shop) *History {
			op := s.do(Op{Kind: Browse, Outcome: Unknown})
			op.Return += 2 * s.h.Deadline
			return s.history()
		}},
	})
}

func TestRecord(t *testing.T) {
	check(t, []planted{
		{"no nodes", "record", "", func(s *shop) *History { return &s.h }},
		{"a success without its body", "record", "", func(s *shop) *History {
			s.create("s1", "c1")
			s.read("s1", "c1", replica()).SeenCart = nil
			return s.history()
		}},
		{"a probe without its source", "record", "", func(s *shop) *History {
			s.probe(0).Source = nil
			return s.history()
		}},
		{"doubt taken for a failure", "record", "", func(s *shop) *History {
			s.create("s1", "c1")
			s.do(fail(Op{Kind: Checkout, Session: "s1", Cart: "c1", Key: "k1"}, 503, "outcome_unknown"))
			return s.history()
		}},
		{"one id twice", "record", "", func(s *shop) *History {
			s.create("s1", "c1")
			s.create("s1", "c2").ID = 0
			return s.history()
		}},
		{"back before it went", "record", "", func(s *shop) *History {
			op := s.do(Op{Kind: Browse})
			op.Return = op.Call - 1
			return s.history()
		}},
		{"stamps out of order", "record", "", func(s *shop) *History {
			s.stamp()
			s.h.Stamps[0].Value = 2
			return s.history()
		}},
	})
}

// A crowd that comes too late is judged, and one of it that was told of too much is
// found: all of them at once, while the last are sold.
func TestACrowdThatComesTooLate(t *testing.T) {
	told := func(left, requested int) move[int] {
		return short(&Op{Kind: Checkout, Code: "insufficient_stock", Return: 100, Requested: requested, Available: left}, 0)
	}
	for left, want := range map[int]string{1: "", 7: "no order"} {
		moves := []move[int]{told(left, 8)}
		for range 40 {
			moves = append(moves, told(0, 1), told(0, 2))
		}
		for range 6 {
			moves = append(moves, take(2, 0, 100, nil))
		}
		moves = append(moves, take(1, 0, 100, nil), take(1, 0, 100, nil))
		if left == 7 { // an odd number, and no single one is sold
			moves = moves[:len(moves)-2]
		}
		j := newJudge(History{Stock: map[string]int{"a": 2 * 6}})
		if left == 1 {
			j.Stock["a"] += 2
		}
		steps := stepsInAll
		j.decisionsOn("a", moves, &steps)
		r := j.report.Result("I7")
		if (r.Violated > 0) != (want != "") || r.Violated > 0 && !strings.Contains(r.Violations[0].Text, want) || r.Checked != len(moves) {
			t.Errorf("told of %d left: %+v", left, r)
		}
	}
}

// Too many at once to be sure is not a pass.
func TestUndecidedIsAViolation(t *testing.T) {
	s := newShop(map[string]int{"a": 3, "b": 1})
	for _, id := range []string{"1", "2"} {
		s.create("s"+id, "c"+id)
		s.add("s"+id, "c"+id, "b", 1)
		s.checkout("s"+id, "c"+id, "k"+id)
	}
	h := s.history()
	j := newJudge(*h)
	steps := 2
	j.decisions(&steps)
	if r := j.report.Result("I7"); r.Violated != 1 || !strings.Contains(r.Violations[0].Text, "undecided") {
		t.Errorf("after two steps: %+v", r)
	}
	many := slices.Repeat([]move[int]{take(0, 0, forever, nil)}, maxPartition+1)
	steps = stepsInAll
	if got, _ := search(0, many, &steps); got != undecided {
		t.Errorf("%d operations at once: %v", len(many), got)
	}
}
