package lab

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"example.com/leeway/internal/web"
)

var tooManyViewers = &web.Problem{
	Status: http.StatusServiceUnavailable, Code: "overloaded", RetryAfter: 5 * time.Second,
	Detail: "As many watch already as may at once.",
}

// Events answers with server-sent events (WHATWG HTML, section 9.2), each with an id,
// until the client leaves, does not read for ten seconds, or the hub is closed. A client
// that comes back with Last-Event-ID gets what it missed; one that asks for history gets
// what is kept. Keep it out of caps on requests in flight: it has one of its own.
func (h *Hub) Events(w http.ResponseWriter, r *http.Request) error {
	q, err := web.ParseQuery(r, "history")
	if err != nil {
		return err
	}
	history := q.Bool("history")
	if err := q.Err(); err != nil {
		return err
	}
	leave, err := h.join()
	if err != nil {
		return err
	}
	defer leave()
	seen := h.newest()
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		seen = h.number(id)
	} else if history != nil && *history {
		seen = 0
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // or nginx collects what should be seen at once
	s := &stream{h, w, http.NewResponseController(w)}
	// A write that waits for a slow client does not keep the process from stopping.
	defer context.AfterFunc(h.open, func() { _ = s.control.SetWriteDeadline(time.Now().Add(lastWrite)) })()
	if r.Method != http.MethodHead {
		s.follow(r, seen)
	}
	return nil
}

// lastWrite is what the end of a stream may take once the hub is closed.
const lastWrite = time.Second

// A stream is one viewer's answer.
type stream struct {
	hub     *Hub
	w       http.ResponseWriter
	control *http.ResponseController
}

// follow sends what comes after the event that was seen, and a comment now and then when
// nothing does, so that nobody between client and shop takes the stream for dead. It
// ends without an error: when a write fails, there is nobody left to tell it to.
func (s *stream) follow(r *http.Request, seen uint64) {
	pace := s.hub.pace
	ok := s.send(fmt.Appendf(nil, "retry: %d\n\n", pace.retry.Milliseconds()))
	heartbeat := time.NewTimer(pace.heartbeat)
	defer heartbeat.Stop()
	for begun := false; ok; begun = true {
		events, more := s.hub.since(seen)
		if begun {
			events = s.hub.late(events)
		}
		if len(events) > 0 {
			ok = s.send(encode(s.hub, events))
			seen = events[len(events)-1].number
			heartbeat.Reset(pace.heartbeat)
			continue // there may be more already
		}
		select {
		case <-more:
		case <-heartbeat.C:
			ok = s.send([]byte(": still here\n\n"))
			heartbeat.Reset(pace.heartbeat)
		case <-r.Context().Done():
			return
		case <-s.hub.open.Done():
			return
		}
	}
}

func encode(h *Hub, events []event) []byte {
	var b bytes.Buffer
	for _, e := range events {
		fmt.Fprintf(&b, "id: %s\ndata: %s\n\n", h.id(e), e.data)
	}
	return b.Bytes()
}

// send writes through to the client, which has so long to take it, and reports whether
// it could. The server's own deadline for writing is that of a whole answer, and a stream
// outlives it; that for reading, net/http lifts by itself once a request has been read.
func (s *stream) send(text []byte) bool {
	if s.control.SetWriteDeadline(time.Now().Add(s.hub.pace.patience)) != nil {
		return false
	}
	if s.hub.open.Err() != nil { // closed meanwhile, and its deadline is the one that counts
		_ = s.control.SetWriteDeadline(time.Now().Add(lastWrite))
		return false
	}
	if _, err := s.w.Write(text); err != nil {
		return false
	}
	return s.control.Flush() == nil
}
