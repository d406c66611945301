package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Lean is one connection to a shop, for measurements in which net/http's client would
// cost more than the shop's answer does. It writes requests that were rendered before,
// one at a time and never pipelined, and of an answer it parses four headers. An answer
// without a Content-Length is an error; so is the second request after one.
//
// It is for one goroutine.
type Lean struct {
	conn    net.Conn
	in      *bufio.Reader
	body    []byte
	timeout time.Duration
	until   time.Time // the deadline of conn
}

// leanTimeout is more than a request may take; see SHOP_REQUEST_TIMEOUT.
const leanTimeout = 30 * time.Second

// DialLean connects to host:port within 30 s. The connection ends with ctx, and whoever
// waits for an answer is woken.
func DialLean(ctx context.Context, addr string) (*Lean, error) {
	return dialLean(ctx, addr, leanTimeout)
}

func dialLean(ctx context.Context, addr string, timeout time.Duration) (*Lean, error) {
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return &Lean{conn: conn, in: bufio.NewReaderSize(conn, 64<<10), timeout: timeout}, nil
}

// Close closes the connection.
func (l *Lean) Close() { l.conn.Close() }

// LeanAnswer is an answer. Source is the Data-Source as it came; it and Body are good
// until the next request.
type LeanAnswer struct {
	Status int
	Source []byte
	Token  []byte // Consistency-Token
	Body   []byte
}

var errNoLength = errors.New("an answer without a Content-Length")

// Do sends the request and reads the whole answer. The error is of the connection, which
// is of no more use then; a status is never one. A shop that hangs is an error after 30 s,
// and after 60 s at the latest.
func (l *Lean) Do(request []byte) (LeanAnswer, error) {
	var a LeanAnswer
	if err := l.extend(); err != nil {
		return a, err
	}
	if _, err := l.conn.Write(request); err != nil {
		return a, err
	}
	line, err := l.in.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return a, fmt.Errorf("no HTTP answer: %.40q", line)
	}
	if a.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, fmt.Errorf("no HTTP answer: %.40q", line)
	}
	length := -1
	l.body = l.body[:0]
	for {
		if line, err = l.in.ReadSlice('\n'); err != nil {
			return a, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) { // net/http writes canonical names
		case "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil {
				return a, errNoLength
			}
		case "Data-Source":
			a.Source = l.keep(value)
		case tokenHeader:
			a.Token = l.keep(value)
		}
	}
	if length < 0 {
		return a, errNoLength
	}
	start := len(l.body)
	l.body = append(l.body, make([]byte, length)...)
	a.Body = l.body[start:]
	_, err = io.ReadFull(l.in, a.Body)
	return a, err
}

// extend leaves the next answer its time. To set the deadline costs a lock and a timer, so
// one serves for as many requests as begin within a timeout.
func (l *Lean) extend() error {
	now := time.Now()
	if l.until.Sub(now) >= l.timeout {
		return nil
	}
	l.until = now.Add(2 * l.timeout)
	return l.conn.SetDeadline(l.until)
}

// keep copies what the next read would overwrite. What was kept before stays where it
// was, also if the buffer moves.
func (l *Lean) keep(value []byte) []byte {
	start := len(l.body)
	l.body = append(l.body, value...)
	return l.body[start:len(l.body):len(l.body)]
}

// Request renders a request for Lean. Each header is "Name: value".
func Request(method, path, body string, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: shop\r\n", method, path)
	for _, h := range headers {
		fmt.Fprintf(&b, "%s\r\n", h)
	}
	if body != "" || method != "GET" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	fmt.Fprintf(&b, "\r\n%s", body)
	return b.Bytes()
}
