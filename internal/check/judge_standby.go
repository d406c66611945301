package check

import (
	"fmt"
	"slices"
	"strings"
)

// member judges one server of the cluster.
func (j *judge) member(n *Node) {
	if !n.MaySee {
		j.find(Warning, RightMissing, n, fmt.Sprintf("The role %s may not read all statistics: the stream of %s, what runs there and who waits are not known.", n.User, n.Name),
			j.fix.grantSight(j.where(n), n.User))
	}
	if len(n.Pending) > 0 {
		j.find(Warning, PendingRestart, n, fmt.Sprintf("On %s a restart is pending: %s changed and not in force.", n.Name, strings.Join(n.Pending, ", ")), j.fix.restart(n.Name)...)
	}
	j.slots(n)
	switch {
	case j.main == nil || n == j.main:
	case !n.Standby:
		j.find(Critical, NotInRecovery, n, fmt.Sprintf("%s is not in recovery: it replays nothing, and takes writes on timeline %d while the primary is %s on timeline %d. "+
			"To make it a standby throws away what only it has.", n.Name, n.Timeline, j.main.Name, j.main.Timeline), j.fix.rejoin(n.Name, j.main.Name)...)
	case n.MaySee && n.Timeline != 0 && n.Timeline < j.main.Timeline: // else it may only look so
		j.find(Warning, StrandedTimeline, n, fmt.Sprintf("%s is on timeline %d, which ended when %s was promoted to timeline %d: it gets nothing new, and may show what was never acknowledged.",
			n.Name, n.Timeline, j.main.Name, j.main.Timeline), j.fix.rejoin(n.Name, j.main.Name)...)
	default:
		j.standby(n)
	}
}

// where is the node on which to grant a role something: a standby takes no GRANT.
func (j *judge) where(n *Node) string {
	if j.main != nil {
		return j.main.Name
	}
	return n.Name
}

// standby judges one that follows the primary, or should: the causes first. What has
// a cause is not reported as a consequence too.
func (j *judge) standby(n *Node) {
	j.settings(n)
	j.stream(n)
	j.replay(n)
	j.lag(n)
}

func (j *judge) settings(n *Node) {
	for _, c := range compared {
		p, s := j.main.Settings[c.name], n.Settings[c.name]
		if !c.differ(p, s) || slices.Contains(n.Pending, c.name) {
			continue
		}
		value := p
		if c.name == "synchronous_standby_names" {
			value = j.anyOther(n) // the primary's own value may name this very node
		}
		j.find(Warning, SettingsDiffer, n, fmt.Sprintf("%s is %s on %s and %s on %s: %s.", c.name, orNone(s), n.Name, orNone(p), j.main.Name, c.why),
			j.fix.set(n.Name, c.name, value, c.restart)...)
	}
}

func (j *judge) stream(n *Node) {
	sender, s := j.streamTo(n)
	slot := j.slot(n)
	switch {
	case slot != nil && slot.WALStatus == "lost":
		j.find(Warning, SlotLost, n, fmt.Sprintf("The slot %s no longer has the log that %s needs: it exceeded max_slot_wal_keep_size while %s was away. Only a new base backup helps.", slot.Name, n.Name, n.Name),
			j.fix.rebuild(n.Name, j.main.Name, slot.Name)...)
	case n.MaySee && n.Receiver == nil:
		j.find(Warning, NotStreaming, n, fmt.Sprintf("%s receives nothing: no WAL receiver runs. Its log says why; often the sender is down, or primary_conninfo, pg_hba.conf or the slot is wrong.", n.Name), j.fix.rejoin(n.Name, j.main.Name)...)
	case n.MaySee && j.main.MaySee && s == nil:
		j.find(Warning, NotStreaming, n, fmt.Sprintf("No listed node sends to %s.", n.Name), j.fix.rejoin(n.Name, j.main.Name)...)
	case s != nil && s.State != "" && s.State != "streaming":
		j.find(Warning, NotStreaming, n, fmt.Sprintf("The stream from %s to %s is in state %s: it still has to catch up.", sender.Name, n.Name, s.State), j.fix.look("--watch"))
	}
}

// replay judges what keeps a standby from showing what it has received.
func (j *judge) replay(n *Node) {
	behind := n.Received - min(n.LSN, n.Received)
	waits := strings.HasPrefix(n.ReplayWait, "IPC/RecoveryConflict") || strings.HasPrefix(n.ReplayWait, "Lock/") || strings.HasPrefix(n.ReplayWait, "BufferPin/")
	switch {
	case n.Replay != "not paused" && n.stopReplay(j.main):
		j.find(Warning, ReplayPaused, n, fmt.Sprintf("Replay has stopped on %s, %s received and not shown, because of a setting that is lower than on %s. To resume it would end the server.", n.Name, size(int64(behind)), j.main.Name),
			j.fix.restart(n.Name)...)
	case n.Replay != "not paused":
		j.find(Warning, ReplayPaused, n, fmt.Sprintf("Replay is paused on %s, %s received and not shown: what it shows gets older.", n.Name, size(int64(behind))), j.resume(n))
	case n.CaughtUp:
	case waits && n.Longest != nil:
		j.find(Warning, QueryDelaysReplay, n, fmt.Sprintf("On %s replay waits for %s; %s received and not shown.", n.Name, n.Longest, size(int64(behind))),
			j.fix.sql(n.Name, fmt.Sprintf("SELECT pg_terminate_backend(%d)", n.Longest.PID)))
	case n.LSN != 0 && behind > 0 && !j.has(NotStreaming, n):
		j.find(Warning, PendingReplay, n, fmt.Sprintf("%s has received %s that it does not replay in %v: its startup process hangs, or the machine is too slow.", n.Name, size(int64(behind)), j.limits.Wait),
			j.fix.restart(n.Name)...)
	}
}

func (j *judge) resume(n *Node) string {
	if j.fix.Dir != "" {
		return j.fix.verb("resume", n.Name)
	}
	return j.fix.sql(n.Name, "SELECT pg_wal_replay_resume()")
}

// lag judges the distance. Nothing proven is too far, unless its cause was found.
func (j *judge) lag(n *Node) {
	cause := ""
	switch {
	case n.Lag != nil && *n.Lag > j.limits.Lag:
		cause = fmt.Sprintf("%s is %s behind, more than %s.", n.Name, size(*n.Lag), size(j.limits.Lag))
	case n.Bound != nil && *n.Bound > j.limits.Budget:
		cause = fmt.Sprintf("%s may be %s behind, more than the budget of %s.", n.Name, span(*n.Bound), span(j.limits.Budget))
	case n.Timeline == 0 && n.MaySee && !j.explained(n):
		j.find(Warning, Lagging, n, fmt.Sprintf("It is not known whether %s has followed to timeline %d: what it shows may never have been acknowledged. After a CHECKPOINT its control file says so.",
			n.Name, j.main.Timeline), j.fix.sql(n.Name, "CHECKPOINT"))
		return
	case n.Bound == nil && !j.explained(n):
		cause = fmt.Sprintf("%s has not proven within %s that it has what %s had: how old its answers are is not known.", n.Name, span(j.limits.Wait), j.main.Name)
	default:
		return
	}
	remedy := j.fix.look("--watch") + " (and see the network to " + n.Name + " and its disk)"
	if j.explained(n) {
		remedy = "see what else is said of " + n.Name
	}
	j.find(Warning, Lagging, n, cause+" Reads that need more go to the primary.", remedy)
}

// explained reports whether it was already said why the standby is behind.
func (j *judge) explained(n *Node) bool {
	return slices.ContainsFunc([]Code{SlotLost, NotStreaming, ReplayPaused, QueryDelaysReplay, PendingReplay}, func(code Code) bool { return j.has(code, n) })
}

// slots judges what a server keeps for others. A slot that is lost keeps nothing.
func (j *judge) slots(n *Node) {
	for _, s := range n.Slots {
		if s.Retained == nil || *s.Retained <= j.limits.Slot || s.WALStatus == "lost" {
			continue
		}
		cause, remedy := fmt.Sprintf("The slot %s on %s retains %s of log, more than %s", s.Name, n.Name, size(*s.Retained), size(j.limits.Slot)), ""
		if s.Active {
			cause, remedy = cause+": its standby is connected and far behind. Without max_slot_wal_keep_size the disk fills.", "see what else is said of the standby"
		} else {
			cause, remedy = cause+": nobody is connected to it. Without max_slot_wal_keep_size the disk fills. Start its standby; if that is gone for good, drop the slot.",
				j.fix.sql(n.Name, "SELECT pg_drop_replication_slot("+literal(s.Name)+")")
		}
		j.find(Warning, SlotRetainsTooMuch, n, cause, remedy)
	}
}
