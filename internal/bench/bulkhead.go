package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"example.com/leeway/internal/load"
)

// The three phases of the bulkhead: all is well, both standbys are dead, they are back.
const (
	phase     = 10 * time.Second
	checkouts = 100 // a second, whatever happens
)

// plotFile is beside the document.
const plotFile = "benchmarks/bulkhead.svg"

// bulkhead keeps browsing at full load and checkout at an even rate, and kills both
// standbys. Commits wait for none here, or no order could be placed then.
func (w *world) bulkhead(ctx context.Context) (_ []Figure, err error) {
	database, _, err := w.fill(ctx, w.Products)
	if err != nil {
		return nil, err
	}
	if err := w.asynchronous(ctx, "ALTER SYSTEM SET synchronous_standby_names = ''"); err != nil {
		return nil, err
	}
	defer func() {
		if e := w.asynchronous(ctx, "ALTER SYSTEM RESET synchronous_standby_names"); err == nil {
			err = e
		}
	}()
	app, s, err := w.open(ctx, "bulkhead", database, 2)
	if err != nil {
		return nil, err
	}
	defer app.Stop()
	kinds, _, err := w.variants(ctx, database, 100, 2)
	if err != nil {
		return nil, err
	}
	first, err := w.makeCarts(ctx, database, kinds, int(3*phase.Seconds())*checkouts/len(kinds), true)
	if err != nil {
		return nil, err
	}
	sent, err := w.phases(ctx, s, func(n int) []byte {
		return order(first + int64(n%len(kinds)*(3000/len(kinds))+n/len(kinds)))
	})
	if err != nil {
		return nil, err
	}
	if err := w.kept(ctx, database, first, sent); err != nil {
		return nil, err
	}
	report := overTime(sent)
	if err := w.plot(report); err != nil {
		return nil, err
	}
	before, dead, after := p99(sent, phase/5, phase), p99(sent, phase, 2*phase), p99(sent, 2*phase, 3*phase)
	f := Figure{Name: "p99 of checkout, both replicas dead / healthy", Median: dead / before, Min: dead / before, Max: dead / before, AtMost: new(2.0)}
	f.Detail = fmt.Sprintf("healthy %.1f ms, dead %.1f ms, back %.1f ms; %d checkouts at %d a second, all answered 201", before, dead, after, len(sent), checkouts)
	return []Figure{f}, w.balanced(ctx, database)
}

func (w *world) asynchronous(ctx context.Context, sql string) error {
	return w.logging(ctx, w.primary(), sql) // which reloads
}

// phases runs browsing and checkouts side by side, and makes the faults.
func (w *world) phases(ctx context.Context, s *shop, next func(int) []byte) ([]load.Sent, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	browsing := w.visitors(s)
	browsing.WarmUp, browsing.Duration, browsing.Also = 0, 3*phase+time.Second, 503 // those who browse may be refused
	browsed := make(chan error, 1)
	go func() {
		rate, err := browsing.Run(ctx)
		w.say("browsing: %d answered, %d refused, %s", rate.Answers, rate.Refused, share(rate.Sources))
		browsed <- err
	}()
	faults := make(chan error, 1)
	go func() { faults <- w.killBoth(ctx) }()
	sent, err := load.Paced{Addr: s.addr, Rate: checkouts, Conns: 64, Duration: 3 * phase, Next: next}.Run(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	for _, done := range []chan error{faults, browsed} {
		if err := <-done; err != nil {
			return nil, err
		}
	}
	return sent, nil
}

func (w *world) killBoth(ctx context.Context) error {
	standbys := w.cluster.Nodes()[1:]
	if err := pause(ctx, phase); err != nil {
		return err
	}
	w.say("killing both replicas")
	for _, n := range standbys {
		if err := n.Kill(ctx); err != nil {
			return err
		}
	}
	if err := pause(ctx, phase); err != nil {
		return err
	}
	w.say("starting them again")
	for _, n := range standbys {
		if err := n.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// kept checks that each checkout was answered 201, and that each is an order.
func (w *world) kept(ctx context.Context, database string, first int64, sent []load.Sent) error {
	for n, s := range sent {
		if s.Status != 201 {
			return fmt.Errorf("checkout %d, meant for %v, was answered %d", n, s.Meant, s.Status)
		}
	}
	var orders int
	err := w.query(ctx, database, "SELECT count(*) FROM orders WHERE cart_id >= $1::uuid AND cart_id <= $2::uuid",
		[]any{fmt.Sprint(cartID, first), fmt.Sprint(cartID, w.carts)}, &orders)
	if err == nil && orders != len(sent) {
		err = fmt.Errorf("%d checkouts were acknowledged, and there are %d orders", len(sent), orders)
	}
	return err
}

// p99 is in milliseconds, of what was meant to be sent between from and to.
func p99(sent []load.Sent, from, to time.Duration) float64 { return quantileOf(sent, from, to, 0.99) }

func quantileOf(sent []load.Sent, from, to time.Duration, q float64) float64 {
	var took []time.Duration
	for _, s := range sent {
		if s.Meant >= from && s.Meant < to {
			took = append(took, s.Took)
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(q*float64(len(took))))].Seconds() * 1000
}

// overTime is the run as internal/load draws it.
func overTime(sent []load.Sent) *load.Report {
	r := &load.Report{
		Scenario: "checkout while visitors browse at full load", Loop: "open, constant", Rate: checkouts,
		Requests: int64(len(sent)), PerSec: checkouts,
		Marks: []load.Mark{{At: phase.Seconds(), What: "both replicas killed"}, {At: 2 * phase.Seconds(), What: "started again"}},
	}
	for from := time.Duration(0); from < 3*phase; from += time.Second {
		n := 0
		for _, s := range sent {
			if at := s.Meant + s.Took; at >= from && at < from+time.Second {
				n++
			}
		}
		to := from + time.Second
		r.Seconds = append(r.Seconds, load.Second{
			At: to.Seconds(), Requests: int64(n), P50: quantileOf(sent, from, to, 0.5), P99: quantileOf(sent, from, to, 0.99), Max: quantileOf(sent, from, to, 1),
		})
	}
	return r
}

func (w *world) plot(r *load.Report) error {
	if !w.Write {
		return nil
	}
	path := filepath.Join(w.root, "docs", plotFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := r.Plot(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
