// Command chaos breaks a running shop in every way of its fault matrix, and checks
// that what the shop promises still holds: it starts a cluster and two instances
// of the real program for each fault, lets clients shop while the fault is made,
// and gives the whole history to internal/checker. Then it does the same with
// mutants of the shop, each with one promise taken out, and expects the check to
// find them.
//
// It does not prove that the promises hold under faults that are not in the
// matrix, and a run that finds nothing is not a proof at all: it is a test, with a
// checker that was seen to fail. The seed fixes what clients want and the jitter of
// links, not how processes are scheduled.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"example.com/leeway/internal/shoppers"
)

// options are the flags, and what is made of them.
type options struct {
	Only    string `help:"Run only the faults and mutants whose names contain this." placeholder:"TEXT"`
	Short   bool   `help:"Run the short form: a few faults and mutants, as make test does."`
	Mutants bool   `help:"Run the mutants." default:"true" negatable:""`
	Faults  bool   `help:"Run the fault matrix." default:"true" negatable:""`
	Seed    uint64 `help:"What the clients want, and the jitter of links." default:"1"`
	Lanes   int    `help:"How many faults are made side by side, each on a cluster of its own." default:"2"`
	Dir     string `help:"Where logs and histories of failed runs are left. Default: a new temporary folder." type:"path"`
	Keep    bool   `help:"Keep the logs of runs that went well, too."`

	dir       string        // Dir, or the temporary one
	binary    string        // the shop that is played with
	waitLimit time.Duration // how long a fault may take to show what it must
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	var o options
	kong.Parse(&o, kong.Name("chaos"), kong.Description("Break the shop in every way of the fault matrix, and check what it promised."))
	ok, err := run(ctx, o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// waitLimit is how long a fault may take to show what it must.
const waitLimit = 10 * time.Second

// run plays everything that was asked for, and reports whether all of it went well.
func run(ctx context.Context, o options, out io.Writer) (ok bool, err error) {
	start := time.Now()
	o.waitLimit = waitLimit
	if o.dir = o.Dir; o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "leeway-chaos-"); err != nil {
			return false, err
		}
	}
	if len(o.scenarios())+len(o.mutants()) == 0 {
		return false, fmt.Errorf("no fault and no mutant is named %q; a run without --only lists them", o.Only)
	}
	root, err := shoppers.ModuleRoot(ctx)
	if err != nil {
		return false, err
	}
	o.binary = filepath.Join(o.dir, "shop")
	if err := build(ctx, root, o.binary, nil); err != nil {
		return false, err
	}
	ok = o.playMatrix(ctx, out)
	ok = o.playMutants(ctx, root, out) && ok
	if err := ctx.Err(); err != nil {
		return false, err
	}
	verdict := fmt.Sprintf("%d faults: every promise held; %d mutants: every one was caught", len(o.scenarios()), len(o.mutants()))
	if !ok {
		verdict = "FAILED; what was left is in " + o.dir
	}
	fmt.Fprintf(out, "\n%s, after %.0f s\n", verdict, time.Since(start).Seconds())
	if ok && o.Dir == "" {
		return true, os.RemoveAll(o.dir)
	}
	return ok, nil
}

func (o options) wanted(name string) bool { return strings.Contains(name, o.Only) }

// scenarios are those that were asked for.
func (o options) scenarios() (todo []scenario) {
	for _, s := range matrix {
		if o.Faults && o.wanted(s.name) && (s.short || !o.Short) {
			todo = append(todo, s)
		}
	}
	return todo
}

// mutants are those that were asked for.
func (o options) mutants() (todo []mutant) {
	for _, m := range mutants {
		if o.Mutants && o.wanted(m.name) && (m.short || !o.Short) {
			todo = append(todo, m)
		}
	}
	return todo
}

func (o options) playMatrix(ctx context.Context, out io.Writer) bool {
	todo := o.scenarios()
	if len(todo) == 0 {
		return true
	}
	results := lanes(ctx, o.Lanes, todo, func(s scenario) *result {
		r := play(ctx, o, s)
		fmt.Fprintf(out, "%-28s %s (%.1f s)\n", s.name, r.verdict(), r.took.Seconds())
		return r
	})
	fmt.Fprintln(out)
	printTable(out, results)
	ok := true
	for _, r := range results {
		if !r.ok() {
			ok = false
			r.explain(out, filepath.Join(o.dir, fileName(r.scenario.name)))
		}
	}
	return ok
}

// mutantResult is what came of a mutant.
type mutantResult struct {
	mutant mutant
	result *result
	err    error // it could not be built
	took   time.Duration
}

func (m mutantResult) caught() bool { return m.err == nil && m.result.caughtBy(m.mutant.check) }

func (m mutantResult) verdict() string {
	switch {
	case m.err != nil:
		return "NOT BUILT"
	case m.caught():
		return "caught"
	}
	return "SURVIVED"
}

func (o options) playMutants(ctx context.Context, root string, out io.Writer) bool {
	todo := o.mutants()
	if len(todo) == 0 {
		return true
	}
	fmt.Fprintln(out)
	results := lanes(ctx, o.Lanes, todo, func(m mutant) mutantResult {
		r := o.playMutant(ctx, root, m)
		fmt.Fprintf(out, "%-44s %s (%.1f s)\n", m.name, r.verdict(), r.took.Seconds())
		return r
	})
	fmt.Fprintln(out)
	printMutants(out, results)
	ok := true
	for _, m := range results {
		if m.caught() {
			continue
		}
		ok = false
		if m.err != nil {
			fmt.Fprintf(out, "\n%s: %v\n", m.mutant.name, m.err)
		} else {
			m.result.explain(out, filepath.Join(o.dir, "mutants", fileName(m.mutant.name)))
		}
	}
	return ok
}

// mutantWait is shorter than waitLimit: a mutant often never does what is awaited.
const mutantWait = 4 * time.Second

func (o options) playMutant(ctx context.Context, root string, m mutant) mutantResult {
	start := time.Now()
	r := mutantResult{mutant: m}
	s, err := find(m.scenario)
	if err == nil && len(m.edits) > 0 {
		o.binary = filepath.Join(o.dir, "shop-"+fileName(m.name))
		err = build(ctx, root, o.binary, m.edits)
	}
	if err != nil {
		r.err, r.took = err, time.Since(start)
		return r
	}
	s.async, s.prepare = s.async || m.async, s.prepare+m.prepare
	o.dir, o.waitLimit = filepath.Join(o.dir, "mutants", fileName(m.name)), mutantWait
	r.result = play(ctx, o, s)
	r.took = time.Since(start)
	return r
}

func find(name string) (scenario, error) {
	for _, s := range matrix {
		if s.name == name {
			return s, nil
		}
	}
	return scenario{}, fmt.Errorf("no fault is named %q", name)
}

// lanes does every item, n at a time, and returns the results in the items' order.
func lanes[T, R any](ctx context.Context, n int, items []T, do func(T) R) []R {
	results := make([]R, len(items))
	next := make(chan int)
	var running sync.WaitGroup
	for range n {
		running.Go(func() {
			for i := range next {
				results[i] = do(items[i])
			}
		})
	}
	done := 0
	for ; done < len(items) && ctx.Err() == nil; done++ {
		next <- done
	}
	close(next)
	running.Wait()
	return results[:done]
}
