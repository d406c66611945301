package lab

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The load is small, so that two cores have time left for three servers and a browser:
// four who look around and four who buy, with pauses in between, make some 100 requests
// and 5 orders a second. It ends by itself, for those who forget it.
const (
	lookers = 4
	buyers  = 4
	loadFor = 10 * time.Minute
)

// A load is the built-in shoppers of a demo. They come over HTTP like everybody.
type load struct {
	parent context.Context // no load outlives it
	shop   string

	mu      sync.Mutex // held to start and to stop
	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	reads, writes tally
	orders        atomic.Int64
}

// A tally counts answers, and those among them that were a refusal: 5xx, 429, or none at
// all.
type tally struct{ all, refused atomic.Int64 }

// LoadState is whether there are shoppers, and what they have met since the demo began.
type LoadState struct {
	Running       bool  `json:"running"`
	SecondsLeft   int   `json:"seconds_left"`
	Reads         int64 `json:"reads"`
	ReadsRefused  int64 `json:"reads_refused"`
	Writes        int64 `json:"writes"`
	WritesRefused int64 `json:"writes_refused"`
	Orders        int64 `json:"orders"`
}

func newLoad(parent context.Context, shop string) *load {
	ended, end := context.WithCancel(parent)
	end()
	return &load{parent: parent, shop: shop, life: ended, stop: end}
}

// Start sends the shoppers in, if they are not there already.
func (l *load) Start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life.Err() == nil {
		return
	}
	l.running.Wait() // those of the last time, whose time was over
	l.life, l.stop = context.WithTimeout(l.parent, loadFor)
	transport := &http.Transport{MaxIdleConnsPerHost: lookers + buyers, IdleConnTimeout: 5 * time.Second}
	client := &http.Client{Transport: &meter{l, transport}, Timeout: 15 * time.Second}
	life := l.life
	for i := range lookers + buyers {
		s := &shopper{load: l, http: client, visit: (*shopper).look, tries: 1}
		if i >= lookers {
			s.visit, s.tries = (*shopper).buy, 4
		}
		l.running.Go(func() { s.shop(life) })
	}
	// Shutting down, the server waits 5 s for a connection that was made and never used.
	context.AfterFunc(life, transport.CloseIdleConnections)
}

// Stop sends them away and waits until they are gone.
func (l *load) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop()
	l.running.Wait()
}

// State waits while somebody stops the load, which is until the shoppers have noticed.
func (l *load) State() LoadState {
	s := LoadState{
		Reads: l.reads.all.Load(), ReadsRefused: l.reads.refused.Load(),
		Writes: l.writes.all.Load(), WritesRefused: l.writes.refused.Load(),
		Orders: l.orders.Load(),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if end, ok := l.life.Deadline(); ok && l.life.Err() == nil {
		s.Running, s.SecondsLeft = true, int(time.Until(end).Seconds())
	}
	return s
}

// A meter counts what the shop answers, each try on its own.
type meter struct {
	load *load
	next http.RoundTripper
}

func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := m.next.RoundTrip(r)
	if r.Context().Err() != nil {
		return res, err // sent away in the middle: that is no refusal
	}
	t := &m.load.writes
	if r.Method == http.MethodGet {
		t = &m.load.reads
	}
	t.all.Add(1)
	if err != nil || res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests {
		t.refused.Add(1)
	}
	return res, err
}
