package drill

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/shoppers"
)

// Report is what came of a drill.
type Report struct {
	Primary           string // at the end
	Lists, Pages, Own Reads
	Writes            Writes
	// Placed are the orders that clients were told to be placed, Lost those of them
	// that the new primary has not.
	Placed, Lost int
	Check        checker.Report
	appsEnded    bool // an instance of the shop did not live through it
}

// Unavailable is how long lists, searches and product pages were, to somebody without
// a session: each kind by itself.
func (r Report) Unavailable() time.Duration { return max(r.Lists.Unavailable, r.Pages.Unavailable) }

// OK tells whether every promise held. How long anything was unavailable is no part
// of it.
func (r Report) OK() bool {
	return r.Check.OK() && r.Lost == 0 && r.Placed > 0 && r.Writes.Answered > 0 && !r.appsEnded
}

// countOrders compares what clients were told with what the new primary has. The
// checker does so too, and in depth.
func (r *Report) countOrders(ops []checker.Op, primary checker.Node) {
	kept := map[string]bool{}
	for _, o := range primary.Orders {
		kept[o.ID] = true
	}
	placed := map[string]bool{}
	for _, op := range ops {
		if shoppers.Acknowledged(op) {
			placed[op.SeenOrder.ID] = true
		}
	}
	r.Placed = len(placed)
	for id := range placed {
		if !kept[id] {
			r.Lost++
		}
	}
}

// String is the report for a terminal.
func (r Report) String() string {
	var b strings.Builder
	after := ""
	if r.Writes.AfterPromote > 0 {
		after = fmt.Sprintf(" (%s after promote)", seconds(r.Writes.AfterPromote))
	}
	fmt.Fprintf(&b, "reads unavailable %s, writes unavailable %s%s, orders lost %d, app %s\n\n",
		seconds(r.Unavailable()), seconds(r.Writes.Unavailable), after, r.Lost, r.apps())
	fmt.Fprintf(&b, "  %-26s %s, longest gap %s\n", "lists and searches", r.Lists, seconds(r.Lists.Gap))
	fmt.Fprintf(&b, "  %-26s %s, longest gap %s\n", "product pages", r.Pages, seconds(r.Pages.Gap))
	// Without writes there are no carts to look at: a gap there says nothing.
	fmt.Fprintf(&b, "  %-26s %s\n", "own carts, orders, lists", r.Own)
	fmt.Fprintf(&b, "  %-26s %d acknowledged, %d refused, %d in doubt\n", "writes", r.Writes.Answered, r.Writes.Refused, r.Writes.InDoubt)
	fmt.Fprintf(&b, "  %-26s %d placed, %d lost; the primary is now %s\n", "orders", r.Placed, r.Lost, r.Primary)
	checked, red := 0, r.Check.Violated()
	for _, result := range r.Check.Results {
		checked += result.Checked
	}
	if len(red) == 0 {
		fmt.Fprintf(&b, "  %-26s %d comparisons, every promise held\n", "checker", checked)
		return b.String()
	}
	fmt.Fprintf(&b, "  %-26s VIOLATED: %s\n%s\n", "checker", strings.Join(red, " "), r.Check.String())
	return b.String()
}

func (r Report) apps() string {
	if r.appsEnded {
		return "ENDED"
	}
	return "never restarted"
}

func (r Reads) String() string {
	refused := "0 refused"
	if r.Refused > 0 {
		var codes []string
		for _, code := range slices.Sorted(maps.Keys(r.Because)) {
			codes = append(codes, fmt.Sprintf("%s %d", code, r.Because[code]))
		}
		refused = fmt.Sprintf("%d refused (%s)", r.Refused, strings.Join(codes, ", "))
	}
	return fmt.Sprintf("unavailable %s: %d answered, %s, slowest %s", seconds(r.Unavailable), r.Answered, refused, seconds(r.Slowest))
}

// seconds says 0 s only of what is nothing at all.
func seconds(d time.Duration) string {
	if d == 0 {
		return "0 s"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// save leaves the history of a drill that failed.
func (d *Drill) save(h checker.History) error {
	file, err := os.Create(filepath.Join(d.config.Dir, "history.jsonl"))
	if err != nil {
		return err
	}
	return errors.Join(h.Encode(file), file.Close())
}
