package checker

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// planted is a history that was made by hand to be wrong in one way, or to look
// wrong and be right. An invariant that is not named in want must hold: some
// mistakes break two promises at once, but none may be reported by accident.
type planted struct {
	name     string
	want     string // names of the violated invariants
	excepted string
	make     func(*shop) *History
}

func check(t *testing.T, cases []planted) {
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			report := Check(*c.make(newShop(map[string]int{"a": 3, "b": 200})))
			var excepted []string
			for _, r := range report.Results {
				if r.Excepted > 0 {
					excepted = append(excepted, r.Name)
				}
			}
			if got := strings.Join(report.Violated(), " "); got != c.want {
				t.Errorf("violated: %q, want %q\n%s", got, c.want, report)
			}
			if got := strings.Join(excepted, " "); got != c.excepted {
				t.Errorf("excepted: %q, want %q\n%s", got, c.excepted, report)
			}
			if report.OK() != (c.want == "") {
				t.Errorf("OK() = %t", report.OK())
			}
		})
	}
}

// filled opens a cart with n of variant a: versions 1 and 2.
func filled(s *shop, session, cart string, n int) {
	s.create(session, cart)
	s.add(session, cart, "a", n)
}

// ordered is a cart of n that has become order o1 under key k1.
func ordered(s *shop, n int) *Op {
	filled(s, "s1", "c1", n)
	return s.checkout("s1", "c1", "k1")
}

func missing(op *Op, status int) {
	*op = fail(*op, status, "not_found")
	op.SeenCart, op.SeenOrder, op.SeenOrders = nil, nil, nil
}

// older makes a read answer with the version before.
func older(op *Op, quantity int) {
	op.SeenCart.Version--
	op.SeenCart.Status = open
	op.SeenCart.Lines = map[string]int{"a": quantity}
	if quantity == 0 {
		op.SeenCart.Lines = nil
	}
	op.SeenCart.Total = int64(quantity) * unitPrice
}

func TestReadYourWrites(t *testing.T) {
	check(t, []planted{
		{"own order missing", "I1", "", func(s *shop) *History {
			ordered(s, 2)
			missing(s.readOrder("s1", "o1", replica()), 404)
			return s.history()
		}},
		{"own order missing from a read called before the answer", "", "", func(s *shop) *History {
			placed := ordered(s, 2)
			read := s.readOrder("s1", "o1", replica())
			missing(read, 404)
			read.Call = placed.Return
			return s.history()
		}},
		{"own order missing for another session", "", "", func(s *shop) *History {
			ordered(s, 2)
			missing(s.readOrder("s2", "o1", replica()), 404)
			return s.history()
		}},
		{"own order missing from the list", "I1", "", func(s *shop) *History {
			ordered(s, 2)
			s.list("s1", 10, replica()).SeenOrders = nil
			return s.history()
		}},
		{"shopper unknown to the list", "I1", "", func(s *shop) *History {
			ordered(s, 2)
			missing(s.list("s1", 10, replica()), 401)
			return s.history()
		}},
		{"shopper unknown after the first cart", "I1", "", func(s *shop) *History {
			s.create("s1", "c1")
			missing(s.list("s1", 10, replica()), 401)
			return s.history()
		}},
		{"shopper unknown before the first cart was answered", "", "", func(s *shop) *History {
			made := s.create("s1", "c1")
			list := s.list("s1", 10, replica())
			missing(list, 401)
			list.Call = made.Return
			return s.history()
		}},
		{"newest order missing from a first page", "I1", "", func(s *shop) *History {
			ordered(s, 1)
			filled(s, "s1", "c2", 1)
			s.checkout("s1", "c2", "k2")
			page := s.list("s1", 1, replica())
			page.SeenOrders[0] = s.order("o1")
			return s.history()
		}},
		{"oldest order missing from a first page", "", "", func(s *shop) *History {
			ordered(s, 1)
			filled(s, "s1", "c2", 1)
			s.checkout("s1", "c2", "k2")
			s.list("s1", 1, replica())
			return s.history()
		}},
		{"own change missing", "I1 I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			older(s.read("s1", "c1", replica()), 0)
			return s.history()
		}},
		{"another session's change missing on a replica", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			older(s.read("s2", "c1", replica()), 0)
			return s.history()
		}},
		{"another session's change missing on the primary", "I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			older(s.read("s2", "c1", primary()), 0)
			return s.history()
		}},
		{"own cart missing", "I1 I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			missing(s.read("s1", "c1", replica()), 404)
			return s.history()
		}},
		{"own cart open after its checkout", "I1 I8", "", func(s *shop) *History {
			ordered(s, 2)
			older(s.read("s1", "c1", replica()), 2)
			return s.history()
		}},
		{"a replay repeats what is no longer true", "", "", func(s *shop) *History {
			s.create("s1", "c1")
			first := s.add("s1", "c1", "a", 1)
			first.Key = "add"
			s.add("s1", "c1", "a", 1)
			again := *first
			again.Replayed = true
			s.do(again)
			return s.history()
		}},
	})
}

func TestMonotonicReads(t *testing.T) {
	// early is an order in doubt that session r sees on a replica, and then not.
	early := func(s *shop, then *Source) (first, later *Op) {
		filled(s, "s1", "c1", 2)
		s.doubt("s1", "c1", "k1", true)
		first = s.readOrder("r", "o1", replica())
		later = s.readOrder("r", "o1", then)
		missing(later, 404)
		return first, later
	}
	check(t, []planted{
		{"seen on a replica and then not on the primary", "", "I2", func(s *shop) *History {
			early(s, primary())
			return s.history()
		}},
		{"seen on a replica and then not on a replica", "I2", "", func(s *shop) *History {
			early(s, replica())
			return s.history()
		}},
		{"seen on the primary and then not on the primary", "I2", "", func(s *shop) *History {
			first, _ := early(s, primary())
			first.Source = primary()
			return s.history()
		}},
		{"acknowledged before the second read", "I2", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", true)
			s.readOrder("r", "o1", replica())
			s.checkout("s1", "c1", "k1")
			missing(s.readOrder("r", "o1", primary()), 404)
			return s.history()
		}},
		{"acknowledged after the second read", "", "I2", func(s *shop) *History {
			early(s, primary())
			s.checkout("s1", "c1", "k1")
			return s.history()
		}},
		{"lost by a failover", "", "I2 I6", func(s *shop) *History {
			first, later := early(s, replica())
			first.TokenOut, later.TokenOut = Position{1, 900}, Position{2, 800}
			s.stock["a"], s.rows, s.keys = 3, nil, map[string]*Op{}
			s.carts["c1"].Status = open
			first.Session, later.Session = "s1", "s1"
			return s.history()
		}},
		{"overlapping reads", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			first := s.read("r", "c1", replica())
			later := s.read("r", "c1", replica())
			older(later, 0)
			later.Call = first.Return
			return s.history()
		}},
		{"a cart goes back", "I2", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.read("r", "c1", replica())
			older(s.read("r", "c1", replica()), 0)
			return s.history()
		}},
		{"a change in doubt, shown early", "", "I2", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.add("s1", "c1", "a", 1).Outcome = Unknown
			s.read("s1", "c1", replica())
			older(s.read("s1", "c1", primary()), 1)
			s.read("s1", "c1", primary())
			return s.history()
		}},
		{"an acknowledged change, shown and gone", "I2 I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 1)
			s.read("r", "c1", replica())
			older(s.read("r", "c1", primary()), 0)
			return s.history()
		}},
		{"an acknowledged checkout, shown and gone", "I2 I8", "", func(s *shop) *History {
			ordered(s, 2)
			s.read("r", "c1", replica())
			older(s.read("r", "c1", primary()), 2)
			return s.history()
		}},
		{"an order falls out of the list", "I2", "", func(s *shop) *History {
			ordered(s, 2)
			s.readOrder("r", "o1", replica())
			s.list("r", 10, replica())
			return s.history()
		}},
		{"a bounded read goes back", "", "", func(s *shop) *History {
			s.stamp()
			s.stamp()
			s.probe(0)
			s.probe(35 * ms)
			return s.history()
		}},
	})
}

func TestNoOversell(t *testing.T) {
	check(t, []planted{
		{"a unit too many on a replica", "I3", "", func(s *shop) *History {
			ordered(s, 2)
			h := s.history()
			h.Nodes[2].Stock["a"]++
			return h
		}},
		{"a unit too many on the primary", "I3 I7", "", func(s *shop) *History {
			ordered(s, 2)
			h := s.history()
			h.Nodes[0].Stock["a"]++
			return h
		}},
		{"more sold than there was", "I3 I7", "", func(s *shop) *History {
			s.stock["a"], s.h.Stock["a"] = 2, 1
			ordered(s, 2)
			s.stock["a"] = -1
			return s.history()
		}},
		{"a movement that nothing explains", "I3", "", func(s *shop) *History {
			ordered(s, 2)
			h := s.history()
			h.Nodes[1].Movements = append(h.Nodes[1].Movements, Movement{"", "b", "adjustment", -5})
			h.Nodes[1].Stock["b"] -= 5
			return h
		}},
		{"a movement that took nothing", "I3", "", func(s *shop) *History {
			ordered(s, 2)
			h := s.history()
			h.Nodes[1].Movements = append(h.Nodes[1].Movements, Movement{"", "b", "adjustment", -5})
			return h
		}},
		{"a restock, which no operation explains", "I3", "", func(s *shop) *History {
			ordered(s, 2)
			s.stock["a"] += 5
			h := s.history()
			for i := range h.Nodes {
				h.Nodes[i].Movements = append(h.Nodes[i].Movements, Movement{"", "a", "adjustment", 5})
			}
			return h
		}},
		{"a variant that was sold out is gone", "I3", "", func(s *shop) *History {
			s.stock["z"], s.h.Stock["z"] = 0, 0
			h := s.history()
			delete(h.Nodes[1].Stock, "z")
			return h
		}},
		{"a variant that is gone", "I3", "", func(s *shop) *History {
			h := s.history()
			delete(h.Nodes[1].Stock, "b")
			return h
		}},
	})
}

func TestExactlyOnce(t *testing.T) {
	check(t, []planted{
		{"movements of two orders swapped", "I4", "", func(s *shop) *History {
			ordered(s, 1)
			filled(s, "s2", "c2", 2)
			s.checkout("s2", "c2", "k2")
			h := s.history()
			m := h.Nodes[1].Movements
			m[2].Delta, m[3].Delta = m[3].Delta, m[2].Delta
			return h
		}},
		{"a line taken twice and another never", "I4", "", func(s *shop) *History {
			ordered(s, 1)
			filled(s, "s2", "c2", 1)
			s.checkout("s2", "c2", "k2")
			h := s.history()
			h.Nodes[1].Movements[3].Order = "o1"
			return h
		}},
		{"a line that the ledger calls something else", "I4", "", func(s *shop) *History {
			ordered(s, 1)
			h := s.history()
			h.Nodes[1].Movements[2].Kind = "adjustment"
			return h
		}},
		{"two orders of one cart", "I4 I5", "", func(s *shop) *History {
			ordered(s, 1)
			h := s.history()
			n := &h.Nodes[1]
			twin := n.Orders[0]
			twin.ID = "o2"
			n.Orders = append(n.Orders, twin)
			n.Movements = append(n.Movements, Movement{"o2", "a", "checkout", -1})
			n.Stock["a"]--
			return h
		}},
		{"one order of two carts", "I3 I4", "", func(s *shop) *History {
			filled(s, "s2", "c2", 1)
			s.doubt("s2", "c2", "k2", false)
			ordered(s, 1)
			h := s.history()
			twin := h.Nodes[1].Orders[0]
			twin.Cart = "c2"
			h.Nodes[1].Orders = append([]Order{twin}, h.Nodes[1].Orders...)
			return h
		}},
		{"a key forgotten", "I4", "", func(s *shop) *History {
			ordered(s, 1)
			filled(s, "s2", "c2", 1)
			s.checkout("s2", "c2", "k2")
			h := s.history()
			h.Nodes[2].Keys = h.Nodes[2].Keys[1:]
			return h
		}},
		{"a key that stands for nothing", "I4", "", func(s *shop) *History {
			h := s.history()
			h.Nodes[0].Keys = []KeyRow{{"k9", 201, "o9"}}
			return h
		}},
		{"keys that were not read", "", "", func(s *shop) *History {
			ordered(s, 1)
			h := s.history()
			h.Nodes[2].Keys = nil
			return h
		}},
		{"success and then a final failure", "I4", "", func(s *shop) *History {
			ordered(s, 2)
			s.do(fail(Op{Kind: Checkout, Session: "s1", Cart: "c1", Key: "k1"}, 409, "cart_closed"))
			return s.history()
		}},
		{"a final failure and yet an order", "I4 I7 I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", true)
			short := s.do(fail(Op{Kind: Checkout, Session: "s1", Cart: "c1", Key: "k1"}, 409, "insufficient_stock"))
			short.Available = 1
			return s.history()
		}},
		{"a final failure under one key, an order under the other", "", "", func(s *shop) *History {
			ordered(s, 2)
			s.checkout("s1", "c1", "k2")
			return s.history()
		}},
		{"the same with the keys' orders swapped", "I4", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", true)
			s.checkout("s1", "c1", "k2")
			h := s.history()
			for i := range h.Nodes {
				h.Nodes[i].Keys = []KeyRow{{"k1", 409, ""}, {"k2", 201, "o1"}}
			}
			return h
		}},
		{"not now, and then success", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.do(fail(Op{Kind: Checkout, Session: "s1", Cart: "c1", Key: "k1"}, 503, "busy"))
			s.do(fail(Op{Kind: Checkout, Session: "s1", Cart: "c1", Key: "k1"}, 409, "idempotency_in_progress"))
			s.checkout("s1", "c1", "k1")
			return s.history()
		}},
		{"in doubt, not now, and an order", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", true)
			s.do(fail(Op{Kind: Checkout, Session: "s1", Cart: "c1", Key: "k1"}, 409, "idempotency_in_progress"))
			return s.history()
		}},
		{"only ever not now, and an order", "I4 I8", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.settle("s1", "c1", "k1")
			s.do(fail(Op{Kind: Checkout, Session: "s1", Cart: "c1", Key: "k1"}, 503, "busy"))
			return s.history()
		}},
		{"in doubt, and a replay", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", true)
			s.checkout("s1", "c1", "k1")
			return s.history()
		}},
		{"in doubt, and nothing", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", false)
			s.read("s1", "c1", primary())
			return s.history()
		}},
		{"a replay with another body", "I4 I5 I9", "", func(s *shop) *History {
			ordered(s, 2)
			again := s.checkout("s1", "c1", "k1")
			o := *again.SeenOrder
			o.Number = "LW-000099"
			again.SeenOrder = &o
			return s.history()
		}},
		{"two keys succeed", "I4 I7 I8", "", func(s *shop) *History {
			twin := *ordered(s, 1)
			twin.Key = "k2"
			s.do(twin)
			h := s.history()
			for i := range h.Nodes {
				h.Nodes[i].Keys = append(h.Nodes[i].Keys, KeyRow{"k2", 201, "o1"})
			}
			return h
		}},
	})
}

// unplace takes the orders from one node, as if it had never seen them.
func unplace(h *History, node int) {
	n := &h.Nodes[node]
	n.Orders, n.Keys = nil, nil
	n.Movements = slices.DeleteFunc(n.Movements, func(m Movement) bool { return m.Kind == "checkout" })
	for v, q := range h.Stock {
		n.Stock[v] = q
	}
}

func TestNoLostOrder(t *testing.T) {
	check(t, []planted{
		{"acknowledged and not on a replica", "I5", "", func(s *shop) *History {
			ordered(s, 2)
			h := s.history()
			unplace(h, 2)
			return h
		}},
		{"acknowledged and nowhere", "I5 I7 I8", "", func(s *shop) *History {
			ordered(s, 2)
			h := s.history()
			for i := range h.Nodes {
				unplace(h, i)
				h.Nodes[i].CartsOpen["c1"] = open
			}
			return h
		}},
		{"never acknowledged and nowhere", "", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", false)
			return s.history()
		}},
		{"never acknowledged, on the primary alone", "I5", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", true)
			h := s.history()
			unplace(h, 1)
			return h
		}},
		{"never acknowledged, on a replica alone", "I5", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", true)
			h := s.history()
			unplace(h, 0)
			h.Nodes[0].CartsOpen["c1"] = open
			unplace(h, 1)
			return h
		}},
		{"another number on a replica", "I5", "", func(s *shop) *History {
			ordered(s, 2)
			h := s.history()
			h.Nodes[1].Orders[0].Number = "LW-000099"
			return h
		}},
		{"never acknowledged, with other lines on a replica", "I5", "", func(s *shop) *History {
			filled(s, "s1", "c1", 2)
			s.doubt("s1", "c1", "k1", true)
			h := s.history()
			h.Nodes[1].Orders[0].Number = "LW-000099"
			return h
		}},
	})
}
