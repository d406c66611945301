package load

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// arrivals yields the moments at which the journeys of an open loop are meant to begin:
// evenly, or as a Poisson process, whose gaps are exponential.
type arrivals struct {
	next    time.Time
	gap     float64 // seconds, on the average
	poisson *rand.Rand
}

func newArrivals(p Plan, start time.Time) *arrivals {
	a := &arrivals{next: start, gap: 1 / p.Rate}
	if p.Poisson {
		a.poisson = rand.New(rand.NewPCG(p.Seed, 1))
	}
	return a
}

func (a *arrivals) take() time.Time {
	at, gap := a.next, a.gap
	if a.poisson != nil {
		gap *= a.poisson.ExpFloat64()
	}
	a.next = at.Add(time.Duration(gap * float64(time.Second)))
	return at
}

// openLoop begins a journey at each arrival until end or until ctx ends, and waits for
// those that are under way. late is told by how much the loop itself, and not the shop,
// was behind: a timer that fired late, or no processor to be had.
func openLoop(ctx context.Context, p Plan, start, end time.Time, journey func(n int, meant time.Time), late func(time.Duration)) {
	var running sync.WaitGroup
	defer running.Wait()
	room := make(chan struct{}, p.Clients)
	timer := time.NewTimer(0)
	defer timer.Stop()
	arrivals := newArrivals(p, start)
	for n := 0; ; n++ {
		meant := arrivals.take()
		if !meant.Before(end) {
			return
		}
		if wait := time.Until(meant); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			late(time.Since(meant))
		}
		select {
		case room <- struct{}{}: // nobody else waits here: meant tells how long this took
		case <-ctx.Done():
			return
		}
		running.Go(func() {
			defer func() { <-room }()
			journey(n, meant)
		})
	}
}

// closedLoop keeps so many clients busy until end or until ctx ends.
func closedLoop(ctx context.Context, p Plan, end time.Time, journey func(n int, meant time.Time)) {
	var running sync.WaitGroup
	defer running.Wait()
	for client := range p.Clients {
		running.Go(func() {
			for n := client; ctx.Err() == nil && time.Now().Before(end); n += p.Clients {
				journey(n, time.Now())
			}
		})
	}
}
