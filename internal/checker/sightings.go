package checker

import (
	"slices"
	"time"
)

// A sighting is what one answer says of one key: cart or order. Absence is
// version 0.
type sighting struct {
	op      *Op
	version int64
	cart    *Cart // nil for an order, and for absence
}

// ref is a key: a cart's or an order's id.
type ref struct {
	kind byte // 'c' or 'o'
	id   string
}

func (r ref) String() string {
	if r.kind == 'c' {
		return "cart:" + r.id
	}
	return "order:" + r.id
}

// A session is what one shopper was told, each list in the order of Call.
type session struct {
	seen   map[ref][]sighting
	acks   map[ref]*ladder          // versions of the session's own acknowledged writes
	closed map[string]time.Duration // by cart: when its own checkout was acknowledged
	orders []string                 // all that it was ever told of
}

// keys is sorted, so that one history has one report.
func (s *session) keys() []ref {
	keys := make([]ref, 0, len(s.seen))
	for key := range s.seen {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b ref) int {
		switch {
		case a.kind != b.kind:
			return int(a.kind) - int(b.kind)
		case a.id < b.id:
			return -1
		case a.id > b.id:
			return 1
		}
		return 0
	})
	return keys
}

// note takes the writes and the orders' names; what an answer says by leaving an
// order out can only be told when all names are known.
func (s *session) note(op *Op) {
	if op.Outcome != OK {
		return
	}
	switch {
	case op.Kind == Checkout && op.SeenOrder != nil:
		s.ack(ref{'o', op.SeenOrder.ID}, op, op.SeenOrder.Version)
		if at, closed := s.closed[op.Cart]; !closed || op.Return < at {
			s.closed[op.Cart] = op.Return
		}
	case op.writes() && op.SeenCart != nil:
		s.ack(ref{'c', op.Cart}, op, op.SeenCart.Version)
	}
	if op.SeenOrder != nil {
		s.learn(op.SeenOrder.ID)
	}
	for i := range op.SeenOrders {
		s.learn(op.SeenOrders[i].ID)
	}
}

// learn keeps the order of first mention, and makes the key one that keys knows.
func (s *session) learn(order string) {
	at := ref{'o', order}
	if _, known := s.seen[at]; !known {
		s.seen[at] = nil
		s.orders = append(s.orders, order)
	}
}

// ack also takes replays: what they repeat was done before, and so is seen by every
// later read.
func (s *session) ack(key ref, op *Op, version int64) {
	if s.acks[key] == nil {
		s.acks[key] = &ladder{}
	}
	s.acks[key].steps = append(s.acks[key].steps, step{op.Return, version, op})
}

func (s *session) sight(key ref, op *Op, version int64, cart *Cart) {
	s.seen[key] = append(s.seen[key], sighting{op, version, cart})
}

// see notes what an answer says. A replay is no sighting: it repeats an older
// answer, and rightly so.
func (j *judge) see(s *session, op *Op) {
	switch {
	case op.Replayed:
	case op.Kind == ListOrders:
		j.seeList(s, op)
	case op.Outcome == OK && op.SeenCart != nil:
		s.sight(ref{'c', op.Cart}, op, op.SeenCart.Version, op.SeenCart)
	case op.Outcome == OK && op.SeenOrder != nil:
		s.sight(ref{'o', op.SeenOrder.ID}, op, op.SeenOrder.Version, nil)
	case op.notFound() && op.Kind == ReadOrder:
		s.sight(ref{'o', op.Order}, op, 0, nil)
	case op.notFound() && op.Cart != "":
		s.sight(ref{'c', op.Cart}, op, 0, nil)
	}
}

// seeList also notes the orders that the page leaves out. A page that is not the
// last leaves out rightly what is older than all that it shows; an order that was
// first asked for after one of them had been answered is newer.
func (j *judge) seeList(s *session, op *Op) {
	if op.Outcome == Failed && op.Status == 401 {
		s.seeNobody(op)
	}
	if op.Outcome != OK {
		return
	}
	shown := make(map[string]int64, len(op.SeenOrders))
	oldest := forever
	for i := range op.SeenOrders {
		o := &op.SeenOrders[i]
		shown[o.ID] = o.Version
		oldest = min(oldest, j.orders[o.ID].shown)
	}
	for _, id := range s.orders {
		version, there := shown[id]
		if !there && op.Partial {
			if at, known := j.firstCall(j.orders[id]); !known || at <= oldest {
				continue
			}
		}
		s.sight(ref{'o', id}, op, version, nil)
	}
}

// seeNobody is what a list says when the node does not know the shopper, and then
// nothing of theirs. The shopper's row commits with the first cart.
func (s *session) seeNobody(op *Op) {
	for key := range s.acks {
		s.sight(key, op, 0, nil)
	}
	for _, id := range s.orders {
		if key := (ref{'o', id}); s.acks[key] == nil {
			s.sight(key, op, 0, nil)
		}
	}
}
