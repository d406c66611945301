package faults

// A PGLink is a Link to a PostgreSQL server that finds COMMITs in the stream.
type PGLink struct {
	*Link
}

// commits is what a PGLink adds to a link.
type commits struct {
	prefix string
	plans  []Plan // under the link's mu: one for each of the next COMMITs
}

// NewPGLink is NewLink for connections that speak PostgreSQL's protocol, version
// 3, in plain text. A COMMIT is a simple Query whose text starts with prefix, so
// that the caller can tell the COMMIT of a write, "COMMIT; SELECT", from that of a
// read. Case and spaces count.
func NewPGLink(target string, seed uint64, prefix string) (*PGLink, error) {
	l, err := newLink(target, seed, &commits{prefix: prefix})
	if err != nil {
		return nil, err
	}
	return &PGLink{l}, nil
}

// Fault is what befalls one COMMIT.
type Fault int

// The faults of a COMMIT, from the client's view: none; a lost connection and a
// rollback; a lost connection and a commit; silence and a commit.
const (
	Pass Fault = iota
	CutBefore
	CutAfter
	Swallow
)

// Stage is where a COMMIT is.
type Stage int

// The stages of a COMMIT. A cut or swallowed one does not reach them all, and
// Delivered means handed to the client's kernel.
const (
	Arrived   Stage = iota // in the link; the server does not have it
	Forwarded              // at the server; its answer is held back
	Delivered              // its answer was handed to the client
)

func (s Stage) String() string {
	return [...]string{"arrived", "forwarded", "delivered"}[s]
}

// Plan is what happens to one COMMIT.
type Plan struct {
	Fault Fault
	// At, if it is not nil, is called at each stage and holds the COMMIT there
	// until it returns. It may call every method of the link but Close. A fault
	// that it makes applies to this COMMIT from this stage on. Killing the client
	// in Arrived does not stop the COMMIT, which has been sent; plan CutBefore,
	// too, for that.
	At func(Stage)
}

// Plan appends plans for the next COMMITs: each, on whatever connection, uses up
// the first. One that Delay holds has not come yet, and one that a black hole
// swallows never does. Heal discards what is left.
func (l *PGLink) Plan(plans ...Plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commits.plans = append(l.commits.plans, plans...)
}

// CutBeforeCommit plans to reset both ends instead of forwarding the COMMIT, n
// times: the server rolls back.
func (l *PGLink) CutBeforeCommit(n int) { l.repeat(n, CutBefore) }

// CutAfterCommit plans to reset the client's end as soon as the COMMIT is
// forwarded, n times. The server's end stays until it has answered, so that the
// server does commit.
func (l *PGLink) CutAfterCommit(n int) { l.repeat(n, CutAfter) }

// SwallowCommitAnswer plans to forward the COMMIT and then nothing more to the
// client, n times. The connection stays open until Heal resets it.
func (l *PGLink) SwallowCommitAnswer(n int) { l.repeat(n, Swallow) }

// OnCommit plans to call at for the next COMMIT; see Plan.At.
func (l *PGLink) OnCommit(at func(Stage)) { l.Plan(Plan{At: at}) }

func (l *PGLink) repeat(n int, fault Fault) {
	for range n {
		l.Plan(Plan{Fault: fault})
	}
}

// commit is one COMMIT on its way.
type commit struct {
	plan   Plan
	answer int           // which ReadyForQuery of its connection completes its answer
	staged chan struct{} // closed when the answer may be delivered
}

func (k *commit) at(s Stage) {
	if k.plan.At != nil {
		k.plan.At(s)
	}
}

// carryOut does with a COMMIT what is planned for it, and reports whether the
// direction to the server goes on.
func (p *pipe) carryOut(ch chunk) bool {
	c, k := p.conn, ch.commit
	k.plan = c.nextPlan()
	k.at(Arrived)
	if !p.await(ch) { // the callback made a fault
		return true
	}
	if !c.expect(k) {
		return false
	}
	defer close(k.staged)
	if _, err := p.to.Write(ch.data); err != nil {
		return c.broken(ServerToClient)
	}
	c.link.count(func(n *Counts) { n.Forwarded++ })
	k.at(Forwarded)
	return k.plan.Fault != CutAfter || c.cutAfter()
}

func (c *conn) nextPlan() Plan {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.commits.plans) == 0 {
		return Plan{}
	}
	plan := l.commits.plans[0]
	l.commits.plans = l.commits.plans[1:]
	return plan
}

// expect prepares for the answer, which can come before Write returns. It
// returns false when the COMMIT must not be forwarded.
func (c *conn) expect(k *commit) bool {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.ctx.Err() != nil:
		return false
	case k.plan.Fault == CutBefore:
		l.counts.CutBefore++
		c.abort()
		return false
	case k.plan.Fault == Swallow:
		l.counts.Swallowed++
		c.holed[ServerToClient] = true
	}
	c.pending, c.stage = k, k
	return true
}

// cutAfter resets the client. The server may have answered already; that answer
// is still held, and look drops it. It always ends the direction to the server.
func (c *conn) cutAfter() bool {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.ctx.Err() == nil && !c.draining {
		l.counts.CutAfter++
		l.counts.Reset++
		c.draining = true
		reset(c.client)
	}
	return false
}

// awaitStage holds what the server sends while a callback runs at Forwarded.
func (c *conn) awaitStage() {
	c.link.mu.Lock()
	k := c.stage
	c.link.mu.Unlock()
	if k == nil {
		return
	}
	select {
	case <-k.staged:
	case <-c.ctx.Done():
	}
}

// answered is called for the n-th ReadyForQuery that the server sent, and returns
// the COMMIT that it completes.
func (c *conn) answered(n int) *commit {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	k := c.pending
	if k == nil || k.answer != n {
		return nil
	}
	c.pending = nil
	l.counts.Answered++
	return k
}

func (c *conn) delivered(k *commit) {
	c.link.count(func(n *Counts) { n.Delivered++ })
	k.at(Delivered)
}
