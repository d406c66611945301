package orders

import "slices"

// Status is the state of an order.
type Status string

// An order goes pending_payment, paid, shipped, delivered; cancelled is reached
// from the first two, and expired from pending_payment alone.
const (
	PendingPayment Status = "pending_payment"
	Paid           Status = "paid"
	Shipped        Status = "shipped"
	Delivered      Status = "delivered"
	Cancelled      Status = "cancelled"
	Expired        Status = "expired"
)

var statuses = []string{
	string(PendingPayment), string(Paid), string(Shipped), string(Delivered), string(Cancelled), string(Expired),
}

// next is the whole state machine: what is not here does not happen. Nothing leads
// to pending_payment, so whatever has left it is settled for good.
var next = map[Status][]Status{
	PendingPayment: {Paid, Cancelled, Expired},
	Paid:           {Shipped, Cancelled},
	Shipped:        {Delivered},
}

// CanBecome reports whether an order in status s may take the step to t. No status
// follows itself: who repeats a step has to decide what that means.
func (s Status) CanBecome(t Status) bool { return slices.Contains(next[s], t) }
