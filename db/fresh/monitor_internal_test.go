package fresh

import (
	"testing"
	"time"
)

// An answer of a standby, and what is believed then.
type heard struct {
	run             int64
	lsn             LSN
	control, stream uint32
	want            uint32
}

func TestAStreamIsBelievedOnceItIsReplayed(t *testing.T) {
	for name, answers := range map[string][]heard{
		"stays":                   {{1, 10, 1, 1, 1}, {1, 20, 1, 1, 1}},
		"follows":                 {{1, 10, 1, 1, 1}, {1, 10, 1, 2, 1}, {1, 20, 1, 2, 2}, {1, 20, 1, 2, 2}},
		"follows, seen late":      {{1, 20, 1, 2, 1}, {1, 20, 1, 2, 1}, {1, 30, 1, 2, 2}},
		"loses its stream":        {{1, 10, 1, 2, 1}, {1, 20, 1, 2, 2}, {1, 20, 1, 0, 2}, {1, 20, 1, 0, 2}},
		"is past the fork":        {{1, 30, 1, 0, 1}, {1, 30, 1, 2, 1}, {1, 30, 1, 2, 1}, {1, 30, 1, 0, 1}},
		"and replays its own log": {{1, 20, 1, 2, 1}, {1, 30, 1, 0, 1}, {1, 30, 1, 2, 1}, {1, 30, 1, 2, 1}},
		"is another server":       {{1, 10, 1, 2, 1}, {1, 20, 1, 2, 2}, {2, 30, 1, 2, 1}, {2, 30, 1, 2, 1}},
		"has written it down":     {{1, 10, 1, 0, 1}, {1, 10, 2, 0, 2}},
		"is as good as new":       {{1, 10, 0, 0, 0}, {1, 10, 0, 1, 0}, {1, 20, 0, 1, 1}},
	} {
		var a ancestry
		for i, h := range answers {
			if got := a.believe(h.run, Position{h.control, h.lsn}, h.stream); got != h.want {
				t.Errorf("%s: answer %d: timeline %d, want %d", name, i+1, got, h.want)
			}
		}
	}
}

func TestANewTimelineIsAskedForAgainAtOnce(t *testing.T) {
	var a asked
	const period = 100 * time.Millisecond
	for i, c := range []struct {
		lsn    LSN
		stream uint32
		want   time.Duration
	}{{10, 1, period}, {10, 2, period / 10}, {10, 2, period}, {20, 2, period}, {20, 0, period}, {20, 2, period}} {
		a.believe(1, Position{1, c.lsn}, c.stream)
		if got := a.pause(period, 0); got != c.want {
			t.Errorf("after answer %d, of timeline %d: %v, want %v", i+1, c.stream, got, c.want)
		}
	}
}

// What a backend tells of its standby is placed on a timeline only if the monitor knows that
// run of the server, and the standby has not gone on to another timeline since.
func TestTimelineOf(t *testing.T) {
	n := new(node)
	n.view.Store(&view{standby: true, run: 7, pos: Position{2, 100}})
	for _, c := range []struct {
		run          int64
		stream, want uint32
	}{{7, 2, 2}, {7, 0, 2}, {7, 3, 0}, {7, 1, 0}, {8, 2, 0}} {
		if got := n.timelineOf(c.run, c.stream); got != c.want {
			t.Errorf("run %d, stream %d: timeline %d, want %d", c.run, c.stream, got, c.want)
		}
	}
	for _, v := range []view{{run: 7, pos: Position{2, 100}}, {standby: true, run: 7, pos: Position{2, 100}, err: errNoAnswer}} {
		n.view.Store(&v)
		if got := n.timelineOf(7, 2); got != 0 {
			t.Errorf("%+v: timeline %d, want none", v, got)
		}
	}
}
