package checker

import "time"

// A group is all attempts at one write: those with the same key, or the only one.
// What it did, it did once, at some time between the first Call and the first answer:
// the key's row holds back every other attempt until the first has committed or gone.
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

// mayAct is false only if the group was definitely without effect. A final failure
// outweighs an attempt in doubt, because the shop keeps only one answer for a key.
func (g *group) mayAct() bool { return g.ok != nil || g.unknown && g.final == nil }

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
