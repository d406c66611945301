package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"example.com/leeway/internal/drill"
)

// TestDrill goes through the runbook, with fewer orders than the command. No figure of
// time is judged: that is for the command, and here servers and tests share the machine.
// Nothing waits for longer than drill allows it (30 s until the orders are placed, a minute
// each until they are placed again, nodes are in order, contents are the same), which is
// some twenty times what it takes on two idle cores.
func TestDrill(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT RUN: kills a primary under load, which takes half a minute")
	}
	var out bytes.Buffer
	report, err := play(t.Context(), options{Orders: 20}, &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() || report.Placed < 40 || report.Writes.AfterPromote == 0 || report.Primary == "primary" {
		t.Errorf("%+v", report)
	}
	for _, want := range []string{"$ shop cluster choose", "orders lost 0, app never restarted", "every promise held"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

func TestJudge(t *testing.T) {
	limits := options{MaxWrites: 3 * time.Second}
	good := drill.Report{Placed: 5}
	good.Writes.Answered, good.Writes.AfterPromote = 9, time.Second
	if err := limits.judge(good); err != nil {
		t.Error(err)
	}
	for what, spoil := range map[string]func(*drill.Report){
		"an order is lost":      func(r *drill.Report) { r.Lost = 1 },
		"no writes":             func(r *drill.Report) { r.Writes.Answered = 0 },
		"writes come back late": func(r *drill.Report) { r.Writes.AfterPromote = 4 * time.Second },
		"a list was refused":    func(r *drill.Report) { r.Lists.Unavailable = time.Millisecond },
		"a page was refused":    func(r *drill.Report) { r.Pages.Unavailable = time.Millisecond },
	} {
		bad := good
		spoil(&bad)
		if limits.judge(bad) == nil {
			t.Errorf("%s, and the drill succeeds", what)
		}
	}
}
