package fresh

import (
	"testing"
	"time"
)

// What a standby has followed it keeps, and what it told once it may not have followed.
func TestATimelineIsToldTwice(t *testing.T) {
	for name, c := range map[string]struct{ told, want []uint32 }{
		"stays":              {[]uint32{1, 1, 1}, []uint32{1, 1, 1}},
		"follows":            {[]uint32{1, 2, 2, 2}, []uint32{1, 1, 2, 2}},
		"loses its stream":   {[]uint32{1, 2, 2, 1, 1}, []uint32{1, 1, 2, 2, 2}},
		"is past the fork":   {[]uint32{1, 1, 2, 1, 1}, []uint32{1, 1, 1, 1, 1}},
		"and again":          {[]uint32{1, 2, 1, 2, 1}, []uint32{1, 1, 1, 1, 1}},
		"is new to the shop": {[]uint32{2, 1, 1}, []uint32{2, 1, 1}},
	} {
		var a asked
		for i, told := range c.told {
			if got := a.believe(told); got != c.want[i] {
				t.Errorf("%s: answer %d: timeline %d, want %d", name, i+1, got, c.want[i])
			}
		}
	}
}

func TestANewTimelineIsAskedForAgainAtOnce(t *testing.T) {
	var a asked
	const period = 100 * time.Millisecond
	for i, c := range []struct {
		told uint32
		want time.Duration
	}{{1, period}, {1, period}, {2, period / 10}, {2, period}, {1, period}} {
		a.believe(c.told)
		if got := a.pause(period, 0); got != c.want {
			t.Errorf("after answer %d, of timeline %d: %v, want %v", i+1, c.told, got, c.want)
		}
	}
}
