package load

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what a run measured. Latencies are in milliseconds, of answers only.
type Report struct {
	Scenario string         `json:"scenario"`
	Loop     string         `json:"loop"` // open, constant or poisson; or closed
	Rate     float64        `json:"rate"` // asked for, journeys a second
	Clients  int            `json:"clients"`
	Took     float64        `json:"took_s"`
	Requests int64          `json:"requests"` // that were answered
	PerSec   float64        `json:"requests_per_s"`
	Ops      []Op           `json:"ops"`
	Sources  map[string]int `json:"reads_by_source"`
	LateP99  float64        `json:"load_late_p99_ms"` // how much the load itself was behind
	Seconds  []Second       `json:"seconds"`
	Marks    []Mark         `json:"marks,omitempty"` // what was done meanwhile, for the plot
	Checks   Checks         `json:"checks"`
}

// Mark is something that was done to the shop during the run.
type Mark struct {
	At   float64 `json:"at"` // seconds, as in Second
	What string  `json:"what"`
}

// Op is one kind of request.
type Op struct {
	Name     string         `json:"name"`
	Requests int64          `json:"requests"`
	Answers  map[string]int `json:"answers"`
	Failures map[string]int `json:"failures"` // no answer, 5xx and 429
	Latency  Latency        `json:"latency_ms"`

	histogram *hdrhistogram.Histogram
}

// Latency is a distribution by its quantiles.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

func (r *recorder) report(p Plan, took time.Duration) *Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := &Report{
		Scenario: p.Scenario, Loop: "closed", Rate: p.Rate, Clients: p.Clients, Took: max(took, 0).Seconds(),
		Sources: r.sources, LateP99: quantile(r.lateness, 99), Seconds: r.seconds,
	}
	if p.open() {
		report.Loop = "open, constant"
		if p.Poisson {
			report.Loop = "open, poisson"
		}
	}
	for name, op := range r.ops {
		h := op.latency
		report.Ops = append(report.Ops, Op{
			Name: name, Requests: h.TotalCount(), Answers: op.answers, Failures: op.failures, histogram: h,
			Latency: Latency{quantile(h, 50), quantile(h, 90), quantile(h, 99), quantile(h, 99.9), millis(h.Max())},
		})
		report.Requests += h.TotalCount()
	}
	slices.SortFunc(report.Ops, func(a, b Op) int { return cmp.Compare(b.Requests, a.Requests) })
	if took > 0 {
		report.PerSec = float64(report.Requests) / took.Seconds()
	}
	return report
}

// Print writes the report for people.
func (r *Report) Print(out io.Writer) {
	loop := fmt.Sprintf("%s at %g journeys/s", r.Loop, r.Rate)
	if r.Rate == 0 {
		loop = fmt.Sprintf("closed, %d clients", r.Clients)
	}
	fmt.Fprintf(out, "\n%s, %s: %d answers in %.1f s, %.0f a second\n\n", r.Scenario, loop, r.Requests, r.Took, r.PerSec)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "REQUEST\tANSWERS\tP50 ms\tP90\tP99\tP99.9\tMAX\t")
	for _, op := range r.Ops {
		l := op.Latency
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", op.Name, op.Requests, l.P50, l.P90, l.P99, l.P999, l.Max)
	}
	_ = w.Flush()
	fmt.Fprintln(out)
	r.printAnswers(out)
	r.printSources(out)
	r.printChecks(out)
	if r.Rate > 0 && r.LateP99 > 2 {
		fmt.Fprintf(out, "The load itself was up to %.1f ms late (p99): it had too little of the machine, and that is in the latencies.\n", r.LateP99)
	}
}

// printAnswers leaves out the requests that were all answered 200, 201 and nothing else.
func (r *Report) printAnswers(out io.Writer) {
	for _, op := range r.Ops {
		for _, name := range slices.Sorted(maps.Keys(op.Answers)) {
			if name != "200" && name != "201" {
				fmt.Fprintf(out, "%s: %d x %s\n", op.Name, op.Answers[name], name)
			}
		}
		if n := op.Failures["no answer"]; n > 0 {
			fmt.Fprintf(out, "%s: %d x no answer\n", op.Name, n)
		}
	}
}

func (r *Report) printSources(out io.Writer) {
	total := 0
	for _, n := range r.Sources {
		total += n
	}
	if total == 0 {
		return
	}
	fmt.Fprint(out, "reads: ")
	for i, source := range slices.SortedFunc(maps.Keys(r.Sources), func(a, b string) int { return r.Sources[b] - r.Sources[a] }) {
		if i > 0 {
			fmt.Fprint(out, ", ")
		}
		fmt.Fprintf(out, "%s %.1f %%", source, 100*float64(r.Sources[source])/float64(total))
	}
	fmt.Fprintln(out)
}

func (r *Report) printChecks(out io.Writer) {
	c := r.Checks
	if c.OwnReads == 0 && c.Replays == 0 && c.Breaks == 0 && c.Unknown == 0 && len(c.Unchecked) == 0 {
		fmt.Fprintln(out, "checks: nothing was bought, so there is nothing to check")
		return
	}
	fmt.Fprintf(out, "checks: %d shoppers read the order that they had just placed; %d checkouts sent once more were the same order\n", c.OwnReads, c.Replays)
	sold, fell := 0, 0
	for _, l := range c.Ledger {
		sold, fell = sold+l.Sold, fell+l.Before-l.After
	}
	switch {
	case len(c.Ledger) > 0:
		fmt.Fprintf(out, "        %d were sold of %d variants, whose stock fell by %d\n", sold, len(c.Ledger), fell)
	case c.Ledger == nil:
		fmt.Fprintln(out, "        oversell was not checked: give --admin-url and --admin-key")
	}
	if c.Unknown > 0 {
		fmt.Fprintf(out, "        of %d checkouts the outcome is not known\n", c.Unknown)
	}
	for _, what := range c.Unchecked {
		fmt.Fprintf(out, "COULD NOT BE CHECKED: %s\n", what)
	}
	for _, broken := range c.Broken {
		fmt.Fprintf(out, "BROKEN: %s\n", broken)
	}
	if c.Breaks > len(c.Broken) {
		fmt.Fprintf(out, "BROKEN: and %d more\n", c.Breaks-len(c.Broken))
	}
	if c.Breaks == 0 {
		fmt.Fprintln(out, "        every promise that was checked has held")
	}
}
