package fresh

import (
	"sort"
	"sync"
	"sync/atomic"
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
// use: every read looks here twice, without a lock. An add writes behind the end
// of what a reader may be looking at, and never into it.
type history struct {
	mu      sync.Mutex // held to add
	current atomic.Pointer[samples]
	keep    time.Duration
}

// samples are those of one moment, oldest first; they do not change. A read takes
// them once, so that its floor and the bound that it claims speak of one history,
// whatever becomes of the primary meanwhile.
type samples []sample

func (h *history) samples() samples {
	if s := h.current.Load(); s != nil {
		return *s
	}
	return nil
}

// add appends a sample. One of a newer timeline starts the history anew: its LSNs
// cannot be compared with those before.
func (h *history) add(s sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	samples := h.samples()
	if n := len(samples); n > 0 {
		last := samples[n-1]
		switch {
		case s.pos.Timeline < last.pos.Timeline:
			return // of a primary that was superseded while it was asked
		case s.pos.Timeline > last.pos.Timeline:
			samples = nil
		case s.pos.LSN < last.pos.LSN || s.at.Before(last.at):
			return // an answer that was overtaken by a later one
		}
	}
	expired := sort.Search(len(samples), func(i int) bool { return s.at.Sub(samples[i].at) <= h.keep })
	samples = append(samples[expired:], s)
	h.current.Store(&samples)
}

// floor returns the position below which a read with the given budget would
// miss something committed more than budget before now: the oldest sample
// taken within the budget. ok is false when there is none, which is the case
// when the primary has not answered for that long: then nothing is provable.
func (s samples) floor(now time.Time, budget time.Duration) (floor Position, ok bool) {
	i := sort.Search(len(s), func(i int) bool { return now.Sub(s[i].at) <= budget })
	for i < len(s) && age(now, s[i].at) > budget {
		i++ // only after a suspend or a jump of the wall clock
	}
	if i == len(s) {
		return Position{}, false
	}
	return s[i].pos, true
}

// longAgo returns the newest position that is known to have been reached at least
// wait before now.
func (s samples) longAgo(now time.Time, wait time.Duration) (pos Position, ok bool) {
	i := sort.Search(len(s), func(i int) bool { return now.Sub(s[i].at) < wait })
	if i == 0 {
		return Position{}, false
	}
	return s[i-1].pos, true
}

// bound returns the staleness that data at pos is proven not to exceed at now:
// the age of the newest sample that it has reached. ok is false when no sample
// that old is kept.
func (s samples) bound(now time.Time, pos Position) (bound time.Duration, ok bool) {
	if len(s) == 0 || s[0].pos.Timeline != pos.Timeline {
		return 0, false
	}
	i := sort.Search(len(s), func(i int) bool { return s[i].pos.LSN > pos.LSN })
	if i == 0 {
		return 0, false
	}
	return max(0, age(now, s[i-1].at)), true
}

// boundOrNone is bound in the form that is told to others: negative when nothing
// is proven.
func (s samples) boundOrNone(now time.Time, pos Position) time.Duration {
	if bound, ok := s.bound(now, pos); ok {
		return bound
	}
	return -1
}

// age is the greater of the monotonic and the wall-clock time between two
// instants of this process. The monotonic clock stands still while the machine
// sleeps, and a wall clock may be set back; to err on the old side is safe.
func age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// silentFor returns the age of the newest sample.
func (s samples) silentFor(now time.Time) time.Duration {
	if len(s) == 0 {
		return 1<<63 - 1
	}
	return age(now, s[len(s)-1].at)
}
