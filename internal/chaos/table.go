package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"example.com/leeway/internal/checker"
)

// printTable prints one line for each scenario.
func printTable(out io.Writer, results []*result) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FAULT\tROW\tBIT\tOPS\tORDERS\tUNKNOWN\tREPLICA READS\tNOT BY A REPLICA\tCHECKED\tVERDICT\tRECOVERY\tTOOK")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%.1fs\n",
			r.scenario.name, r.scenario.rows, r.bites, len(r.ops), orders(r.ops), count(r.ops, unknown), count(r.ops, fromReplica),
			reasons(r.ops), r.checked(), r.verdict(), strings.TrimSpace(r.recovery), r.took.Seconds())
	}
	_ = t.Flush() // the writer is the terminal
}

// orders counts those that were acknowledged, each once.
func orders(ops []checker.Op) int {
	seen := map[string]bool{}
	for _, op := range ops {
		if acknowledged(op) {
			seen[op.SeenOrder.ID] = true
		}
	}
	return len(seen)
}

// reasons counts the reads that no replica proved, by the reason that was given.
func reasons(ops []checker.Op) string {
	by := map[string]int{}
	for _, op := range ops {
		if isRead(op) && op.Source != nil && op.Source.Reason != "" {
			by[op.Source.Reason]++
		}
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%s %d", reason, by[reason]))
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// checked is how many invariants were checked on something, and how many
// comparisons that were.
func (r *result) checked() string {
	invariants, comparisons := 0, 0
	for _, res := range r.report.Results {
		if res.Checked > 0 {
			invariants++
			comparisons += res.Checked
		}
	}
	return fmt.Sprintf("%d invariants, %d", invariants, comparisons)
}

func (r *result) verdict() string {
	switch {
	case r.err != nil:
		return "NOT RUN"
	case !r.ok():
		return "VIOLATED " + strings.Join(r.red(), " ")
	case len(r.report.Exceptions()) > 0:
		return fmt.Sprintf("holds, %d documented exceptions", len(r.report.Exceptions()))
	}
	return "holds"
}

// red names the checks that failed, each once.
func (r *result) red() []string {
	names := r.report.Violated()
	for _, f := range r.failures {
		if !slices.Contains(names, f.check) {
			names = append(names, f.check)
		}
	}
	return names
}

// explain prints what went wrong, and where to look.
func (r *result) explain(out io.Writer, dir string) {
	fmt.Fprintf(out, "\n%s:\n", r.scenario.name)
	if r.err != nil {
		fmt.Fprintf(out, "  could not be run: %v\n", r.err)
	}
	for i, f := range r.failures {
		if i == 4 {
			fmt.Fprintf(out, "  and %d more\n", len(r.failures)-i)
			break
		}
		fmt.Fprintf(out, "  %s: %s\n", f.check, f.text)
	}
	for i, v := range r.report.Violations() {
		if i == 4 {
			break
		}
		fmt.Fprintf(out, "  %s\n", v)
	}
	fmt.Fprintf(out, "  logs and history: %s\n", dir)
}

func printMutants(out io.Writer, results []mutantResult) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MUTANT\tFAULT\tMUST TURN RED\tRED\tVERDICT\tTOOK")
	for _, m := range results {
		red := "-"
		if m.result != nil {
			red = strings.Join(m.result.red(), " ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.1fs\n", m.mutant.name, m.mutant.scenario, m.mutant.check, red, m.verdict(), m.took.Seconds())
	}
	_ = t.Flush() // the writer is the terminal
}

func formatRatio(what string, ratio float64) string { return fmt.Sprintf("%s x%.2f ", what, ratio) }

// fileName makes a folder's name of a scenario's.
func fileName(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name), "-")
}
