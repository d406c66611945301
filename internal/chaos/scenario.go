package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"example.com/leeway/internal/checker"
)

// A scenario is one row of the fault matrix: a fault that is made while clients
// shop, and what must be seen of it.
type scenario struct {
	name string
	rows string // of the fault matrix
	// async leaves commits unreplicated; settings go to every server; prepare is
	// SQL that runs once before the shop starts.
	async    bool
	settings map[string]string
	prepare  string
	hangUp   time.Duration // after it a client gives up; 0: it waits
	short    bool          // part of the short run
	run      func(context.Context, *world) error
}

// A failure is an expectation that was not met. Its check is the name by which a
// mutant says what must catch it.
type failure struct{ check, text string }

// result is what came of a scenario. It is filled by the scenario's own goroutine.
type result struct {
	scenario scenario
	failures []failure
	bites    int64
	recovery string // times to recover, for the table
	report   checker.Report
	ops      []checker.Op
	took     time.Duration
	err      error // the harness itself failed
}

func newResult(s scenario) result { return result{scenario: s} }

// expect records a failure unless ok.
func (r *result) expect(check string, ok bool, text string, args ...any) {
	if !ok {
		r.failures = append(r.failures, failure{check, fmt.Sprintf(text, args...)})
	}
}

// bit counts how often the fault was felt. A fault that never was proves nothing.
func (r *result) bit(times int64) { r.bites += times }

func (r *result) ok() bool { return r.err == nil && len(r.failures) == 0 && r.report.OK() }

// caughtBy tells whether the named check is red.
func (r *result) caughtBy(check string) bool {
	for _, f := range r.failures {
		if f.check == check {
			return true
		}
	}
	for _, name := range r.report.Violated() {
		if name == check {
			return true
		}
	}
	return false
}

// scenarioLimit bounds one scenario, whatever hangs.
const scenarioLimit = 90 * time.Second

// play runs one scenario from the cluster's start to the check of its history.
func play(ctx context.Context, o options, s scenario) *result {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, scenarioLimit)
	defer cancel()
	dir, err := keepFolder(o.dir, fileName(s.name))
	if err != nil {
		return &result{scenario: s, err: err}
	}
	w, err := newWorld(ctx, o, s, dir)
	if err != nil {
		return &result{scenario: s, err: err, took: time.Since(start)}
	}
	w.err = w.play(ctx)
	if err := w.close(); err != nil && w.err == nil {
		w.err = err
	}
	w.took = time.Since(start)
	if w.ok() && !o.Keep {
		_ = os.RemoveAll(dir) // the logs of a run that went well
	}
	return &w.result
}

func (w *world) play(ctx context.Context) error {
	w.startLoad(ctx)
	defer w.Stop()
	err := w.warmUp(ctx)
	if err == nil {
		err = w.scenario.run(ctx, w)
	}
	w.Stop()
	if err != nil {
		return errors.Join(err, w.save(w.asked()))
	}
	if err := w.settle(ctx); err != nil {
		return errors.Join(fmt.Errorf("settle: %w", err), w.save(w.asked()))
	}
	h, err := w.history(ctx)
	if err != nil {
		return err
	}
	w.ops, w.report = h.Ops, checker.Check(h)
	w.expect("bit", w.bites > 0, "the fault was not felt")
	w.expectAnswers()
	if !w.ok() || w.keep {
		return w.save(h)
	}
	return nil
}

// expectAnswers: no fault makes a 500, and every answer that says "not now" is one
// of those that are documented.
func (w *world) expectAnswers() {
	for _, op := range w.ops {
		switch {
		case op.Status == 500:
			w.expect("answers", false, "%s was answered 500", op.Kind)
		case op.Status == 503 && op.Code == "", op.Status == 502, op.Status > 504:
			w.expect("answers", false, "%s was answered %d %s", op.Kind, op.Status, op.Code)
		}
	}
}

func (w *world) save(h checker.History) error {
	file, err := os.Create(filepath.Join(w.dir, "history.jsonl"))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := h.Encode(file); err != nil {
		return err
	}
	report := w.report.String()
	for _, f := range w.failures {
		report += fmt.Sprintf("expected: %s: %s\n", f.check, f.text)
	}
	return os.WriteFile(filepath.Join(w.dir, "report.txt"), []byte(report), 0o644)
}

// minAcks are acknowledged before every fault.
const minAcks = 50

func (w *world) warmUp(ctx context.Context) error {
	start := mark{}
	short, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := poll(short, func() bool {
		ops := w.Record.Since(start)
		return count(ops, acknowledged) >= minAcks && count(ops, fromReplica) > 0
	})
	if err != nil {
		return fmt.Errorf("only %d checkouts were acknowledged before the fault: %w", count(w.Record.Since(start), acknowledged), err)
	}
	return nil
}

// await waits until enough operations since m are so; the fault must cause them.
func (w *world) await(ctx context.Context, m mark, what string, n int, is func(checker.Op) bool) bool {
	return w.awaitThat(ctx, what, func() bool { return count(w.Record.Since(m), is) >= n })
}

func (w *world) awaitThat(ctx context.Context, what string, so func() bool) bool {
	short, cancel := context.WithTimeout(ctx, w.waitLimit)
	defer cancel()
	err := poll(short, so)
	w.expect("behaviour", err == nil, "not within %v: %s", w.waitLimit, what)
	return err == nil
}

// recovers waits for the first operation since m that is so, and expects it within
// limit.
func (w *world) recovers(ctx context.Context, m mark, what string, limit time.Duration, is func(checker.Op) bool) {
	if !w.await(ctx, m, what, 1, is) {
		w.expect("recovery", false, "never: %s", what)
		return
	}
	for _, op := range w.Record.Since(m) {
		if is(op) {
			took := op.Return - m.At
			w.recovery += fmt.Sprintf("%s %.2fs ", what, took.Seconds())
			w.expect("recovery", took <= limit, "%s after %v, not %v", what, took, limit)
			return
		}
	}
}

// browsingWentOn expects that nobody who only looks was refused since m.
func (w *world) browsingWentOn(m mark) {
	for _, op := range w.Record.AnsweredSince(m) {
		if isBrowsing(op) {
			w.expect("browse", op.Outcome == checker.OK, "%s was answered %d %s (%s) after %v",
				op.Kind, op.Status, op.Code, op.Outcome, op.Return-op.Call)
		}
	}
}

// listsWentOn expects the same while the primary is away, of those who have no
// token: a list is then answered by a replica and labelled. A token that no replica
// has reached, and a product page whose age nobody can prove, are rightly refused.
// Once a standby was promoted, and until another follows it, all reads are on the new
// primary, where the cap sheds what is too much (promise G7): that alone may be told.
func (w *world) listsWentOn(m mark) {
	for _, op := range w.Record.AnsweredSince(m) {
		shed := op.Code == "overloaded" && w.promoted > 0 && op.Return > w.promoted
		if op.Kind == checker.Browse && op.TokenIn == (checker.Position{}) && !shed {
			w.expect("browse", op.Outcome == checker.OK, "%s was answered %d %s (%s) after %v",
				op.Kind, op.Status, op.Code, op.Outcome, op.Return-op.Call)
		}
	}
}

// browsingWasHeldUp expects that nobody who browses waited longer than limit after m,
// and tells the longest.
func (w *world) browsingWasHeldUp(m mark, limit time.Duration) {
	longest := time.Duration(0)
	for _, op := range w.Record.AnsweredSince(m) {
		if isBrowsing(op) {
			longest = max(longest, op.Return-max(op.Call, m.At))
		}
	}
	w.recovery += fmt.Sprintf("held up %.2fs ", longest.Seconds())
	w.expect("recovery", longest <= limit, "somebody who browses was held up for %v", longest)
}

// taken is a transaction that was answered.
func taken(op checker.Op) bool { return op.Outcome == checker.OK && !isRead(op) }
