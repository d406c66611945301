package fresh

import (
	"context"
	"sync"
	"time"
)

// A Carrier carries the session's token through one request: the position that
// its reads must have reached and that its writes raise. It travels in the
// request's context, because it is identity, like a user; policies are
// arguments, and connections are neither. It is safe for concurrent use.
type Carrier struct {
	mu     sync.Mutex
	token  Position
	raised bool
	seen   Position // by the stamped reads of this request
	keys   *Keyring // nil: no bookmarks
	served Served
	reads  int
}

// NewCarrier starts from the position of the token that the client sent; the
// zero Position when there was none.
func NewCarrier(token Position) *Carrier { return &Carrier{token: token} }

// Token returns the session's position, and whether this request has raised or
// confirmed it, so that the client must be told.
func (c *Carrier) Token() (pos Position, raised bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token, c.raised
}

// Bookmark returns the sealed position of what this request's stamped reads have
// seen, for a cursor to carry to the next page. It is "" without a Carrier, when the
// Carrier is not of a Middleware, and when no read was stamped.
//
// It is sealed for the same reason as the token: an unsealed one would send every
// read of whoever makes it up to the primary.
func (c *Carrier) Bookmark() string {
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil || c.seen.IsZero() {
		return ""
	}
	return c.keys.Seal(c.seen)
}

// Resume makes the request's reads see at least what the bookmarked ones saw, and
// fails for what Bookmark has not made here. The session's token as the client
// keeps it stays what it was until a read raises it.
func (c *Carrier) Resume(bookmark string) error {
	if c == nil || c.keys == nil {
		if bookmark != "" {
			return errTokenForged // nobody here can open it, and going on without it would be older
		}
		return nil
	}
	pos, err := c.keys.Open(bookmark)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = c.token.Merge(pos)
	return nil
}

// see notes the position after a stamped read.
func (c *Carrier) see(pos Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = c.seen.Merge(pos)
}

// raise merges what a write committed or a read saw.
func (c *Carrier) raise(pos Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = c.token.Merge(pos)
	c.raised = true
}

// rewind replaces a token that lies ahead of the primary itself, which has then
// been restored to an earlier state: no node will ever reach it.
func (c *Carrier) rewind(pos Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token, c.raised = pos, true
}

// Share returns a carrier for one transaction that works for several sessions. A
// session that has met a newer primary than the one known here keeps the transaction
// from being tried, as its own would be; see [Router.Write]. Nil carriers are of
// requests without a session.
func Share(sessions ...*Carrier) *Carrier {
	shared := new(Carrier)
	for _, c := range sessions {
		if c == nil {
			continue
		}
		token, _ := c.Token()
		shared.token.Timeline = max(shared.token.Timeline, token.Timeline) // no LSN: one session's is not another's
	}
	return shared
}

// Adopt raises the session's token to what a shared transaction committed, and notes
// where it ran.
func (c *Carrier) Adopt(shared *Carrier) {
	if c == nil {
		return
	}
	if pos, raised := shared.Token(); raised {
		c.raise(pos)
	}
	if served, ok := shared.Served(); ok {
		c.note(served)
	}
}

// note remembers the weakest answer of the request.
func (c *Carrier) note(served Served) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reads == 0 || served.weaker(c.served) {
		c.served = served
	}
	c.reads++
}

// Served returns the source of the weakest answer so far; ok is false when the
// request has not touched the database.
func (c *Carrier) Served() (served Served, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served, c.reads > 0
}

type carrierKey struct{}

// WithCarrier returns a context whose reads honour and whose writes raise c.
func WithCarrier(ctx context.Context, c *Carrier) context.Context {
	return context.WithValue(ctx, carrierKey{}, c)
}

// CarrierFrom returns the context's carrier, nil when there is none: reads then
// have no token to honour, and writes none to raise.
func CarrierFrom(ctx context.Context) *Carrier {
	c, _ := ctx.Value(carrierKey{}).(*Carrier)
	return c
}

// Served says where an answer came from and what was proven about it.
type Served struct {
	Node    string
	Primary bool
	// Bound is the proven staleness: the answer misses nothing committed more
	// than Bound before the read began. Negative: nothing is proven.
	Bound  time.Duration
	Reason Reason
	// Stale: the contract could not be proven, and the policy says ServeStale.
	Stale bool
}

// Source is replica, stale (a replica that could not prove its contract) or primary.
func (s Served) Source() string {
	switch {
	case s.Primary:
		return "primary"
	case s.Stale:
		return "stale"
	}
	return "replica"
}

// weaker ranks stale before replica before primary, then the larger bound;
// nothing proven is the largest of all.
func (s Served) weaker(t Served) bool {
	if s.Stale != t.Stale {
		return s.Stale
	}
	if s.Primary != t.Primary {
		return t.Primary
	}
	return t.Bound >= 0 && (s.Bound < 0 || s.Bound >= t.Bound)
}
