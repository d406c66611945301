package catalog

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/leeway/internal/id"
)

// Sort is the order of a list, by its name in the query string.
type Sort string

// The sort orders of a product list. A search is always by relevance.
const (
	Newest   Sort = "-created_at"
	Cheapest Sort = "price"
	Dearest  Sort = "-price"
	ByName   Sort = "name"

	relevance Sort = "relevance"
)

// Sorts are those that a product list takes; the first is the default.
var Sorts = []string{string(Newest), string(Cheapest), string(Dearest), string(ByName)}

// sortCodes are part of the coding of cursors: append only.
var sortCodes = []Sort{Newest, Cheapest, Dearest, ByName, relevance}

// A cursor is where a page ended. It is opaque to clients but not secret and
// not signed: whoever makes one up sees rows that a list would show him anyway.
// So decoding only has to make sure that PostgreSQL can read what comes out.
type cursor struct {
	sort  Sort
	key   string // of the last row, in the sort's own notation
	id    id.ID  // of the last row: keys repeat, pairs do not
	match uint64 // Filter.fingerprint of the list

	// The position that the page was read at, so that the next one is read no
	// earlier. Zero is none.
	timeline uint32
	lsn      uint64
}

// version, sort, timeline, lsn, match, id; the key is the rest.
const (
	cursorVersion = 1
	cursorFixed   = 1 + 1 + 4 + 8 + 8 + 16
	maxCursorText = 1024 // names have at most 200 runes of 4 bytes
)

func (c cursor) String() string {
	b := make([]byte, 0, cursorFixed+len(c.key))
	b = append(b, cursorVersion, sortCode(c.sort))
	b = binary.BigEndian.AppendUint32(b, c.timeline)
	b = binary.BigEndian.AppendUint64(b, c.lsn)
	b = binary.BigEndian.AppendUint64(b, c.match)
	b = append(b, c.id[:]...)
	b = append(b, c.key...)
	return base64.RawURLEncoding.EncodeToString(b)
}

func sortCode(s Sort) byte {
	for i, known := range sortCodes {
		if known == s {
			return byte(i)
		}
	}
	panic("catalog: no cursor for sort " + strconv.Quote(string(s)))
}

// parseCursor returns ErrInvalidCursor for whatever String did not make. Strict
// rejects stray trailing bits, so that one cursor has one spelling.
func parseCursor(s string) (cursor, error) {
	if len(s) > maxCursorText {
		return cursor{}, ErrInvalidCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") || len(b) < cursorFixed ||
		b[0] != cursorVersion || int(b[1]) >= len(sortCodes) {
		return cursor{}, ErrInvalidCursor
	}
	c := cursor{
		sort:     sortCodes[b[1]],
		timeline: binary.BigEndian.Uint32(b[2:]),
		lsn:      binary.BigEndian.Uint64(b[6:]),
		match:    binary.BigEndian.Uint64(b[14:]),
		id:       id.ID(b[22:cursorFixed]),
		key:      string(b[cursorFixed:]),
	}
	if !validKey(c.sort, c.key) {
		return cursor{}, ErrInvalidCursor
	}
	return c, nil
}

func validKey(s Sort, key string) bool {
	switch s {
	case Newest:
		t, err := time.Parse(time.RFC3339Nano, key)
		return err == nil && timeKey(t) == key && t.Year() >= 1
	case Cheapest, Dearest:
		n, err := strconv.ParseInt(key, 10, 64)
		return err == nil && strconv.FormatInt(n, 10) == key
	case ByName:
		return utf8.ValidString(key) && !strings.ContainsRune(key, 0)
	}
	_, _, ok := parseScoreKey(key)
	return ok
}

// timeKey keeps the microseconds that PostgreSQL has.
func timeKey(t time.Time) string { return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano) }

// scoreKey holds the mode as well: page 2 must not switch from fuzzy to exact
// because a product was added. The score is written exactly, in hexadecimal.
func scoreKey(m Mode, score float64) string {
	return string(m) + " " + strconv.FormatFloat(score, 'x', -1, 64)
}

func parseScoreKey(key string) (m Mode, score float64, ok bool) {
	mode, digits, _ := strings.Cut(key, " ")
	score, err := strconv.ParseFloat(digits, 64)
	m = Mode(mode)
	known := m == Exact || m == Prefix || m == Fuzzy
	finite := !math.IsNaN(score) && !math.IsInf(score, 0)
	return m, score, err == nil && known && finite && scoreKey(m, score) == key
}

// first is the cursor before the first page: a key beyond every row, so that
// the first page is the same statement as the others.
func first(s Sort, match uint64) cursor {
	c := cursor{sort: s, match: match}
	switch s {
	case Newest:
		c.key, c.id = "infinity", lastID
	case Cheapest:
		c.key = "-1"
	case Dearest:
		c.key, c.id = strconv.FormatInt(math.MaxInt64, 10), lastID
	case ByName: // no name is empty
	}
	return c
}

var lastID = id.ID{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
}

// resume reads the cursor of a list that has this order and these filters.
func resume(text string, s Sort, match uint64) (cursor, error) {
	if text == "" {
		return first(s, match), nil
	}
	c, err := parseCursor(text)
	if err != nil || c.sort != s || c.match != match {
		return cursor{}, ErrInvalidCursor
	}
	return c, nil
}

// after is the cursor behind row p.
func (c cursor) after(p Summary) cursor {
	c.id = p.ID
	switch c.sort {
	case Newest:
		c.key = timeKey(p.CreatedAt)
	case Cheapest, Dearest:
		c.key = strconv.FormatInt(p.PriceRange.Min.Amount, 10)
	case ByName:
		c.key = p.Name
	}
	return c
}
