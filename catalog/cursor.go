package catalog

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
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

// A cursor is where a page ended. web.NewCursor writes it, and says why it need
// not be signed; so reading one only has to make sure that PostgreSQL can read
// what comes out.
type cursor struct {
	list string // Filter.list
	sort Sort
	id   id.ID  // of the last row: keys repeat, pairs do not
	key  string // of the last row, in the sort's own notation

	bookmark string // of the page that the row is on: fresh.Carrier.Bookmark
}

func (c cursor) String() string {
	return web.NewCursor(c.list, c.bookmark, slices.Concat(c.id[:], []byte(c.key)))
}

// resume reads the cursor of a list, and makes the page's reads at least as fresh as
// those of the page before. web.InvalidCursor is for whatever was not made for the
// list, or not by a process with the same keys. No cursor is the first page.
func resume(ctx context.Context, text string, s Sort, list string) (cursor, error) {
	c, err := parseCursor(text, s, list)
	if err == nil && text != "" && fresh.CarrierFrom(ctx).Resume(c.bookmark) != nil {
		err = web.InvalidCursor
	}
	return c, err
}

// parseCursor is resume without the bookmark.
func parseCursor(text string, s Sort, list string) (cursor, error) {
	if text == "" {
		return first(s, list), nil
	}
	bookmark, b, err := web.OpenCursor(text, list)
	if err != nil {
		return cursor{}, err
	}
	if len(b) < len(id.ID{}) {
		return cursor{}, web.InvalidCursor
	}
	c := cursor{list: list, sort: s, id: id.ID(b[:16]), key: string(b[16:]), bookmark: bookmark}
	if !validKey(c.sort, c.key) {
		return cursor{}, web.InvalidCursor
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

// scoreKey holds the way as well, but for what was typed: page 2 must not switch from
// fuzzy to exact because a product was added. The score is written exactly, in
// hexadecimal.
func scoreKey(w way, score float64) string {
	key := string(w.mode) + " " + strconv.FormatFloat(score, 'x', -1, 64)
	if w.mode != Fuzzy {
		return key
	}
	if w.meant.any {
		return key + " any " + strings.Join(w.meant.words, " ")
	}
	return key + " all " + strings.Join(w.meant.words, " ")
}

func parseScoreKey(key string) (w way, score float64, ok bool) {
	fields := strings.Split(key, " ")
	if len(fields) < 2 {
		return way{}, 0, false
	}
	score, err := strconv.ParseFloat(fields[1], 64)
	w.mode = Mode(fields[0])
	switch {
	case w.mode == Fuzzy && len(fields) > 3:
		w.meant = correction{words: fields[3:], any: fields[2] == "any"}
		ok = !slices.ContainsFunc(w.meant.words, func(s string) bool { return s == "" || !isWord(s) })
	case w.mode == Exact || w.mode == Prefix:
		ok = true
	}
	finite := !math.IsNaN(score) && !math.IsInf(score, 0)
	return w, score, ok && err == nil && finite && scoreKey(w, score) == key
}

// first is the cursor before the first page: a key beyond every row, so that
// the first page is the same statement as the others.
func first(s Sort, list string) cursor {
	c := cursor{list: list, sort: s}
	switch s {
	case Newest:
		c.key, c.id = "infinity", id.Max
	case Cheapest:
		c.key = "-1"
	case Dearest:
		c.key, c.id = strconv.FormatInt(math.MaxInt64, 10), id.Max
	case ByName: // no name is empty
	}
	return c
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

// ledgerCursor is behind the movement with this number.
func ledgerCursor(ctx context.Context, variant id.ID, seq int64) string {
	return web.NewCursor("stock movements "+variant.String(), fresh.CarrierFrom(ctx).Bookmark(),
		binary.BigEndian.AppendUint64(nil, uint64(seq)))
}

// resumeLedger is web.InvalidCursor for the cursor of another variant. No cursor is
// the first page, before which every number comes.
func resumeLedger(ctx context.Context, cursor string, variant id.ID) (seq int64, err error) {
	if cursor == "" {
		return math.MaxInt64, nil
	}
	bookmark, key, err := web.OpenCursor(cursor, "stock movements "+variant.String())
	if err != nil {
		return 0, err
	}
	if len(key) != 8 || fresh.CarrierFrom(ctx).Resume(bookmark) != nil {
		return 0, web.InvalidCursor
	}
	return int64(binary.BigEndian.Uint64(key)), nil
}
