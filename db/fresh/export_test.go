package fresh

import (
	"context"
	"time"
)

// RuleCodes lists the codes and classes of the table, for a test that none is
// without a case.
func RuleCodes() []string {
	codes := make([]string, 0, len(rules))
	for _, r := range rules {
		codes = append(codes, r.code)
	}
	return codes
}

// LimitTrips sets how long a shared message may take.
func LimitTrips(r *Router, limit time.Duration) {
	for _, n := range r.nodes {
		n.trips.limit = limit
	}
}

// BePatient makes rounds wait for the read ahead, however long it takes.
func (c *Coalescer[T]) BePatient() { c.patience = time.Hour }

// Waiting is how many wait for a round to begin.
func (c *Coalescer[T]) Waiting(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if others := c.crowds[key]; others != nil && others.next != nil {
		return int(others.next.readers.Load())
	}
	return 0
}

// Crowds is how many keys are asked for.
func (c *Coalescer[T]) Crowds() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.crowds)
}

// WithinBudget is Router.withinBudget.
func (r *Router) WithinBudget(ctx context.Context, p Policy) bool { return r.withinBudget(ctx, p) }

// SpoilWaiting makes the last of the reads that wait one that nobody can send without a
// panic. Its caller's own copy stays as it was.
func SpoilWaiting(r *Router) {
	for _, n := range r.nodes {
		n.trips.mu.Lock()
		if queue := n.trips.queue; len(queue) > 0 {
			queue[len(queue)-1].demand = nil
		}
		n.trips.mu.Unlock()
	}
}
