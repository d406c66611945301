package faults_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/faults"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const (
	seed = 7
	// quiet is how long a test listens for what must not come.
	quiet = 50 * time.Millisecond
	limit = 10 * time.Second
)

// newLink closes the link with the test, which must leave no goroutine of it.
// Tests of this package do not run in parallel.
func newLink(t *testing.T, target string) *faults.Link {
	t.Helper()
	link, err := faults.NewLink(target, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLink(t, link) })
	return link
}

func closeLink(t *testing.T, link *faults.Link) {
	t.Helper()
	link.Close()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "internal/faults.(") {
			t.Errorf("left after Close:\n%s", stack)
		}
	}
	link.Close() // twice does no harm
}

// listen serves connections until the test ends.
func listen(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	var mu sync.Mutex
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range conns {
			conn.Close()
		}
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			go serve(conn.(*net.TCPConn))
		}
	}()
	return l.Addr().String()
}

func echoServer(t *testing.T) string {
	return listen(t, func(conn *net.TCPConn) {
		_, _ = io.Copy(conn, conn)
		conn.Close()
	})
}

// handed returns the server's ends of connections, in their order.
func handed(t *testing.T) (string, <-chan *net.TCPConn) {
	conns := make(chan *net.TCPConn, 100)
	return listen(t, func(conn *net.TCPConn) { conns <- conn }), conns
}

func dial(t *testing.T, link *faults.Link) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", link.Addr(), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

func send(t *testing.T, conn net.Conn, what string) {
	t.Helper()
	if _, err := conn.Write([]byte(what)); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	buf := make([]byte, len(want))
	_ = conn.SetReadDeadline(time.Now().Add(limit))
	if n, err := io.ReadFull(conn, buf); string(buf[:n]) != want {
		t.Fatalf("received %q, %v; want %q", buf[:n], err, want)
	}
}

func echoes(t *testing.T, conn net.Conn, what string) {
	t.Helper()
	send(t, conn, what)
	receive(t, conn, what)
}

// silent asserts that nothing comes, and no end either.
func silent(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(quiet))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v; want silence", n, err)
	}
}

func wantEnd(t *testing.T, conn net.Conn, want error) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(limit))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, want) {
		t.Fatalf("read %d bytes, %v; want %v", n, err, want)
	}
}

func heal(t *testing.T, link *faults.Link) {
	t.Helper()
	if err := link.Heal(); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a count that the test has caused.
func eventually(t *testing.T, link *faults.Link, what string, holds func(faults.Counts) bool) {
	t.Helper()
	dbtest.Eventually(t, what, func() bool { return holds(link.Counts()) })
}

func TestALinkPassesBytesAndEnds(t *testing.T) {
	link := newLink(t, echoServer(t))
	conn := dial(t, link)
	echoes(t, conn, "hello")
	big := strings.Repeat("0123456789abcdef", 1<<16)
	go func() { _, _ = conn.Write([]byte(big)) }()
	receive(t, conn, big)
	_ = conn.CloseWrite() // the other direction stays
	wantEnd(t, conn, io.EOF)
	if c := link.Counts(); c != (faults.Counts{Accepted: 1}) {
		t.Errorf("%+v, want one connection and no bite", c)
	}
}

func TestAResetPassesThrough(t *testing.T) {
	target, conns := handed(t)
	link := newLink(t, target)
	client := dial(t, link)
	echoFrom(t, client, <-conns)
	_ = client.SetLinger(0)
	client.Close()
	eventually(t, link, "the reset is passed on", func(c faults.Counts) bool { return c.Reset == 1 })
}

// echoFrom proves that a pair is connected in both directions.
func echoFrom(t *testing.T, client, server *net.TCPConn) {
	t.Helper()
	send(t, client, "ping")
	receive(t, server, "ping")
	send(t, server, "pong")
	receive(t, client, "pong")
}

func TestDelayHoldsBytesBack(t *testing.T) {
	link := newLink(t, echoServer(t))
	conn := dial(t, link)
	echoes(t, conn, "x")
	link.Delay(40*time.Millisecond, 10*time.Millisecond)
	start := time.Now()
	echoes(t, conn, "hello")
	if took := time.Since(start); took < 60*time.Millisecond {
		t.Errorf("an echo took %v, want at least twice 40 - 10 ms", took)
	}
	if c := link.Counts(); c.SlowedBytes != 10 {
		t.Errorf("%d bytes were slowed, want 5 in each direction", c.SlowedBytes)
	}
}

// A delay must not be a limit on bandwidth, and jitter must not reorder.
func TestDelayIsAPipelineInOrder(t *testing.T) {
	link := newLink(t, echoServer(t))
	conn := dial(t, link)
	link.Delay(10*time.Millisecond, 10*time.Millisecond)
	sent := make([]byte, 4<<20)
	for i := range sent {
		sent[i] = byte(i>>8 ^ i)
	}
	go func() {
		for piece := sent; len(piece) > 0; {
			n := min(len(piece), 1+rand.IntN(20_000))
			_, _ = conn.Write(piece[:n])
			piece = piece[n:]
		}
	}()
	got := make([]byte, len(sent))
	start := time.Now()
	_ = conn.SetReadDeadline(start.Add(limit))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%v; the bytes are those sent: %t", err, bytes.Equal(got, sent))
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("4 MiB took %v at 10 ms", took)
	}
}

func TestHealDeliversWhatWaited(t *testing.T) {
	link := newLink(t, echoServer(t))
	conn := dial(t, link)
	echoes(t, conn, "x")
	link.Delay(time.Hour, 0)
	send(t, conn, "hello")
	silent(t, conn)
	heal(t, link)
	receive(t, conn, "hello")
	if c := link.Counts(); c.SlowedBytes < 5 || c.Reset != 0 {
		t.Errorf("%+v, want 5 slowed bytes and no reset", c)
	}
}

// Bytes under way are lost when the link breaks.
func TestABlackHoleSwallowsWhatWaited(t *testing.T) {
	link := newLink(t, echoServer(t))
	conn := dial(t, link)
	echoes(t, conn, "x")
	link.Delay(time.Hour, 0)
	send(t, conn, "hello")
	silent(t, conn)
	link.BlackHole()
	eventually(t, link, "they are dropped", func(c faults.Counts) bool { return c.DroppedBytes == 5 })
}

func TestBandwidthIsSharedByConnections(t *testing.T) {
	const rate, size = 200_000, 20_000
	target, conns := handed(t)
	link := newLink(t, target)
	link.Bandwidth(rate)
	var read sync.WaitGroup
	start := time.Now()
	for range 3 {
		client := dial(t, link)
		server := <-conns
		go func() { _, _ = client.Write(make([]byte, size)) }()
		read.Go(func() { receive(t, server, string(make([]byte, size))) })
	}
	read.Wait()
	took, want := time.Since(start), 3*size*time.Second/rate
	if took < want*9/10 || took > want+2*time.Second {
		t.Errorf("%d bytes at %d a second took %v, want %v", 3*size, rate, took, want)
	}
	if c := link.Counts(); c.SlowedBytes < 2*size {
		t.Errorf("%+v: hardly anything was slowed", c)
	}
}

func TestABlackHoleSwallowsAndClosesNothing(t *testing.T) {
	target, conns := handed(t)
	link := newLink(t, target)
	client := dial(t, link)
	server := <-conns
	other := dial(t, link)
	otherServer := <-conns
	echoFrom(t, client, server)
	echoFrom(t, other, otherServer)

	link.BlackHole()
	send(t, client, "lost")
	send(t, server, "gone")
	silent(t, server)
	silent(t, client)
	stranded := dial(t, link)
	send(t, stranded, "anybody?")
	silent(t, stranded)
	eventually(t, link, "all is dropped", func(c faults.Counts) bool { return c.DroppedBytes == 16 && c.Stranded == 1 })
	client.Close()
	eventually(t, link, "the close is dropped", func(c faults.Counts) bool { return c.DroppedEnds == 1 })
	silent(t, server)
	select {
	case <-conns:
		t.Error("a connection reached the target")
	default:
	}

	heal(t, link)
	wantEnd(t, server, syscall.ECONNRESET)
	wantEnd(t, stranded, syscall.ECONNRESET)
	echoFrom(t, other, otherServer) // it lost nothing
	echoFrom(t, dial(t, link), <-conns)
}

func TestOneWay(t *testing.T) {
	for _, passes := range []faults.Direction{faults.ClientToServer, faults.ServerToClient} {
		t.Run(passes.String(), func(t *testing.T) {
			target, conns := handed(t)
			link := newLink(t, target)
			client := dial(t, link)
			server := <-conns
			from, to := client, server
			if passes == faults.ServerToClient {
				from, to = server, client
			}
			link.OneWay(passes)
			send(t, to, "lost")
			silent(t, from)
			send(t, from, "hello")
			receive(t, to, "hello")
			if c := link.Counts(); c.DroppedBytes != 4 {
				t.Errorf("%d bytes were dropped, want 4", c.DroppedBytes)
			}
			heal(t, link)
			wantEnd(t, client, syscall.ECONNRESET)
		})
	}
}

// A direction that lost bytes stays silent, even when the fault gives way to one
// that would let it pass.
func TestAHoleStaysUntilHeal(t *testing.T) {
	target, conns := handed(t)
	link := newLink(t, target)
	client := dial(t, link)
	server := <-conns
	link.BlackHole()
	send(t, client, "lost")
	eventually(t, link, "it is dropped", func(c faults.Counts) bool { return c.DroppedBytes == 4 })
	link.OneWay(faults.ClientToServer)
	send(t, client, "more")
	silent(t, server)
	heal(t, link)
	wantEnd(t, server, syscall.ECONNRESET)
}

func TestRefuse(t *testing.T) {
	target, conns := handed(t)
	link := newLink(t, target)
	client, server := dial(t, link), <-conns
	for range 3 {
		if err := link.Refuse(); err != nil {
			t.Fatal(err)
		}
		if _, err := net.Dial("tcp", link.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial: %v, want ECONNREFUSED", err)
		}
		echoFrom(t, client, server)
		heal(t, link)
		echoFrom(t, dial(t, link), <-conns)
	}
	if c := link.Counts(); c.Refused != 3 {
		t.Errorf("refused %d times, want 3", c.Refused)
	}
}

func TestReset(t *testing.T) {
	target, conns := handed(t)
	link := newLink(t, target)
	client, server := dial(t, link), <-conns
	echoFrom(t, client, server)
	link.Reset()
	wantEnd(t, client, syscall.ECONNRESET)
	wantEnd(t, server, syscall.ECONNRESET)
	echoFrom(t, dial(t, link), <-conns)
	if c := link.Counts(); c.Reset != 1 {
		t.Errorf("%d connections were reset, want 1", c.Reset)
	}
}

func TestATargetThatIsDownAndAnother(t *testing.T) {
	gone := newLink(t, "127.0.0.1:1")
	if err := gone.Refuse(); err != nil {
		t.Fatal(err)
	}
	link := newLink(t, gone.Addr())
	conn, err := net.Dial("tcp", link.Addr())
	if err == nil { // or the reset came before Dial returned
		wantEnd(t, conn, syscall.ECONNRESET)
		conn.Close()
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	if c := link.Counts(); c.Unreachable != 1 {
		t.Errorf("%+v, want one unreachable", c)
	}
	link.Retarget(echoServer(t))
	echoes(t, dial(t, link), "hello")
}

// A frozen server reads nothing, so a write to it never ends by itself.
func TestAFrozenServerHoldsNobodyUp(t *testing.T) {
	target, conns := handed(t)
	link := newLink(t, target)
	client, server := dial(t, link), <-conns
	link.Delay(time.Millisecond, 0)
	_ = client.SetWriteDeadline(time.Now().Add(time.Second))
	if n, err := client.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wrote %d bytes, %v: the server is not frozen", n, err)
	}
	start := time.Now()
	heal(t, link)
	link.BlackHole()
	link.Reset()
	closeLink(t, link)
	if took := time.Since(start); took > time.Second {
		t.Errorf("healing and closing took %v", took)
	}
	runtime.KeepAlive(server)
}

// A stream is whole, or ends: whatever the link does, no byte is missing before
// one that arrives.
func TestNoStreamHasAHole(t *testing.T) {
	link := newLink(t, echoServer(t))
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					countUp(t, link.Addr(), stop)
				}
			}
		})
	}
	chance := rand.New(rand.NewPCG(seed, 0))
	for range 150 {
		switch chance.IntN(8) {
		case 0:
			link.Delay(time.Duration(chance.IntN(3))*time.Millisecond, time.Millisecond)
		case 1:
			link.Bandwidth(1_000_000)
		case 2:
			link.BlackHole()
		case 3:
			link.OneWay(faults.Direction(chance.IntN(2)))
		case 4:
			link.Reset()
		case 5:
			if err := link.Refuse(); err != nil {
				t.Error(err)
			}
		default:
			heal(t, link)
		}
		time.Sleep(time.Millisecond) // the storm's pace, nothing waits for it
	}
	close(stop)
	closeLink(t, link)
	clients.Wait()
	c := link.Counts()
	if c.DroppedBytes == 0 || c.SlowedBytes == 0 || c.Reset == 0 || c.Refused == 0 || c.Stranded == 0 {
		t.Errorf("%+v: a fault did not bite", c)
	}
}

// countUp sends consecutive bytes until the connection ends, and checks that they
// come back as such.
func countUp(t *testing.T, addr string, stop <-chan struct{}) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	go func() {
		buf := make([]byte, 1<<10)
		for i := range buf {
			buf[i] = byte(i)
		}
		for {
			if _, err := conn.Write(buf); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 4<<10)
	for next := byte(0); ; {
		select {
		case <-stop:
			return
		default:
		}
		n, err := conn.Read(buf)
		for _, b := range buf[:n] {
			if b != next {
				t.Errorf("received %d, want %d", b, next)
				return
			}
			next++
		}
		if err != nil {
			return
		}
	}
}
