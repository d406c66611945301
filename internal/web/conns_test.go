package web_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/leeway/internal/web"
)

// wire is a connection on which a test says exactly what it wants to.
type wire struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, srv *httptest.Server) wire {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second)) // a broken server never answers
	return wire{conn, bufio.NewReader(conn)}
}

func (c wire) say(t *testing.T, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		t.Fatal(err)
	}
}

// status is that of the next answer; 0: the server has closed the connection; -1: it
// does neither.
func (c wire) status() int {
	res, err := http.ReadResponse(c.in, nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return -1
	}
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

const get, slowBody = "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"

// capped is a server with room for n connections. A request for /hold tells that it
// has come, and stays until it is released.
func capped(t *testing.T, n int) (srv *httptest.Server, held chan struct{}, release func()) {
	t.Helper()
	held, hold := make(chan struct{}), make(chan struct{})
	srv = httptest.NewUnstartedServer(web.ReadBody(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			held <- struct{}{}
			<-hold
		}
	})))
	web.NewConns(n).Attach(srv.Config)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv, held, func() { close(hold) }
}

// One connection too many ends the one that has waited longest, whatever it waits for,
// and whoever comes is served.
func TestWhoWaitsLongestMakesRoom(t *testing.T) {
	t.Parallel()
	// With some to spare: one whose answer is out counts as worked for until its
	// goroutine has said otherwise.
	const room = 20
	srv, _, _ := capped(t, room)
	slow, silent, idle := dial(t, srv), dial(t, srv), dial(t, srv)
	slow.say(t, slowBody)
	silent.say(t, "GET / HTTP/1.1\r\nX-Slow: ")
	for range 2 { // it is used again
		idle.say(t, get, "")
		if got := idle.status(); got != 200 {
			t.Fatalf("the third connection: %d", got)
		}
	}
	for range 2 * room {
		another := dial(t, srv)
		another.say(t, get, "")
		if got := another.status(); got != 200 {
			t.Errorf("a connection more: %d, want an answer", got)
		}
	}
	for name, victim := range map[string]wire{"its body": slow, "its headers": silent, "another request": idle} {
		if got := victim.status(); got != 0 {
			t.Errorf("the connection that waited for %s: %d, want it closed", name, got)
		}
	}
}

// No connection is closed while it is worked for: then the new one is.
func TestWhoIsWorkedForIsLeftAlone(t *testing.T) {
	t.Parallel()
	srv, held, release := capped(t, 2)
	conns := []wire{dial(t, srv), dial(t, srv)}
	for _, c := range conns {
		c.say(t, get, "hold")
		<-held
	}
	deadline := time.Now().Add(30 * time.Second)
	late := dial(t, srv)
	if _, err := late.in.ReadByte(); err == nil {
		t.Error("a third connection is served beyond the cap of two")
	}
	release()
	for _, c := range conns {
		if got := c.status(); got != 200 {
			t.Errorf("a request under way when the third came: %d", got)
		}
	}
	for served := 0; served < 10; { // the server may take a moment to see that they are done
		c := dial(t, srv)
		c.say(t, "GET / HTTP/1.0\r\n\r\n") // the server closes it
		if c.status() == 200 {
			served++
		}
		if time.Now().After(deadline) {
			t.Fatal("connections that are done are counted for ever")
		}
	}
}

// A handler gets the bytes and the error that it would have met itself.
func TestReadBodyChangesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		length     string // of the header
		want       int
		err        bool
		closes     bool
	}{
		{"none", "", "0", 0, false, false},
		{"small", "abc", "3", 3, false, false},
		{"as large as may be", strings.Repeat("a", web.MaxBody), fmt.Sprint(web.MaxBody), web.MaxBody, false, false},
		{"larger", strings.Repeat("a", web.MaxBody+9), fmt.Sprint(web.MaxBody + 9), web.MaxBody + 9, false, true},
		{"cut short", "abc", "5", 3, true, true},
	} {
		var got int
		var err error
		srv := httptest.NewServer(web.ReadBody(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			var body []byte
			body, err = io.ReadAll(r.Body)
			got = len(body)
		})))
		c := dial(t, srv)
		c.say(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n%s", tt.length, tt.body)
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		res, failed := http.ReadResponse(c.in, nil)
		if failed != nil {
			t.Fatalf("%s: %v", tt.name, failed)
		}
		res.Body.Close()
		if got != tt.want || (err != nil) != tt.err || res.Close != tt.closes {
			t.Errorf("%s: %d bytes, %v, closes %v; want %d bytes", tt.name, got, err, res.Close, tt.want)
		}
		srv.Close()
	}
}
