package checker

import (
	"slices"
	"time"
)

// A ladder answers how high a version was known by an instant.
type ladder struct{ steps []step }

type step struct {
	at      time.Duration
	version int64
	op      *Op // may be nil
}

func (l *ladder) add(at time.Duration, version int64) {
	l.steps = append(l.steps, step{at, version, nil})
}

// build sorts the steps and makes each the highest so far.
func (l *ladder) build() {
	slices.SortStableFunc(l.steps, func(a, b step) int { return compare(a.at, b.at) })
	for i := 1; i < len(l.steps); i++ {
		if before := l.steps[i-1]; before.version > l.steps[i].version {
			l.steps[i].version, l.steps[i].op = before.version, before.op
		}
	}
}

// top is the highest step before t, and zero if there is none.
func (l *ladder) top(t time.Duration) step {
	i, _ := slices.BinarySearchFunc(l.steps, t, func(s step, t time.Duration) int { return compare(s.at, t) })
	if i == 0 {
		return step{}
	}
	return l.steps[i-1]
}

func (l *ladder) before(t time.Duration) int64 { return l.top(t).version }
