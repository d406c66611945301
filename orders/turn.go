package orders

import (
	"context"
	"errors"
	"sync"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/id"
)

// A turn is a batch's place behind the one ahead of it. While that waits for its COMMIT
// this one claims its keys and reads its carts, of which neither has any of the other's.
// Then it awaits its turn: what is left in stock is looked at when all of those ahead
// have what they get.
//
// The variants' rows would order them as well, as they order batches of two processes.
// But who waits for a row gives up after lock_timeout, and a whole batch would do so each
// time that a standby is slower than that.
type turn struct {
	ahead  <-chan struct{} // closed when that batch is over, and all before it
	commit func()          // tells that nothing but the COMMIT is left; may be called again
}

func (t turn) await(ctx context.Context) error {
	select {
	case <-t.ahead:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run works the queue off. A batch begins when the one ahead sends its COMMIT, and sends
// its own after that is over: two are under way at most.
func (c *combiner) run() {
	for {
		tickets, more := c.next()
		switch {
		case len(tickets) > 0:
			c.ahead = c.start(tickets, c.ahead)
		case more:
			<-c.ahead
		default:
			return
		}
	}
}

// start returns when the batch sends its COMMIT, or is over.
func (c *combiner) start(tickets []*ticket, ahead <-chan struct{}) (over chan struct{}) {
	over = make(chan struct{})
	committing := make(chan struct{})
	t := turn{ahead, sync.OnceFunc(func() { close(committing) })}
	go func() {
		outcomes := c.work(tickets, t)
		c.finish(tickets)
		go c.tell(tickets, outcomes) // a crowd wakes up, and the next batch need not stand behind it
		t.commit()
		<-ahead // if this one failed before its turn
		close(over)
	}()
	<-committing
	return over
}

// next takes the first tickets of the queue, as they came. Of two with one key or one
// cart the later stays until the batch of the first is over, where it is a replay. more
// reports that somebody is left, which of an empty batch can only be such; when nobody
// is, run is over.
func (c *combiner) next() (batch []*ticket, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var rest []*ticket
	keys, carts := map[keyID]bool{}, map[id.ID]bool{}
	for t := range c.underWay {
		keys[t.key.id()], carts[t.at.ID] = true, true
	}
	for _, t := range c.queue {
		if len(batch) == c.store.config.HotBatch || keys[t.key.id()] || carts[t.at.ID] {
			rest = append(rest, t)
			continue
		}
		keys[t.key.id()], carts[t.at.ID] = true, true
		t.taken = true
		batch = append(batch, t)
	}
	for _, t := range batch {
		c.underWay[t] = true
	}
	c.queue = rest
	c.running = len(batch)+len(rest) > 0
	return batch, len(rest) > 0
}

func (c *combiner) finish(tickets []*ticket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range tickets {
		delete(c.underWay, t)
	}
}

// work returns an outcome for each ticket. The batch's context is its own: no client
// that leaves ends the others' transaction.
func (c *combiner) work(tickets []*ticket, t turn) []outcome {
	ctx, cancel := context.WithTimeout(context.Background(), c.deadline)
	defer cancel()
	sessions := make([]*fresh.Carrier, len(tickets))
	for i, t := range tickets {
		sessions[i] = t.session
	}
	shared := fresh.Share(sessions...)
	outcomes, err := c.store.checkoutTogether(fresh.WithCarrier(ctx, shared), tickets, t)
	unknown := errors.Is(err, fresh.ErrCommitUnknown)
	if err != nil {
		outcomes = make([]outcome, len(tickets))
	}
	if failed := c.store.config.HotHooks.Failed; err != nil && !unknown && failed != nil {
		failed(err)
	}
	for i := range outcomes {
		o := &outcomes[i]
		o.shared = shared
		if unknown {
			o.err = err
		} else if err != nil {
			o.alone = true
		}
	}
	return outcomes
}

func (c *combiner) tell(tickets []*ticket, outcomes []outcome) {
	alone := 0
	for i, t := range tickets {
		if outcomes[i].alone {
			alone++
		}
		t.done <- outcomes[i]
	}
	if c.store.config.HotHooks.Batch != nil {
		c.store.config.HotHooks.Batch(len(tickets)-alone, alone)
	}
}
