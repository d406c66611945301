package check

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"
)

// width is what a terminal has at least. Tables keep to it with node names of up to
// ten letters; commands are never broken, so that they can be copied.
const width = 80

// Text writes the report for people. The verdict is the last line, and stands alone
// on it. Colours say nothing that the words do not say.
func (r Report) Text(w io.Writer, colours bool) error {
	var b strings.Builder
	r.tables(&b)
	for _, f := range r.Findings {
		f.text(&b, colours)
	}
	fmt.Fprintf(&b, "\nStatus: %s\n", paint(string(r.Status), r.Status, colours))
	_, err := io.WriteString(w, b.String())
	return err
}

// tables have a column for everything: "-" does not apply, "?" is not known.
func (r Report) tables(b *strings.Builder) {
	views := r.views()
	table(b, "NODE\tROLE\tTL\tSTATE\tSYNC\tREPLAY\tLAG\tBOUND\tSYNCED", views, func(v nodeView) []string {
		return []string{
			v.Name, v.Role, v.cell(format(v.Timeline, count)), v.cell(v.State), v.cell(v.SyncState), v.cell(v.replay()),
			v.cell(format(v.LagBytes, size)), v.cell(format(v.BoundMS, milliseconds)), v.cell(format(v.FullySynced, yesNo)),
		}
	})
	table(b, "NODE\tAPPLICATION\tRECEIVER\tSENT\tFLUSHED\tREPLAYED", views, func(v nodeView) []string {
		flushed := v.cell(v.FlushLSN)
		if v.IsReplica != nil && !*v.IsReplica {
			flushed = *cmp.Or(v.FlushLSN, &flushed)
		}
		return []string{v.Name, v.cell(v.Application), v.cell(v.Receiver), v.cell(v.SentLSN), flushed, v.cell(v.ReplayLSN)}
	})
	table(b, "NODE\tSLOT\tRETAINS\tCONFLICTS\tLONGEST QUERY", views, func(v nodeView) []string {
		slot, retains := "-", "-"
		if v.Slot != nil {
			slot, retains = v.Slot.Name, cmp.Or(v.Slot.WALStatus, "0 B")
			if v.Slot.Retained != nil {
				retains = size(*v.Slot.Retained)
			}
		}
		return []string{v.Name, slot, retains, v.cell(format(v.Conflicts, count)), v.longest()}
	})
}

func table(b *strings.Builder, head string, views []nodeView, row func(nodeView) []string) {
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, v := range views {
		fmt.Fprintln(w, strings.Join(row(v), "\t"))
	}
	_ = w.Flush() // into memory
}

// cell is for what only a standby has.
func (v nodeView) cell(text *string) string {
	switch {
	case text != nil:
		return *text
	case v.IsReplica != nil && !*v.IsReplica:
		return "-"
	}
	return "?"
}

func (v nodeView) replay() *string {
	if v.Replay != nil && *v.Replay == "not paused" {
		return known("running")
	}
	return v.Replay
}

func (v nodeView) longest() string {
	switch {
	case !v.MaySee:
		return "?"
	case v.Longest == nil:
		return "none"
	}
	return fmt.Sprintf("%s, pid %d, %s", v.Longest.age(), v.Longest.PID, v.Longest.State)
}

func count[N int64 | uint32](n N) string { return fmt.Sprint(n) }

func format[T any](v *T, as func(T) string) *string {
	if v == nil {
		return nil
	}
	return known(as(*v))
}

func milliseconds(ms int64) string { return span(time.Duration(ms) * time.Millisecond) }

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func (f Finding) text(b *strings.Builder, colours bool) {
	status := WarningStatus
	if f.Severity == Critical {
		status = CriticalStatus
	}
	fmt.Fprintf(b, "\n%s %s", paint(string(status), status, colours), f.Code)
	if f.Node != "" {
		fmt.Fprintf(b, ", %s", f.Node)
	}
	b.WriteByte('\n')
	wrap(b, "  ", f.Cause)
	b.WriteString("  Remedy:\n")
	for _, line := range f.Remedy {
		fmt.Fprintf(b, "    %s\n", line)
	}
}

// wrap breaks text between words.
func wrap(b *strings.Builder, indent, text string) {
	column := 0
	for word := range strings.FieldsSeq(text) {
		length := utf8.RuneCountInString(word)
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+length > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += length
	}
	b.WriteByte('\n')
}

// paint uses the terminal's own green, yellow and red.
func paint(text string, status Status, colours bool) string {
	if !colours {
		return text
	}
	return fmt.Sprintf("\x1b[%sm%s\x1b[0m", map[Status]string{Good: "32", WarningStatus: "33", CriticalStatus: "31"}[status], text)
}
