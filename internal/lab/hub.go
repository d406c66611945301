package lab

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/leeway/internal/web"
)

// A Hub looks at the shop for all viewers at once: one sampler however many look, and
// none when nobody does. What it saw is encoded once and kept for two minutes; each
// viewer goes through that at its own pace, so that a slow one holds up nobody and
// costs no buffer of its own. It is safe for concurrent use.
type Hub struct {
	sample func() (any, error)
	log    *slog.Logger
	pace   pace
	epoch  string // names this hub: ids of another process mean nothing here

	open    context.Context // ends with Close
	close   context.CancelFunc
	sampler sync.WaitGroup

	mu      sync.Mutex
	viewers int
	kept    []event       // oldest first
	last    uint64        // number of the newest event there ever was
	more    chan struct{} // closed with the next event
	quit    chan struct{} // ends the sampler; nil: there is none
}

// An event is one look at the shop. Numbers rise by one within a hub.
type event struct {
	number uint64
	at     time.Time
	data   []byte // JSON on one line
}

// pace is when things happen. Only tests have another than usual.
type pace struct {
	every     time.Duration // between two samples
	keep      time.Duration // what a viewer may begin with
	heartbeat time.Duration // of a stream that has nothing to say
	patience  time.Duration // with a viewer that does not read
	retry     time.Duration // after which a viewer that was cut off comes back
	behind    int           // events a viewer may be late before it misses some
	viewers   int           // at once
}

// usual: a look takes some 100 µs of a core and is 1 kB with three nodes (go test -bench
// ReplicationView ./cmd/shop), so that 64 viewers are sent 128 kB/s, and what is kept is a
// quarter of a megabyte.
var usual = pace{
	every: 500 * time.Millisecond, keep: 2 * time.Minute,
	heartbeat: 10 * time.Second, patience: 10 * time.Second, retry: 2 * time.Second,
	behind: 8, viewers: 64,
}

// NewHub returns a hub that shows what sample returns, as JSON. sample is called by one
// goroutine at a time. The caller closes the hub.
func NewHub(sample func() (any, error), log *slog.Logger) *Hub {
	return newHub(sample, log, usual)
}

func newHub(sample func() (any, error), log *slog.Logger, p pace) *Hub {
	h := &Hub{sample: sample, log: log, pace: p, epoch: rand.Text()[:8], more: make(chan struct{})}
	h.open, h.close = context.WithCancel(context.Background())
	return h
}

// Close ends every stream and the sampler. It may be called more than once.
func (h *Hub) Close() {
	h.mu.Lock() // so that no sampler starts afterwards
	h.close()
	h.mu.Unlock()
	h.sampler.Wait()
}

// join makes a viewer, and the first one starts the sampler: when join returns, the
// newest event is a fresh one. The viewer leaves by calling leave once.
func (h *Hub) join() (leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.viewers >= h.pace.viewers || h.open.Err() != nil {
		return nil, tooManyViewers
	}
	if h.viewers == 0 {
		h.publish()
		h.quit = make(chan struct{})
		quit := h.quit
		h.sampler.Go(func() { h.run(quit) })
	}
	h.viewers++
	return h.leave, nil
}

func (h *Hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.viewers--; h.viewers == 0 {
		close(h.quit)
		h.quit = nil
	}
}

// run samples until quit or the hub is closed.
func (h *Hub) run(quit chan struct{}) {
	ticker := time.NewTicker(h.pace.every)
	defer ticker.Stop()
	for {
		select {
		case <-quit:
			return
		case <-h.open.Done():
			return
		case <-ticker.C:
		}
		h.mu.Lock()
		if h.quit == quit { // else the last viewer has left meanwhile
			h.publish()
		}
		h.mu.Unlock()
	}
}

// publish samples once and wakes every viewer; the caller holds mu. A sample that
// fails is logged and left out.
func (h *Hub) publish() {
	v, err := h.sample()
	if err == nil {
		var data []byte
		if data, err = web.Encode(v); err == nil {
			h.add(event{at: time.Now(), data: data[:len(data)-1]}) // without the newline
			return
		}
	}
	h.log.Error("nothing to show on the live page", "error", err)
}

func (h *Hub) add(e event) {
	h.last++
	e.number = h.last
	old := slices.IndexFunc(h.kept, func(k event) bool { return e.at.Sub(k.at) <= h.pace.keep })
	if old < 0 {
		old = len(h.kept)
	}
	h.kept = append(slices.Clone(h.kept[old:]), e) // viewers hold parts of the old one
	close(h.more)
	h.more = make(chan struct{})
}

// since returns the events after number that are still kept, oldest first, and what is
// closed with the next one.
func (h *Hub) since(number uint64) ([]event, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := slices.IndexFunc(h.kept, func(k event) bool { return k.number > number })
	if at < 0 {
		return nil, h.more
	}
	return h.kept[at:], h.more
}

// newest is the number before the newest event, for a viewer that wants no history.
func (h *Hub) newest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(h.last, 1) - 1
}

// late drops what a viewer has missed while it was slow. What is shown are totals, so
// the newest event alone brings it up to date.
func (h *Hub) late(events []event) []event {
	if len(events) > h.pace.behind {
		return events[len(events)-1:]
	}
	return events
}

// id is what a client sends back as Last-Event-ID.
func (h *Hub) id(e event) string { return fmt.Sprintf("%s.%d", h.epoch, e.number) }

// number reads an id. One of an earlier process, or no id of ours, is 0: its holder has
// missed all that is here.
func (h *Hub) number(id string) uint64 {
	epoch, number, _ := strings.Cut(id, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	if epoch != h.epoch || err != nil {
		return 0
	}
	return n
}
