package orders

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/id"
)

// A combiner lets checkouts of this process that want the same hot variant share a
// transaction. Alone, each holds the variant's row through its commit and the
// synchronous standby's answer, so a row is sold as often as there are commits in a
// second. A batch holds it once for all that wait.
//
// Each checkout keeps its own key, order and outcome. A batch has only the plain cases:
// a sale, a shortage, an answer that its key already has. Whatever else is found (a
// cart that is busy, closed, changed, at another price ...) leaves the batch and is
// judged alone, as it would have been; and when a batch comes to nothing, all of it
// is. So no outcome is decided here that is not decided there, and none of another's
// failure. What is not known after a COMMIT is known to none of them.
//
// It is first come, first served: there is no pause to let a batch grow. What arrives
// while one batch works is the next, which begins when that one sends its COMMIT; see
// turn. A checkout that finds no place in the queue is refused with ErrBusy; it waits no
// longer than its context.
//
// Several processes have a combiner each, which take turns at the row like any two
// checkouts.
type combiner struct {
	store    *Store
	heat     *heat
	looks    lookout
	deadline time.Duration // of a batch

	mu       sync.Mutex
	queue    []*ticket
	underWay map[*ticket]bool
	running  bool

	ahead chan struct{} // of run alone: closed when the last batch it began is over
}

const (
	// queueFactor bounds the queue, in batches: what stands at its end waits for so
	// many commits, well below the deadline of a request.
	queueFactor = 16
	// batchDeadline ends a batch that waits for its turn, or for a lock of somebody
	// else's; all of its checkouts then go alone. It is below the
	// idle_in_transaction_session_timeout of shop_rw.
	batchDeadline = 5 * time.Second
)

func newCombiner(s *Store) *combiner {
	heat := newHeat()
	nobody := make(chan struct{})
	close(nobody)
	return &combiner{
		store: s, heat: heat, deadline: batchDeadline, underWay: map[*ticket]bool{}, ahead: nobody,
		looks: lookout{db: s.db, policy: s.config.CartRead, heat: heat, deadline: lookDeadline, failed: s.config.HotHooks.Failed},
	}
}

// HotHooks watch the checkouts that want something hot; a nil one is not called. They
// are called from many goroutines, which wait for them.
type HotHooks struct {
	// Batch is told, once a shared transaction is over, how many checkouts it has
	// answered and how many it has left to go alone.
	Batch func(together, alone int)
	// Full is told of each that found no place in the queue.
	Full func()
	// Failed is told why a shared transaction came to nothing, or of a panic in a look into
	// carts. It tells of no transaction whose COMMIT is in doubt: each of its checkouts
	// returns that error.
	Failed func(error)
}

// A ticket is a checkout that waits for its batch.
type ticket struct {
	checkoutAsk
	session *fresh.Carrier
	done    chan outcome // of one: the batch never waits for who left
	taken   bool         // under the combiner's mu: from here on it is part of a batch
}

// outcome is what a batch has come to for one of its checkouts.
type outcome struct {
	answer Answer
	err    error
	alone  bool           // nothing was decided: go alone
	shared *fresh.Carrier // where it was decided
}

// checkout goes alone unless the cart holds something hot.
func (c *combiner) checkout(ctx context.Context, ask checkoutAsk) (Answer, error) {
	if variants := c.looks.into(ctx, ask.at.ID); variants != nil {
		if answer, alone, err := c.join(ctx, ask, variants); !alone {
			return answer, err
		}
	}
	var entered []catalog.StockLine
	leave := func() { c.heat.leave(entered) }
	defer func() { leave() }()
	return c.store.checkoutAlone(ctx, ask, func(lines []catalog.StockLine) {
		leave() // of a try before this one
		c.heat.enter(lines)
		entered = lines
	})
}

// join queues the checkout and waits for its batch.
func (c *combiner) join(ctx context.Context, ask checkoutAsk, variants []id.ID) (answer Answer, alone bool, err error) {
	t := &ticket{checkoutAsk: ask, session: fresh.CarrierFrom(ctx), done: make(chan outcome, 1)}
	company, room := c.enqueue(t)
	if !room {
		if c.store.config.HotHooks.Full != nil {
			c.store.config.HotHooks.Full()
		}
		return Answer{}, false, ErrBusy
	}
	if company {
		c.heat.stay(variants)
	}
	select {
	case o := <-t.done:
		if o.alone {
			return Answer{}, true, nil
		}
		t.session.Adopt(o.shared)
		if o.err == nil {
			o.err = o.answer.failure()
		}
		return o.answer, false, o.err
	case <-ctx.Done():
	}
	if c.dequeue(t) {
		return Answer{}, false, ctx.Err() // nothing was begun
	}
	return Answer{}, false, errors.Join(fresh.ErrCommitUnknown, ctx.Err())
}

// enqueue reports whether there was room, and whether a batch was under way.
func (c *combiner) enqueue(t *ticket) (company, room bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) >= queueFactor*c.store.config.HotBatch {
		return false, false
	}
	c.queue = append(c.queue, t)
	if !c.running {
		c.running = true
		go c.run()
		return len(c.underWay) > 0, true
	}
	return true, true
}

// dequeue reports whether the ticket was still waiting, and takes it out.
func (c *combiner) dequeue(t *ticket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.taken {
		return false
	}
	c.queue = slices.DeleteFunc(c.queue, func(other *ticket) bool { return other == t })
	return true
}
