package checker

import "time"

// A History is everything that the check of a run needs: what was asked and
// answered, what was written beside it, and what the databases hold at the end.
// All instants are offsets from the start of the run on one monotonic clock.
//
// The nodes must have been read at rest, with no request under way and replay
// caught up; a request that the shop still works on may change them afterwards.
type History struct {
	// Deadline is the longest that a request may take, by the configuration of the
	// shop; Slack is what a busy machine may add.
	Deadline, Slack time.Duration
	Stock           map[string]int // by variant, before the run
	Ops             []Op
	Stamps          []Stamp // by one writer, one after the other
	Nodes           []Node  // at the end; the surviving primary first
}

// Kind is what a client asked for.
type Kind string

// The kinds of operations.
const (
	CreateCart Kind = "create_cart"
	AddItem    Kind = "add_item" // adds Quantity of Variant to its line
	SetItem    Kind = "set_item" // sets its line; 0 removes it
	ReadCart   Kind = "read_cart"
	Checkout   Kind = "checkout"
	ReadOrder  Kind = "read_order"
	ListOrders Kind = "list_orders"
	ReadProbe  Kind = "read_probe" // the product whose value a Stamp changes
	Browse     Kind = "browse"     // lists, search, categories: only their source and duration count
)

// Outcome is what is known of an operation.
type Outcome string

// The outcomes. A request that was never answered is Unknown, and so is 503
// outcome_unknown: it may have taken effect at any time since Call, or never.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed" // definitely without effect: a 4xx, or a 5xx that says so
	Unknown Outcome = "unknown"
)

// An Op is one HTTP request and its answer. A retry with the same Idempotency-Key
// is an Op of its own with the same Key.
type Op struct {
	ID     int `json:"id"`
	Client int `json:"client,omitempty"` // who sent it; several may share a session, as tabs do
	// Session is whose token it carried, merged from all answers of the session
	// that had returned before Call: read-your-writes and monotonic reads are
	// promised to it. A session is one shopper; one that loses its token goes on
	// under another name. Empty: nothing is promised.
	Session string        `json:"session,omitempty"`
	App     string        `json:"app,omitempty"` // the instance of the shop that it was sent to
	Kind    Kind          `json:"kind"`
	Call    time.Duration `json:"call"`
	Return  time.Duration `json:"return"` // of an Unknown one: when the client gave up
	Outcome Outcome       `json:"outcome"`
	Status  int           `json:"status,omitempty"` // of HTTP; 0 when there was no answer
	Code    string        `json:"code,omitempty"`   // of the problem document

	// What was asked. Cart is set on every operation on one (on CreateCart from its
	// answer), Order on ReadOrder. A key belongs to one kind of request on one cart.
	Key      string         `json:"key,omitempty"`
	Cart     string         `json:"cart,omitempty"`
	Order    string         `json:"order,omitempty"`
	Variant  string         `json:"variant,omitempty"`
	Quantity int            `json:"quantity,omitempty"`
	Items    map[string]int `json:"items,omitempty"` // of CreateCart, beside Variant and Quantity

	// What was answered; nil or zero when it was not.
	SeenCart   *Cart   `json:"seen_cart,omitempty"`
	SeenOrder  *Order  `json:"seen_order,omitempty"`
	SeenOrders []Order `json:"seen_orders,omitempty"` // newest first; only the first page
	Partial    bool    `json:"partial,omitempty"`     // there are more pages than SeenOrders
	SeenProbe  int64   `json:"seen_probe,omitempty"`
	Available  int     `json:"available,omitempty"` // of the 409 insufficient_stock: what the server said was left
	Requested  int     `json:"requested,omitempty"` // of the same: what it said was asked for; 0: not recorded
	Replayed   bool    `json:"replayed,omitempty"`

	TokenIn  Position `json:"token_in,omitzero"` // zero: none
	TokenOut Position `json:"token_out,omitzero"`
	Source   *Source  `json:"source,omitempty"` // nil: the answer did not come from a read of the database
}

// A Position is a place in the log of a timeline.
type Position struct {
	Timeline uint32 `json:"timeline"`
	LSN      uint64 `json:"lsn"`
}

// Source is the Data-Source of an answer.
type Source struct {
	Node    string        `json:"node,omitempty"` // empty for the primary
	Primary bool          `json:"primary,omitempty"`
	Bound   time.Duration `json:"bound"` // claimed staleness; negative: nothing is claimed
	Stale   bool          `json:"stale,omitempty"`
	Reason  string        `json:"reason,omitempty"`
}

// Cart is a cart as it was answered. It begins at version 1, with its first items
// if it is made with some, and every change adds one.
type Cart struct {
	ID      string           `json:"id"`
	Version int64            `json:"version"`
	Status  string           `json:"status"`
	Lines   map[string]int   `json:"lines"` // quantity by variant
	Prices  map[string]int64 `json:"prices"`
	Total   int64            `json:"total"`
}

// Order is an order as it was answered, or as a row.
type Order struct {
	ID      string `json:"id"`
	Cart    string `json:"cart,omitempty"` // only of a row
	Number  string `json:"number"`
	Version int64  `json:"version"`
	Total   int64  `json:"total"`
	Lines   []Line `json:"lines,omitempty"` // in the order of the variants; none in SeenOrders
}

// Line is one line of an order.
type Line struct {
	Variant   string `json:"variant"`
	Quantity  int    `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
}

// A Stamp is one write of the probe's value by a writer of its own, which counts
// up from 1. Acked zero: it was never acknowledged.
type Stamp struct {
	Value int64         `json:"value"`
	Sent  time.Duration `json:"sent"`
	Acked time.Duration `json:"acked"`
}

// A Node is what one database holds at the end of the run.
type Node struct {
	Name      string            `json:"name"`
	Primary   bool              `json:"primary,omitempty"`
	Orders    []Order           `json:"orders"`
	Keys      []KeyRow          `json:"keys"` // all of the checkouts, or none at all: not read
	Stock     map[string]int    `json:"stock"`
	Movements []Movement        `json:"movements"`
	CartsOpen map[string]string `json:"carts_open"` // status by cart
}

// A KeyRow is a remembered Idempotency-Key.
type KeyRow struct {
	Key    string `json:"key"`
	Status int    `json:"status"`          // 0: none was kept
	Order  string `json:"order,omitempty"` // the id in the kept answer, if it is an order's
}

// A Movement is a row of the stock ledger.
type Movement struct {
	Order   string `json:"order,omitempty"` // empty: none
	Variant string `json:"variant"`
	Kind    string `json:"kind"` // "initial" is how Stock came about, and is not added to it
	Delta   int    `json:"delta"`
}
