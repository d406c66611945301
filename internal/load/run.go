package load

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Run makes the journeys of the plan, checks the shop's promises, and reports. progress
// is told every second what happened in it.
//
// When ctx ends early the report is of what there is until then, its checks included,
// and the error is nil; an error means that the run could not begin.
func Run(ctx context.Context, p Plan, progress func(Second)) (*Report, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	r := &runner{plan: p, client: newClient(p.URL, p.Clients), books: newBooks()}
	var err error
	if r.catalog, err = readCatalog(ctx, r.client, p.Variant); err != nil {
		return nil, err
	}
	var back *office
	if p.Admin != "" {
		back = &office{newClient(p.Admin, 1), p.Key}
		if err := r.openBooks(ctx, back); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	measured := start.Add(p.WarmUp)
	r.recorder = newRecorder(measured)
	r.loop(ctx, start, measured.Add(p.Duration), progress)

	took := time.Since(measured)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	report := r.recorder.report(p, took)
	report.Checks = r.books.close(closing, r.client, back)
	return report, nil
}

// closeTimeout bounds the checks after a run.
const closeTimeout = 30 * time.Second

// openBooks reads the stock of what may be bought, and fills it up to what the plan
// wants.
func (r *runner) openBooks(ctx context.Context, back *office) error {
	r.books.stock = map[string]int{}
	for _, v := range r.catalog.variants {
		n, err := back.stock(ctx, v)
		if err == nil && n < r.plan.Stock {
			n, err = back.fill(ctx, v, r.plan.Stock-n)
		}
		if err != nil {
			return err
		}
		r.books.stock[v] = n
	}
	return nil
}

// loop returns when the last journey has ended. Journeys that are under way when ctx
// ends are cut.
func (r *runner) loop(ctx context.Context, start, end time.Time, progress func(Second)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		journey := func(n int, meant time.Time) { r.journey(ctx, n, meant) }
		if r.plan.open() {
			openLoop(ctx, r.plan, start, end, journey, r.recorder.late)
		} else {
			closedLoop(ctx, r.plan, end, journey)
		}
	}()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			progress(r.recorder.tick(now))
		case <-done:
			return
		}
	}
}

// ErrBroken is the error of a run in which the shop broke a promise, ErrUnchecked of one
// in which it is not known whether it did.
var (
	ErrBroken    = errors.New("the shop broke a promise")
	ErrUnchecked = errors.New("a promise could not be checked")
)

// Err is ErrBroken with how often, else ErrUnchecked with what, or nil.
func (c Checks) Err() error {
	switch {
	case c.Breaks > 0:
		return fmt.Errorf("%w %d times", ErrBroken, c.Breaks)
	case len(c.Unchecked) > 0:
		return fmt.Errorf("%w: %s", ErrUnchecked, strings.Join(c.Unchecked, "; "))
	}
	return nil
}
