package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// Direction is one of the two ways through a link.
type Direction int

// The client is whoever connected to the link.
const (
	ClientToServer Direction = iota
	ServerToClient
)

func (d Direction) String() string {
	return [...]string{"client to server", "server to client"}[d]
}

// weather is what traffic meets. Its parts add up until Heal.
type weather struct {
	drop          [2]bool // by Direction
	delay, jitter time.Duration
	rate          int // bytes a second and direction; 0 is unlimited
}

func (w weather) slow() bool { return w.delay > 0 || w.jitter > 0 || w.rate > 0 }

func (l *Link) change(how func(*weather)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changeLocked(how)
}

func (l *Link) changeLocked(how func(*weather)) {
	how(&l.weather)
	close(l.changed)
	l.changed = make(chan struct{})
}

// Delay holds all bytes back, in both directions, for d plus or minus a share of
// jitter. Order is kept: bytes wait for those before them. Up to 2 MiB are under
// way per connection and direction, so at 200 ms it passes 10 MB/s at most.
func (l *Link) Delay(d, jitter time.Duration) {
	l.change(func(w *weather) { w.delay, w.jitter = max(d, 0), max(jitter, 0) })
}

// Bandwidth lets this many bytes a second pass in each direction, all connections
// together; 0 is unlimited. It adds to Delay. What is above it waits in a queue of
// about three seconds per connection, then in the kernels' buffers, then at the
// sender.
func (l *Link) Bandwidth(bytesPerSecond int) {
	l.change(func(w *weather) { w.rate = max(bytesPerSecond, 0) })
}

// BlackHole swallows everything in both directions: bytes, and the news that an
// end has closed. Nothing is closed. New connections are accepted and never reach
// the target.
func (l *Link) BlackHole() {
	l.change(func(w *weather) { w.drop = [2]bool{true, true} })
}

// OneWay swallows everything but what goes in the given direction. New
// connections do reach the target, since the link's ends shake hands by themselves.
func (l *Link) OneWay(passes Direction) {
	l.change(func(w *weather) {
		w.drop = [2]bool{true, true}
		w.drop[passes] = false
	})
}

// Reset sends RST to both ends of every open connection. New ones pass. A server
// that was left alone to finish its COMMIT (CutAfterCommit) is not disturbed.
func (l *Link) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		if !c.draining {
			c.abort()
		}
	}
}

// probeLimit bounds the dial by which Refuse proves itself; loopback answers in
// microseconds.
const probeLimit = time.Second

// Refuse closes the port: dialling it is refused by the kernel (ECONNREFUSED).
// Open connections stay; Reset cuts them, too. It proves itself by one dial, and
// an error means that the port still answers.
func (l *Link) Refuse() error {
	l.mu.Lock()
	l.closeListener()
	l.mu.Unlock()

	ctx, cancel := context.WithTimeout(l.ctx, probeLimit)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", l.addr)
	if err == nil {
		conn.Close()
		return fmt.Errorf("faults: %s answers although it is closed", l.addr)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("faults: refuse: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Refused++
	return nil
}

// Heal ends every fault, and discards what is planned for COMMITs. Bytes that
// waited are delivered at once. Connections that lost something are reset, since
// their streams have a hole; all others go on. It fails only if somebody took the
// port while the link refused.
func (l *Link) Heal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changeLocked(func(w *weather) { *w = weather{} })
	l.busy = [2]time.Time{}
	if l.commits != nil {
		l.commits.plans = nil
	}
	for c := range l.conns {
		if c.holed != [2]bool{} {
			c.lost()
		}
	}
	if l.listener != nil || l.ctx.Err() != nil {
		return nil
	}
	return l.listen(l.addr)
}
