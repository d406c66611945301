package orders

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
)

const (
	// hotFrom is how many checkouts of this process want a variant's row at once when
	// it counts as hot. One holds it through its commit, so the last of four waits for
	// three commits; below that a batch would save little.
	hotFrom = 4
	// hotFor is how long a variant stays hot after it last was wanted so.
	hotFor = time.Second
)

// heat knows which variants are hot. While none is, asking costs one atomic load. It
// is safe for concurrent use.
type heat struct {
	any    atomic.Bool
	mu     sync.Mutex
	wanted map[id.ID]int       // checkouts between their wish for the row and their end
	until  map[id.ID]time.Time // hot until then
}

func newHeat() *heat {
	return &heat{wanted: map[id.ID]int{}, until: map[id.ID]time.Time{}}
}

// enter counts a checkout that is about to lock the variants' rows.
func (h *heat) enter(lines []catalog.StockLine) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range lines {
		h.wanted[l.VariantID]++
		if h.wanted[l.VariantID] >= hotFrom {
			h.extend(l.VariantID)
		}
	}
}

// stay keeps those of the variants hot that are.
func (h *heat) stay(variants []id.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range variants {
		if _, hot := h.until[v]; hot {
			h.extend(v)
		}
	}
}

// extend is called with mu held.
func (h *heat) extend(variant id.ID) {
	if until := time.Now().Add(hotFor); until.After(h.until[variant]) {
		h.until[variant] = until
	}
	h.any.Store(true)
}

// leave is the end of what entered.
func (h *heat) leave(lines []catalog.StockLine) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range lines {
		if h.wanted[l.VariantID]--; h.wanted[l.VariantID] == 0 {
			delete(h.wanted, l.VariantID)
		}
	}
}

// variants are those that are hot; it forgets those that no longer are.
func (h *heat) variants() []id.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for v, until := range h.until {
		if now.After(until) {
			delete(h.until, v)
		}
	}
	h.any.Store(len(h.until) > 0)
	return slices.Collect(maps.Keys(h.until))
}
