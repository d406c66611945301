package check

import (
	"context"
	"sync"
	"time"

	"example.com/leeway/db/fresh"
)

// A sample says: whatever the primary had acknowledged before the instant at is in
// its log up to pos. It is the idea of db/fresh, with looks for its samples: a
// standby that has replayed pos misses nothing that is older than at. No clock but
// ours is read, so an idle primary and a standby that is cut off are judged right.
type sample struct {
	at  time.Time // before the question was sent: a slow answer weakens it, and no more
	pos fresh.Position
}

// history holds the samples of one primary, oldest first.
type history []sample

// keep is how far back a bound can be proven by somebody who watches.
const keep = 10 * time.Minute

func (h *history) add(s sample) {
	kept := (*h)[:0]
	for _, old := range *h {
		if old.pos.Timeline == s.pos.Timeline && old.pos.LSN <= s.pos.LSN && age(s.at, old.at) <= keep {
			kept = append(kept, old)
		}
	}
	*h = append(kept, s)
}

// bound is the age of the newest sample that pos has reached; nil if there is none.
func (h history) bound(now time.Time, pos fresh.Position) *time.Duration {
	for i := len(h) - 1; i >= 0; i-- {
		if pos.Reached(h[i].pos) {
			bound := age(now, h[i].at)
			return &bound
		}
	}
	return nil
}

// age errs on the old side when the machine slept or its clock was set.
func age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)), 0)
}

const (
	flushedSQL  = "SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint"
	replayedSQL = "SELECT coalesce(pg_last_wal_replay_lsn() - '0/0', 0)::bigint"
	pollEvery   = 5 * time.Millisecond
)

// measure takes a sample of the primary and waits for its standbys to reach it. The
// sample is taken after all servers were asked, so that one that is silent makes the
// bounds of the others no worse.
func (c *Checker) measure(ctx context.Context, cluster *Cluster) {
	primary := cluster.primary()
	if primary == nil {
		return
	}
	s := sample{at: time.Now(), pos: fresh.Position{Timeline: primary.Timeline}}
	if err := c.probe(primary).query(ctx, c.limits.Timeout, &s.pos.LSN, flushedSQL); err != nil {
		return
	}
	c.history.add(s)
	var following sync.WaitGroup
	if primary.Waiting.Commits > 0 {
		following.Go(func() { c.followCommit(ctx, primary, s.at) })
	}
	for _, n := range cluster.members() {
		if n.Standby && n.Timeline == primary.Timeline { // LSNs of two timelines are not compared
			following.Go(func() { c.follow(ctx, n, s) })
		}
	}
	following.Wait()
}

func (c *Checker) probe(n *Node) *probe {
	for _, p := range c.probes {
		if p.name == n.Name {
			return p
		}
	}
	return nil // names are unique, and every node has its probe
}

// follow asks a standby for its position until it has reached the sample, and fills
// in what that proves.
func (c *Checker) follow(ctx context.Context, n *Node, s sample) {
	p := c.probe(n)
	for c.pause(ctx, s.at, n.Lag == nil) {
		pos := fresh.Position{Timeline: n.Timeline}
		if err := p.query(ctx, c.limits.Timeout, &pos.LSN, replayedSQL); err != nil || pos.LSN == 0 {
			return
		}
		now := time.Now()
		if n.Lag == nil {
			lag := max(0, int64(s.pos.LSN)-int64(pos.LSN))
			n.Lag = &lag
		}
		n.LSN, n.Received = pos.LSN, max(n.Received, pos.LSN)
		n.Bound, n.CaughtUp = c.history.bound(now, pos), pos.Reached(s.pos)
		if n.CaughtUp {
			return
		}
	}
}

// pause reports whether to ask again: at once the first time, then until Limits.Wait
// has passed since began.
func (c *Checker) pause(ctx context.Context, began time.Time, first bool) bool {
	if first {
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pollEvery):
		return time.Since(began) < c.limits.Wait
	}
}

const stillWaitsSQL = `SELECT EXISTS (SELECT FROM pg_stat_activity
	WHERE pid = $1 AND query_start = $2::timestamptz AND wait_event = 'SyncRep')`

// followCommit finds out whether a COMMIT that waits goes on waiting. How long it has
// waited already the server does not tell, only when its statement began.
func (c *Checker) followCommit(ctx context.Context, primary *Node, began time.Time) {
	waits := true
	for first := true; waits && c.pause(ctx, began, first); first = false {
		err := c.probe(primary).query(ctx, c.limits.Timeout, &waits, stillWaitsSQL, primary.Waiting.PID, primary.Waiting.Began)
		if err != nil {
			return
		}
	}
	primary.Waiting.Stuck = waits
}
