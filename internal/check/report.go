package check

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"example.com/leeway/db/fresh"
)

// Status is the verdict.
type Status string

// The verdicts, and what a script learns from the exit code of "shop check".
const (
	Good           Status = "GOOD"
	WarningStatus  Status = "WARNING"
	CriticalStatus Status = "CRITICAL"
)

// ExitCode is 0 for Good, 1 for WarningStatus and 2 for anything else.
func (s Status) ExitCode() int {
	switch s {
	case Good:
		return 0
	case WarningStatus:
		return 1
	}
	return 2
}

// A Report is the verdict on a cluster with its reasons.
type Report struct {
	Status   Status
	Cluster  Cluster
	Findings []Finding
	primary  *Node
}

// nodeView is a node as it is told to others: null where something is not known or
// does not apply.
type nodeView struct {
	Name        string    `json:"name"`
	Role        string    `json:"role"`       // "primary", "replica", "writable": a second one that takes writes; "unknown"
	IsReplica   *bool     `json:"is_replica"` // null: it does not answer
	Trouble     string    `json:"trouble,omitempty"`
	MaySee      bool      `json:"may_see"` // the role has the rights for it there
	Timeline    *uint32   `json:"timeline"`
	State       *string   `json:"state"`
	SyncState   *string   `json:"sync_state"`
	Application *string   `json:"application_name"`
	Receiver    *string   `json:"receiver"` // "none" when there is none
	Replay      *string   `json:"replay"`
	SentLSN     *string   `json:"sent_lsn"`
	FlushLSN    *string   `json:"flush_lsn"`
	ReplayLSN   *string   `json:"replay_lsn"`
	LagBytes    *int64    `json:"lag_bytes"`
	BoundMS     *int64    `json:"bound_ms"`
	FullySynced *bool     `json:"fully_synced"`
	Slot        *slotView `json:"slot"`
	Longest     *Session  `json:"longest_query"` // null: none
	Conflicts   *int64    `json:"conflicts"`
	Commits     *int      `json:"waiting_commits"`
}

type slotView struct {
	Name      string `json:"name"`
	Active    bool   `json:"active"`
	WALStatus string `json:"wal_status,omitempty"`
	Retained  *int64 `json:"retained_bytes"`
}

func (r *Report) views() []nodeView {
	views := make([]nodeView, len(r.Cluster.Nodes))
	for i := range r.Cluster.Nodes {
		views[i] = r.view(&r.Cluster.Nodes[i])
	}
	return views
}

func (r *Report) view(n *Node) nodeView {
	v := nodeView{Name: n.Name, Role: "unknown", Trouble: string(n.Trouble)}
	if n.Trouble != NoTrouble {
		return v
	}
	v.Role, v.IsReplica, v.MaySee = "replica", &n.Standby, n.MaySee
	v.Timeline = known(n.Timeline)
	if n.MaySee {
		v.Longest, v.Commits = n.Longest, &n.Waiting.Commits
	}
	if !n.Standby {
		v.Role, v.FlushLSN = "writable", lsn(n.LSN)
		if n == r.primary {
			v.Role = "primary"
		}
		return v
	}
	v.standby(&r.Cluster, n)
	if v.State == nil && r.primary != nil && r.primary.MaySee {
		v.State = known("none")
	}
	return v
}

func (v *nodeView) standby(c *Cluster, n *Node) {
	v.Replay, v.ReplayLSN, v.FlushLSN = known(n.Replay), lsn(n.LSN), lsn(n.Received)
	v.LagBytes, v.Conflicts = n.Lag, n.Conflicts
	if n.Bound != nil {
		up := (*n.Bound + time.Millisecond - 1).Milliseconds() // a bound is never less than was proven
		v.BoundMS = known(max(1, up))                          // 0 would say: provably nothing
	}
	if n.Lag != nil {
		synced := *n.Lag == 0
		v.FullySynced = &synced
	}
	if n.Receiver != nil {
		v.Receiver, v.Application = known(n.Receiver.Status), known(n.Receiver.Application)
	} else if n.MaySee {
		v.Receiver = known("none")
	}
	if _, s := c.streamTo(n); s != nil {
		v.State, v.SyncState, v.Application = known(s.State), known(s.Sync), known(s.Name)
		if s.Sent != nil {
			v.SentLSN = lsn(*s.Sent)
		}
		if s.Flushed != nil {
			v.FlushLSN = lsn(*s.Flushed)
		}
	}
	if s := c.slot(n); s != nil {
		v.Slot = &slotView{s.Name, s.Active, s.WALStatus, s.Retained}
	}
}

// known returns nil for the zero value: it stands for "not known" in all of Facts.
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func lsn(l fresh.LSN) *string {
	if l == 0 {
		return nil
	}
	return known(l.String())
}

// JSON writes the report as one line.
func (r Report) JSON(w io.Writer) error {
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
	return json.NewEncoder(w).Encode(struct {
		Status   Status     `json:"status"`
		At       time.Time  `json:"at"`
		TookMS   int64      `json:"took_ms"`
		Nodes    []nodeView `json:"nodes"`
		Findings []Finding  `json:"findings"`
	}{r.Status, r.Cluster.At, r.Cluster.Took.Milliseconds(), r.views(), r.Findings})
}

func names(nodes []*Node) string {
	list := make([]string, len(nodes))
	for i, n := range nodes {
		list[i] = n.Name
	}
	return strings.Join(list, " and ")
}

func orNone(text any) string {
	switch v := text.(type) {
	case []string:
		return orNone(strings.Join(v, ", "))
	case string:
		if v != "" {
			return v
		}
	}
	return "none"
}

// size is for people: three digits at most.
func size(bytes int64) string {
	value, unit := float64(bytes), "B"
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1024, next
	}
	if unit == "B" || value >= 10 {
		return fmt.Sprintf("%.0f %s", value, unit)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

// span is for people, rounded up: it is a bound.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", max(1, (d+time.Millisecond-1)/time.Millisecond))
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", ((d + 99*time.Millisecond) / (100 * time.Millisecond) * (100 * time.Millisecond)).Seconds())
	}
	return d.Round(time.Second).String()
}

// String is for people.
func (s Session) String() string {
	return fmt.Sprintf("pid %d (%s, %s) for %s", s.PID, s.User, s.State, s.age())
}

func (s Session) age() string { return span(time.Duration(s.Seconds * float64(time.Second))) }
