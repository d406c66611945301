package fresh

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a log sequence number: a byte offset in the write-ahead log. It is
// compared as a number, never as text ('0/10' > '0/9').
type LSN uint64

// ParseLSN reads PostgreSQL's text form, two hexadecimal numbers of at most 32
// bits each (manual, section 8.20).
func ParseLSN(s string) (LSN, error) {
	hi, lo, ok := strings.Cut(s, "/")
	if !ok {
		return 0, fmt.Errorf("fresh: LSN %q has no slash", s)
	}
	high, err := strconv.ParseUint(hi, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("fresh: LSN %q: %w", s, err)
	}
	low, err := strconv.ParseUint(lo, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("fresh: LSN %q: %w", s, err)
	}
	return LSN(high<<32 | low), nil
}

// String returns PostgreSQL's text form.
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// A Position is a point in the history of a cluster. An LSN alone is not: a
// standby that followed a dead primary past the point where its successor
// branched off has a high LSN and still lacks everything the successor wrote.
// The zero Position is before everything.
type Position struct {
	Timeline uint32
	LSN      LSN
}

// IsZero reports whether p is the zero Position.
func (p Position) IsZero() bool { return p == Position{} }

// Reached reports whether data at p holds everything up to floor. Positions of
// different timelines are not comparable, so the answer is then no.
func (p Position) Reached(floor Position) bool {
	return floor.IsZero() || p.Timeline == floor.Timeline && p.LSN >= floor.LSN
}

// Merge returns the later of two positions: the newer timeline, then the
// greater LSN. On a newer timeline a smaller LSN is still later: promotion
// ended the old history, and what it had beyond the fork is gone.
func (p Position) Merge(q Position) Position {
	if q.Timeline > p.Timeline || q.Timeline == p.Timeline && q.LSN > p.LSN {
		return q
	}
	return p
}

// String returns "timeline:LSN".
func (p Position) String() string { return fmt.Sprintf("%d:%s", p.Timeline, p.LSN) }
