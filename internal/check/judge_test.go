package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/db/fresh"
)

// The faults that can be made are made on real servers, in faults_test.go. Here are the cases that cannot, or in which two things come together.

var limits = Limits{Timeout: time.Second, Wait: time.Second, Budget: 5 * time.Second, Lag: 1 << 20, Slot: 1 << 28}

// healthy is a primary with two standbys, of which nothing is wrong.
func healthy() Cluster {
	settings := map[string]string{"synchronous_standby_names": "ANY 1 (a, b)", "synchronous_commit": "on"}
	primary := Node{Name: "p", Facts: Facts{System: 7, Started: 1, User: "ro", MaySee: true, Timeline: 2, LSN: 1000, Received: 1000, Settings: settings}}
	nodes := []Node{primary}
	for i, name := range []string{"a", "b"} {
		lag, bound, lsn := int64(0), 3*time.Millisecond, fresh.LSN(1000)
		nodes = append(nodes, Node{Name: name, Lag: &lag, Bound: &bound, CaughtUp: true, Heard: 2, Facts: Facts{
			Standby: true, System: 7, Started: int64(i + 2), User: "ro", MaySee: true, Timeline: 2, LSN: lsn, Received: lsn,
			Replay: "not paused", Receiver: &Receiver{Status: "streaming", Application: name}, Settings: settings,
		}})
		nodes[0].Streams = append(nodes[0].Streams, Stream{Name: name, State: "streaming", Sync: "quorum", Sent: &lsn, Flushed: &lsn})
	}
	return Cluster{Nodes: nodes}
}

func TestJudge(t *testing.T) {
	unproven := func(n *Node) { n.Bound, n.CaughtUp = nil, false }
	tests := []struct {
		name   string
		change func(p, a, b *Node)
		want   string // codes and nodes, the worst first
	}{
		{"healthy", func(_, _, _ *Node) {}, ""},
		{"a standby that still catches up", func(p, _, _ *Node) { p.Streams[1].State = "catchup" }, "not_streaming b"},
		{"a standby that nobody sends to", func(p, _, _ *Node) { p.Streams = p.Streams[:1] }, "not_streaming b"},
		{"a standby of a standby", func(p, a, _ *Node) {
			a.Streams, p.Streams = []Stream{{Name: "b", State: "streaming", Sync: "async"}}, p.Streams[:1]
		}, ""},
		{"a former stream is still listed", func(p, _, _ *Node) {
			p.Streams = append(p.Streams, Stream{Name: "b", State: "catchup"})
		}, ""},
		{"a position that is not known", func(_, a, _ *Node) { a.LSN, a.Lag = 0, nil; unproven(a) }, "lagging a"},
		{"a timeline that is not known", func(_, a, _ *Node) { a.Timeline, a.Lag = 0, nil; unproven(a) }, "lagging a"},
		{"without rights an old timeline may only look old", func(_, a, _ *Node) { a.Timeline, a.MaySee, a.Receiver = 1, false, nil; unproven(a) }, "right_missing a, lagging a"},
		{"without rights on the primary", func(p, _, _ *Node) { p.MaySee, p.Streams = false, []Stream{{}, {}} }, "right_missing p"},
		{"over the budget", func(_, a, _ *Node) { *a.Bound = 6 * time.Second; a.CaughtUp = false }, "lagging a"},
		{"late within the budget", func(_, a, _ *Node) { *a.Bound = 4 * time.Second; a.CaughtUp = false }, ""},
		{"a query that replay does not wait for any more", func(_, a, _ *Node) { a.ReplayWait, a.Longest = "Lock/relation", &Session{PID: 9} }, ""},
		{"a pause that is asked for", func(_, a, _ *Node) { a.Replay = "pause requested" }, "replay_paused a"},
		{"a slot that lost what it kept retains nothing", func(p, a, _ *Node) {
			much := int64(1 << 40)
			p.Slots, a.PrimarySlot = []Slot{{Name: "s", WALStatus: "lost", Retained: &much}}, "s"
		}, "slot_lost a"},
		{"a used slot", func(p, _, _ *Node) {
			much := int64(1 << 40)
			p.Slots = []Slot{{Name: "s", Active: true, Retained: &much}}
		}, "slot_retains_too_much p"},
		{"a second primary on the same timeline has no standbys", func(_, a, _ *Node) { a.Standby = false }, "two_primaries, not_in_recovery a"},
		{"a second primary in front of the list", func(p, a, _ *Node) { *p, *a = *a, *p; p.Standby = false }, "two_primaries, not_in_recovery a"},
		{"a server that is listed twice is not two primaries", func(p, a, _ *Node) { name := a.Name; *a = *p; a.Name = name }, "same_server a"},
		{"a stranger that takes writes is no primary", func(_, a, _ *Node) { a.System, a.Standby, a.Timeline = 8, false, 9 }, "other_cluster a"},
		{"a commit that waits, and is confirmed", func(p, _, _ *Node) { p.Waiting = Waiting{Commits: 30} }, ""},
		{"a commit that is not", func(p, _, _ *Node) { p.Waiting = Waiting{Commits: 30, Stuck: true} }, "no_synchronous_standby"},
		{"two are required", func(p, _, b *Node) {
			p.Settings = map[string]string{"synchronous_standby_names": "FIRST 2 (a, b)", "synchronous_commit": "on"}
			p.Streams[1].Sync = "potential"
		}, "no_synchronous_standby"},
		{"nobody answers", func(p, a, b *Node) { p.Trouble, a.Trouble, b.Trouble = Refused, Silent, LoginFailed }, "no_primary, node_unreachable p, node_unreachable a, node_unreachable b"},
		{"the worst comes first", func(_, a, b *Node) { a.Replay, b.Standby = "paused", false }, "two_primaries, not_in_recovery b, replay_paused a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := healthy()
			tt.change(&c.Nodes[0], &c.Nodes[1], &c.Nodes[2])
			report := Judge(c, limits, Remedies{Shop: "shop"})
			var got []string
			for _, f := range report.Findings {
				got = append(got, strings.TrimSpace(string(f.Code)+" "+f.Node))
			}
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("found %s, want %s", strings.Join(got, ", "), tt.want)
			}
			if (report.Status == Good) != (tt.want == "") {
				t.Errorf("status %s", report.Status)
			}
		})
	}
}

// A standby that heard of a newer timeline makes the only primary a former one; then
// nothing may be told to follow that.
func TestNothingIsRejoinedToAFormerPrimary(t *testing.T) {
	c := healthy()
	c.Nodes[1].Trouble, c.Nodes[2].Heard, c.Nodes[2].Receiver = Refused, 3, nil
	report := Judge(c, limits, Remedies{Shop: "shop", Dir: "/d"})
	if report.Status != CriticalStatus || report.Findings[0].Code != NewerTimeline {
		t.Fatalf("%+v", report.Findings)
	}
	for _, f := range report.Findings {
		if text := f.Cause + strings.Join(f.Remedy, " "); strings.Contains(text, "rejoin") {
			t.Errorf("%s: %s", f.Code, text)
		}
	}
}

// The standby to promote is that of the newest history, and of one history that which
// has received most, not that which has replayed most.
func TestPromoteTheOneThatReceivedMost(t *testing.T) {
	c := healthy()
	c.Nodes[0].Trouble = Refused
	c.Nodes[1].Received, c.Nodes[2].Received, c.Nodes[1].LSN = 2000, 3000, 2000
	for want, timeline := range map[string]uint32{"b": 2, "a": 3} {
		c.Nodes[1].Heard, c.Nodes[2].Heard = 3, 3 // to have heard of it is not to have any of it
		c.Nodes[1].Timeline = timeline
		report := Judge(c, limits, Remedies{Shop: "shop"})
		if got := report.Findings[0].Remedy[0]; got != "on "+want+": SELECT pg_promote();" {
			t.Errorf("%s", got)
		}
	}
}

// One that may have followed, or have been ahead of the fork, is not named for its LSN, and
// nor is the other one: the first may have more of the newer history.
func TestNobodyIsPromotedWhileATimelineIsNotKnown(t *testing.T) {
	for unknown := 1; unknown <= 2; unknown++ {
		c := healthy()
		c.Nodes[0].Trouble, c.Nodes[unknown].Timeline = Refused, 0
		f := Judge(c, limits, Remedies{Shop: "shop"}).Findings[0]
		want := "on " + c.Nodes[unknown].Name + ": CHECKPOINT;"
		if f.Code != NoPrimary || !slices.Equal(f.Remedy, []string{want}) || !strings.Contains(f.Cause, "Promote none yet") {
			t.Errorf("%s, %q, want %q", f.Cause, f.Remedy, want)
		}
	}
}

// To wait for standbys is no remedy where there is none: every commit would hang.
func TestALonePrimaryIsNotToldToWait(t *testing.T) {
	c := healthy()
	c.Nodes = c.Nodes[:1]
	c.Nodes[0].Streams, c.Nodes[0].Settings = nil, nil
	f := Judge(c, limits, Remedies{Shop: "shop"}).Findings
	if len(f) != 1 || f[0].Code != Asynchronous || strings.Contains(strings.Join(f[0].Remedy, " "), "ALTER SYSTEM") {
		t.Errorf("%+v", f)
	}
}

// A commit may wait for standbys only: "ANY 1 (*)" is also satisfied by a base backup in
// the making.
func TestCommitsAreToldToWaitForStandbysByName(t *testing.T) {
	c := healthy()
	for i, names := range []string{"", "ANY 1 (a, b)", ""} {
		c.Nodes[i].Settings = map[string]string{"synchronous_standby_names": names, "synchronous_commit": "on", "cluster_name": "db-" + c.Nodes[i].Name}
	}
	told := func(code Code) string {
		for _, f := range Judge(c, limits, Remedies{Shop: "shop"}).Findings {
			if f.Code == code {
				return f.Remedy[0]
			}
		}
		return "nothing"
	}
	if got, want := told(Asynchronous), `on p: ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ("a", "b")';`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	c.Nodes[0].Settings["synchronous_standby_names"] = "ANY 1 (a, b)"
	if got, want := told(SettingsDiffer), `on b: ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ("db-p", "a")';`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// pg_rewind brings along the name of the slot that the new primary used as a standby.
func TestARewoundNodeIsToldOfItsSlot(t *testing.T) {
	told := Remedies{Shop: "shop"}.rejoin("a", "p")
	rewind := slices.IndexFunc(told, func(line string) bool { return strings.Contains(line, "pg_rewind") })
	slot := slices.IndexFunc(told, func(line string) bool { return strings.Contains(line, "primary_slot_name") })
	start := slices.IndexFunc(told, func(line string) bool { return strings.Contains(line, "pg_ctl start") })
	if rewind < 0 || slot < rewind || start < slot {
		t.Errorf("%q", told)
	}
}

func TestRemediesSurviveAShell(t *testing.T) {
	r := Remedies{Shop: "/my programs/shop", Dir: "/it's here"}
	if got, want := r.sql("a", "SELECT 'x'"), `'/my programs/shop' cluster sql a 'SELECT '\''x'\''' --dir '/it'\''s here'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTroubleBySQLSTATE(t *testing.T) {
	for code, want := range map[string]Trouble{
		"28P01": LoginFailed, "28000": LoginFailed, "3D000": NoDatabase, "53300": Full, "57P03": Starting,
		"XX001": Failing + ", SQLSTATE XX001",
	} {
		if got := troubleOf(fmt.Errorf("canary: %w", &pgconn.PgError{Code: code, Message: "canary"})); got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
	if got := troubleOf(errors.New("canary")); got != NoAccess {
		t.Errorf("%q", got)
	}
}

func TestHistoryKeepsOneTimeline(t *testing.T) {
	now := time.Now()
	at := func(ago time.Duration, timeline uint32, lsn fresh.LSN) sample {
		return sample{now.Add(-ago), fresh.Position{Timeline: timeline, LSN: lsn}}
	}
	var h history
	h.add(at(20*time.Minute, 1, 50)) // forgotten
	h.add(at(3*time.Second, 1, 100))
	h.add(at(2*time.Second, 1, 200))
	h.add(at(time.Second, 1, 300))
	for lsn, want := range map[fresh.LSN]time.Duration{300: time.Second, 299: 2 * time.Second, 100: 3 * time.Second, 99: -1} {
		if got := h.bound(now, fresh.Position{Timeline: 1, LSN: lsn}); want < 0 && got != nil || want >= 0 && (got == nil || *got != want) {
			t.Errorf("the bound at %s is %v, want %v", lsn, got, want)
		}
	}
	h.add(at(0, 2, 400))
	if got := h.bound(now, fresh.Position{Timeline: 1, LSN: 300}); got != nil {
		t.Errorf("a bound on a timeline that ended: %v", got)
	}
}

func TestFiguresForPeople(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 10 << 10: "10 kB", 1 << 20: "1.0 MB", 3 << 40: "3.0 TB"} {
		if got := size(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
	for d, want := range map[time.Duration]string{1: "1 ms", 1100 * time.Microsecond: "2 ms", 1010 * time.Millisecond: "1.1 s", 90 * time.Second: "1m30s"} {
		if got := span(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

// A bound that is told is never less than what was proven.
func TestABoundIsRoundedUp(t *testing.T) {
	for bound, want := range map[time.Duration]string{0: `"bound_ms":1,`, 3 * time.Millisecond: `"bound_ms":3,`, 3*time.Millisecond + 1: `"bound_ms":4,`} {
		c := healthy()
		c.Nodes[1].Bound = &bound
		var text strings.Builder
		if err := Judge(c, limits, Remedies{Shop: "shop"}).JSON(&text); err != nil || !strings.Contains(text.String(), want) {
			t.Errorf("%v: no %s in %s, %v", bound, want, text.String(), err)
		}
	}
}

// Colours are never needed, and what cannot be shown is not left out.
func TestText(t *testing.T) {
	c := healthy()
	c.Nodes[1].MaySee = false
	report := Judge(c, limits, Remedies{Shop: "shop"})
	var plain, coloured strings.Builder
	if err := errors.Join(report.Text(&plain, false), report.Text(&coloured, true)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(coloured.String(), "\x1b[33mWARNING\x1b[0m") {
		t.Errorf("%q", coloured.String())
	}
	bare := strings.NewReplacer("\x1b[33m", "", "\x1b[0m", "").Replace(coloured.String())
	if bare != plain.String() {
		t.Errorf("the colours change more than the colour:\n%s", bare)
	}
	if !slices.Contains(strings.Split(plain.String(), "\n"), "a     -     -        ?          ?") {
		t.Errorf("what runs on a is not marked as not known:\n%s", plain.String())
	}
}
