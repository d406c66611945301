package web

import (
	"hash/maphash"
	"sync"
	"time"
)

// A counter counts requests by bucket for httprate, in memory that does not grow with
// the number of buckets. httprate's own has a map, with an entry for each address or
// key that anybody sends, is emptied every other window and never given back; and a
// request that read the clock just before the turn of a window makes it forget all.
//
// It is a count-min sketch (Cormode and Muthukrishnan, 2005) with conservative update:
// a bucket has one cell in each row, which others may share, and its count is the
// least of them. So it is never too low, and a limit holds whoever floods. It is too
// high for a bucket all of whose cells are shared with busier ones: with n busy
// buckets that happens to about (n/65536)^4 of the others, which is one in 16 million
// for a thousand. The seed is the process's own, so that nobody can choose a
// neighbour.
//
// It is safe for concurrent use.
type counter struct {
	mu                sync.Mutex
	seed              maphash.Seed
	length            time.Duration
	start             time.Time // of the current window
	current, previous *sketch
}

// Four rows of 2^16 cells: a hash of 64 bits is a cell in each. Two windows are 2 MiB.
const (
	sketchRows = 4
	cellBits   = 16
)

type sketch [sketchRows][1 << cellBits]uint32

func newCounter() *counter {
	return &counter{seed: maphash.MakeSeed(), current: new(sketch), previous: new(sketch)}
}

// Config, IncrementBy, Increment and Get are httprate.LimitCounter.
func (c *counter) Config(_ int, window time.Duration) { c.length = window }

func (c *counter) Increment(bucket string, window time.Time) error {
	return c.IncrementBy(bucket, window, 1)
}

func (c *counter) IncrementBy(bucket string, window time.Time, amount int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(window)
	hash := maphash.String(c.seed, bucket)
	count := c.current.count(hash) + uint32(amount)
	for i := range c.current {
		cell := c.current.cell(i, hash)
		*cell = max(*cell, count)
	}
	return nil
}

func (c *counter) Get(bucket string, window, _ time.Time) (current, previous int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(window)
	hash := maphash.String(c.seed, bucket)
	return int(c.current.count(hash)), int(c.previous.count(hash)), nil
}

// turn makes window the current one. A caller may have read the clock just before
// another one turned; its request is one of the new window. After anything else, a
// clock that was set included, counting begins anew.
func (c *counter) turn(window time.Time) {
	switch window.Sub(c.start) {
	case 0, -c.length:
		return
	case c.length:
		c.previous, c.current = c.current, c.previous
	default:
		*c.previous = sketch{}
	}
	*c.current = sketch{}
	c.start = window
}

func (s *sketch) count(hash uint64) uint32 {
	least := *s.cell(0, hash)
	for i := 1; i < sketchRows; i++ {
		least = min(least, *s.cell(i, hash))
	}
	return least
}

func (s *sketch) cell(row int, hash uint64) *uint32 {
	return &s[row][uint16(hash>>(row*cellBits))]
}
