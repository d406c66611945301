package fresh

import (
	"sort"
	"sync"
	"time"
)

// A sample says: whatever the primary had acknowledged before the instant at
// is contained in its log up to pos. The instant is noted before the question
// is sent, so a slow answer makes the statement weaker, never wrong.
type sample struct {
	at  time.Time
	pos Position
}

// history holds the samples of the current primary, oldest first. Instants and
// LSNs both only grow, so both searches are binary. It is safe for concurrent
// use.
type history struct {
	mu      sync.RWMutex
	samples []sample
	keep    time.Duration
}

// add appends a sample. One of a newer timeline starts the history anew: its LSNs
// cannot be compared with those before.
func (h *history) add(s sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.samples); n > 0 {
		last := h.samples[n-1]
		switch {
		case s.pos.Timeline < last.pos.Timeline:
			return // of a primary that was superseded while it was asked
		case s.pos.Timeline > last.pos.Timeline:
			h.samples = nil
		case s.pos.LSN < last.pos.LSN || s.at.Before(last.at):
			return // an answer that was overtaken by a later one
		}
	}
	expired := sort.Search(len(h.samples), func(i int) bool { return s.at.Sub(h.samples[i].at) <= h.keep })
	h.samples = append(h.samples[expired:], s)
}

// floor returns the position below which a read with the given budget would
// miss something committed more than budget before now: the oldest sample
// taken within the budget. ok is false when there is none, which is the case
// when the primary has not answered for that long: then nothing is provable.
func (h *history) floor(now time.Time, budget time.Duration) (floor Position, ok bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	i := sort.Search(len(h.samples), func(i int) bool { return now.Sub(h.samples[i].at) <= budget })
	for i < len(h.samples) && age(now, h.samples[i].at) > budget {
		i++ // only after a suspend or a jump of the wall clock
	}
	if i == len(h.samples) {
		return Position{}, false
	}
	return h.samples[i].pos, true
}

// bound returns the staleness that data at pos is proven not to exceed at now:
// the age of the newest sample that it has reached. ok is false when no sample
// that old is kept.
func (h *history) bound(now time.Time, pos Position) (bound time.Duration, ok bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.samples) == 0 || h.samples[0].pos.Timeline != pos.Timeline {
		return 0, false
	}
	i := sort.Search(len(h.samples), func(i int) bool { return h.samples[i].pos.LSN > pos.LSN })
	if i == 0 {
		return 0, false
	}
	return max(0, age(now, h.samples[i-1].at)), true
}

// age is the greater of the monotonic and the wall-clock time between two
// instants of this process. The monotonic clock stands still while the machine
// sleeps, and a wall clock may be set back; to err on the old side is safe.
func age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// silentFor returns the age of the newest sample.
func (h *history) silentFor(now time.Time) time.Duration {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.samples) == 0 {
		return 1<<63 - 1
	}
	return age(now, h.samples[len(h.samples)-1].at)
}
