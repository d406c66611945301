package checker

import (
	"maps"
	"slices"
)

// stock is I3, twice: the ledger must explain what is left, and so must the
// orders. Either alone is kept by a shop that forgets both halves of a sale.
func (j *judge) stock() {
	for i := range j.Nodes {
		n := &j.Nodes[i]
		// No variant may drop out because it was never sold, or is gone.
		moved, sold := map[string]int{}, map[string]int{}
		for _, m := range n.Movements {
			if m.Kind != "initial" {
				moved[m.Variant] += m.Delta
			}
		}
		for _, o := range n.Orders {
			for _, l := range o.Lines {
				sold[l.Variant] += l.Quantity
			}
		}
		for _, variant := range j.variants(moved, sold, n.Stock) {
			j.stockOf(n, variant, moved[variant], sold[variant])
		}
	}
}

func (j *judge) variants(more ...map[string]int) []string {
	all := maps.Clone(j.Stock)
	if all == nil {
		all = map[string]int{}
	}
	for _, m := range more {
		maps.Copy(all, m)
	}
	return slices.Sorted(maps.Keys(all))
}

func (j *judge) stockOf(n *Node, variant string, moved, sold int) {
	j.checked("I3", 1)
	// A variant that is missing on either side has a stock of 0 there, which adds up
	// for one that is sold out; hence the first case.
	before, known := j.Stock[variant]
	left, held := n.Stock[variant]
	switch {
	case !known || !held:
		j.fail("I3", nil, "%s, variant %s: stock is known before the run: %t, and on the node: %t", n.Name, variant, known, held)
	case left < 0:
		j.fail("I3", nil, "%s, variant %s: stock is %d", n.Name, variant, left)
	case before+moved != left:
		j.fail("I3", nil, "%s, variant %s: %d before the run %+d by the ledger is not the %d left", n.Name, variant, before, moved, left)
	case before-sold != left:
		j.fail("I3", nil, "%s, variant %s: %d before the run, %d in orders, and %d left", n.Name, variant, before, sold, left)
	}
}
