package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// goBench is a part that Go benchmarks of the packages measure.
type goBench struct {
	pattern  string
	packages []string
	units    []string           // that are told, all others are not; "" is any ratio
	least    map[string]float64 // by unit
	count    int
	times    string // -benchtime
}

// A proof costs what these say; each has a contender that is the first one once more,
// whose distance from 1 is noise.
var (
	reads    = goBench{pattern: "^BenchmarkRatio$", packages: []string{"./db/fresh"}, count: 3, times: "21x", least: map[string]float64{"bounded/bare": 0.97, "session/bare": 0.80}}
	commits  = goBench{pattern: "CommitRatio", packages: []string{"./internal/replicationtour"}, count: 3, times: "41x"}
	searches = goBench{pattern: "SearchRatio", packages: []string{"./catalog"}, count: 3, times: "41x"}
	watched  = goBench{pattern: "^BenchmarkRatio$", packages: []string{"./cmd/shop"}, count: 3, times: "11x"}
	allocs   = goBench{pattern: "^BenchmarkAllocations$", packages: []string{"./cmd/shop"}, count: 1, times: "500x", units: []string{"allocs/op", "B/op"}}
)

func (w *world) reads(ctx context.Context) ([]Figure, error)    { return w.goBench(ctx, reads) }
func (w *world) commits(ctx context.Context) ([]Figure, error)  { return w.goBench(ctx, commits) }
func (w *world) searches(ctx context.Context) ([]Figure, error) { return w.goBench(ctx, searches) }
func (w *world) watched(ctx context.Context) ([]Figure, error)  { return w.goBench(ctx, watched) }

// goBench runs the benchmarks; a metric is a figure, its rounds are what -count says.
func (w *world) goBench(ctx context.Context, g goBench) ([]Figure, error) {
	count, times := g.count, g.times
	if w.Short {
		count, times = 1, "3x"
	}
	args := append([]string{"test", "-run", "^$", "-bench", g.pattern, "-benchmem", "-benchtime", times, "-count", strconv.Itoa(count)}, g.packages...)
	w.say("go %s", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = w.root
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it stops its servers
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go test -bench %s: %w\n%s", g.pattern, err, out)
	}
	return g.figures(out)
}

// figures reads what "go test -bench" prints: a name, a number of operations, and pairs
// of a value and its unit.
func (g goBench) figures(out []byte) ([]Figure, error) {
	var names []string
	values := map[string][]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			name := g.name(fields[0], fields[i+1])
			if err != nil || name == "" {
				continue
			}
			if values[name] == nil {
				names = append(names, name)
			}
			values[name] = append(values[name], value)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no figure in:\n%s", out)
	}
	var all []Figure
	for _, name := range names {
		f := figure(name, values[name])
		if least, ok := g.least[name]; ok {
			f.AtLeast = &least
		}
		if base, unit, ok := strings.Cut(name, ", "); ok {
			f.Name, f.Unit = base, strings.TrimSuffix(unit, "/op")
		}
		all = append(all, f)
	}
	for unit := range g.least {
		if values[unit] == nil {
			return nil, fmt.Errorf("the benchmark does not tell %s", unit)
		}
	}
	return all, nil
}

// name is that of a metric, or "" for one that is not told.
func (g goBench) name(benchmark, unit string) string {
	base, _, found := strings.Cut(benchmark, "-")
	if _, sub, ok := strings.Cut(base, "/"); ok && found && slices.Contains(g.units, unit) {
		return sub + ", " + unit
	}
	ratio := strings.Contains(unit, "/") && !slices.ContainsFunc([]string{"/op", "/s", "/off"}, func(end string) bool { return strings.HasSuffix(unit, end) })
	if len(g.units) == 0 && (ratio || strings.HasSuffix(unit, "-ms")) {
		return unit
	}
	return ""
}

// before is what an answer allocated before it was made faster: the same benchmark, put
// into commit 58bcbdb.
var before = map[string]float64{
	"product, allocs": 239, "product, B": 32416, "list, allocs": 423, "list, B": 81986,
	"category, allocs": 436, "category, B": 83315, "categories, allocs": 1239, "categories, B": 191300,
	"search, allocs": 246, "search, B": 30440, "suggest, allocs": 189, "suggest, B": 20386,
	"checkout, allocs": 819, "checkout, B": 56019,
}

// allocations sets what an answer allocates now beside what it did before.
func (w *world) allocations(ctx context.Context) ([]Figure, error) {
	all, err := w.goBench(ctx, allocs)
	for i, f := range all {
		if was, ok := before[f.Name+", "+f.Unit]; ok {
			all[i].Detail = fmt.Sprintf("before: %.0f", was)
		}
	}
	return all, err
}
