package faults

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// conn is one connection of a client, and the one to the target that carries on
// from it.
type conn struct {
	link   *Link
	number uint64
	client *net.TCPConn
	server *net.TCPConn // nil until dialled, and for ever in a black hole

	ctx context.Context // ends when the connection is torn down
	end context.CancelFunc

	// All under link.mu.
	holed    [2]bool // by Direction: swallows for good, until Heal resets the connection
	draining bool    // the client is cut off; the server may finish its COMMIT
	backend  uint32  // the server's process, from its BackendKeyData
	pending  *commit // handed to the server and not yet answered
	stage    *commit // the last one whose callback may be running
}

func newConn(l *Link, client *net.TCPConn, number uint64) *conn {
	c := &conn{link: l, client: client, number: number}
	c.ctx, c.end = context.WithCancel(l.ctx)
	return c
}

func (c *conn) run() {
	defer c.leave()
	up, down := newPipe(c, ClientToServer), newPipe(c, ServerToClient)
	up.from, down.to = c.client, c.client
	up.next, down.next = up.nextBytes, down.nextBytes
	if c.link.commits != nil {
		up.next = newRequests(up, down).next
	}
	if c.strand() {
		c.sink(up)
		return
	}
	if !c.dial() {
		return
	}
	up.to, down.from = c.server, c.server
	if c.link.commits != nil {
		down.next = newAnswers(down).next
	}
	var pumps sync.WaitGroup
	for _, pump := range []func(){up.read, up.write, down.read, down.write} {
		pumps.Go(pump)
	}
	pumps.Wait()
}

// leave runs when both directions have ended.
func (c *conn) leave() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	delete(c.link.conns, c)
	c.close()
}

// strand reports whether the connection came in a black hole.
func (c *conn) strand() bool {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.weather.drop != [2]bool{true, true} {
		return false
	}
	c.holed = l.weather.drop
	l.counts.Stranded++
	return true
}

// sink reads a stranded client until it leaves or Heal resets it.
func (c *conn) sink(up *pipe) {
	buf := make([]byte, readSize)
	for {
		ch := up.next(buf)
		c.link.count(func(k *Counts) { k.DroppedBytes += int64(len(ch.data)) })
		if ch.end != nil {
			return
		}
	}
}

// dialLimit is far above loopback's microseconds; a frozen target's kernel still
// accepts.
const dialLimit = 10 * time.Second

func (c *conn) dial() bool {
	l := c.link
	l.mu.Lock()
	target := l.target
	l.mu.Unlock()
	dialer := net.Dialer{Timeout: dialLimit}
	server, err := dialer.DialContext(c.ctx, "tcp", target)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		if c.ctx.Err() == nil {
			l.counts.Unreachable++
			reset(c.client)
		}
		return false
	case c.ctx.Err() != nil: // reset meanwhile
		reset(server.(*net.TCPConn))
		return false
	}
	c.server = server.(*net.TCPConn)
	return true
}

// broken passes on that an end was reset: the sender of from. It reports whether
// the direction from the server must still be read, for an answer.
func (c *conn) broken(from Direction) bool {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if from == ServerToClient {
		c.pending = nil // nobody is left to answer it
	}
	c.lost()
	return c.draining
}

func (c *conn) answeredBy(backend uint32) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.backend = backend
}

// cancels counts a CancelRequest for the server's process.
func (l *Link) cancels(backend uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Cancels++
	for c := range l.conns {
		if c.backend == backend && c.pending != nil {
			l.counts.CommitCancels++
		}
	}
}

// The rest is called with link.mu held. Closing a socket also ends the reads and
// writes on it, so the pumps follow.

// close ends the connection in an orderly way: what was handed to the server's
// kernel is still read by the server.
func (c *conn) close() {
	c.end()
	c.client.Close()
	if c.server != nil {
		c.server.Close()
	}
}

// abort resets both ends.
func (c *conn) abort() {
	if c.ctx.Err() != nil {
		return
	}
	c.link.counts.Reset++
	c.end()
	reset(c.client)
	if c.server != nil {
		reset(c.server)
	}
}

// lost is abort, but never takes a COMMIT back: while one is unanswered only the
// client is reset, and the server's end stays until the answer. An RST could
// reach the server before the bytes ahead of it were sent.
func (c *conn) lost() {
	switch {
	case c.draining || c.ctx.Err() != nil:
	case c.pending == nil:
		c.abort()
	default:
		c.link.counts.Reset++
		c.draining = true
		reset(c.client)
	}
}

// rng is the source of one direction's jitter, whatever the order in which
// goroutines run.
func (c *conn) rng(d Direction) *rand.Rand {
	return rand.New(rand.NewPCG(c.link.seed, c.number<<1|uint64(d)))
}
