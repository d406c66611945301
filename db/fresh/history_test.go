package fresh

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Now()

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func TestFloorIsTheOldestSampleWithinTheBudget(t *testing.T) {
	h := history{keep: time.Minute}
	for i := range 10 {
		h.add(sample{at(i * 100), Position{1, LSN(i * 10)}})
	}
	tests := []struct {
		now, budget int
		want        LSN
		ok          bool
	}{
		{1000, 300, 70, true}, // samples at 700, 800, 900
		{1000, 299, 80, true},
		{1000, 10_000, 0, true}, // everything kept is within it: the oldest
		{1000, 99, 0, false},    // the newest is 100 ms old
		{9000, 5000, 0, false},  // the primary has been silent for 8.1 s
	}
	for _, tt := range tests {
		got, ok := h.samples().floor(at(tt.now), time.Duration(tt.budget)*time.Millisecond)
		if ok != tt.ok || got.LSN != tt.want {
			t.Errorf("floor at %d ms with budget %d ms = %v, %v; want %v, %v", tt.now, tt.budget, got, ok, tt.want, tt.ok)
		}
	}
}

func TestBoundIsTheAgeOfTheNewestSampleReached(t *testing.T) {
	h := history{keep: time.Minute}
	for i := range 10 {
		h.add(sample{at(i * 100), Position{1, LSN(100 + i*10)}})
	}
	tests := []struct {
		pos  Position
		want int
		ok   bool
	}{
		{Position{1, 190}, 100, true},
		{Position{1, 189}, 200, true},
		{Position{1, 1 << 60}, 100, true}, // ahead of every sample: still only as fresh as the last
		{Position{1, 99}, 0, false},       // older than all that is kept
		{Position{2, 190}, 0, false},
		{Position{}, 0, false},
	}
	for _, tt := range tests {
		got, ok := h.samples().bound(at(1000), tt.pos)
		if ok != tt.ok || got != time.Duration(tt.want)*time.Millisecond {
			t.Errorf("bound of %v = %v, %v; want %d ms, %v", tt.pos, got, ok, tt.want, tt.ok)
		}
	}
}

func TestHistoryOfANewTimelineStartsAnew(t *testing.T) {
	h := history{keep: time.Minute}
	h.add(sample{at(0), Position{1, 500}})
	h.add(sample{at(100), Position{2, 400}})
	if floor, _ := h.samples().floor(at(150), time.Second); floor != (Position{2, 400}) {
		t.Errorf("floor = %v: a sample of the old timeline is still used", floor)
	}
}

func TestOvertakenSamplesAreDropped(t *testing.T) {
	h := history{keep: time.Minute}
	h.add(sample{at(100), Position{1, 500}})
	h.add(sample{at(50), Position{1, 600}})
	h.add(sample{at(200), Position{1, 400}})
	if len(h.samples()) != 1 {
		t.Errorf("kept %d samples, want 1: the searches rely on order", len(h.samples()))
	}
}

func TestSamplesAreKeptAsLongAsAsked(t *testing.T) {
	h := history{keep: time.Second}
	for i := range 50 {
		h.add(sample{at(i * 100), Position{1, LSN(i)}})
	}
	if len(h.samples()) != 11 {
		t.Errorf("kept %d samples of 100 ms in 1 s, want 11", len(h.samples()))
	}
}

// Whatever the log did, data at the floor of a budget is proven to be within
// that budget: the two searches are each other's inverse.
func TestFloorAndBoundAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := history{keep: time.Hour}
		now, lsn := 0, LSN(1)
		for range rapid.IntRange(1, 60).Draw(t, "samples") {
			now += rapid.IntRange(0, 400).Draw(t, "gap")
			lsn += LSN(rapid.IntRange(0, 50).Draw(t, "wal"))
			h.add(sample{at(now), Position{1, lsn}})
		}
		read := at(now + rapid.IntRange(0, 2000).Draw(t, "later"))
		budget := time.Duration(rapid.IntRange(0, 10_000).Draw(t, "budget")) * time.Millisecond
		floor, ok := h.samples().floor(read, budget)
		if !ok {
			return
		}
		bound, ok := h.samples().bound(read, floor)
		if !ok || bound > budget {
			t.Fatalf("data at the floor of %v is only proven to be %v old (%v)", budget, bound, ok)
		}
	})
}

func TestAgeErrsOnTheOldSide(t *testing.T) {
	then := time.Now()
	slept := then.Round(0).Add(time.Hour) // the wall clock went on while the monotonic one stood still
	if got := age(slept, then); got < time.Hour {
		t.Errorf("age after a suspend of an hour = %v", got)
	}
	if got := age(then.Add(time.Second), then); got < time.Second {
		t.Errorf("age = %v, want at least 1 s", got)
	}
}
