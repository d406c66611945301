package fresh

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A Coalescer gives those who ask for the same at the same time one answer. Who asks for
// what nobody is reading reads it at once. While that goes on, others who ask for it gather
// in a round, which is read once for all of them as soon as the read ahead is over. So what
// everybody wants costs the servers little more than what two want, and a replica that is
// lost is not replaced by a crowd on the primary.
//
// A round is no cache. It is read after the last of its readers has asked: its floor, which
// is compiled then, is not below what any of their budgets demands, and what they get was
// not read before they came. It is read for nobody's session: who has a token takes part if
// the budget covers it, and takes the answer if that was proven. Else they read alone, as
// does who has just written, and what they know sends nobody else to the primary.
//
// It is safe for concurrent use. The nil Coalescer lets everybody read alone.
type Coalescer[T any] struct {
	router   *Router
	patience time.Duration

	mu     sync.Mutex
	crowds map[string]*crowd[T] // by what they ask for
}

// NewCoalescer returns one for answers that the router's reads are made into.
func NewCoalescer[T any](r *Router) *Coalescer[T] {
	return &Coalescer[T]{router: r, patience: roundPatience, crowds: map[string]*crowd[T]{}}
}

// A crowd are those who ask for the same.
type crowd[T any] struct {
	reading int       // reads under way
	next    *round[T] // of those who wait, nil while nobody does
}

// A round is one read for all who asked before it began.
type round[T any] struct {
	turn    chan struct{} // of one: a read ahead is over
	done    chan struct{} // closed when there is an answer
	readers atomic.Int32  // who still wait
	cancel  context.CancelFunc
	session *Carrier // of the read
	answer  T
	err     error
}

// roundPatience is how long a round waits for the read ahead of it, which usually takes
// less than a tenth of that. One that hangs holds up nobody for longer.
const roundPatience = 20 * time.Millisecond

// errNoAnswer: the read panicked.
var errNoAnswer = errors.New("fresh: the read was not finished")

// Do returns what read returns, to this caller or to one who asked for the same key at the
// same time. All reads of one key make the same of the same data, under policy p, and
// nobody changes the answer, since others have it as well. A failure is shared like an
// answer: it is that of a read which began after the caller asked.
//
// The context that read is given has a Carrier of its own, from which each reader's learns
// how the answer was served. It has no deadline: it ends when all of its readers have left,
// each at the end of their own. The one who reads for the others stays until then.
func (c *Coalescer[T]) Do(ctx context.Context, p Policy, key string, read func(context.Context) (T, error)) (T, error) {
	if c == nil || !c.router.withinBudget(ctx, p) {
		return read(ctx)
	}
	r, first := c.ask(key)
	switch {
	case r == nil:
		defer c.over(key)
		return read(ctx)
	case first:
		return c.lead(ctx, p, key, r, read)
	}
	return c.follow(ctx, p, r, read)
}

// withinBudget reports whether the budget alone makes a read see what the session must: then
// an answer that is proven for those who have no session is proven for this one.
func (r *Router) withinBudget(ctx context.Context, p Policy) bool {
	token := positionOf(CarrierFrom(ctx))
	if token.IsZero() {
		return true
	}
	floor, provable := r.history.samples().floor(time.Now(), p.budget)
	return provable && p.kind == kindBounded && floor.Reached(token)
}

// positionOf is the zero Position for a request without a session.
func positionOf(c *Carrier) Position {
	if c == nil {
		return Position{}
	}
	token, _ := c.Token()
	return token
}

// ask returns the round that the reader takes part in, and whether it is the first there
// and must lead it; no round if nobody else is at it.
func (c *Coalescer[T]) ask(key string) (r *round[T], first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	others := c.crowds[key]
	if others == nil {
		c.crowds[key] = &crowd[T]{reading: 1}
		return nil, false
	}
	if others.next == nil {
		others.next, first = &round[T]{turn: make(chan struct{}, 1), done: make(chan struct{})}, true
	}
	r = others.next
	r.readers.Add(1)
	return r, first
}

// begin ends the gathering: who comes now has come too late for this round.
func (c *Coalescer[T]) begin(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	others := c.crowds[key]
	others.reading, others.next = others.reading+1, nil
}

// over lets those who wait begin.
func (c *Coalescer[T]) over(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	others := c.crowds[key]
	others.reading--
	switch {
	case others.next != nil:
		select {
		case others.next.turn <- struct{}{}:
		default: // they know
		}
	case others.reading == 0:
		delete(c.crowds, key)
	}
}

// lead waits for the read ahead, and then reads for the round.
func (c *Coalescer[T]) lead(ctx context.Context, p Policy, key string, r *round[T], read func(context.Context) (T, error)) (T, error) {
	patience := time.NewTimer(c.patience)
	defer patience.Stop()
	select {
	case <-r.turn:
	case <-patience.C:
	}
	c.begin(key)
	defer c.over(key)
	if r.readers.Load() == 1 {
		return read(ctx)
	}
	r.read(ctx, read)
	if !c.suits(ctx, p, r) {
		return read(ctx)
	}
	return r.give(CarrierFrom(ctx))
}

// read stays for the others even if its own client leaves.
func (r *round[T]) read(ctx context.Context, read func(context.Context) (T, error)) {
	r.session = new(Carrier)
	if own := CarrierFrom(ctx); own != nil {
		r.session.keys = own.keys
	}
	shared, cancel := context.WithCancel(WithCarrier(context.WithoutCancel(ctx), r.session))
	defer cancel()
	r.cancel = cancel
	defer context.AfterFunc(ctx, r.leave)()
	defer close(r.done)
	r.err = errNoAnswer
	r.answer, r.err = read(shared)
}

// follow waits for the round's answer.
func (c *Coalescer[T]) follow(ctx context.Context, p Policy, r *round[T], read func(context.Context) (T, error)) (none T, err error) {
	select {
	case <-r.done:
	case <-ctx.Done():
		r.leave()
		return none, ctx.Err()
	}
	if !c.suits(ctx, p, r) {
		return read(ctx)
	}
	if r.err == nil {
		c.router.metrics.coalesced.Inc()
	}
	return r.give(CarrierFrom(ctx))
}

// suits reports whether the reader may have what the round got. Who has a token must not
// have what is stale; nor what was proven on a timeline that their token is not of, when
// there was a promotion meanwhile.
func (c *Coalescer[T]) suits(ctx context.Context, p Policy, r *round[T]) bool {
	served, _ := r.session.Served()
	stale := served.Stale && !positionOf(CarrierFrom(ctx)).IsZero()
	return !errors.Is(r.err, errNoAnswer) && !stale && c.router.withinBudget(ctx, p)
}

// give tells the reader's session how the answer was served.
func (r *round[T]) give(session *Carrier) (T, error) {
	session.Adopt(r.session)
	return r.answer, r.err
}

// leave is called by a reader that does not wait any longer. The first cannot be the last
// to leave before it has set cancel.
func (r *round[T]) leave() {
	if r.readers.Add(-1) == 0 {
		r.cancel()
	}
}
