package fresh

import "time"

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
