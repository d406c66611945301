package checker

import "fmt"

// record looks for histories that would pass for the wrong reason: an answer
// without its body is an answer that nothing is compared with.
func (j *judge) record() {
	j.checked(Record, len(j.Ops)+len(j.Stamps)+len(j.Nodes))
	ids := make(map[int]bool, len(j.Ops))
	for _, op := range j.ops {
		if ids[op.ID] {
			j.fail(Record, []*Op{op}, "%v: another operation has the same id", op)
		}
		ids[op.ID] = true
		if flaw := op.flaw(); flaw != "" {
			j.fail(Record, []*Op{op}, "%v: %s", op, flaw)
		}
	}
	for i, s := range j.Stamps {
		if s.Value != int64(i+1) || s.Acked != 0 && s.Acked < s.Sent {
			j.fail(Record, nil, "stamp %d is %+v: stamps count up from 1, and are acknowledged after they are sent", i, s)
		}
	}
	if len(j.Nodes) == 0 || !j.Nodes[0].Primary {
		j.fail(Record, nil, "the first of %d nodes is not a primary; nothing can be compared with the databases", len(j.Nodes))
	}
}

func (op *Op) flaw() string {
	switch op.Outcome {
	case OK:
		return op.missing()
	case Failed:
		if op.Status == 0 || op.Code == "outcome_unknown" {
			return "this answer tells of no failure; its outcome is unknown"
		}
	case Unknown:
	default:
		return fmt.Sprintf("no such outcome: %q", op.Outcome)
	}
	if op.Return < op.Call {
		return "it returned before it was called"
	}
	return ""
}

// missing is what a success must have been answered with. A creation that nobody
// answered has no cart, and rightly: only its sender ever knew the id.
func (op *Op) missing() string {
	switch op.Kind {
	case CreateCart, AddItem, SetItem, ReadCart:
		if op.SeenCart == nil || op.Cart == "" || op.SeenCart.ID != op.Cart {
			return "a success without its cart"
		}
	case Checkout:
		if op.SeenOrder == nil || op.Key == "" || op.Cart == "" {
			return "a success without its order, key or cart"
		}
	case ReadOrder:
		if op.SeenOrder == nil || op.SeenOrder.ID != op.Order {
			return "a success without its order"
		}
	case ReadProbe:
		if op.Source == nil {
			return "a success without its source"
		}
	case ListOrders, Browse:
	default:
		return fmt.Sprintf("no such kind: %q", op.Kind)
	}
	if op.Return < op.Call {
		return "it returned before it was called"
	}
	return ""
}
