package checker

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// One seed, so that a test that was green stays green; -rapid.seed looks further.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.seed"); f.Value.String() == "0" {
		if err := f.Value.Set("1"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// trade draws a run of the correct shop, with requests in doubt, late effects,
// retries under one key, carts of several sessions and requests that overlap.
func trade(t *rapid.T) *shop {
	s := newShop(map[string]int{"a": rapid.IntRange(0, 12).Draw(t, "stock"), "b": 150})
	s.pad = func() time.Duration { return time.Duration(rapid.IntRange(1, 40).Draw(t, "pad")) * ms }
	var carts []string
	var late []func()
	next := func(name string, n int) int { return rapid.IntRange(0, n-1).Draw(t, name) }
	for range rapid.IntRange(5, 60).Draw(t, "length") {
		if len(late) > 0 && next("late", 4) == 0 {
			late[0]()
			late = late[1:]
		}
		session := fmt.Sprintf("s%d", next("session", 3))
		if len(carts) == 0 || next("new", 5) == 0 {
			carts = append(carts, fmt.Sprintf("c%d-%s", len(carts), session))
			s.create(session, carts[len(carts)-1])
		}
		cart := carts[next("cart", len(carts))]
		session = cart[len(cart)-2:] // a cart is seen by its own shopper
		key := fmt.Sprintf("%s-k%d", cart, next("key", 2))
		variant, n := []string{"a", "b"}[next("variant", 2)], 1+next("quantity", 4)
		from := []*Source{replica(), primary()}[next("from", 2)]
		switch next("kind", 12) {
		case 0, 1, 2:
			s.add(session, cart, variant, n)
		case 3:
			s.change(SetItem, session, cart, variant, n-1)
		case 4, 5:
			s.read(session, cart, from)
		case 6:
			if len(s.carts[cart].Lines) > 0 {
				s.checkout(session, cart, key)
			}
		case 7: // a checkout in doubt: never, now or later
			if len(s.carts[cart].Lines) > 0 {
				s.doubt(session, cart, key, next("effect", 2) == 0)
				if next("later", 3) == 0 {
					late = append(late, func() { s.settle(session, cart, key) })
				}
			}
		case 8: // a change in doubt
			op := Op{Kind: AddItem, Session: session, Cart: cart, Variant: variant, Quantity: n, Outcome: Unknown}
			switch next("effect", 3) {
			case 0:
				s.apply(op)
			case 1:
				late = append(late, func() { s.apply(op) })
			}
			s.do(op)
		case 9:
			s.list(session, 2, from)
		case 10:
			if mine := s.bought[session]; len(mine) > 0 {
				s.readOrder(session, mine[next("order", len(mine))], from)
			}
		case 11:
			s.stamp()
			s.probe(time.Duration(next("behind", 60)) * ms)
		}
	}
	return s
}

func TestACorrectShopPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if report := Check(*trade(t).history()); !report.OK() || len(report.Exceptions()) > 0 {
			t.Fatalf("a correct run is refused:\n%s", report)
		}
	})
}

// A mutation makes one mistake in a correct history. It returns the invariant that
// must find it, or nothing when the history holds no place for it.
type mutation struct {
	name string
	make func(*History) string
}

var mutations = []mutation{
	{"an acknowledged order is dropped from a node", func(h *History) string {
		for _, op := range h.Ops {
			if op.Kind == Checkout && op.Outcome == OK {
				n := &h.Nodes[1+op.ID%2]
				n.Orders = slices.DeleteFunc(n.Orders, func(o Order) bool { return o.ID == op.SeenOrder.ID })
				return "I5"
			}
		}
		return ""
	}},
	{"a read is below the session's own write", func(h *History) string {
		for i, write := range h.Ops {
			if write.Outcome != OK || write.SeenCart == nil || !write.writes() {
				continue
			}
			for k := range h.Ops[i:] {
				read := &h.Ops[i+k]
				if read.Kind == ReadCart && read.Cart == write.Cart && read.Call > write.Return {
					read.SeenCart.Version = write.SeenCart.Version - 1
					return "I1"
				}
			}
		}
		return ""
	}},
	{"an order is there twice", func(h *History) string {
		if len(h.Nodes[0].Orders) == 0 {
			return ""
		}
		h.Nodes[0].Orders = append(h.Nodes[0].Orders, h.Nodes[0].Orders[0])
		return "I4"
	}},
	{"a cart is two orders", func(h *History) string {
		if len(h.Nodes[0].Orders) == 0 {
			return ""
		}
		twin := h.Nodes[0].Orders[0]
		twin.ID += "-twin"
		h.Nodes[0].Orders = append(h.Nodes[0].Orders, twin)
		return "I4"
	}},
	{"a unit of stock appears", func(h *History) string {
		h.Nodes[2].Stock["a"]++
		return "I3"
	}},
	{"a probe claims more than it shows", func(h *History) string {
		for i := range h.Ops {
			op := &h.Ops[i]
			for _, s := range h.Stamps {
				if op.Kind == ReadProbe && s.Acked < op.Call && op.SeenProbe < s.Value {
					op.Source.Bound = 0
					return "G2"
				}
			}
		}
		return ""
	}},
	{"a total is off by one", func(h *History) string {
		if len(h.Nodes[1].Orders) == 0 {
			return ""
		}
		h.Nodes[1].Orders[0].Total++
		return "I9"
	}},
	{"a shortage is told of less than there is", func(h *History) string {
		for i := range h.Ops {
			op := &h.Ops[i]
			if op.Code == "insufficient_stock" && !op.Replayed && onlyVariant(h, op.Cart) && op.Available > 0 {
				op.Available = -1
				return "I7"
			}
		}
		return ""
	}},
}

// onlyVariant: a shortage of a cart with several is not judged.
func onlyVariant(h *History, cart string) bool {
	variants := map[string]bool{}
	for _, op := range h.Ops {
		for v := range op.asked() {
			if op.Cart == cart {
				variants[v] = true
			}
		}
	}
	return len(variants) == 1
}

// Each mutation must find a place in some of the histories, or its test would be
// empty.
func TestOneMistakeIsFound(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			made := 0
			rapid.Check(t, func(t *rapid.T) {
				h := trade(t).history()
				want := m.make(h)
				if want == "" {
					return
				}
				made++
				report := Check(*h)
				if !slices.Contains(report.Violated(), want) {
					t.Fatalf("%s did not find it:\n%s", want, report)
				}
				if again := Check(*h).String(); again != report.String() {
					t.Fatalf("one history, two reports:\n%s\n%s", report, again)
				}
			})
			if made == 0 {
				t.Error("no history had a place for it")
			}
		})
	}
}

// A history with holes is refused, not fallen into.
func TestHolesArePanicFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := trade(t).history()
		for range 5 {
			op := &h.Ops[rapid.IntRange(0, len(h.Ops)-1).Draw(t, "op")]
			switch rapid.IntRange(0, 8).Draw(t, "hole") {
			case 0:
				op.Cart = ""
			case 1:
				op.SeenCart = nil
			case 2:
				op.SeenOrder = nil
			case 3:
				op.Outcome = OK
			case 4:
				op.Outcome, op.Status = Failed, 401
			case 5:
				op.Source = nil
			case 6:
				op.Key = ""
			case 7:
				h.Nodes = h.Nodes[:max(0, len(h.Nodes)-1)]
			case 8:
				op.Kind = ListOrders
			}
		}
		_ = Check(*h).String()
	})
}
