package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/web"
)

// limit bounds every wait for something that must happen.
const limit = 30 * time.Second

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(time.Millisecond) { // the poll's period
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// bench is a hub behind a real server.
type bench struct {
	*Hub
	url    string
	looks  atomic.Int64
	server *httptest.Server
}

// quick samples at once and never says anything by itself: a test that wants a heartbeat
// or an impatient server sets them.
var quick = pace{
	every: 2 * time.Millisecond, keep: time.Minute, heartbeat: limit, patience: limit,
	retry: 2 * time.Second, behind: 8, viewers: 3,
}

func newBench(t *testing.T, p pace, sample func(n int64) (any, error), adjust ...func(*http.Server)) *bench {
	t.Helper()
	b := &bench{}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	b.Hub = newHub(func() (any, error) { return sample(b.looks.Add(1)) }, log, p)
	r := chi.NewRouter()
	render := web.NewRenderer(log)
	r.Use(web.RequestID, web.AccessLog(log), render.Recover)
	Routes(r, b.Hub, render)
	b.server = httptest.NewUnstartedServer(r)
	b.server.Config.RegisterOnShutdown(b.Close)
	for _, f := range adjust {
		f(b.server.Config)
	}
	b.server.Start()
	b.url = b.server.URL + "/v1/replication/events"
	t.Cleanup(func() {
		b.Close()
		b.server.Close()
	})
	return b
}

func numbered(n int64) (any, error) { return map[string]int64{"n": n}, nil }

// viewer reads a stream line by line.
type viewer struct {
	*http.Response
	lines *bufio.Scanner
	leave context.CancelFunc
}

func (b *bench) watch(t *testing.T, query string, headers ...string) *viewer {
	t.Helper()
	return b.watchBy(t, http.DefaultClient, query, headers...)
}

// narrow is a client that takes little at a time: what it has not read waits at the
// server, and not in its own kernel.
func narrow() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return conn, conn.(*net.TCPConn).SetReadBuffer(256 << 10)
		},
	}}
}

func (b *bench) watchBy(t *testing.T, client *http.Client, query string, headers ...string) *viewer {
	t.Helper()
	ctx, leave := context.WithTimeout(t.Context(), limit)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{res, bufio.NewScanner(res.Body), leave}
	v.lines.Buffer(nil, 1<<20)
	t.Cleanup(func() {
		leave()
		res.Body.Close()
	})
	return v
}

// line returns the next line that begins with one of the fields, without it.
func (v *viewer) line(t *testing.T, field string) string {
	t.Helper()
	for v.lines.Scan() {
		if text, ok := strings.CutPrefix(v.lines.Text(), field); ok {
			return text
		}
	}
	t.Fatalf("the stream has ended, and no line began with %q: %v", field, v.lines.Err())
	return ""
}

// event returns the next event's id and data.
func (v *viewer) event(t *testing.T) (id, data string) {
	t.Helper()
	return v.line(t, "id: "), v.line(t, "data: ")
}

func TestAStreamOutlivesTheDeadlinesOfTheServer(t *testing.T) {
	const deadline = 300 * time.Millisecond
	b := newBench(t, quick, numbered, func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = deadline, deadline })
	v := b.watch(t, "")
	if v.StatusCode != 200 || v.Header.Get("Content-Type") != "text/event-stream" || v.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", v.StatusCode, v.Header)
	}
	if retry := v.line(t, "retry: "); retry != "2000" {
		t.Errorf("retry %s, want milliseconds", retry)
	}
	start := time.Now()
	first, data := v.event(t)
	if data != `{"n":1}` {
		t.Errorf("the first event is %s, want a fresh one", data)
	}
	for last := first; time.Since(start) < 3*deadline; {
		id, _ := v.event(t)
		if id == last {
			t.Fatalf("two events have the id %s", id)
		}
		last = id
	}
}

// One sampler for all, and none when nobody looks.
func TestOneSampler(t *testing.T) {
	p := quick
	p.every = limit // so that only joining samples
	b := newBench(t, p, numbered)
	one, two := b.watch(t, ""), b.watch(t, "")
	_, first := one.event(t)
	if _, second := two.event(t); first != second || b.looks.Load() != 1 {
		t.Errorf("two viewers see %s and %s after %d samples, want the same one", first, second, b.looks.Load())
	}
	one.leave()
	two.leave()
	b.gone(t)
	b.publish() // what a sampler that had stayed would do
	if b.quit != nil {
		t.Error("the sampler runs without a viewer")
	}
	if _, data := b.watch(t, "").event(t); data != `{"n":3}` {
		t.Errorf("who comes after a pause begins with %s, want a new sample", data)
	}
}

func (b *bench) gone(t *testing.T) {
	t.Helper()
	b.left(t, 0)
}

// left waits until no more than so many viewers are there: that one goes is seen at its
// server only after a while.
func (b *bench) left(t *testing.T, viewers int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d viewers are left", viewers), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.viewers <= viewers
	})
}

func TestAViewerGoesOnWhereItWas(t *testing.T) {
	b := newBench(t, quick, numbered)
	v := b.watch(t, "")
	var id, data string
	for range 5 {
		id, data = v.event(t)
	}
	if data != `{"n":5}` {
		t.Fatalf("the fifth event is %s", data)
	}
	for range 20 { // missed by who comes back, and more than one that is slow may be late
		v.event(t)
	}
	if _, data := b.watch(t, "", "Last-Event-ID", id).event(t); data != `{"n":6}` {
		t.Errorf("after %s comes %s", id, data)
	}
	v.leave()
	b.left(t, 1) // there is room for so many only
	if _, data := b.watch(t, "?history=true").event(t); data != `{"n":1}` {
		t.Errorf("the history begins with %s", data)
	}
	if _, data := b.watch(t, "", "Last-Event-ID", "OTHERONE.5").event(t); data != `{"n":1}` {
		t.Errorf("after an id of another process comes %s, want all that is kept", data)
	}
}

func TestOldEventsAreForgotten(t *testing.T) {
	h := newHub(func() (any, error) { return 1, nil }, slog.New(slog.DiscardHandler), quick)
	start := time.Now()
	for age := range 120 {
		h.add(event{at: start.Add(time.Duration(age) * time.Second)})
	}
	if events, _ := h.since(0); len(events) != 61 || events[0].number != 60 {
		t.Errorf("%d events are kept, from number %d; want those of the last minute", len(events), events[0].number)
	}
}

// Who reads slowly misses events, and holds up nobody.
func TestASlowViewerMissesEvents(t *testing.T) {
	big := strings.Repeat("x", 1<<16)
	b := newBench(t, quick, func(n int64) (any, error) { return fmt.Sprintf("%d %s", n, big), nil })
	slow, fast := b.watchBy(t, narrow(), ""), b.watch(t, "")
	slow.event(t)
	for range 100 { // 6.5 MB: Linux lets a socket hold 4 MB that are to be sent
		fast.event(t)
	}
	before := 0
	for {
		var n int
		_, data := slow.event(t)
		if _, err := fmt.Sscanf(data, `"%d `, &n); err != nil {
			t.Fatal(err)
		}
		if before != 0 && n > before+quick.behind {
			return // it was late, and went on with the newest
		}
		before = n
	}
}

// Who does not read at all is dropped.
func TestAViewerThatDoesNotReadIsDropped(t *testing.T) {
	p := quick
	p.patience = 20 * time.Millisecond
	big := strings.Repeat("x", 1<<18)
	b := newBench(t, p, func(int64) (any, error) { return big, nil })
	conn, err := net.Dial("tcp", b.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /v1/replication/events HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it watches", func() bool { return b.looks.Load() > 0 })
	b.gone(t)
}

func TestOnlySoManyMayWatch(t *testing.T) {
	b := newBench(t, quick, numbered)
	for range quick.viewers {
		b.watch(t, "").event(t)
	}
	// The pace allows three.
	if v := b.watch(t, ""); v.StatusCode != 503 || v.Header.Get("Retry-After") != "5" {
		t.Errorf("one too many: %d %v", v.StatusCode, v.Header)
	}
}

// A stream that has nothing to say says so: a sample that fails is left out, logged.
func TestHeartbeat(t *testing.T) {
	p := quick
	p.heartbeat = 5 * time.Millisecond
	b := newBench(t, p, func(n int64) (any, error) {
		if n > 1 {
			return nil, errors.New("nothing to see")
		}
		return n, nil
	})
	v := b.watch(t, "")
	v.event(t)
	for range 3 {
		v.line(t, ": ")
	}
}

// A stream on which nothing is sent does not find out by sending.
func TestStoppingEndsASilentStream(t *testing.T) {
	p := quick
	p.every = limit // one event
	b := newBench(t, p, numbered)
	b.watch(t, "").event(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit/2)
	defer cancel()
	if err := b.server.Config.Shutdown(ctx); err != nil {
		t.Errorf("shut down: %v", err)
	}
}

// Neither a stream nor a write that a client does not take keeps a server from stopping.
func TestStoppingEndsStreams(t *testing.T) {
	big := strings.Repeat("x", 1<<18)
	b := newBench(t, quick, func(int64) (any, error) { return big, nil })
	v, stuck := b.watch(t, ""), b.watchBy(t, narrow(), "")
	stuck.event(t)
	for range 40 { // 10 MB
		v.event(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit/2)
	defer cancel()
	if err := b.server.Config.Shutdown(ctx); err != nil {
		t.Errorf("shut down: %v", err)
	}
	for v.lines.Scan() {
	}
	if err := v.lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream ended with %v", err)
	}
	if _, err := b.join(); err == nil {
		t.Error("a viewer joined a hub that is closed")
	}
}

func TestWhatAStreamRefuses(t *testing.T) {
	b := newBench(t, quick, numbered)
	for _, query := range []string{"?history=maybe", "?surprise=1"} {
		if v := b.watch(t, query); v.StatusCode != 400 {
			t.Errorf("%s: %d", query, v.StatusCode)
		}
	}
}
