package check

import (
	"cmp"
	"fmt"
	"strings"

	"example.com/leeway/db/fresh"
)

// wholeCluster judges the primary, and what its commits wait for.
func (j *judge) wholeCluster() {
	if writable := j.writable(); len(writable) > 1 {
		j.find(Critical, TwoPrimaries, nil, fmt.Sprintf("%s take writes: each may acknowledge orders that the other does not have. "+
			"%s is taken for the primary, being on timeline %d.", names(writable), j.main.Name, j.main.Timeline),
			j.stopOthers(writable)...)
	}
	j.synchronous()
}

// newer is a standby that knows of a primary that was promoted after the one that is
// seen.
func (j *judge) newer() *Node {
	for _, n := range j.members() {
		if n.Standby && n.heard() > j.main.Timeline {
			return n
		}
	}
	return nil
}

func (n *Node) heard() uint32 { return max(n.Heard, n.Timeline) }

// before orders standbys by what they have: of two histories the newer one is that
// which was promoted, and of one the log is a sequence.
func (n *Node) before(other *Node) bool {
	return n.Timeline < other.Timeline || n.Timeline == other.Timeline && n.Received < other.Received
}

// superseded leaves no primary. Whatever else seems wrong would be measured against the
// wrong one, and to rejoin anything to that would throw acknowledged orders away.
func (j *judge) superseded(by *Node) {
	old := j.main
	j.main = nil
	j.find(Critical, NewerTimeline, old, fmt.Sprintf("%s takes writes on timeline %d, and %s knows of timeline %d: a node was promoted that does not answer or is not listed. "+
		"What %s acknowledges now will be lost.", old.Name, old.Timeline, by.Name, by.heard(), old.Name), j.fix.pgCtl("stop", old.Name))
}

// noPrimary names the standby to promote: that which has received most. As long as it is
// not known of one whether it followed, it names none: its LSN says nothing.
func (j *judge) noPrimary() {
	var best *Node
	var silent, unplaced, ask []string
	for _, n := range j.members() {
		if n.Timeline == 0 {
			unplaced, ask = append(unplaced, n.Name), append(ask, j.fix.sql(n.Name, "CHECKPOINT"))
		}
		if best == nil || best.before(n) {
			best = n
		}
	}
	for _, n := range j.Nodes {
		if n.Trouble != NoTrouble {
			silent = append(silent, n.Name)
		}
	}
	if best == nil {
		j.find(Critical, NoPrimary, nil, "No node tells anything: whether one takes writes is not known.", "see what is said of each node")
		return
	}
	if unplaced != nil {
		j.find(Critical, NoPrimary, nil, fmt.Sprintf("No node that answers takes writes; unless a silent one does, every order is refused. Silent: %s. "+
			"Promote none yet: of %s it is not known which timeline it has replayed, and that is compared first. After a CHECKPOINT its control file says so.",
			orNone(silent), strings.Join(unplaced, " and ")), ask...)
		return
	}
	j.find(Critical, NoPrimary, nil, fmt.Sprintf("No node that answers takes writes; unless a silent one does, every order is refused. Silent: %s. "+
		"If the primary is gone for good, and cannot come back by itself, promote the standby that has received most: of those that answer it is %s (%s). "+
		"A standby among the silent ones may have more.", orNone(silent), best.Name, best.Received), j.fix.promote(best.Name))
}

// stopOthers leaves the primary alone.
func (j *judge) stopOthers(writable []*Node) []string {
	var remedy []string
	for _, n := range writable {
		if n != j.main {
			remedy = append(remedy, j.fix.pgCtl("stop", n.Name))
		}
	}
	return remedy
}

// synchronous judges whether commits wait for a standby, and for one that comes.
func (j *judge) synchronous() {
	required := j.main.Settings["synchronous_standby_names"]
	level := j.main.Settings["synchronous_commit"]
	quorum, confirming, waiting := fresh.Quorum(required), j.confirming(), j.main.Waiting
	switch {
	case required == "":
		remedy := []string{"add a standby first: without one, every commit would wait for ever"}
		if others := j.anyOther(j.main); others != "" {
			remedy = j.fix.set(j.main.Name, "synchronous_standby_names", others, false)
		}
		j.find(Warning, Asynchronous, nil, "synchronous_standby_names is empty: "+acknowledgedAlone, remedy...)
	case level == "off" || level == "local":
		j.find(Warning, Asynchronous, nil, "synchronous_commit is "+level+": "+acknowledgedAlone,
			j.fix.set(j.main.Name, "synchronous_commit", "on", false)...)
	case !j.main.MaySee: // right_missing says so
	case confirming < quorum:
		j.find(Critical, NoSynchronousStandby, nil, fmt.Sprintf("Commits wait for %d of %s, and %d of these stream: every order waits or is refused (%d wait now).",
			quorum, required, confirming, waiting.Commits), j.bringStandbys()...)
	case waiting.Stuck:
		j.find(Critical, NoSynchronousStandby, nil, fmt.Sprintf("The standbys stream and do not confirm: %d commits wait, and the first has for more than %s.",
			waiting.Commits, span(j.limits.Wait)), j.bringStandbys()...)
	}
}

// anyOther is the quorum that n should wait for as a primary: any one of the others, by
// the names under which they stream. Not "ANY 1 (*)": a base backup that has a slot
// confirms what it receives, and a commit would be acknowledged whose only copy may be
// thrown away.
func (j *judge) anyOther(n *Node) string {
	var names []string
	for _, other := range j.members() {
		if other != n {
			names = append(names, other.streamsAs())
		}
	}
	return anyOf(names)
}

// streamsAs is a node's application_name as a standby: cluster_name, unless
// primary_conninfo has another.
func (n *Node) streamsAs() string {
	if n.Receiver != nil && n.Receiver.Application != "" {
		return n.Receiver.Application
	}
	return cmp.Or(n.Settings["cluster_name"], n.Name)
}

const acknowledgedAlone = "an order is acknowledged when it is on one machine only, and a failover may lose it."

// bringStandbys rejoins the standbys that do not stream from the primary, and with none
// of those starts what is silent, and with none of those says where to look.
func (j *judge) bringStandbys() []string {
	var remedy []string
	for _, n := range j.members() {
		from, s := j.streamTo(n)
		if n.Standby && (s == nil || s.State != "streaming" || !from.Standby && from != j.main) {
			remedy = append(remedy, j.fix.rejoin(n.Name, j.main.Name)...)
		}
	}
	if remedy != nil {
		return remedy
	}
	for i := range j.Nodes {
		if n := &j.Nodes[i]; n.Trouble != NoTrouble {
			remedy = append(remedy, j.reach(n)...)
		}
	}
	if remedy == nil {
		remedy = []string{j.fix.sql(j.main.Name, "SELECT application_name, sync_state, flush_lsn, reply_time FROM pg_stat_replication")}
	}
	return remedy
}

// confirming counts the standbys that a COMMIT may count on.
func (j *judge) confirming() int {
	count := 0
	for _, s := range j.main.Streams {
		if s.State == "streaming" && (s.Sync == "sync" || s.Sync == "quorum") {
			count++
		}
	}
	return count
}
