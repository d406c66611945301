package web

import (
	"bytes"
	"container/list"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
)

// Conns caps the open connections of one http.Server. When there is one too many, the
// one that has waited longest for its client is closed: to be used again, for the end
// of its headers, or for its body. So whoever says nothing makes room for whoever
// comes, and a health check finds a way in. A connection that is being worked for is
// never closed; if all are, it is the new one.
//
// A client whose idle connection is closed opens another, as after any idle timeout.
// One that is closed just as it begins to send a request cannot know whether the
// request was received. It is safe for concurrent use.
type Conns struct {
	limit   int
	mu      sync.Mutex
	open    map[net.Conn]*list.Element // nil: it is being worked for
	waiting list.List                  // of net.Conn, the longest first
}

// Attach hangs the cap on a server that does not serve yet. Its handler is to be
// behind ReadBody.
func (c *Conns) Attach(server *http.Server) {
	server.ConnState = c.note
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, capped{c, conn})
	}
}

// NewConns allows limit open connections.
func NewConns(limit int) *Conns {
	return &Conns{limit: limit, open: map[net.Conn]*list.Element{}}
}

// note is http.Server's ConnState hook. A connection is StateNew or StateIdle until a
// whole header was read.
func (c *Conns) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open[conn] = c.waiting.PushBack(conn)
		if len(c.open) > c.limit {
			longest := c.waiting.Front().Value.(net.Conn)
			c.forget(longest)
			longest.Close()
		}
	case http.StateActive:
		c.works(conn)
	case http.StateIdle:
		c.waits(conn)
	case http.StateClosed, http.StateHijacked:
		c.forget(conn)
	}
}

// waits and works do nothing for a connection that was closed to make room.
func (c *Conns) waits(conn net.Conn) {
	if at, ok := c.open[conn]; ok && at == nil {
		c.open[conn] = c.waiting.PushBack(conn)
	}
}

func (c *Conns) works(conn net.Conn) {
	if at := c.open[conn]; at != nil {
		c.waiting.Remove(at)
		c.open[conn] = nil
	}
}

func (c *Conns) forget(conn net.Conn) {
	c.works(conn)
	delete(c.open, conn)
}

type connKey struct{}

type capped struct {
	conns *Conns // nil: the server has no cap
	conn  net.Conn
}

func (c capped) now(state func(*Conns, net.Conn)) {
	if c.conns != nil {
		c.conns.mu.Lock()
		defer c.conns.mu.Unlock()
		state(c.conns, c.conn)
	}
}

// ReadBody reads the body, up to MaxBody and a byte, before anything else happens: no
// place in InFlight, no transaction and no deadline of a request is spent on a client
// that sends a byte a second. The server's ReadTimeout bounds how long it may take. It
// fails nothing: whoever reads the body meets the same bytes and the same error.
func ReadBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		conn, _ := r.Context().Value(connKey{}).(capped)
		conn.now((*Conns).waits)
		body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
		conn.now((*Conns).works)
		rest := io.Reader(r.Body)
		if err != nil {
			rest = failed{err} // a second look at a body that was cut short finds its end
		}
		if err != nil || len(body) > MaxBody {
			// Else the server would read on, up to 256 KiB, before it sends the answer.
			w.Header().Set("Connection", "close")
		}
		r.Body = buffered{io.MultiReader(bytes.NewReader(body), rest), r.Body}
		next.ServeHTTP(w, r)
	})
}

type buffered struct {
	io.Reader
	io.Closer
}

// failed is what is left of a body that could not be read.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }
