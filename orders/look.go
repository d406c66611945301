package orders

import (
	"context"
	"fmt"
	"sync"
	"time"

	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
	"example.com/leeway/db/readq"
	"example.com/leeway/internal/id"
)

// lookDeadline ends the look into a cart, which takes a millisecond: behind visitors
// who have all connections to the replicas it would wait for as long as its request
// may, and that would be the end of a checkout.
const lookDeadline = 250 * time.Millisecond

// A lookout asks a replica which carts have something hot in them. Checkouts that ask
// while a question is under way share the next one: a question of their own each was a
// fifth of all that a hot order cost. There are as many carts in one as requests in
// flight, at most.
//
// An answer is a hint that no transaction relies on, so whatever goes wrong here is not
// told. It is safe for concurrent use.
type lookout struct {
	db       *db.DB
	policy   fresh.Policy
	heat     *heat
	deadline time.Duration
	failed   func(error) // nil: nobody is told

	mu     sync.Mutex
	next   *look // gathers; nil: nobody waits
	asking bool
}

// A look is one question, and its answer once done is closed.
type look struct {
	carts []id.ID
	token fresh.Position // the newest of their sessions'
	done  chan struct{}
	hot   map[id.ID][]id.ID // by cart
}

// into returns the hot variants in the cart, nil if there are none or that is not known
// in time. While nothing is hot it asks nobody.
func (l *lookout) into(ctx context.Context, cart id.ID) []id.ID {
	if !l.heat.any.Load() {
		return nil
	}
	var token fresh.Position
	if session := fresh.CarrierFrom(ctx); session != nil {
		token, _ = session.Token()
	}
	ctx, cancel := context.WithTimeout(ctx, l.deadline)
	defer cancel()
	mine := l.join(cart, token)
	select {
	case <-mine.done:
		return mine.hot[cart]
	case <-ctx.Done():
		return nil
	}
}

func (l *lookout) join(cart id.ID, token fresh.Position) *look {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		l.next = &look{done: make(chan struct{})}
	}
	mine := l.next
	mine.carts, mine.token = append(mine.carts, cart), mine.token.Merge(token)
	if !l.asking {
		l.asking = true
		go l.run()
	}
	return mine
}

// run asks until nobody waits.
func (l *lookout) run() {
	for mine := l.take(); mine != nil; mine = l.take() {
		l.ask(mine)
		close(mine.done)
	}
}

func (l *lookout) take() *look {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := l.next
	l.next, l.asking = nil, mine != nil
	return mine
}

// ask has a carrier of its own: no checkout's answer comes from this read. A panic, which
// would end the program, is a question without an answer, and told.
func (l *lookout) ask(mine *look) {
	defer func() {
		if v := recover(); v != nil && l.failed != nil {
			l.failed(fmt.Errorf("look into carts: panic: %v", v))
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), l.deadline)
	defer cancel()
	ctx = fresh.WithCarrier(ctx, fresh.NewCarrier(mine.token))
	rows, err := l.db.Read(l.policy).HotCarts(ctx, readq.HotCartsParams{CartIds: mine.carts, VariantIds: l.heat.variants()})
	if err != nil {
		return
	}
	mine.hot = make(map[id.ID][]id.ID, len(rows))
	for _, row := range rows {
		mine.hot[row.CartID] = append(mine.hot[row.CartID], row.VariantID)
	}
}
