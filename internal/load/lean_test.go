package load_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/leeway/internal/load"
)

func busy(server *httptest.Server) load.Busy {
	return load.Busy{
		Addr: server.Listener.Addr().String(), Clients: 4, Duration: time.Minute, Want: 200,
		Next: func(_, n int) []byte {
			if n == 50 {
				return nil // it ends by count: no time decides what is seen
			}
			return load.Request("GET", "/v1/products", "", "Accept: application/json")
		},
	}
}

// What was counted is what the server has answered, and no connection had two requests
// under way.
func TestALeanLoopCountsWhatWasAnswered(t *testing.T) {
	var answered, connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Data-Source", `replica;name="replica-1";bound-ms=12`)
		if answered.Add(1)%3 == 0 {
			w.Header().Set("Data-Source", "primary;reason=lag")
		}
		fmt.Fprint(w, strings.Repeat("x", 1000), r.URL.Path)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	rate, err := busy(server).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if rate.Answers != answered.Load() || connections.Load() != 4 {
		t.Errorf("%d of %d answers were counted, on %d connections", rate.Answers, answered.Load(), connections.Load())
	}
	if rate.Sources["primary lag"] != int(rate.Answers/3) || rate.Sources["replica"] != int(rate.Answers-rate.Answers/3) {
		t.Errorf("%d answers came from %v", rate.Answers, rate.Sources)
	}
}

// A shop that refuses is quick. It is no measurement.
func TestRefusalsAreNotCounted(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"an error": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"code":"overloaded"}`, http.StatusServiceUnavailable)
		},
		"an empty answer": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) },
		"no length": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "some")
			w.(http.Flusher).Flush()
		},
		"a connection that ends": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := atomic.Int64{}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) < 20 {
					fmt.Fprint(w, "fine")
					return
				}
				handler(w, r)
			}))
			defer server.Close()
			if rate, err := busy(server).Run(t.Context()); err == nil {
				t.Errorf("counted as %d answers", rate.Answers)
			}
		})
	}
}

// An answer may come in any pieces, and what is kept of it is not overwritten.
func TestALeanAnswerInPieces(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	token := strings.Repeat("t", 90)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for size := 1; ; size *= 100 {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			body := strings.Repeat("b", size)
			for _, b := range []byte(fmt.Sprintf("HTTP/1.1 201 Created\r\nData-Source: primary;reason=write\r\nConsistency-Token: %s\r\nContent-Length: %d\r\n\r\n%s", token, size, body)) {
				_, _ = conn.Write([]byte{b})
			}
		}
	}()
	conn, err := load.DialLean(t.Context(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, size := range []int{1, 100, 10000} {
		a, err := conn.Do(load.Request("GET", "/", ""))
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != 201 || string(a.Source) != "primary;reason=write" || string(a.Token) != token || string(a.Body) != strings.Repeat("b", size) {
			t.Errorf("got %d %s %s and %d bytes, want %d", a.Status, a.Source, a.Token, len(a.Body), size)
		}
	}
}

// Who comes while the shop stands still has waited, although it was not asked then.
func TestAPacedLoopCountsTheWait(t *testing.T) {
	const rate, still = 100, 200 * time.Millisecond
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			time.Sleep(still) // the fault, and not a wait for one
		}
		fmt.Fprint(w, "fine")
	}))
	defer server.Close()
	all, err := load.Paced{
		Addr: server.Listener.Addr().String(), Rate: rate, Conns: 1, Duration: still,
		Next: func(int) []byte { return load.Request("GET", "/", "") },
	}.Run(t.Context())
	if err != nil || len(all) != 20 {
		t.Fatal(len(all), err)
	}
	for i, s := range all {
		if s.Status != 200 || s.Took < still-s.Meant {
			t.Errorf("request %d, meant for %v, took %v and was answered %d", i, s.Meant, s.Took, s.Status)
		}
	}
}

// A shop that hangs ends the load with an error, and does not hold it for ever.
func TestAPacedLoopLeavesAShopThatHangs(t *testing.T) {
	hung := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	defer silent.Close()
	defer close(hung)
	for name, addr := range map[string]string{
		"before it accepts": deaf(t),
		"before it answers": silent.Listener.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // for ever
			defer cancel()
			_, err := load.Paced{
				Addr: addr, Rate: 1000, Conns: 4, Duration: 10 * time.Millisecond, Timeout: 50 * time.Millisecond,
				Next: func(int) []byte { return load.Request("GET", "/", "") },
			}.Run(ctx)
			timeout, ok := errors.AsType[net.Error](err)
			if !ok || !timeout.Timeout() || ctx.Err() != nil {
				t.Errorf("the load ended with %v", err)
			}
		})
	}
}

// deaf is an address whose kernel takes one connection, and no second: nobody accepts.
func deaf(t *testing.T) string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		t.Cleanup(func() { syscall.Close(fd) })
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = syscall.Listen(fd, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint("127.0.0.1:", addr.(*syscall.SockaddrInet4).Port)
}
