package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestLeaderLost is the drill itself: a minute and a half, nearly all of it Patroni's.
func TestLeaderLost(t *testing.T) {
	if err := missing(t.Context()); err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	if testing.Short() {
		t.Skip("NOT RUN: takes more than a minute")
	}
	var out bytes.Buffer
	err := play(t.Context(), options{Fault: "leader", BrowseBudget: defaultBudget}, &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"leader lost: reads unavailable", "orders lost 0, app never restarted", "every promise held"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
}
