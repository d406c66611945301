package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Paced sends requests at an even rate whatever the shop does with them, over lean
// connections: an open loop, whose latencies count from when a request was meant to be
// sent.
type Paced struct {
	Addr     string
	Rate     float64 // requests a second
	Conns    int     // as many can wait for an answer at once
	Duration time.Duration
	Next     func(n int) []byte // renders the n-th request; called once for each n
	// Timeout is how long a connection may take, and an answer at least, and at most twice
	// that; 0 is 30 s.
	Timeout time.Duration
}

// Sent is what came of one request.
type Sent struct {
	Meant  time.Duration // since the beginning
	Took   time.Duration // from then until it was answered
	Status int
}

// Run returns what came of all requests, in the order in which they were meant to be
// sent, when ctx ends of those that were answered. A shop that hangs is an error, of
// which os.ErrDeadlineExceeded is a part.
func (p Paced) Run(ctx context.Context) ([]Sent, error) {
	all := make([]Sent, int(p.Rate*p.Duration.Seconds()))
	var next atomic.Int64
	start := time.Now()
	errs := make(chan error, p.Conns)
	for range p.Conns {
		go func() { errs <- p.conn(ctx, start, &next, all) }()
	}
	var err error
	for range p.Conns {
		err = errors.Join(err, <-errs)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return all, err
}

// conn is one connection, which takes the next request whenever it is free.
func (p Paced) conn(ctx context.Context, start time.Time, next *atomic.Int64, all []Sent) error {
	conn, err := dialLean(ctx, p.Addr, cmp.Or(p.Timeout, leanTimeout))
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		n := int(next.Add(1)) - 1
		if n >= len(all) {
			return nil
		}
		meant := time.Duration(float64(n) / p.Rate * float64(time.Second))
		if !sleep(ctx, time.Until(start.Add(meant))) {
			return nil
		}
		a, err := conn.Do(p.Next(n))
		if err != nil {
			return fmt.Errorf("request %d: %w", n, err)
		}
		all[n] = Sent{meant, time.Since(start) - meant, a.Status}
	}
}
