package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/leeway/internal/dbtest"
)

// wire is a connection on which a test says exactly what it wants to.
type wire struct {
	net.Conn
	in     *bufio.Reader
	closed atomic.Bool // by the server; see watch
}

func (s *shop) dial(t *testing.T, url string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(dbtest.Limit)) // a broken server never answers
	return &wire{Conn: conn, in: bufio.NewReader(conn)}
}

func (c *wire) say(t *testing.T, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		t.Fatal(err)
	}
}

// watch reads what the server sends until it closes the connection.
func (c *wire) watch() {
	go func() {
		_, err := io.Copy(io.Discard, c.in)
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return // ours
		}
		c.closed.Store(true)
	}()
}

// answer reads one, without its body's text; 0: there was none.
func (c *wire) answer() (status int, header http.Header) {
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header
}

// besieged is a shop with all three listeners.
type besieged struct {
	*backOffice
	internal string
}

func newBesieged(t *testing.T, adjust ...func(*serveCmd)) *besieged {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	internal := func(c *serveCmd) { c.InternalAddr = addr }
	return &besieged{newBackOffice(t, append(adjust, internal)...), "http://" + addr}
}

func (b *besieged) listeners() []string { return []string{b.url, b.back, b.internal} }

// quick is what a check must stay within while its listener is under attack: once in
// three times, as an orchestrator asks that then restarts the process (a kubelet does
// by default, with 1 s). A check takes well under a millisecond, so only one that
// queues behind the attack comes near.
const quick = time.Second

// isWell asks each listener for something that needs no database.
func (b *besieged) isWell(t *testing.T, when string) {
	t.Helper()
	for path, status := range map[string]int{b.url + "/healthz": 200, b.internal + "/healthz": 200, b.back + "/nowhere": 404} {
		var took time.Duration
		for range 3 {
			start := time.Now()
			_, a := exchange(t, oneShot, "GET", path, nil, "X-API-Key", canaryAll)
			if took = time.Since(start); a.status != status {
				t.Fatalf("%s, %s: %d %s", when, path, a.status, a.body)
			}
			if took < quick {
				break
			}
		}
		if took >= quick {
			t.Errorf("%s, %s takes %v", when, path, took)
		}
	}
}

// oneShot opens a connection for each request: checks have none to use again.
var oneShot = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// besiege has n clients at each listener say something and then one byte more
// whenever everything was found to be well, until the server has closed them all.
func (b *besieged) besiege(t *testing.T, n int, said string) {
	t.Helper()
	var all []*wire
	for _, url := range b.listeners() {
		for range n {
			c := b.dial(t, url)
			c.say(t, "%s", said)
			c.watch()
			all = append(all, c)
		}
	}
	open := len(all)
	for deadline := time.Now().Add(dbtest.Limit); open > 0; {
		b.isWell(t, fmt.Sprintf("with %d slow clients", open))
		open = 0
		for _, c := range all {
			if !c.closed.Load() {
				_, _ = c.Write([]byte("x")) // it may be closed just now
				open++
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d slow clients still have their connection", open, len(all))
		}
	}
}

// A header that comes a byte at a time costs a connection for headerTimeout.
func TestSlowHeaders(t *testing.T) {
	newBesieged(t).besiege(t, 50, "GET /v1/products HTTP/1.1\r\nHost: x\r\nX-Slow: ")
}

// A body that does, for readTimeout; and none of what the shop works with: as many
// clients as may be in flight send one, many times over, and others buy all the same.
func TestSlowBodies(t *testing.T) {
	b := newBesieged(t, func(c *serveCmd) { c.MaxInFlight = 2 })
	me := b.newShopper(t, item(b.variant, "1"))
	slow := make([]*wire, 0, 20)
	for range cap(slow) {
		c := b.dial(t, b.url)
		c.say(t, "POST /v1/carts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		slow = append(slow, c)
	}
	for range 5 {
		if a := me.do(t, "GET", me.cart, ""); a.status != 200 {
			t.Errorf("a cart: %d %s", a.status, a.body)
		}
	}
	if a := me.checkout(t, "k"); a.status != 201 {
		t.Errorf("checkout: %d %s", a.status, a.body)
	}
	b.besiege(t, 20, "POST /v1/carts HTTP/1.1\r\nHost: x\r\nX-API-Key: "+canaryAll+"\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n")
	for _, c := range slow { // a client that stops in the middle is told, and left
		status, _ := c.answer() // 503: they all give up at once
		if _, err := c.in.ReadByte(); status != 400 && status != 503 || err != io.EOF {
			t.Fatalf("a body that never ends: %d, %v", status, err)
		}
	}
}

// idle opens n connections that send one request and nothing more, and which the server
// would keep for idleTimeout.
func (b *besieged) idle(t *testing.T, url string, n int) (all []*wire, open func() int) {
	t.Helper()
	for range n {
		c := b.dial(t, url)
		c.say(t, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-API-Key: "+canaryAll+"\r\n\r\n")
		if status, _ := c.answer(); status == 0 {
			t.Fatal("no answer on a new connection")
		}
		c.watch()
		all = append(all, c)
	}
	return all, func() (n int) {
		for _, c := range all {
			if !c.closed.Load() {
				n++
			}
		}
		return n
	}
}

// A thousand idle connections at each listener keep nobody out.
func TestIdleConnections(t *testing.T) {
	b := newBesieged(t)
	const many = 1000
	for _, url := range b.listeners() {
		_, open := b.idle(t, url, many)
		b.isWell(t, "with 1000 idle connections at "+url)
		if n := open(); n != many {
			t.Errorf("%d of %d connections are there, so the test shows less than it says", n, many)
		}
	}
	me := b.newShopper(t, item(b.variant, "1"))
	if a := me.checkout(t, "k"); a.status != 201 {
		t.Errorf("checkout: %d %s", a.status, a.body)
	}
}

// Beyond the cap, who says nothing makes room for who comes.
func TestConnectionCap(t *testing.T) {
	const most = 20
	b := newBesieged(t, func(c *serveCmd) { c.MaxInFlight, c.MaxConns = 2, most })
	for _, url := range b.listeners() {
		all, open := b.idle(t, url, 5*most)
		dbtest.Eventually(t, "the connections beyond the cap are closed", func() bool { return open() <= most })
		if !all[0].closed.Load() || all[len(all)-1].closed.Load() {
			t.Errorf("the first connection is closed: %v, the last one: %v; want the longest idle ones to go",
				all[0].closed.Load(), all[len(all)-1].closed.Load())
		}
		b.isWell(t, "at the cap of "+url)
	}
}

// plainText is what net/http answers with what no handler sees; every other error is a
// problem document.
const plainText = "text/plain; charset=utf-8"

// The request line and the headers have 16 KiB together, to the byte, and may be as
// many as fit.
func TestOversizedHeaders(t *testing.T) {
	b := newBesieged(t)
	request := func(size int, more string) string {
		start := "GET /healthz HTTP/1.1\r\nHost: x\r\nX-API-Key: " + canaryAll + "\r\n" + more + "X-Fill: "
		return start + strings.Repeat("x", size-len(start)-4) + "\r\n\r\n"
	}
	var many strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&many, "a%d:\r\n", i)
	}
	for _, url := range b.listeners() {
		for name, tt := range map[string]struct {
			text string
			fits bool
		}{
			"16 KiB":             {request(16<<10, ""), true},
			"a byte more":        {request(16<<10+1, ""), false},
			"1 MiB":              {request(1<<20, ""), false},
			"1500 headers":       {request(16<<10, many.String()), true},
			"1500 and too long":  {request(17<<10, many.String()), false},
			"a line without end": {"GET /" + strings.Repeat("x", 20<<10), false},
		} {
			c := b.dial(t, url)
			go c.Write([]byte(tt.text)) // the server may not take all of it
			status, header := c.answer()
			if fits := status == 200 || status == 404; fits != tt.fits || !tt.fits && (status != 431 || header.Get("Content-Type") != plainText) {
				t.Errorf("%s at %s: %d %s, want it to fit: %v", name, url, status, header.Get("Content-Type"), tt.fits)
			}
		}
		b.isWell(t, "after oversized headers at "+url)
	}
}

// Requests that are sent without waiting are answered in their order, each counted, and
// what is no request ends the connection.
func TestPipelining(t *testing.T) {
	s := newShop(t, func(c *serveCmd) { c.RateAddress = 1 })
	c := s.dial(t, s.url)
	const sent = 50
	var requests strings.Builder
	for i := range sent {
		fmt.Fprintf(&requests, "GET /v1/products?limit=1 HTTP/1.1\r\nHost: x\r\nX-Request-Id: r%d\r\n\r\n", i)
	}
	go c.Write([]byte(requests.String() + "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nno request at all\r\n\r\n"))
	refused := 0
	for i := range sent {
		status, header := c.answer()
		if status != 200 && status != 429 || header.Get("X-Request-Id") != fmt.Sprintf("r%d", i) {
			t.Fatalf("answer %d: %d to %q", i, status, header.Get("X-Request-Id"))
		}
		if status == 429 {
			refused++
		}
	}
	if refused == 0 || refused > sent-10 {
		t.Errorf("%d of %d are refused by a limit of 10", refused, sent)
	}
	if status, _ := c.answer(); status != 200 {
		t.Errorf("healthz at the end of the line: %d", status)
	}
	if status, header := c.answer(); status != 400 || header.Get("Content-Type") != plainText {
		t.Errorf("no request: %d %s", status, header.Get("Content-Type"))
	}
	if _, err := c.in.ReadByte(); err == nil {
		t.Error("the connection goes on after what is no request")
	}
}
