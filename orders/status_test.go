package orders

import (
	"strings"
	"testing"
)

// TestStateMachine is the whole table, row by row: a change of the machine has to be
// written down twice.
func TestStateMachine(t *testing.T) {
	t.Parallel()
	allowed := map[string]bool{
		"pending_payment paid": true, "pending_payment cancelled": true, "pending_payment expired": true,
		"paid shipped": true, "paid cancelled": true,
		"shipped delivered": true,
	}
	known := append([]string{"", "lost"}, statuses...)
	for _, from := range known {
		for _, to := range known {
			if got := Status(from).CanBecome(Status(to)); got != allowed[from+" "+to] {
				t.Errorf("%q to %q: %v", from, to, got)
			}
		}
	}
	for from := range next {
		if !strings.Contains(strings.Join(statuses, " "), string(from)) {
			t.Errorf("%q is no status", from)
		}
	}
}
