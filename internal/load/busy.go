package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Busy keeps so many connections busy for a time, each with one request after the other:
// a closed loop that finds how much the shop can do at most.
type Busy struct {
	Addr     string // host:port of the shop
	Clients  int
	WarmUp   time.Duration // sent before, and in no figure
	Duration time.Duration
	// Next renders the n-th request of a client, which may use the buffer of the one
	// before; nil ends the client.
	Next func(client, n int) []byte
	Want int // the one status that counts; any other ends the run with an error
	Also int // but this one, if not 0, which is only counted as refused
	// Think, if not 0, is the pause of a client before each request.
	Think time.Duration
}

// Rate is what came of a closed loop. Every answer had the wanted status and a body.
type Rate struct {
	Answers int64
	PerSec  float64
	Refused int64          // answered Also
	Sources map[string]int // as sourceOf shortens them
	Latency Latency        // milliseconds
}

type busyClient struct {
	latency *hdrhistogram.Histogram
	sources map[string]int
	refused int64
	last    time.Time // when its last answer came
}

// Run returns an error if any answer was not what was wanted: a shop that refuses is
// quick, and may not look fast.
func (b Busy) Run(ctx context.Context) (Rate, error) {
	ctx, cancel := context.WithTimeout(ctx, b.WarmUp+b.Duration+leanTimeout)
	defer cancel()
	from := time.Now().Add(b.WarmUp)
	clients, errs := make([]busyClient, b.Clients), make(chan error, b.Clients)
	for i := range clients {
		go func() { errs <- b.client(ctx, i, from, &clients[i]) }()
	}
	var err error
	for range clients {
		if e := <-errs; e != nil && err == nil {
			err = e
			cancel()
		}
	}
	if err != nil {
		return Rate{}, err
	}
	return sumUp(clients, from)
}

func (b Busy) client(ctx context.Context, i int, from time.Time, c *busyClient) error {
	*c = busyClient{latency: newHistogram(), sources: map[string]int{}, last: from}
	conn, err := DialLean(ctx, b.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	end := from.Add(b.Duration)
	sent := time.Now()
	for n := 0; sent.Before(end); n++ {
		if b.Think > 0 {
			if !sleep(ctx, b.Think) {
				return ctx.Err()
			}
			sent = time.Now()
		}
		request := b.Next(i, n)
		if request == nil {
			break
		}
		a, err := conn.Do(request)
		switch {
		case err != nil:
			return errors.Join(ctx.Err(), err)
		case a.Status == b.Also:
			c.refused++
			sent = time.Now()
			continue
		case a.Status != b.Want || len(a.Body) == 0:
			return fmt.Errorf("%.60q was answered %d %.200s", request, a.Status, a.Body)
		}
		now := time.Now()
		if sent.After(from) {
			_ = c.latency.RecordValue(clamp(now.Sub(sent)))
			c.sources[Source(a.Source)]++
			c.last = now
		}
		sent = now
	}
	return nil
}

// Source shortens a Data-Source to what is counted: replica, stale, or primary with its
// reason. It spares the common answer an allocation.
func Source(header []byte) string {
	if len(header) > 8 && string(header[:8]) == "replica;" {
		return "replica"
	}
	return sourceOf(string(header))
}

func sumUp(clients []busyClient, from time.Time) (Rate, error) {
	rate, all, last := Rate{Sources: map[string]int{}}, newHistogram(), from
	for _, c := range clients {
		all.Merge(c.latency)
		rate.Refused += c.refused
		for source := range maps.Keys(c.sources) {
			rate.Sources[source] += c.sources[source]
		}
		if c.last.After(last) {
			last = c.last
		}
	}
	if rate.Answers = all.TotalCount(); rate.Answers == 0 {
		return rate, errors.New("nothing was answered in the time that is measured")
	}
	rate.PerSec = float64(rate.Answers) / last.Sub(from).Seconds()
	rate.Latency = Latency{quantile(all, 50), quantile(all, 90), quantile(all, 99), quantile(all, 99.9), millis(all.Max())}
	return rate, nil
}
