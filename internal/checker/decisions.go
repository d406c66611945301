package checker

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// maxShown is the most that a shortage tells to be left, whatever there is.
const maxShown = 99

// decisions is I7. For each variant, every checkout either took its quantity or
// was told how much there was; with the stock that is left at the end as the last
// word, some order must explain all of them. This also finds the shop that says
// "sold out" too early, which no sum shows.
//
// All attempts under one key are one decision. One in doubt took the stock if its
// cart is an order on the surviving primary. If it is not, it left nothing that an
// acknowledged decision can rest on: the row of the stock is locked until the
// commit is on a standby, and a later commit takes every earlier one along.
func (j *judge) decisions(steps *int) {
	byVariant := map[string][]move[int]{}
	for _, g := range j.groups {
		if g.kind == Checkout {
			j.decide(byVariant, g)
		}
	}
	for _, variant := range slices.Sorted(maps.Keys(byVariant)) {
		j.decisionsOn(variant, byVariant[variant], steps)
	}
}

func (j *judge) decide(byVariant map[string][]move[int], g *group) {
	c := j.carts[g.cart]
	if order, call, ret := j.took(c, g); order != nil {
		for _, l := range order.Lines {
			byVariant[l.Variant] = append(byVariant[l.Variant], take(l.Quantity, call, ret, g.ops[0]))
		}
		return
	}
	if g.final == nil || g.final.Code != "insufficient_stock" {
		return
	}
	// The answer of a cart with several lines may be about any of them. It took
	// nothing, so that leaving it out weakens the check and cannot mislead it.
	if len(c.variants) != 1 {
		j.skipped("I7", 1)
		return
	}
	for variant := range c.variants {
		byVariant[variant] = append(byVariant[variant], short(g.final, g.call))
	}
}

// took is the order that the group made, and when. Of several groups in doubt it
// is the first that answers for all: nothing tells which it was, unless the key
// does.
func (j *judge) took(c *cartLog, g *group) (order *Order, call, ret time.Duration) {
	if g.ok != nil {
		return g.ok.SeenOrder, g.call, g.ok.Return
	}
	o := j.byCart[c.id]
	if o == nil || o.acked != nil || !g.mayAct() || j.maker(c, o) != g {
		return nil, 0, 0
	}
	return o.row, g.call, o.shown
}

func (j *judge) maker(c *cartLog, o *orderLog) *group {
	var first *group
	for _, g := range c.checkouts {
		if !g.mayAct() {
			continue
		}
		if j.keys[g.key] == o.id { // the key commits with its order
			return g
		}
		if first == nil {
			first = g
		}
	}
	return first
}

// take is one line of an order. An order of several lines is a move for each of its
// variants: all were taken at one instant, and each variant alone must allow it.
func take(n int, call, ret time.Duration, op *Op) move[int] {
	return move[int]{int64(call), int64(ret), op, func(stock int) (int, bool) {
		return stock - n, stock >= n
	}, fmt.Sprintf("that took %d", n)}
}

// short is the answer of a checkout that found too little. Above 99 the shop does not
// tell how much there is, and the quantity that was asked for is the only bound.
func short(op *Op, call time.Duration) move[int] {
	return move[int]{int64(call), int64(op.Return), op, func(stock int) (int, bool) {
		enough := op.Requested > 0 && stock >= op.Requested
		return stock, !enough && min(stock, maxShown) == op.Available
	}, fmt.Sprintf("that was told of %d left", op.Available)}
}

// decisionsOn searches one variant. Its history is cut wherever no decision was
// under way: the stock at such an instant is known, because every decision before
// it is.
func (j *judge) decisionsOn(variant string, moves []move[int], steps *int) {
	if j.restocked(variant) {
		j.skipped("I7", len(moves))
		return
	}
	j.checked("I7", len(moves))
	moves = foldSoldOut(moves)
	slices.SortStableFunc(moves, func(a, b move[int]) int { return compare(time.Duration(a.call), time.Duration(b.call)) })
	if len(j.Nodes) > 0 {
		if left, known := j.Nodes[0].Stock[variant]; known {
			moves = append(moves, rest(left))
		}
	}
	stock := j.Stock[variant]
	for len(moves) > 0 {
		n := calm(moves)
		if result, stuck := search(stock, moves[:n], steps); result != explained {
			j.unexplained("I7", fmt.Sprintf("variant %s, %d before %v", variant, stock, time.Duration(moves[0].call)), n, result, describe(stuck))
			return
		}
		for _, m := range moves[:n] {
			if next, ok := m.step(math.MaxInt / 2); ok {
				stock -= math.MaxInt/2 - next
			}
		}
		moves = moves[n:]
	}
}

// foldSoldOut makes one move of all answers that nothing was left. Without a restock it
// stays so, and all of them have a place in the order as soon as the one that ended first
// has. One by one they would have to be tried in every order with each other: a crowd that
// comes too late is two to the power of the crowd.
func foldSoldOut(moves []move[int]) []move[int] {
	var first *move[int]
	rest := moves[:0:0]
	for _, m := range moves {
		switch {
		case m.op == nil || m.op.Code != "insufficient_stock" || m.op.Available > 0:
			rest = append(rest, m)
		case first == nil:
			first = &m
		default:
			call := min(first.call, m.call)
			if m.ret < first.ret {
				first = &m
			}
			first.call = call
		}
	}
	if first != nil {
		rest = append(rest, *first)
	}
	return rest
}

// rest is the stock at the end. It comes after everything, also after what took
// effect at an unknown time, since the rows were read at rest.
func rest(left int) move[int] {
	return move[int]{int64(forever) + 1, int64(forever) + 1, nil, func(stock int) (int, bool) {
		return stock, stock == left
	}, fmt.Sprintf("the stock of %d at the end", left)}
}

// calm is how many moves come before the first quiet instant at which at least a
// hundred have ended; shorter pieces would only cost.
func calm(moves []move[int]) int {
	last := int64(math.MinInt64)
	for i, m := range moves {
		if i >= 100 && m.call > last {
			return i
		}
		last = max(last, m.ret)
	}
	return len(moves)
}

// restocked: the instants of movements are not known, so neither is the stock between
// them. I3 still adds them up.
func (j *judge) restocked(variant string) bool {
	for _, n := range j.Nodes {
		for _, m := range n.Movements {
			if m.Variant == variant && m.Kind != "initial" && m.Kind != "checkout" {
				return true
			}
		}
	}
	return false
}

func describe[S any](m *move[S]) string {
	switch {
	case m == nil:
		return "none in particular"
	case m.op == nil:
		return m.text
	}
	return strings.TrimSpace(m.op.String() + " " + m.text)
}

func (j *judge) unexplained(name, where string, n int, v verdict, stuck string) {
	if v == undecided {
		j.fail(name, nil, "%s: undecided: no order of %d operations was found in the steps allowed; the best attempt stopped at %s. "+
			"It is wrong, or too many are in doubt at once", where, n, stuck)
		return
	}
	j.fail(name, nil, "%s: no order of %d operations explains all answers; the first that does not fit is %s", where, n, stuck)
}
