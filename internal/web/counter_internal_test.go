package web

import (
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const length = 10 * time.Second

func newTestCounter() *counter {
	c := newCounter()
	c.Config(0, length)
	return c
}

// The count of a bucket is never below the truth, and with few buckets it is the
// truth, whatever order callers come in around the turn of a window.
func TestCountsAreNeverTooLow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newTestCounter()
		start := time.Unix(1_000_000, 0)
		window, counts := 0, map[int]map[string]int{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			window += rapid.SampledFrom([]int{0, 0, 0, 0, 0, 1, 1, 2, 5}).Draw(t, "windows later")
			late := rapid.SampledFrom([]time.Duration{0, 0, 0, length}).Draw(t, "late")
			bucket := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "bucket")
			now := start.Add(time.Duration(window) * length)
			current, previous, _ := c.Get(bucket, now, now.Add(-length))
			if current != counts[window][bucket] || previous != counts[window-1][bucket] {
				t.Fatalf("%s has %d and %d, want %d and %d", bucket, current, previous, counts[window][bucket], counts[window-1][bucket])
			}
			// One who read the clock just before the turn is counted in the new window.
			if err := c.IncrementBy(bucket, now.Add(-late), 1); err != nil {
				t.Fatal(err)
			}
			if counts[window] == nil {
				counts[window] = map[string]int{}
			}
			counts[window][bucket]++
		}
	})
}

// A clock that is set back must not leave a window that never ends.
func TestTheClockIsSetBack(t *testing.T) {
	c := newTestCounter()
	now := time.Unix(1_000_000, 0)
	_ = c.Increment("a", now)
	now = now.Add(-time.Hour)
	if current, previous, _ := c.Get("a", now, now.Add(-length)); current != 0 || previous != 0 {
		t.Errorf("%d and %d", current, previous)
	}
}

// A flood from very many networks takes no memory, and leaves those who take no part
// in it their limit. What is asserted is far from what chance can do: a cell has 1 or 2 of
// the flood's 100,000 requests on average, and 300 busy buckets cover all four cells
// of another one once in 2 * 10^9.
func TestAFloodOfBuckets(t *testing.T) {
	c := newTestCounter()
	now := time.Unix(1_000_000, 0)
	count := func(bucket string) int {
		n, _, _ := c.Get(bucket, now, now.Add(-length))
		return n
	}
	flood := make([]string, 100_000)
	for i := range flood {
		flood[i] = "2001:db8:" + strconv.FormatInt(int64(i>>16), 16) + ":" + strconv.FormatInt(int64(i&0xffff), 16) + "::"
	}
	next := 0
	allocations := testing.AllocsPerRun(len(flood)-1, func() {
		_ = c.Increment(flood[next], now)
		next++
	})
	if allocations != 0 || next != len(flood) {
		t.Errorf("%v allocations for each of %d networks", allocations, next)
	}
	for i := range 300 {
		_ = c.IncrementBy("busy"+strconv.Itoa(i), now, 1000)
	}
	for i := range 1000 {
		name := "innocent" + strconv.Itoa(i)
		_ = c.Increment(name, now)
		if n := count(name); n < 1 || n > 50 {
			t.Errorf("%s has a count of %d after one request", name, n)
		}
	}
	if n := count("busy0"); n < 1000 || n > 1050 {
		t.Errorf("a busy one has a count of %d, want about 1000", n)
	}
}
