package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A Link forwards TCP connections to a target and breaks them on demand. It is
// safe for concurrent use.
type Link struct {
	addr    string
	seed    uint64
	commits *commits // nil unless the link understands PostgreSQL

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	work sync.WaitGroup // every goroutine of the link

	mu       sync.Mutex // and of all that its connections share; never held during I/O
	target   string
	listener net.Listener // nil while connections are refused
	weather  weather
	changed  chan struct{} // closed when the weather changes
	busy     [2]time.Time  // by Direction: when a throttled link is free again
	conns    map[*conn]struct{}
	counts   Counts
}

// NewLink listens on a port of its own on 127.0.0.1 and forwards to target, an
// address "host:port". Choices that are left to chance come from the seed.
func NewLink(target string, seed uint64) (*Link, error) { return newLink(target, seed, nil) }

func newLink(target string, seed uint64, commits *commits) (*Link, error) {
	if _, _, err := net.SplitHostPort(target); err != nil {
		return nil, fmt.Errorf("faults: target: %w", err)
	}
	l := &Link{
		target: target, seed: seed, commits: commits,
		changed: make(chan struct{}), conns: map[*conn]struct{}{},
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	if err := l.open(); err != nil {
		l.stop()
		return nil, err
	}
	return l, nil
}

// Addr is where to connect instead of the target. It never changes.
func (l *Link) Addr() string { return l.addr }

// Retarget sends connections that are opened from now on to another address.
func (l *Link) Retarget(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = addr
}

// Close ends every connection and waits for all that the link has started,
// which includes a callback of OnCommit: it must not be called from one.
func (l *Link) Close() {
	l.mu.Lock()
	l.stop()
	l.closeListener()
	for c := range l.conns {
		c.close()
	}
	l.mu.Unlock()
	l.work.Wait()
}

// Ports are taken between those of pgcluster and the ephemeral range of Linux
// (32768). While a link refuses, its port belongs to nobody: an ephemeral one
// could go to any outgoing connection, even to the very client that dials it,
// which would then be connected to itself.
const (
	firstPort = 30000
	lastPort  = 32767
	portTries = 100
)

func (l *Link) open() (err error) {
	for range portTries {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort+1))
		if err = l.listen(addr); err == nil {
			l.addr = addr
			return nil
		}
	}
	return err
}

// listen is called with l.mu held, or before the link is shared.
func (l *Link) listen(addr string) error {
	var config net.ListenConfig
	listener, err := config.Listen(l.ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	l.listener = listener
	l.work.Go(func() { l.accept(listener) })
	return nil
}

// closeListener is called with l.mu held. The kernel resets what waits in its
// queue.
func (l *Link) closeListener() {
	if l.listener != nil {
		l.listener.Close()
		l.listener = nil
	}
}

// acceptPause keeps a process without file descriptors from spinning.
const acceptPause = 10 * time.Millisecond

func (l *Link) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(acceptPause)
		default:
			l.admit(client.(*net.TCPConn), listener)
		}
	}
}

// admit starts a connection, unless its listener was closed meanwhile: a fault
// that has returned must hold for whoever comes after it.
func (l *Link) admit(client *net.TCPConn, from net.Listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != from {
		reset(client)
		return
	}
	l.counts.Accepted++
	c := newConn(l, client, uint64(l.counts.Accepted))
	l.conns[c] = struct{}{}
	l.work.Go(c.run)
}

// reset closes with RST instead of FIN: with SO_LINGER 0 the kernel discards
// what it has not sent (socket(7)).
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0) // fails only on a socket that is closed already
	conn.Close()
}
