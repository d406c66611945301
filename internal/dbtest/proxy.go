package dbtest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A Proxy stands on a TCP link and can turn it into a black hole: connections
// stay open, and nothing that is sent arrives.
type Proxy struct {
	listener net.Listener
	target   string
	black    atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

// NewProxy forwards to target until the test ends.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: listener, target: target}
	tb.Cleanup(p.close)
	go p.accept()
	return p
}

// Addr is where to connect instead of the target.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// BlackHole swallows everything from now on, on old and new connections.
func (p *Proxy) BlackHole() { p.black.Store(true) }

// Heal forwards new connections again and resets the old ones, whose streams
// have a hole.
func (p *Proxy) Heal() {
	p.black.Store(false)
	p.closeConns()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		go p.forward(server, client)
		go p.forward(client, server)
	}
}

func (p *Proxy) forward(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !p.black.Load() {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) close() {
	p.listener.Close()
	p.closeConns()
}

func (p *Proxy) closeConns() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}
