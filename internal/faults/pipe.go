package faults

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

const (
	readSize  = 32 << 10
	queueSize = 64 // chunks; times readSize it bounds what is under way
)

// pipe is one direction of a connection: a reader that stamps each chunk with
// the time at which it is due, a queue, and a writer. One goroutine for both
// would make the delay a limit on bandwidth.
type pipe struct {
	conn     *conn
	dir      Direction
	from, to *net.TCPConn
	queue    chan chunk
	next     func(buf []byte) chunk // how the stream is divided
	rng      *rand.Rand             // the reader's
}

// chunk is a piece of the stream, and what comes after it.
type chunk struct {
	data   []byte
	due    time.Time
	end    error   // nil, io.EOF when the sender closed, or why reading failed
	commit *commit // data is this COMMIT
	answer *commit // data completes the answer to it
}

func newPipe(c *conn, dir Direction) *pipe {
	return &pipe{conn: c, dir: dir, queue: make(chan chunk, queueSize), rng: c.rng(dir)}
}

func (p *pipe) read() {
	buf := make([]byte, readSize)
	for {
		ch := p.next(buf[:p.chunkSize()])
		ch.data = bytes.Clone(ch.data)
		ch.due = p.schedule(len(ch.data))
		if !p.push(ch) || ch.end != nil {
			return
		}
	}
}

func (p *pipe) push(ch chunk) bool {
	select {
	case p.queue <- ch:
		return true
	case <-p.conn.ctx.Done():
		return false
	}
}

func (p *pipe) nextBytes(buf []byte) chunk {
	n, err := p.from.Read(buf)
	return chunk{data: buf[:n], end: err}
}

// chunkSize is at most 50 ms of a throttled link, so that it trickles.
func (p *pipe) chunkSize() int {
	l := p.conn.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.weather.rate == 0 {
		return readSize
	}
	return min(max(l.weather.rate/20, 1), readSize)
}

// schedule says when bytes that arrive now are due. Jitter cannot reorder: in the
// queue a chunk that is due also waits for those before it.
func (p *pipe) schedule(size int) time.Time {
	l := p.conn.link
	l.mu.Lock()
	defer l.mu.Unlock()
	due := time.Now()
	if rate := l.weather.rate; rate > 0 {
		if l.busy[p.dir].After(due) {
			due = l.busy[p.dir]
		}
		due = due.Add(time.Duration(size) * time.Second / time.Duration(rate))
		l.busy[p.dir] = due
	}
	due = due.Add(l.weather.delay)
	if j := int64(l.weather.jitter); j > 0 {
		due = due.Add(time.Duration(p.rng.Int64N(2*j+1) - j))
	}
	return due
}

func (p *pipe) write() {
	for {
		select {
		case <-p.conn.ctx.Done():
			return
		case ch := <-p.queue:
			if p.dir == ServerToClient {
				p.conn.awaitStage()
			}
			if p.await(ch) && !p.deliver(ch) || ch.end != nil {
				return
			}
		}
	}
}

// await returns true when a chunk may be delivered, and false when it vanished.
func (p *pipe) await(ch chunk) bool {
	for slowed := false; ; slowed = true {
		wait, changed, pass := p.look(ch, slowed)
		if wait <= 0 {
			return pass
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-p.conn.ctx.Done():
		}
		timer.Stop()
	}
}

// look decides about a chunk under one lock with Heal: a chunk is either dropped
// before Heal looks for holes, or passes.
func (p *pipe) look(ch chunk, slowed bool) (wait time.Duration, changed <-chan struct{}, pass bool) {
	c, l := p.conn, p.conn.link
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.ctx.Err() != nil:
		return 0, nil, false
	case p.dir == ServerToClient && c.draining:
		if ch.answer != nil || ch.end != nil {
			c.close()
		}
		return 0, nil, false
	case l.weather.drop[p.dir], c.holed[p.dir]:
		c.holed[p.dir] = true
		l.counts.DroppedBytes += int64(len(ch.data))
		if ch.end != nil {
			l.counts.DroppedEnds++
		}
		return 0, nil, false
	}
	if l.weather.slow() {
		wait = time.Until(ch.due)
	}
	if wait <= 0 && slowed {
		l.counts.SlowedBytes += int64(len(ch.data))
	}
	return wait, l.changed, true
}

// deliver hands a chunk on and reports whether the direction goes on.
func (p *pipe) deliver(ch chunk) bool {
	if ch.commit != nil {
		return p.carryOut(ch)
	}
	if len(ch.data) > 0 {
		if _, err := p.to.Write(ch.data); err != nil {
			return p.conn.broken(1 - p.dir)
		}
	}
	if ch.answer != nil {
		p.conn.delivered(ch.answer)
	}
	switch {
	case ch.end == nil:
		return true
	case errors.Is(ch.end, io.EOF):
		return p.to.CloseWrite() == nil // the other direction goes on, as in TCP
	default:
		return p.conn.broken(p.dir)
	}
}
