package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"example.com/leeway/internal/pgcluster"
)

type clusterChooseCmd struct{ clusterDir }

// Run prints what it has looked at also when nobody may be promoted.
func (c *clusterChooseCmd) Run(ctx context.Context, app *app) error {
	cluster, err := pgcluster.Attach(c.Dir)
	if err != nil {
		return err
	}
	seen, err := lookTwice(ctx, cluster)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(app.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tROLE\tTIMELINE\tRECEIVED\tREPLAYED")
	for _, s := range seen {
		if s.st.Role == pgcluster.RoleStandby {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", s.node.Name(), s.st.Role, s.st.Timeline, s.st.Received, s.st.LSN)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t-\t-\t-\n", s.node.Name(), s.st.Role)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	best, err := choose(seen)
	if err != nil {
		return err
	}
	standbys := len(seen) - 1 // one of the nodes is the old primary
	_, err = fmt.Fprintf(app.stdout, "promote %s: of %d standbys %d were asked, and it has received most\n", best.node.Name(), standbys, standbys)
	return err
}

// sight is what was seen of a node.
type sight struct {
	node *pgcluster.Node
	st   pgcluster.Status
}

// before orders by what was received. Of two timelines the newer one is the history
// that was promoted.
func (s sight) before(other sight) bool {
	if s.st.Timeline != other.st.Timeline {
		return s.st.Timeline < other.st.Timeline
	}
	return s.st.Received < other.st.Received
}

// choose returns the standby that has every commit that was acknowledged. A commit is
// acknowledged by any one of n standbys (k = 1), so that all n must be asked (n - k + 1)
// to be certain that one of those asked has it; the log is one sequence, so that the
// one that has received most has all. None of them may confirm anything to the old
// primary afterwards, hence that must be down: docs/failover.md.
func choose(seen []sight) (best sight, err error) {
	var down []string
	for _, s := range seen {
		switch s.st.Role {
		case pgcluster.RoleDown:
			down = append(down, s.node.Name())
		case pgcluster.RolePrimary:
			return sight{}, fmt.Errorf("%s still is a primary: stop or kill it first", s.node.Name())
		case pgcluster.RoleFrozen:
			return sight{}, fmt.Errorf("%s is frozen and may wake up as a primary, or hold more: kill or thaw it first", s.node.Name())
		default:
			if best.node == nil || best.before(s) {
				best = s
			}
		}
	}
	switch {
	case len(down) > 1: // one of them was the primary
		return sight{}, fmt.Errorf("%s are down, and a standby among them may hold more: start it first", strings.Join(down, " and "))
	case best.node == nil:
		return sight{}, errors.New("there is no standby")
	}
	return best, nil
}

// mayPromote refuses whoever has less than the one to be chosen.
func mayPromote(ctx context.Context, dir string, n *pgcluster.Node) error {
	cluster, err := pgcluster.Attach(dir)
	if err != nil {
		return err
	}
	seen, err := lookTwice(ctx, cluster)
	if err != nil {
		return err
	}
	best, err := choose(seen)
	if err != nil {
		return err
	}
	for _, s := range seen {
		if s.node.Name() == n.Name() && s.before(best) {
			return fmt.Errorf("%s has received %s on timeline %d and %s only %s on timeline %d: promote %s", best.node.Name(),
				best.st.Received, best.st.Timeline, n.Name(), s.st.Received, s.st.Timeline, best.node.Name())
		}
	}
	return nil
}

// restWait is between two looks that must show the same. A standby that was restarted
// first replays what it has, and tells of no more than that until it is through.
const restWait = 100 * time.Millisecond

// lookTwice looks until nothing moves any more.
func lookTwice(ctx context.Context, cluster *pgcluster.Cluster) (seen []sight, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for last := []sight(nil); ; last = seen {
		if seen, err = look(ctx, cluster); err != nil || same(last, seen) {
			return seen, err
		}
		if primaryAmong(seen) {
			return seen, nil // it moves, and nobody may be promoted
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the standbys go on receiving or replaying: %w", ctx.Err())
		case <-time.After(restWait):
		}
	}
}

// look asks all nodes at once: nothing can be ordered meanwhile.
func look(ctx context.Context, cluster *pgcluster.Cluster) ([]sight, error) {
	nodes := cluster.Nodes()
	seen, errs := make([]sight, len(nodes)), make([]error, len(nodes))
	var asked sync.WaitGroup
	for i, n := range nodes {
		asked.Go(func() {
			seen[i].node = n
			seen[i].st, errs[i] = n.Status(ctx)
		})
	}
	asked.Wait()
	return seen, errors.Join(errs...)
}

func same(a, b []sight) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].st.Role != b[i].st.Role || a[i].before(b[i]) || b[i].before(a[i]) {
			return false
		}
	}
	return true
}

func primaryAmong(seen []sight) bool {
	for _, s := range seen {
		if s.st.Role == pgcluster.RolePrimary {
			return true
		}
	}
	return false
}
