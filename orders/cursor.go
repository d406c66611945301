package orders

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"example.com/leeway/internal/id"
)

// A place is where a page of the order list ends: the keys of its last row.
type place struct {
	createdAt time.Time // microseconds, as the database keeps them
	id        id.ID
}

// newest is above every order.
var newest = place{
	createdAt: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
	id: id.ID{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	},
}

// A cursor is its version, a hash of whom and what the list is of, and the
// place. It is not signed: with a forged place a shopper reaches their own
// orders and no others. That page 2 is never older than page 1 is the session
// token's business, since every read of this list is a session read.
const (
	cursorVersion = 1
	cursorLen     = 1 + 8 + 8 + 16
)

func (p place) cursor(who Shopper, status string) string {
	b := make([]byte, 0, cursorLen)
	b = append(b, cursorVersion)
	b = append(b, listHash(who, status)...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.createdAt.UnixMicro()))
	b = append(b, p.id[:]...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor refuses a cursor of another list, whose place would silently skip
// or repeat orders of this one. No cursor is the first page.
func parseCursor(cursor string, who Shopper, status string) (place, error) {
	if cursor == "" {
		return newest, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(cursor) != base64.RawURLEncoding.EncodedLen(cursorLen) || // newlines are skipped
		len(b) != cursorLen || b[0] != cursorVersion ||
		string(b[1:9]) != string(listHash(who, status)) {
		return place{}, ErrInvalidCursor
	}
	p := place{createdAt: time.UnixMicro(int64(binary.BigEndian.Uint64(b[9:17]))).UTC(), id: id.ID(b[17:])}
	if p.createdAt.After(newest.createdAt) || p.createdAt.Year() < 2000 {
		return place{}, ErrInvalidCursor // outside of what timestamptz or an order can hold
	}
	return p, nil
}

func listHash(who Shopper, status string) []byte {
	sum := sha256.Sum256(append(who.digest[:], status...))
	return sum[:8]
}
